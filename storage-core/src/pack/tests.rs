//! Tests of packs: the layout, round trips, sums, and that damage never reads as something else.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::proptest;
use sha2::Digest;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::codec::Codec;
use crate::codec::CodecId;
use crate::codec::Dictionary;
use crate::codec::DictionaryEncoder;
use crate::codec::DictionaryKind;
use crate::error::Kind;
use crate::error::Result;
use crate::model::ExternalIds;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::model::Tier;
use crate::pack::BlockBuilder;
use crate::pack::DictionaryRecord;
use crate::pack::EncodedFrame;
use crate::pack::EntryBody;
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
use crate::pack::ScanDepth;
use crate::pack::Scanner;
use crate::pack::SegmentPlace;
use crate::pack::SegmentRecord;
use crate::pack::SegmentedEntry;
use crate::pack::TenantRecord;
use crate::pack::TierPolicyRecord;
use crate::pack::Tombstone;
use crate::pack::TransformId;
use crate::pack::dictionary_frame;
use crate::pack::frame;
use crate::pack::header;
use crate::pack::index;
use crate::pack::policy_frame;
use crate::pack::segment_frame;
use crate::pack::tenant_frame;
use crate::pack::tombstone_frame;

const TENANT: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
const OTHER: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002);
const DICTIONARY: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003);

fn pack_header() -> PackHeader {
    let name = PackName(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00AA));
    PackHeader { name, origin: Origin::Log, tier: Tier::Hot, created: Timestamp(1_700_000_000_000) }
}

fn sha(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

fn unknown() -> Fields {
    let mut fields = Fields::default();
    fields.insert(1_000, Bytes::from_static(b"of a newer version"));
    fields
}

/// An id whose random half differs from number to number.
fn id(number: u64) -> Uuid {
    let Sha256(random) = sha(&number.to_le_bytes());
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&[1, 0x90, 0, 0, 1, number.to_le_bytes()[0]]);
    bytes[6..].copy_from_slice(&random[..10]);
    Uuid::from_bytes(bytes)
}

fn plain_record(number: u64, parts: Vec<PartRecord>) -> MessageRecord {
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

fn part(object: Sha256, index: u32) -> PartRecord {
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

fn full_record(object: Sha256) -> MessageRecord {
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

fn segmented(ordinal: u32, piece: &[u8]) -> SegmentedEntry {
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

fn transformed() -> ObjectEntry {
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

fn dictionary() -> Arc<Dictionary> {
    let bytes: Arc<[u8]> = Arc::from(&b"Dear all, the usual words of a message: regards, and so on. "[..]);
    Arc::new(Dictionary::new(DICTIONARY, DictionaryKind::RawContent, bytes).unwrap())
}

fn dictionary_record() -> DictionaryRecord {
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

fn tombstones() -> Vec<Tombstone> {
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

fn policies() -> Vec<PolicyRecord> {
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

fn tenant_record() -> TenantRecord {
    TenantRecord { id: OTHER, name: "other".to_owned(), created: Timestamp(2), unknown: unknown() }
}

fn block(stream: &Codec) -> EncodedFrame {
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
fn frames() -> Vec<EncodedFrame> {
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

fn pack() -> (Vec<u8>, FinishedPack) {
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
fn read_all(bytes: &[u8]) -> Result<(PackHeader, Vec<IndexEntry>, Vec<String>)> {
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

fn describe(frame: &Frame) -> Result<String> {
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

fn frame_at(bytes: &[u8], entry: &IndexEntry) -> Frame {
    let start = usize::try_from(entry.offset).unwrap();
    let whole = Bytes::copy_from_slice(&bytes[start..start + entry.bytes() as usize]);
    Frame::parse(pack_header().name, entry.ordinal, whole).unwrap()
}

#[test]
fn the_layout_is_pinned() {
    use frame::at as f;
    use header::at as h;
    use index::at as i;
    assert_eq!([h::MAGIC, h::VERSION, h::ORIGIN, h::TIER, h::RESERVED], [0, 8, 10, 11, 12]);
    assert_eq!([h::NAME, h::CREATED, h::CHECKSUM, h::END], [16, 32, 40, 44]);
    assert_eq!([f::MAGIC, f::VERSION, f::KIND, f::HEADER_BYTES, f::TABLE_CODEC], [0, 4, 5, 6, 8]);
    assert_eq!([f::STREAM_CODEC, f::ORDINAL, f::TENANT, f::TABLE_VERBATIM], [10, 12, 16, 32]);
    assert_eq!([f::TABLE_STORED, f::TABLE_DECODED, f::STREAM_STORED, f::STREAM_DECODED], [36, 40, 44, 48]);
    assert_eq!([f::TABLE_CHECKSUM, f::STREAM_CHECKSUM, f::HEADER_CHECKSUM, f::END], [52, 56, 60, 64]);
    assert_eq!([i::MAGIC, i::VERSION, i::INDEX_CODEC, i::INDEX_BYTES, i::INDEX_DECODED], [0, 8, 10, 12, 16]);
    assert_eq!([i::FRAMES, i::INDEX_CHECKSUM, i::INDEX_OFFSET, i::CHECKSUM, i::END], [20, 24, 28, 36, 40]);
    let kinds: Vec<u8> = frames().iter().map(|frame| frame.kind().code()).collect();
    assert_eq!(kinds, [2, 2, 5, 6, 1, 1, 3, 4]);
}

#[test]
fn an_empty_packs_header_is_pinned() {
    let mut expected = b"TIERPACK\x01\x00\x01\x01\0\0\0\0".to_vec();
    expected.extend_from_slice(pack_header().name.0.as_bytes());
    expected.extend_from_slice(&1_700_000_000_000_i64.to_le_bytes());
    let checksum = crc32c::crc32c(&expected);
    expected.extend_from_slice(&checksum.to_le_bytes());
    assert_eq!(pack_header().encode(), expected);
    assert_eq!(PackHeader::parse(&expected).unwrap(), pack_header());
}

#[test]
fn every_frame_comes_back() {
    let (bytes, finished) = pack();
    let (header, entries, _contents) = read_all(&bytes).unwrap();
    assert_eq!(header, pack_header());
    assert_eq!(finished.bytes, bytes.len() as u64);
    let frames: Vec<Frame> = entries.iter().map(|entry| frame_at(&bytes, entry)).collect();
    assert_eq!(frames[2].head().tenant().unwrap(), tenant_record());
    assert_eq!(frames[3].head().dictionary().unwrap(), dictionary_record());
    assert_eq!(frames[3].stream(None).unwrap(), dictionary().bytes()[..]);
    assert_eq!(frames[6].head().tombstones().unwrap(), tombstones());
    assert_eq!(frames[7].head().policies().unwrap(), policies());
    assert_eq!(frames[1].head().segment().unwrap().index, 1);
    assert_eq!(frames[1].stream(None).unwrap(), [5; 30][..]);
    assert_eq!(entries[5].codec, CodecId::ZSTD_DICTIONARY);
    assert_eq!(entries[5].dictionary, Some(DICTIONARY));
    for frame in &frames[4..6] {
        assert_eq!(frame.header().fields.get(1_001).unwrap(), &b"kept"[..]);
        check_block(frame);
    }
}

fn check_block(frame: &Frame) {
    let dictionary = frame.header().dictionary().map(|_| dictionary());
    let stream = frame.stream(dictionary.as_deref()).unwrap();
    let entries = frame.head().block_table().unwrap().entries;
    let cut: Vec<Bytes> = entries.iter().map(|entry| entry.cut(&stream).unwrap()).collect();
    assert_eq!(cut[0], b"Dear all, the usual words of a message: regards, and so on. ".repeat(4));
    assert_eq!((&cut[1][..], &cut[2][..], &cut[3][..]), (&b"diff"[..], &b""[..], &b""[..]));
    assert_eq!(cut[4], b"Subject: x\r\n\r\n"[..]);
    assert_eq!(entries[1].body, EntryBody::Object(transformed()));
    assert_eq!(entries[2].body, EntryBody::Segmented(segmented(0, &[5; 30])));
    let EntryBody::Message(full) = &entries[3].body else { panic!("not a message") };
    assert_eq!(full.record, full_record(sha(&cut[0])));
    let EntryBody::Message(plain) = &entries[4].body else { panic!("not a message") };
    assert_eq!(plain.record, plain_record(1, vec![part(sha(&cut[0]), 0)]));
    assert_eq!(plain.skeleton_digest, sha(&cut[4]).0[..8]);
}

#[test]
fn a_plain_stream_is_not_copied() {
    let (bytes, _finished) = pack();
    let (_, entries, _) = read_all(&bytes).unwrap();
    let frame = frame_at(&bytes, &entries[4]);
    let whole = frame.bytes().as_ptr_range();
    let cut = frame.head().block_table().unwrap().entries[0].cut(&frame.stream(None).unwrap()).unwrap();
    assert!(whole.contains(&cut.as_ptr()));
}

#[test]
fn a_stream_wants_the_dictionary_it_names() {
    let (bytes, _finished) = pack();
    let (_, entries, _) = read_all(&bytes).unwrap();
    let frame = frame_at(&bytes, &entries[5]);
    let other = Dictionary::new(OTHER, DictionaryKind::RawContent, Arc::from(&b"another one"[..])).unwrap();
    assert_eq!(frame.stream(None).unwrap_err().kind(), Kind::Internal);
    assert_eq!(frame.stream(Some(&other)).unwrap_err().kind(), Kind::Internal);
}

#[test]
fn the_counters_add_up() {
    let (bytes, finished) = pack();
    let counters = &finished.counters;
    assert_eq!(counters.total(), bytes.len() as u64);
    let stored: u64 = counters.codecs.values().map(|codec| codec.stored_bytes).sum();
    let decoded: u64 = counters.codecs.values().map(|codec| codec.decoded_bytes).sum();
    assert_eq!((stored, decoded), (counters.stream_bytes, counters.decoded_bytes));
    assert_eq!(counters.decoded_bytes, 2 * (240 + 4 + 14) + 2 * 30);
    assert_eq!(counters.index_bytes, (PackHeader::BYTES + finished.tail.len()) as u64);
    let footer = Footer::parse(pack_header().name, &bytes, bytes.len() as u64).unwrap();
    let tail = &bytes[usize::try_from(footer.index_offset).unwrap()..bytes.len() - Footer::BYTES];
    let index = PackIndex::parse(&footer, tail).unwrap();
    assert_eq!(&index.counters(), counters);
    assert_eq!(index.of_tenant(OTHER).map(|entry| entry.ordinal).collect::<Vec<_>>(), [2, 6]);
    assert_eq!(index.tenants().collect::<Vec<_>>(), [TENANT, OTHER]);
    assert_eq!((index.get(3).unwrap().kind, index.get(8)), (FrameKind::Dictionary, None));
}

#[test]
fn every_flip_is_noticed() {
    let (bytes, _finished) = pack();
    let _intact = read_all(&bytes).unwrap();
    for position in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[position] ^= 1 << (position % 8);
        assert!(read_all(&damaged).is_err(), "byte {position}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let (bytes, _finished) = pack();
    for length in 0..bytes.len() {
        assert!(read_all(&bytes[..length]).is_err(), "cut to {length}");
    }
}

#[test]
fn a_frame_elsewhere_is_corrupt() {
    let (bytes, _finished) = pack();
    let (_, entries, _) = read_all(&bytes).unwrap();
    let frame = frame_at(&bytes, &entries[0]);
    let name = pack_header().name;
    let moved = Frame::parse(name, 1, frame.bytes().clone()).unwrap_err();
    let foreign = Frame::parse(PackName(OTHER), 0, frame.bytes().clone()).unwrap_err();
    assert_eq!((moved.kind(), foreign.kind()), (Kind::Corrupt, Kind::Corrupt));
    let mut writer = PackWriter::new(PackHeader { name: PackName(OTHER), ..pack_header() });
    let mut copy = EncodedFrame::of(&frame);
    let place = writer.place(&mut copy).unwrap();
    let copied = Frame::parse(PackName(OTHER), place.ordinal, copy.into_bytes()).unwrap();
    assert_eq!(copied.stream(None).unwrap(), frame.stream(None).unwrap());
}

/// Seals a frame whose header was changed by hand.
fn forged(change: impl Fn(&mut Vec<u8>)) -> Result<Frame> {
    let mut writer = PackWriter::new(pack_header());
    let mut encoded = block(&Codec::None);
    let _place = writer.place(&mut encoded).unwrap();
    let mut bytes = encoded.bytes().to_vec();
    change(&mut bytes);
    let end = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
    let checksum = frame::header_checksum(pack_header().name, &bytes[..60], &bytes[64..end]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    Frame::parse(pack_header().name, 0, Bytes::from(bytes))
}

#[test]
fn what_is_newer_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let error = forged(change).and_then(|frame| describe(&frame)).unwrap_err();
        assert_eq!(error.kind(), Kind::Unimplemented, "{error:?}");
        error.message().to_owned()
    };
    assert_eq!(refused(&|bytes| bytes[4] = 2), "frame version 2 is unknown to this version");
    assert_eq!(refused(&|bytes| bytes[5] = 77), "frame kind 77 is unknown to this version");
    assert_eq!(refused(&|bytes| bytes[10] = 77), "codec 77 is unknown to this version");
    // The one field has tag 1001 (E9 07); an even tag changes how the frame is read.
    assert_eq!(refused(&|bytes| bytes[64] = 0xEA), "frame field 1002 is unknown to this version");
}

#[test]
fn impossible_lengths_are_corrupt() {
    for offset in [32, 36, 40, 44, 48] {
        let error = forged(|bytes| bytes[offset + 3] = 0xFF).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{offset}");
    }
}

fn scan(bytes: &[u8], end_offset: usize, depth: ScanDepth) -> (Scanner, Vec<IndexEntry>, usize) {
    let mut scanner = Scanner::new(pack_header().name, end_offset as u64, depth);
    let (mut found, mut read_bytes) = (Vec::new(), 0);
    loop {
        let next = scanner.next_with(|offset, length| {
            let start = usize::try_from(offset).unwrap();
            read_bytes += length as usize;
            Ok(Bytes::copy_from_slice(&bytes[start..start + length as usize]))
        });
        let Some(frame) = next.unwrap() else { break };
        assert_eq!(frame.frame().is_some(), depth == ScanDepth::Everything);
        found.push(frame.index_entry());
    }
    (scanner, found, read_bytes)
}

#[test]
fn a_scan_finds_what_the_index_says() {
    let (bytes, finished) = pack();
    let (_, entries, _) = read_all(&bytes).unwrap();
    let frames_end = bytes.len() - finished.tail.len();
    for depth in [ScanDepth::Tables, ScanDepth::Everything] {
        let (scanner, found, _) = scan(&bytes, frames_end, depth);
        assert_eq!(found, entries);
        let end = scanner.end();
        assert_eq!((end.valid_bytes, end.frames, end.torn), (frames_end as u64, 8, None));
    }
    let mut writer = PackWriter::new(pack_header());
    for entry in &entries {
        writer.resume(*entry).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), finished);
}

#[test]
fn a_scan_ends_where_the_tail_is_torn() {
    let (bytes, finished) = pack();
    let (_, entries, _) = read_all(&bytes).unwrap();
    let frames_end = bytes.len() - finished.tail.len();
    for length in PackHeader::BYTES..frames_end {
        let (scanner, found, _) = scan(&bytes, length, ScanDepth::Everything);
        let whole = entries.iter().filter(|entry| entry.offset + u64::from(entry.bytes()) <= length as u64);
        assert_eq!(found.len(), whole.count(), "cut to {length}");
        let end = scanner.end();
        let expected = found.last().map_or(44, |last| last.offset + u64::from(last.bytes()));
        assert_eq!(end.valid_bytes, expected);
        assert_eq!(end.torn.is_some(), expected != length as u64);
    }
    let zeros = [&bytes[..frames_end], &[0; 4_096]].concat();
    let (scanner, found, _) = scan(&zeros, zeros.len(), ScanDepth::Everything);
    assert_eq!((found.len(), scanner.end().valid_bytes), (8, frames_end as u64));
    assert!(scanner.end().torn.is_some());
}

#[test]
fn a_scan_of_tables_skips_streams() {
    let mut writer = PackWriter::new(pack_header());
    let mut bytes = writer.header_bytes();
    for number in 0..4_u8 {
        let mut builder = BlockBuilder::new(TENANT);
        let content = vec![number; 200_000];
        let _entry = builder.push_object(sha(&content), 0, &content);
        let mut frame = builder.finish(&Codec::None, &Codec::None).unwrap();
        let _place = writer.place(&mut frame).unwrap();
        bytes.extend_from_slice(frame.bytes());
    }
    let (_, found, read_bytes) = scan(&bytes, bytes.len(), ScanDepth::Tables);
    assert_eq!(found.len(), 4);
    assert!(read_bytes < 50_000, "{read_bytes}");
}

#[test]
fn a_table_costs_little_more_than_its_entropy() {
    let mut builder = BlockBuilder::new(TENANT);
    for number in 0..50_u64 {
        let body = number.to_le_bytes();
        let _object = builder.push_object(sha(&body), 1, &body);
        let _message = builder.push_message(&plain_record(number, vec![part(sha(&body), 1)]), b"Subject: x");
    }
    let mut frame = builder.finish(&Codec::Zstd { level: 19 }, &Codec::Zstd { level: 3 }).unwrap();
    let mut writer = PackWriter::new(pack_header());
    let _place = writer.place(&mut frame).unwrap();
    // A hash, half an id, a skeleton's digest and the hash of a Message-ID; the object's own hash.
    let entropy = 50 * (32 + 10 + 8 + 8) + 50 * 32;
    let spent = frame.bytes().len() - frame.stream_stored() as usize;
    assert!(spent < entropy + 50 * 12, "{spent} bytes for an entropy of {entropy}");
}

#[test]
fn an_index_is_small() {
    let mut writer = PackWriter::new(pack_header());
    for number in 0..1_000_u32 {
        let mut builder = BlockBuilder::new(if number % 3 == 0 { TENANT } else { OTHER });
        let content = vec![1; 500 + (number as usize * 37) % 300];
        let _entry = builder.push_object(sha(&number.to_le_bytes()), 0, &content);
        let mut frame = builder.finish(&Codec::None, &Codec::None).unwrap();
        let _place = writer.place(&mut frame).unwrap();
    }
    let tail = writer.finish().unwrap().tail.len();
    assert!(tail < 8_000, "{tail} bytes for 1000 frames");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let name = pack_header().name;
        assert!(PackHeader::parse(&bytes).is_err());
        assert!(Footer::parse(name, &bytes, 400).is_err());
        assert!(Frame::parse(name, 0, Bytes::from(bytes)).is_err());
    }

    #[test]
    fn hostile_tables_never_panic(verbatim in proptest::collection::vec(any::<u8>(), 0..80),
                                  coded in proptest::collection::vec(0_u8..24, 0..120)) {
        let _any = crate::pack::block::BlockTable::parse(&verbatim, &coded, 1_000);
        let _any = crate::pack::table::read_records::<PolicyRecord>(&verbatim, &coded);
        let _any = crate::pack::table::read_records::<Tombstone>(&verbatim, &coded);
        let _any = crate::pack::table::read_records::<DictionaryRecord>(&verbatim, &coded);
        let _any = crate::pack::table::read_records::<SegmentRecord>(&verbatim, &coded);
    }
}
