//! The table of targets. A target takes any bytes and panics where a promise is broken: that reading never panics, fails
//! only as it may, and gives back exactly what was put in.

pub(crate) mod codecs;
pub(crate) mod edges;
pub(crate) mod mail;
pub(crate) mod packs;
pub(crate) mod recoding;
pub(crate) mod requests;

use crate::corpus;

/// Something that reads bytes from outside.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Valid inputs to begin with.
    pub(crate) corpus: fn() -> Vec<Vec<u8>>,
    pub(crate) run: fn(&[u8]),
}

const fn target(name: &'static str, corpus: fn() -> Vec<Vec<u8>>, run: fn(&[u8])) -> Target {
    Target { name, corpus, run }
}

/// All of them.
pub(crate) const TARGETS: [Target; 24] = [
    target("pack", corpus::packs, packs::pack),
    target("pack-sealed", corpus::packs, packs::pack_sealed),
    target("pack-scan", corpus::packs, packs::scan),
    target("inspect", corpus::packs, packs::inspect),
    target("tables", corpus::tables, packs::tables),
    target("arranged", corpus::arranged, packs::arranged),
    target("arrange", corpus::skeletons, packs::arrange),
    target("lz4", corpus::lz4, codecs::lz4),
    target("gzip", corpus::gzip, codecs::gzip),
    target("zstd", corpus::zstd, codecs::zstd),
    target("zstd-dictionary", corpus::zstd_dictionary, codecs::zstd_dictionary),
    target("dictionary", corpus::dictionaries, codecs::dictionary),
    target("recode", corpus::documents, recoding::objects),
    target("recoded-jpeg", corpus::recoded_jpegs, recoding::jpeg),
    target("recoded-deflate", corpus::recoded_documents, recoding::deflate),
    target("delta", corpus::deltas, recoding::delta),
    target("skeleton", corpus::skeletons, mail::skeleton),
    target("base64-recipe", corpus::base64_recipes, mail::base64_recipe),
    target("quoted-recipe", corpus::quoted_recipes, mail::quoted_recipe),
    target("split", corpus::mail, mail::split),
    target("mbox", corpus::mboxes, mail::mbox),
    target("config", corpus::configs, edges::config),
    target("protobuf", corpus::requests, edges::protobuf),
    target("requests", corpus::requests, requests::requests),
];

/// Breaks on purpose, on an input that only damage makes.
pub(crate) const CANARY: Target = target("canary", canary_corpus, canary);

fn canary_corpus() -> Vec<Vec<u8>> {
    vec![b"a canary sings".to_vec()]
}

fn canary(input: &[u8]) {
    assert!(!input.contains(&0x80) || input.len().is_multiple_of(2), "the canary fell silent");
}
