//! Valid inputs for every target, generated: the golden packs, generated mail, requests with every field.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use prost::Message;
use sha2::Digest as _;
use storage_core::codec::Codec;
use storage_core::codec::DictionaryEncoder;
use storage_core::codec::builtin;
use storage_core::media::MediaClass;
use storage_core::mime::Op;
use storage_core::mime::Skeleton;
use storage_core::mime::SplitLimits;
use storage_core::mime::split;
use storage_core::model::Sha256;

use storage_core::pack::TransformId;
use storage_core::pack::arrange::arrange;
use storage_core::recode;
use storage_core::recode::Limits;
use storage_core::similarity::Base;
use storage_fixtures::documents::Kind as Document;
use storage_fixtures::documents::family;
use storage_fixtures::documents::parts;
use storage_fixtures::mailbox::Mailbox;
use storage_fixtures::mime::weird;
use storage_fixtures::rng::Rng;
use storage_server::proto;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The golden packs, of every version there is.
pub(crate) fn packs() -> Vec<Vec<u8>> {
    let mut packs = Vec::new();
    for version in fs::read_dir(workspace().join("fixtures/format")).unwrap() {
        for file in fs::read_dir(version.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "pack") {
                packs.push(fs::read(path).unwrap());
            }
        }
    }
    packs.sort();
    packs
}

/// Tables out of the golden packs: kind, length of the verbatim part, verbatim part, coded part.
pub(crate) fn tables() -> Vec<Vec<u8>> {
    let mut tables = Vec::new();
    for pack in packs() {
        let mut at = 44;
        while pack[at..].starts_with(b"tFRM") {
            let number = |offset: usize| {
                let bytes: [u8; 4] = pack[at + offset..at + offset + 4].try_into().unwrap();
                u32::from_le_bytes(bytes) as usize
            };
            let header = usize::from(u16::from_le_bytes([pack[at + 6], pack[at + 7]]));
            let (verbatim, coded, stream) = (number(32), number(36), number(44));
            let end = at + header + verbatim + coded + stream;
            if end > pack.len() {
                break;
            }
            if let (Ok(length), 0) = (u8::try_from(verbatim), pack[at + 8]) {
                let table = &pack[at + header..at + header + verbatim + coded];
                tables.push([&[pack[at + 5], length], table].concat());
            }
            at = end;
        }
    }
    assert!(tables.len() > 5);
    tables
}

fn texts() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(1);
    let text =
        |lines: usize| "The same words again and again, on line after line.\r\n".repeat(lines).into_bytes();
    vec![Vec::new(), vec![7], text(3), text(300), rng.bytes(500), vec![0; 100_000]]
}

fn encoded(codec: &Codec) -> Vec<Vec<u8>> {
    let one = |text: &Vec<u8>| {
        let [low, middle, high, _] = u32::try_from(text.len()).unwrap().to_le_bytes();
        [&[low, middle, high], codec.encode(text).unwrap().as_slice()].concat()
    };
    texts().iter().map(one).collect()
}

/// Arranged streams of short messages behind their stated lengths.
pub(crate) fn arranged() -> Vec<Vec<u8>> {
    let one = |messages: &[Vec<u8>]| {
        let units: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let length = u16::try_from(units.iter().map(|unit| unit.len()).sum::<usize>()).ok()?;
        Some([&length.to_le_bytes(), arrange(&units).unwrap().as_slice()].concat())
    };
    mail().chunks(3).filter_map(one).collect()
}

pub(crate) fn lz4() -> Vec<Vec<u8>> {
    encoded(&Codec::Lz4)
}

pub(crate) fn gzip() -> Vec<Vec<u8>> {
    encoded(&Codec::Gzip { level: 6 })
}

pub(crate) fn documents() -> Vec<Vec<u8>> {
    let photo = parts::jpeg(5, 60, parts::JpegKind::Baseline);
    let text = "some words that come again and again\n".repeat(40);
    vec![
        parts::pdf_with_jpeg(&photo, text.as_bytes()),
        parts::archive(&[("a.jpg", &photo, false), ("b.txt", text.as_bytes(), true)]),
        parts::png(2, 140),
        parts::gzip(text.as_bytes(), 6),
        photo,
    ]
}

/// Stored forms of that transform behind their stated lengths.
fn recoded(transform: TransformId) -> Vec<Vec<u8>> {
    let stored = |object: Vec<u8>| {
        let recoded = recode::encode(MediaClass::Binary, &object, &Limits::at_level(19));
        let recoded = recoded.filter(|recoded| recoded.transform == transform)?;
        let [low, middle, high, ..] = object.len().to_le_bytes();
        Some([&[low, middle, high], recoded.stored.as_slice()].concat())
    };
    documents().into_iter().filter_map(stored).collect()
}

/// Versions of documents as differences from the first, as the target takes them.
pub(crate) fn deltas() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for kind in [Document::Docx, Document::Pdf] {
        let versions = family(3, kind, 1);
        let (base, object) = (versions[0].clone(), &versions[1]);
        let hash = Sha256(sha2::Sha256::digest(&base).into());
        let prepared = Base::new(hash, MediaClass::Zip, base.clone());
        let delta = prepared.encode(MediaClass::Zip, object, 3, object.len()).expect("a delta");
        let [low, middle, high, ..] = object.len().to_le_bytes();
        let lengths =
            [delta.params.len(), delta.stored.len()].map(|length| u16::try_from(length).expect("short"));
        let mut input = vec![low, middle, high];
        input.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
        inputs.push([input, delta.params, delta.stored, base].concat());
    }
    inputs
}

pub(crate) fn recoded_jpegs() -> Vec<Vec<u8>> {
    recoded(TransformId::JPEG)
}

pub(crate) fn recoded_documents() -> Vec<Vec<u8>> {
    recoded(TransformId::DEFLATE)
}

pub(crate) fn zstd() -> Vec<Vec<u8>> {
    [encoded(&Codec::Zstd { level: 1 }), encoded(&Codec::Zstd { level: 19 })].concat()
}

pub(crate) fn zstd_dictionary() -> Vec<Vec<u8>> {
    let dictionary = builtin::dictionary(builtin::BUILTIN_V1).unwrap().unwrap();
    encoded(&Codec::ZstdDictionary(Arc::new(DictionaryEncoder::new(dictionary, 3).unwrap())))
}

pub(crate) fn dictionaries() -> Vec<Vec<u8>> {
    let line =
        |letter: usize| format!("Letter {letter} has the usual words and a number {}. ", letter * 7_919);
    let samples: Vec<Vec<u8>> = (0..100).map(|letter| line(letter).repeat(9).into_bytes()).collect();
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    vec![storage_core::codec::train(&samples, 1_024).unwrap(), b"eight bytes and more".to_vec()]
}

pub(crate) fn mail() -> Vec<Vec<u8>> {
    let usual = Mailbox::new(5, 30).map(|message| message.bytes);
    let weird = (0..weird::shapes()).map(weird::message);
    usual.chain(weird).filter(|message| message.len() < 20_000).collect()
}

/// Skeletons of short messages, with a length and an object before them.
pub(crate) fn skeletons() -> Vec<Vec<u8>> {
    let one = |message: Vec<u8>| {
        let whole = split(&message, SplitLimits { body_object_bytes: 60, ..SplitLimits::default() }).unwrap();
        let object = whole.objects.first().map(|(_, object)| object.clone()).unwrap_or_default();
        let length = u8::try_from(object.len()).ok()?;
        Some([&[length], object.as_slice(), &whole.split.skeleton].concat())
    };
    mail().into_iter().filter_map(one).collect()
}

/// Recipes with what they are for, as `recipe length, recipe, decoded bytes`.
fn recipes(base64: bool) -> Vec<Vec<u8>> {
    let mut recipes = Vec::new();
    for message in mail() {
        let whole = split(&message, SplitLimits::default()).unwrap();
        let skeleton = &whole.split.skeleton;
        for op in Skeleton::parse(skeleton).unwrap().ops() {
            let (encoding, recipe, decoded) = match op {
                Op::Literal(_) => continue,
                Op::Inline { encoding, recipe, decoded, .. } => {
                    (encoding, recipe, skeleton[decoded.clone()].to_vec())
                }
                Op::Object { encoding, recipe, object, .. } => {
                    (encoding, recipe, whole.objects[*object as usize].1.clone())
                }
            };
            let wanted = if base64 { "base64" } else { "quoted-printable" };
            if let Ok(length) = u8::try_from(recipe.len())
                && encoding.name() == wanted
                && recipes.len() < 100
            {
                recipes.push([&[length], &skeleton[recipe.clone()], &decoded].concat());
            }
        }
    }
    assert!(!recipes.is_empty());
    recipes
}

pub(crate) fn base64_recipes() -> Vec<Vec<u8>> {
    recipes(true)
}

pub(crate) fn quoted_recipes() -> Vec<Vec<u8>> {
    recipes(false)
}

pub(crate) fn mboxes() -> Vec<Vec<u8>> {
    let mut written = Vec::new();
    for message in mail().iter().take(5) {
        let _added = storage_cli::mail::mbox::write(&mut written, "a", "b", message).unwrap();
    }
    let small: &[u8] = b"From a\n>From b\n\n>>From c\nFrom d\n\nFrom e\r\n\r\n\r\nFrom f\n";
    vec![written, small.to_vec(), Vec::new()]
}

pub(crate) fn configs() -> Vec<Vec<u8>> {
    let example = fs::read_to_string(workspace().join("storage-server/storage-server.example.toml")).unwrap();
    vec![example.replace("#= ", "").into_bytes(), b"[policy]\nwarm_after_days = 3\n".to_vec(), Vec::new()]
}

/// One request of every type, with every field set; the first byte is the type.
pub(crate) fn requests() -> Vec<Vec<u8>> {
    let moment = |seconds| Some(prost_types::Timestamp { seconds, nanos: 999_999_999 });
    let external = Some(proto::ExternalIds {
        campaign_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        ..proto::ExternalIds::default()
    });
    let put = proto::PutOptions {
        id: "id-1".to_owned(),
        external: external.clone(),
        created: moment(1_700_000_000),
        media_type: "text/plain".to_owned(),
        file_name: "a.txt".to_owned(),
        retention_end: moment(253_402_300_799),
        hold: true,
        pin: 2,
        labels: [("k".to_owned(), "v".to_owned())].into(),
    };
    let list = proto::ListRequest {
        page_size: 10,
        created_from: moment(-62_135_596_800),
        created_until: moment(253_402_300_799),
        external,
        message_id: "1@a.example".to_owned(),
        page_token: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
    };
    let update = proto::UpdateRequest {
        id: "id".to_owned(),
        hold: Some(true),
        pin: Some(3),
        set_labels: [("k".to_owned(), "v".to_owned())].into(),
        remove_labels: vec!["l".to_owned()],
        retention: Some(proto::update_request::Retention::RetentionEnd(moment(-5).unwrap())),
    };
    let get = proto::GetRequest { id: "id".to_owned(), offset: 3, length: Some(4), touch: Some(false) };
    let policy = proto::Policy {
        warm_after_days: 1,
        cold_after_days: 2,
        archive_after_days: u32::MAX,
        skip_warm_bytes_min: u64::MAX,
        promote_hot_reads: 9,
        promote_warm_reads: 3,
    };
    let migrate = proto::MigrateRequest {
        dry_run: true,
        as_of: moment(253_402_300_799),
        to: 4,
        bytes_max: u64::MAX,
        bytes_per_second_max: 1,
        wait: true,
    };
    let sweep = proto::SweepRequest {
        dry_run: true,
        grace: Some(prost_types::Duration { seconds: i64::MAX, nanos: 1 }),
    };
    let stats = proto::StatsRequest { by: "media".to_owned() };
    // Type 8 is type 0 again: an id of which a database may see nothing.
    let odd = proto::PutOptions { id: "\0".to_owned(), ..proto::PutOptions::default() };
    let encoded = [
        put.encode_to_vec(),
        list.encode_to_vec(),
        update.encode_to_vec(),
        get.encode_to_vec(),
        policy.encode_to_vec(),
        migrate.encode_to_vec(),
        sweep.encode_to_vec(),
        stats.encode_to_vec(),
        odd.encode_to_vec(),
    ];
    (0_u8..).zip(encoded).map(|(kind, bytes)| [&[kind], bytes.as_slice()].concat()).collect()
}
