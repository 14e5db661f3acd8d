//! Scanning a log without its index, and what tables and indexes cost.

use bytes::Bytes;

use crate::codec::Codec;
use crate::pack::BlockBuilder;
use crate::pack::IndexEntry;
use crate::pack::PackHeader;
use crate::pack::PackWriter;
use crate::pack::ScanDepth;
use crate::pack::Scanner;
use crate::pack::tests::OTHER;
use crate::pack::tests::TENANT;
use crate::pack::tests::pack;
use crate::pack::tests::pack_header;
use crate::pack::tests::part;
use crate::pack::tests::plain_record;
use crate::pack::tests::read_all;
use crate::pack::tests::sha;

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
