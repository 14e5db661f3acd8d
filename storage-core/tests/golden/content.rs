//! What the golden packs hold: one of everything, with every field.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sha2::Digest;
use storage_core::clock::Timestamp;
use storage_core::codec::Dictionary;
use storage_core::codec::DictionaryKind;
use storage_core::codec::train;
use storage_core::mime::SplitLimits;
use storage_core::mime::split;
use storage_core::model::ExternalIds;
use storage_core::model::ItemKind;
use storage_core::model::Sha256;
use storage_core::model::Tier;
use storage_core::pack::DictionaryRecord;
use storage_core::pack::Fields;
use storage_core::pack::ItemRecord;
use storage_core::pack::MessageRecord;
use storage_core::pack::ObjectEntry;
use storage_core::pack::PartRecord;
use storage_core::pack::PolicyRecord;
use storage_core::pack::SegmentPlace;
use storage_core::pack::SegmentRecord;
use storage_core::pack::SegmentedEntry;
use storage_core::pack::TenantRecord;
use storage_core::pack::TierPolicyRecord;
use storage_core::pack::Tombstone;
use storage_core::pack::TransformId;
use storage_fixtures::rng::Rng;
use uuid::Uuid;

pub(crate) const TENANT: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
pub(crate) const OTHER: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002);
pub(crate) const RAW: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003);
pub(crate) const TRAINED: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0004);

/// Says where in a message its objects are.
const MESSAGE: &str = "Message-ID: <golden@mail.example>\r\nSubject: Golden\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=84=C3=96=C3=9C=C3=A4=C3=B6=C3=BC=C3=9F, Gr=C3=BC=C3=9Fe aus K=C3=B6ln =\r\n\
    und =e4=F6.\r\n--b\r\nContent-Type: application/octet-stream; name=\"a.bin\"\r\n\
    Content-Transfer-Encoding: base64\r\n\r\n";

pub(crate) fn sha(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// A text without a pattern that a compressor could take for one.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    Rng::new(42).bytes(bytes)
}

pub(crate) fn text(letter: usize) -> Vec<u8> {
    let line = |line: usize| {
        format!("Line {line} of letter {letter}: the usual words, number {}.\r\n", line * 7_919)
    };
    (0..30).map(line).collect::<String>().into_bytes()
}

fn unknown() -> Fields {
    let mut fields = Fields::default();
    fields.insert(1_001, Bytes::from_static(b"of a newer version"));
    fields
}

fn id(number: u8) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7abc_8123_4567_89ab_cd00 + u128::from(number))
}

/// A skeleton with a literal, an inline part and an object, as a message splits into it; and the object.
pub(crate) fn message() -> (Vec<u8>, Vec<u8>) {
    let attachment = noise(1_500);
    let mut bytes = MESSAGE.as_bytes().to_vec();
    for line in attachment.chunks(57) {
        bytes.extend_from_slice(base64(line).as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"--b--\r\n");
    let split = split(&bytes, SplitLimits::default()).expect("a message");
    let [(_, object)] = split.objects.as_slice() else { panic!("one object") };
    assert!(*object == attachment, "the attachment was decoded");
    (split.split.skeleton, attachment)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for triple in bytes.chunks(3) {
        let padded = [triple, &[0; 2]].concat();
        let word = (u32::from(padded[0]) << 16) | (u32::from(padded[1]) << 8) | u32::from(padded[2]);
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place > triple.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

/// Skeletons of messages with signatures, ids that come once and again, the codes of arranged streams, and without a body.
pub(crate) fn signed() -> Vec<Vec<u8>> {
    let noise = noise(96 * 24);
    let signed = |number: usize, random: &[u8]| {
        let (signature, id) = random.split_at(80);
        let hex = Uuid::from_slice(id).expect("16 bytes").simple().to_string();
        format!(
            "DKIM-Signature: v=1; a=rsa-sha256; d=mail.example; s=a;\r\n b={};\r\nMessage-ID: <{hex}@mail.example>\r\n\
             References: <00112233445566778899aabbccddeeff@mail.example>\r\nSubject: Letter {number}\r\n\r\n\
             The usual words of letter {number}, \r\n\r\nand no more than these.\r\n",
            base64(signature)
        )
    };
    let mut messages: Vec<Vec<u8>> =
        (0..).zip(noise.chunks(96)).map(|(number, random)| signed(number, random).into_bytes()).collect();
    messages.push(b"Subject: \xf8\xf9\xfa\xfb\n\n\xfa\xf8\n\n".to_vec());
    messages.push(b"Subject: No body\n".to_vec());
    let skeleton = |bytes: &Vec<u8>| split(bytes, SplitLimits::default()).expect("a message").split.skeleton;
    messages.iter().map(skeleton).collect()
}

fn part(object: Sha256, index: u32) -> PartRecord {
    PartRecord {
        index,
        role: 1,
        media_type: "application/octet-stream".to_owned(),
        file_name: Some("a.bin".to_owned()),
        object,
        decoded_bytes: 1_500,
        unknown: Fields::default(),
    }
}

/// A record with nothing but what is required.
pub(crate) fn bare_record(number: u8) -> MessageRecord {
    MessageRecord {
        id: id(number),
        kind: ItemKind::Message,
        caller_id: None,
        external: ExternalIds::default(),
        created: Timestamp(1_700_000_000_000),
        media_type: None,
        file_name: None,
        retention_end: None,
        hold: false,
        pin: None,
        labels: BTreeMap::new(),
        bytes: 0,
        sha256: sha(b""),
        message_id_hash: None,
        parts: Vec::new(),
        unknown: Fields::default(),
    }
}

/// A record with every field.
pub(crate) fn full_record(object: Sha256) -> MessageRecord {
    let mut first = part(object, 1);
    first.unknown = unknown();
    MessageRecord {
        kind: ItemKind::Content,
        caller_id: Some("caller's \"id\"\n".to_owned()),
        external: ExternalIds { campaign: Some(id(10)), account: Some(id(11)), lead: Some(id(12)) },
        created: Timestamp(-5),
        media_type: Some("image/png".to_owned()),
        file_name: Some("größe.png".to_owned()),
        retention_end: Some(Timestamp(i64::MAX)),
        hold: true,
        pin: Some(Tier::Archive),
        labels: BTreeMap::from([("k".to_owned(), "v".to_owned()), (String::new(), String::new())]),
        bytes: u64::MAX,
        sha256: sha(b"the whole of it"),
        message_id_hash: Some(i64::MIN),
        parts: vec![first, part(sha(b"elsewhere"), 7), part(sha(b"elsewhere"), 2)],
        unknown: unknown(),
        ..bare_record(2)
    }
}

pub(crate) fn transformed() -> ObjectEntry {
    ObjectEntry {
        sha256: sha(b"transformed"),
        bytes: 11,
        class: 255,
        transform: TransformId::DELTA,
        params: b"base".to_vec(),
        gain: 0,
        unknown: unknown(),
    }
}

/// Two segments of 700 bytes, and the object they make.
pub(crate) fn segments() -> (Vec<Vec<u8>>, SegmentedEntry) {
    let whole = noise(1_400);
    let pieces: Vec<Vec<u8>> = whole.chunks(700).map(<[u8]>::to_vec).collect();
    let place = |(ordinal, piece): (u32, &Vec<u8>)| SegmentPlace { ordinal, bytes: 700, sha256: sha(piece) };
    let entry = SegmentedEntry {
        sha256: sha(&whole),
        bytes: 1_400,
        class: 10,
        segments: (0..).zip(&pieces).map(place).collect(),
        unknown: unknown(),
    };
    (pieces, entry)
}

pub(crate) fn segment(piece: &[u8], index: u32) -> SegmentRecord {
    SegmentRecord { sha256: sha(piece), bytes: 700, index, unknown: unknown() }
}

pub(crate) fn tombstones() -> Vec<Tombstone> {
    let tombstone = |number, kind, caller_id: Option<&str>| Tombstone {
        item: id(number),
        kind,
        caller_id: caller_id.map(str::to_owned),
        deleted: Timestamp(1_700_000_000_000 + i64::from(number)),
        erase: None,
        unknown: if number == 1 { unknown() } else { Fields::default() },
    };
    vec![tombstone(1, ItemKind::Message, Some("gone")), tombstone(2, ItemKind::Content, None)]
}

pub(crate) fn policies() -> Vec<PolicyRecord> {
    let tier = |sequence, json: Option<&str>| {
        let (changed, json) = (Timestamp(4), json.map(str::to_owned));
        PolicyRecord::Tier(TierPolicyRecord { sequence, changed, json, unknown: unknown() })
    };
    let item = ItemRecord {
        item: id(8),
        kind: ItemKind::Content,
        sequence: u64::MAX,
        changed: Timestamp(i64::MIN),
        retention_end: Some(Timestamp(6)),
        hold: true,
        pin: Some(Tier::Hot),
        labels: BTreeMap::from([("folder".to_owned(), "inbox".to_owned())]),
        unknown: unknown(),
    };
    vec![tier(1, Some("{\"warm_after_days\":1}")), tier(2, None), PolicyRecord::Item(item)]
}

pub(crate) fn tenant() -> TenantRecord {
    TenantRecord { id: OTHER, name: "other".to_owned(), created: Timestamp(2), unknown: unknown() }
}

pub(crate) fn dictionary_record(id: Uuid, kind: DictionaryKind) -> DictionaryRecord {
    let sampled = if kind == DictionaryKind::Trained { Vec::new() } else { vec![sha(b"one"), sha(b"two")] };
    DictionaryRecord {
        id,
        class: 1,
        kind,
        version: 0,
        created: Timestamp(3),
        gain: 0.25,
        sampled,
        unknown: unknown(),
    }
}

pub(crate) fn raw_dictionary() -> Arc<Dictionary> {
    let bytes = Arc::from([text(100), text(101)].concat());
    Arc::new(Dictionary::new(RAW, DictionaryKind::RawContent, bytes).expect("a dictionary"))
}

pub(crate) fn trained_dictionary() -> Arc<Dictionary> {
    let samples: Vec<Vec<u8>> = (0..100).map(text).collect();
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    let bytes = Arc::from(train(&samples, 1_024).expect("enough samples"));
    Arc::new(Dictionary::new(TRAINED, DictionaryKind::Trained, bytes).expect("a dictionary"))
}
