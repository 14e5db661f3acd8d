//! Bytes of newer versions and of other programs, with right checksums: refused by name where the format says so, passed
//! where it says so, corrupt otherwise.

use bytes::Bytes;
use storage_core::codec::Codec;
use storage_core::error::Error;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::pack::BlockBuilder;
use storage_core::pack::EncodedFrame;
use storage_core::pack::EntryBody;
use storage_core::pack::Fields;
use storage_core::pack::Footer;
use storage_core::pack::Frame;
use storage_core::pack::FrameKind;
use storage_core::pack::PackHeader;
use storage_core::pack::PackIndex;
use storage_core::pack::ScanDepth;
use storage_core::pack::Scanner;

use crate::content::TENANT;
use crate::content::sha;
use crate::packs;
use crate::seal;

fn golden(name: &str) -> Vec<u8> {
    packs::all().into_iter().find(|golden| golden.name == name).expect("a golden pack").bytes
}

/// Reads all of a pack: header, footer, index, every frame and its records.
fn read(bytes: &[u8]) -> Result<()> {
    let header = PackHeader::parse(bytes)?;
    let footer = Footer::parse(header.name, bytes, bytes.len() as u64)?;
    let start = usize::try_from(footer.index_offset).expect("a small pack");
    let index = PackIndex::parse(&footer, &bytes[start..bytes.len() - Footer::BYTES])?;
    for entry in index.entries() {
        let start = usize::try_from(entry.offset).expect("a small pack");
        let bytes = Bytes::copy_from_slice(&bytes[start..start + entry.bytes() as usize]);
        read_frame(&Frame::parse(header.name, entry.ordinal, bytes)?)?;
    }
    Ok(())
}

fn read_frame(frame: &Frame) -> Result<()> {
    let head = frame.head();
    match frame.header().kind {
        FrameKind::Block => drop(head.block_table()?),
        FrameKind::Segment => drop(head.segment()?),
        FrameKind::Tombstone => drop(head.tombstones()?),
        FrameKind::Policy => drop(head.policies()?),
        FrameKind::Tenant => drop(head.tenant()?),
        FrameKind::Dictionary => drop(head.dictionary()?),
    }
    frame.stream(None).map(drop)
}

/// The pack with a change and right checksums.
fn changed(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = golden(name);
    change(&mut bytes);
    seal::pack(&mut bytes);
    bytes
}

#[track_caller]
fn refused(result: Result<()>, kind: Kind, says: &str) {
    let error: Error = result.expect_err("it is refused");
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.message().contains(says), "{error:?}");
}

#[test]
fn sealing_alone_changes_nothing() {
    for golden in packs::all() {
        let mut sealed = golden.bytes.clone();
        seal::pack(&mut sealed);
        assert!(sealed == golden.bytes, "{}", golden.name);
    }
    read(&golden("kinds")).expect("a golden pack");
}

#[test]
fn a_pack_of_a_newer_version_is_refused_by_name() {
    for (at, value, says) in [
        (8, 2, "pack version 2"),
        (10, 4, "pack origin 4"),
        (10, 0, "pack origin 0"),
        (11, 5, "tier 5"),
        (12, 1, "pack flag 1"),
        (15, 0x80, "pack flag 2147483648"),
    ] {
        refused(read(&changed("empty", |bytes| bytes[at] = value)), Kind::Unimplemented, says);
    }
    refused(read(&changed("empty", |bytes| bytes[0] = b'X')), Kind::Corrupt, "not a pack");
}

#[test]
fn an_index_of_a_newer_version_is_refused_by_name() {
    let footer = |at: usize, value: u8| {
        changed("kinds", move |bytes| {
            let start = bytes.len() - Footer::BYTES;
            bytes[start + at] = value;
        })
    };
    refused(read(&footer(8, 2)), Kind::Unimplemented, "index version 2");
    refused(read(&footer(10, 77)), Kind::Unimplemented, "codec 77");
    refused(read(&footer(0, b'X')), Kind::Corrupt, "no footer");
    refused(read(&footer(12, 1)), Kind::Corrupt, "another length");
    refused(read(&footer(16, 0)), Kind::Corrupt, "impossible lengths");
    refused(read(&footer(19, 0xFF)), Kind::Corrupt, "impossible lengths");
    refused(read(&footer(20, 99)), Kind::Corrupt, "does not fit its footer");
}

#[test]
fn a_frame_of_a_newer_version_is_refused_by_name() {
    let frame = |at: usize, value: u8| changed("kinds", move |bytes| bytes[44 + at] = value);
    refused(read(&frame(4, 2)), Kind::Unimplemented, "frame version 2");
    refused(read(&frame(5, 16)), Kind::Unimplemented, "frame kind 16");
    refused(read(&frame(8, 77)), Kind::Unimplemented, "codec 77");
    refused(read(&frame(10, 77)), Kind::Unimplemented, "codec 77");
    refused(read(&frame(12, 9)), Kind::Corrupt, "lies where");
}

/// A scan may end at damage, never at what is newer: whoever cut it off there would lose it.
#[test]
fn a_scan_does_not_end_at_a_newer_frame() {
    let scan = |bytes: &[u8]| {
        let name = PackHeader::parse(bytes).expect("a header").name;
        let mut scanner = Scanner::new(name, bytes.len() as u64, ScanDepth::Everything);
        let mut frames = 0;
        while scanner
            .next_with(|offset, length| {
                let start = usize::try_from(offset).expect("a small pack");
                Ok(Bytes::copy_from_slice(&bytes[start..start + length as usize]))
            })?
            .is_some()
        {
            frames += 1;
        }
        Ok(frames)
    };
    let intact = golden("torn");
    assert_eq!(scan(&intact).expect("a torn log"), 4);
    let newer: Result<u32> = scan(&changed("torn", |bytes| bytes[44 + 5] = 99));
    assert_eq!(newer.expect_err("newer").kind(), Kind::Unimplemented);
    let mut damaged = intact;
    damaged[44 + 5] = 99;
    assert_eq!(scan(&damaged).expect("damage ends a log"), 0);
}

fn sealed(frame: EncodedFrame, name: &PackHeader) -> Result<Frame> {
    let mut writer = storage_core::pack::PackWriter::new(*name);
    let mut frame = frame;
    let _place = writer.place(&mut frame)?;
    Frame::parse(name.name, 0, frame.into_bytes())
}

fn block_with_field(tag: u64) -> Frame {
    let mut fields = Fields::default();
    fields.insert(tag, Bytes::from_static(b"value"));
    let mut block = BlockBuilder::with_fields(TENANT, fields);
    let _entry = block.push_object(sha(b"content"), 1, b"content");
    let frame = block.finish(&Codec::None, &Codec::None).expect("a block");
    sealed(frame, &PackHeader::parse(&golden("empty")).expect("a header")).expect("a frame")
}

#[test]
fn unknown_fields_pass_when_odd_and_forbid_decoding_when_even() {
    read_frame(&block_with_field(1_001)).expect("an odd field may be ignored");
    for tag in [4, 6, 8, 10, 1_000] {
        let frame = block_with_field(tag);
        let says = format!("frame field {tag}");
        refused(frame.head().block_table().map(drop), Kind::Unimplemented, &says);
        refused(frame.stream(None).map(drop), Kind::Unimplemented, &says);
        // Copying it needs no decoding.
        let header = PackHeader::parse(&golden("large")).expect("a header");
        let copy = sealed(EncodedFrame::of(&frame), &header).expect("a copy");
        assert_eq!(copy.header().fields, frame.header().fields);
    }
}

/// Tables by hand: kind, length, then fields.
fn table(coded: &[u8], verbatim: &[u8], stream: &[u8]) -> Result<Frame> {
    let header = PackHeader::parse(&golden("empty"))?;
    let mut bytes = b"tFRM\x01\x01".to_vec();
    bytes.extend_from_slice(&64_u16.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(TENANT.as_bytes());
    for length in [verbatim.len(), coded.len(), coded.len(), stream.len(), stream.len()] {
        bytes.extend_from_slice(&u32::try_from(length).expect("short").to_le_bytes());
    }
    bytes.extend_from_slice(&[0; 12]);
    bytes.extend_from_slice(&[verbatim, coded, stream].concat());
    assert_eq!(seal::frame(header.name.0.as_bytes(), &mut bytes), Some(bytes.len()));
    Frame::parse(header.name, 0, Bytes::from(bytes))
}

fn entries(coded: &[u8], verbatim: &[u8], stream: &[u8]) -> Result<()> {
    table(coded, verbatim, stream).and_then(|frame| frame.head().block_table().map(drop))
}

#[test]
fn entries_of_newer_versions_are_refused_by_name() {
    entries(&[2, 6, 1, 1, 0, 2, 1, 3], &[7; 32], b"abc").expect("an object of three bytes");
    refused(entries(&[9, 0], &[], b""), Kind::Unimplemented, "entry kind 9");
    // Item kind 2 of a message.
    let message = [1, 12, 1, 1, 0, 2, 1, 2, 7, 1, 0, 15, 1, 0];
    refused(entries(&message, &[7; 42], b""), Kind::Unimplemented, "item kind 2");
    // A pin to tier 9.
    let pinned = [1, 12, 1, 1, 0, 12, 1, 9, 7, 1, 0, 15, 1, 0];
    refused(entries(&pinned, &[7; 42], b""), Kind::Unimplemented, "tier 9");
    // A field of a segment's place that is not known.
    let place = [3, 11, 1, 1, 0, 7, 6, 9, 1, 0, 3, 1, 0];
    refused(entries(&place, &[7; 64], b""), Kind::Unimplemented, "segment field 9");
}

#[test]
fn what_does_not_fit_is_corrupt() {
    let object = [2, 6, 1, 1, 0, 2, 1, 3];
    refused(entries(&object, &[7; 31], b"abc"), Kind::Corrupt, "ends early");
    refused(entries(&object, &[7; 33], b"abc"), Kind::Corrupt, "bytes follow");
    refused(entries(&object, &[7; 32], b"ab"), Kind::Corrupt, "beyond its stream");
    refused(entries(&object, &[7; 32], b"abcd"), Kind::Corrupt, "do not fill");
    refused(entries(&[2, 3, 1, 1, 1], &[], b""), Kind::Corrupt, "before its first");
    refused(entries(&[2, 3, 2, 1, 0], &[], b""), Kind::Corrupt, "lacks its hash");
    refused(entries(&[2, 200], &[], b""), Kind::Corrupt, "ends early");
    refused(entries(&[2, 5, 1, 1, 0, 99, 9], &[7; 32], b""), Kind::Corrupt, "ends early");
    // Eleven bytes of a number.
    let long = [[0x80; 10].as_slice(), &[1]].concat();
    refused(entries(&long, &[], b""), Kind::Corrupt, "too many bytes");
}

/// A stream that says that it needs a dictionary, and does not say which one.
#[test]
fn a_stream_without_the_name_of_its_dictionary_is_corrupt() {
    let mut bytes = table(&[2, 6, 1, 1, 0, 2, 1, 3], &[7; 32], b"abc").expect("a frame").bytes().to_vec();
    bytes[10] = 4;
    let header = PackHeader::parse(&golden("empty")).expect("a header");
    let _length = seal::frame(header.name.0.as_bytes(), &mut bytes);
    let frame = Frame::parse(header.name, 0, Bytes::from(bytes)).expect("a frame");
    refused(frame.stream(None).map(drop), Kind::Corrupt, "cannot have");
}

/// Tables and indexes are never encoded with a dictionary.
#[test]
fn a_table_or_an_index_with_a_dictionary_is_corrupt() {
    refused(read(&changed("kinds", |bytes| bytes[44 + 8] = 4)), Kind::Corrupt, "claims one");
    let index = changed("kinds", |bytes| {
        let start = bytes.len() - Footer::BYTES;
        bytes[start + 10] = 4;
    });
    refused(read(&index), Kind::Corrupt, "claims one");
}

/// An object's transform is kept by readers of packs and refused by whoever would undo it.
#[test]
fn unknown_transforms_are_kept() {
    let frame = table(&[2, 9, 1, 1, 0, 4, 1, 99, 6, 1, 3], &[7; 32], b"abc").expect("a frame");
    let entry = frame.head().block_table().expect("a table").entries.remove(0);
    let EntryBody::Object(object) = entry.body else { panic!("an object") };
    assert_eq!((object.transform.0, entry.bytes), (99, 3));
}

/// An index whose frames are as long as no frame can be is not read by.
#[test]
fn impossible_lengths_in_an_index_are_corrupt() {
    let index = |header: &[u8], table: &[u8], stored: &[u8], decoded: &[u8]| {
        let pack = PackHeader::parse(&golden("empty")).expect("a header");
        let mut list = vec![1];
        list.extend_from_slice(TENANT.as_bytes());
        list.extend_from_slice(&[0, 1, 0, 1, 0, 0]);
        list.extend_from_slice(&[header, table, stored, decoded].concat());
        let mut bytes = pack.encode();
        let length = u32::try_from(list.len()).expect("short").to_le_bytes();
        bytes.extend_from_slice(&list);
        bytes.extend_from_slice(b"PACKTAIL\x01\x00\x00\x00");
        bytes.extend_from_slice(&[length, length, 1_u32.to_le_bytes(), [0; 4]].concat());
        bytes.extend_from_slice(&44_u64.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        seal::pack(&mut bytes);
        read(&bytes)
    };
    let long = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F];
    refused(index(&[64], &[0], &[0], &[0]), Kind::Corrupt, "does not fit its footer");
    refused(index(&[63], &[0], &[0], &[0]), Kind::Corrupt, "impossible lengths");
    refused(index(&long, &[0], &[0], &[0]), Kind::Corrupt, "impossible lengths");
    refused(index(&[64], &long, &[0], &[0]), Kind::Corrupt, "impossible lengths");
    refused(index(&[64], &[0], &[5], &[4]), Kind::Corrupt, "impossible lengths");
    refused(index(&[64], &[0], &long, &long), Kind::Corrupt, "impossible lengths");
}
