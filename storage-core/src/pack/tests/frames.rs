//! The layout, round trips and sums.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::CodecId;
use crate::codec::Dictionary;
use crate::codec::DictionaryKind;
use crate::error::Kind;
use crate::pack::EntryBody;
use crate::pack::Footer;
use crate::pack::Frame;
use crate::pack::FrameKind;
use crate::pack::PackHeader;
use crate::pack::PackIndex;
use crate::pack::frame;
use crate::pack::header;
use crate::pack::index;
use crate::pack::tests::DICTIONARY;
use crate::pack::tests::OTHER;
use crate::pack::tests::TENANT;
use crate::pack::tests::dictionary;
use crate::pack::tests::dictionary_record;
use crate::pack::tests::frame_at;
use crate::pack::tests::frames;
use crate::pack::tests::full_record;
use crate::pack::tests::pack;
use crate::pack::tests::pack_header;
use crate::pack::tests::part;
use crate::pack::tests::plain_record;
use crate::pack::tests::policies;
use crate::pack::tests::read_all;
use crate::pack::tests::segmented;
use crate::pack::tests::sha;
use crate::pack::tests::tenant_record;
use crate::pack::tests::tombstones;
use crate::pack::tests::transformed;

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
