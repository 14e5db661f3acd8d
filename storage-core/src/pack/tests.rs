//! Tests of packs: the layout, round trips, sums, and that damage never reads as something else. Here are the packs that they
//! look at, with a frame of every kind.

mod damage;
mod frames;
mod scan;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sha2::Digest;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::codec::Codec;
use crate::codec::Dictionary;
use crate::codec::DictionaryEncoder;
use crate::codec::DictionaryKind;
use crate::error::Result;
use crate::model::ExternalIds;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::model::Tier;
use crate::pack::BlockBuilder;
use crate::pack::DictionaryRecord;
use crate::pack::EncodedFrame;
use crate::pack::Fields;
use crate::pack::FinishedPack;
use crate::pack::Footer;
use crate::pack::Frame;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::pack::ItemRecord;
use crate::pack::MessageRecord;
use crate::pack::ObjectEntry;
use crate::pack::Origin;
use crate::pack::PackHeader;
use crate::pack::PackIndex;
use crate::pack::PackName;
use crate::pack::PackWriter;
use crate::pack::PartRecord;
use crate::pack::PolicyRecord;
use crate::pack::SegmentPlace;
use crate::pack::SegmentRecord;
use crate::pack::SegmentedEntry;
use crate::pack::TenantRecord;
use crate::pack::TierPolicyRecord;
use crate::pack::Tombstone;
use crate::pack::TransformId;
use crate::pack::dictionary_frame;
use crate::pack::policy_frame;
use crate::pack::segment_frame;
use crate::pack::tenant_frame;
use crate::pack::tombstone_frame;

pub(super) const TENANT: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
pub(super) const OTHER: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002);
pub(super) const DICTIONARY: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003);

pub(super) fn pack_header() -> PackHeader {
    let name = PackName(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00AA));
    PackHeader { name, origin: Origin::Log, tier: Tier::Hot, created: Timestamp(1_700_000_000_000) }
}

pub(super) fn sha(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

pub(super) fn unknown() -> Fields {
    let mut fields = Fields::default();
    fields.insert(1_000, Bytes::from_static(b"of a newer version"));
    fields
}

/// An id whose random half differs from number to number.
pub(super) fn id(number: u64) -> Uuid {
    let Sha256(random) = sha(&number.to_le_bytes());
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&[1, 0x90, 0, 0, 1, number.to_le_bytes()[0]]);
    bytes[6..].copy_from_slice(&random[..10]);
    Uuid::from_bytes(bytes)
}

pub(super) fn plain_record(number: u64, parts: Vec<PartRecord>) -> MessageRecord {
    MessageRecord {
        id: id(number),
        kind: ItemKind::Message,
        caller_id: None,
        external: ExternalIds::default(),
        created: Timestamp(1_700_000_000_000 + i64::try_from(number).unwrap() * 7_919),
        media_type: None,
        file_name: None,
        retention_end: None,
        hold: false,
        pin: None,
        labels: BTreeMap::new(),
        bytes: 4_000 + number * 13 % 977,
        sha256: sha(&number.to_be_bytes_for_test()),
        message_id_hash: Some(
            i64::from_le_bytes(sha(b"id").0[..8].try_into().unwrap()) ^ number.pow(9).cast_signed(),
        ),
        parts,
        unknown: Fields::default(),
    }
}

/// Keeps the hashes of records apart from those of objects.
trait Salted {
    fn to_be_bytes_for_test(&self) -> [u8; 16];
}

impl Salted for u64 {
    fn to_be_bytes_for_test(&self) -> [u8; 16] {
        let mut salted = [0xA5; 16];
        salted[..8].copy_from_slice(&self.to_le_bytes());
        salted
    }
}

pub(super) fn part(object: Sha256, index: u32) -> PartRecord {
    PartRecord {
        index,
        role: 1,
        media_type: "text/html".to_owned(),
        file_name: None,
        object,
        decoded_bytes: 1_234,
        unknown: Fields::default(),
    }
}

pub(super) fn full_record(object: Sha256) -> MessageRecord {
    let mut first = part(object, 4);
    first.file_name = Some("räport.html".to_owned());
    first.unknown = unknown();
    MessageRecord {
        kind: ItemKind::Content,
        caller_id: Some("caller-1".to_owned()),
        external: ExternalIds { campaign: Some(id(1)), account: Some(id(2)), lead: Some(id(3)) },
        created: Timestamp(-5),
        media_type: Some("image/png".to_owned()),
        file_name: Some("a.png".to_owned()),
        retention_end: Some(Timestamp(-1)),
        hold: true,
        pin: Some(Tier::Cold),
        labels: BTreeMap::from([("k".to_owned(), "v".to_owned()), (String::new(), String::new())]),
        bytes: u64::MAX,
        unknown: unknown(),
        ..plain_record(0, vec![first, part(sha(b"elsewhere"), 1), part(sha(b"elsewhere"), 2)])
    }
}

pub(super) fn segmented(ordinal: u32, piece: &[u8]) -> SegmentedEntry {
    let place =
        |ordinal| SegmentPlace { ordinal, bytes: u32::try_from(piece.len()).unwrap(), sha256: sha(piece) };
    SegmentedEntry {
        sha256: sha(b"large"),
        bytes: 2 * u64::try_from(piece.len()).unwrap(),
        class: 9,
        segments: vec![place(ordinal), place(ordinal + 1)],
        unknown: unknown(),
    }
}

pub(super) fn transformed() -> ObjectEntry {
    ObjectEntry {
        sha256: sha(b"transformed"),
        bytes: 11,
        class: 3,
        transform: TransformId::DELTA,
        params: b"base".to_vec(),
        gain: 5,
        unknown: unknown(),
    }
}

pub(super) fn dictionary() -> Arc<Dictionary> {
    let bytes: Arc<[u8]> = Arc::from(&b"Dear all, the usual words of a message: regards, and so on. "[..]);
    Arc::new(Dictionary::new(DICTIONARY, DictionaryKind::RawContent, bytes).unwrap())
}

pub(super) fn dictionary_record() -> DictionaryRecord {
    DictionaryRecord {
        id: DICTIONARY,
        class: 2,
        kind: DictionaryKind::RawContent,
        created: Timestamp(3),
        version: 3,
        gain: 0.25,
        sampled: vec![sha(b"one"), sha(b"two")],
        unknown: unknown(),
    }
}

pub(super) fn tombstones() -> Vec<Tombstone> {
    let tombstone = |number, kind| Tombstone {
        item: id(number),
        kind,
        caller_id: (number == 1).then(|| "gone".to_owned()),
        deleted: Timestamp(9),
        erase: (number == 2).then(|| vec![sha(b"one"), sha(b"two")]),
        unknown: unknown(),
    };
    vec![tombstone(1, ItemKind::Message), tombstone(2, ItemKind::Content)]
}

pub(super) fn policies() -> Vec<PolicyRecord> {
    let tier = |sequence, json: Option<&str>| {
        let json = json.map(str::to_owned);
        PolicyRecord::Tier(TierPolicyRecord { sequence, changed: Timestamp(4), json, unknown: unknown() })
    };
    let item = ItemRecord {
        item: id(8),
        kind: ItemKind::Content,
        sequence: 7,
        changed: Timestamp(5),
        retention_end: Some(Timestamp(6)),
        hold: true,
        pin: Some(Tier::Hot),
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        unknown: unknown(),
    };
    vec![tier(1, Some("{}")), tier(2, None), PolicyRecord::Item(item)]
}

pub(super) fn tenant_record() -> TenantRecord {
    TenantRecord { id: OTHER, name: "other".to_owned(), created: Timestamp(2), unknown: unknown() }
}

pub(super) fn block(stream: &Codec) -> EncodedFrame {
    let mut fields = Fields::default();
    fields.insert(1_001, Bytes::from_static(b"kept"));
    let mut builder = BlockBuilder::with_fields(TENANT, fields);
    let text = b"Dear all, the usual words of a message: regards, and so on. ".repeat(4);
    assert_eq!(builder.push_object(sha(&text), 1, &text), 0);
    assert_eq!(builder.push_transformed(&transformed(), b"diff"), 1);
    assert_eq!(builder.push_segmented(&segmented(0, &[5; 30])), 2);
    assert_eq!(builder.push_message(&full_record(sha(&text)), b""), 3);
    assert_eq!(builder.push_message(&plain_record(1, vec![part(sha(&text), 0)]), b"Subject: x\r\n\r\n"), 4);
    assert_eq!((builder.entries(), builder.decoded_bytes()), (5, 240 + 4 + 14));
    builder.finish(&Codec::Zstd { level: 19 }, stream).unwrap()
}

/// One frame of every kind, and blocks in several codecs.
pub(super) fn frames() -> Vec<EncodedFrame> {
    let encoder = Arc::new(DictionaryEncoder::new(dictionary(), 3).unwrap());
    let segment = |index| SegmentRecord { sha256: sha(&[5; 30]), bytes: 30, index, unknown: unknown() };
    vec![
        segment_frame(TENANT, &segment(0), &[5; 30], &Codec::Lz4).unwrap(),
        segment_frame(TENANT, &segment(1), &[5; 30], &Codec::Zstd { level: 3 }).unwrap(),
        tenant_frame(&tenant_record(), &Codec::None).unwrap(),
        dictionary_frame(TENANT, &dictionary_record(), dictionary().bytes(), &Codec::None).unwrap(),
        block(&Codec::None),
        block(&Codec::ZstdDictionary(encoder)),
        tombstone_frame(OTHER, &tombstones(), &Codec::Zstd { level: 3 }).unwrap(),
        policy_frame(TENANT, &policies(), &Codec::None).unwrap(),
    ]
}

pub(super) fn pack() -> (Vec<u8>, FinishedPack) {
    let mut writer = PackWriter::new(pack_header());
    let mut bytes = writer.header_bytes();
    for mut frame in frames() {
        let place = writer.place(&mut frame).unwrap();
        assert_eq!((place.offset, place.bytes as usize), (bytes.len() as u64, frame.bytes().len()));
        bytes.extend_from_slice(frame.bytes());
        assert_eq!(writer.len(), bytes.len() as u64);
        assert_eq!(writer.counters().total(), writer.len());
    }
    let finished = writer.finish().unwrap();
    bytes.extend_from_slice(&finished.tail);
    (bytes, finished)
}

/// Everything a reader can learn from a pack; the first error otherwise.
pub(super) fn read_all(bytes: &[u8]) -> Result<(PackHeader, Vec<IndexEntry>, Vec<String>)> {
    let header = PackHeader::parse(bytes)?;
    let name = pack_header().name;
    let footer = Footer::parse(name, bytes, bytes.len() as u64)?;
    let tail = &bytes[usize::try_from(footer.index_offset).unwrap()..bytes.len() - Footer::BYTES];
    let index = PackIndex::parse(&footer, tail)?;
    let mut contents = Vec::new();
    for entry in index.entries() {
        let start = usize::try_from(entry.offset).unwrap();
        let whole = Bytes::copy_from_slice(&bytes[start..start + entry.bytes() as usize]);
        let frame = Frame::parse(name, entry.ordinal, whole)?;
        contents.push(describe(&frame)?);
    }
    Ok((header, index.entries().to_vec(), contents))
}

pub(super) fn describe(frame: &Frame) -> Result<String> {
    let dictionary = frame.header().dictionary().map(|_| dictionary());
    let stream = frame.stream(dictionary.as_deref())?;
    let head = frame.head();
    let table = match frame.header().kind {
        FrameKind::Block => format!("{:?}", head.block_table()?),
        FrameKind::Segment => format!("{:?}", head.segment()?),
        FrameKind::Tombstone => format!("{:?}", head.tombstones()?),
        FrameKind::Policy => format!("{:?}", head.policies()?),
        FrameKind::Tenant => format!("{:?}", head.tenant()?),
        FrameKind::Dictionary => format!("{:?}", head.dictionary()?),
    };
    Ok(format!("{:?} {table} {stream:?}", frame.header().fields))
}

pub(super) fn frame_at(bytes: &[u8], entry: &IndexEntry) -> Frame {
    let start = usize::try_from(entry.offset).unwrap();
    let whole = Bytes::copy_from_slice(&bytes[start..start + entry.bytes() as usize]);
    Frame::parse(pack_header().name, entry.ordinal, whole).unwrap()
}
