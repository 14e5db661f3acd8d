//! One program for all targets: `FUZZ_TARGET` names the one that is fuzzed.

#![no_main]

use std::sync::OnceLock;

#[path = "../../storage-cli/tests/fuzz/corpus.rs"]
mod corpus;
#[path = "../../storage-core/tests/support/seal.rs"]
mod seal;
#[path = "../../storage-cli/tests/fuzz/targets/mod.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;
use targets::TARGETS;
use targets::Target;

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&'static Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let found = TARGETS.iter().chain([&targets::CANARY]).find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("there is no target {name}"))
    })
}

fuzz_target!(|input: &[u8]| (chosen().run)(input));
