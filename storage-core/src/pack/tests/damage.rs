//! Damage never reads as something else, and what is newer is refused by name.

use bytes::Bytes;
use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::proptest;

use crate::codec::Codec;
use crate::error::Kind;
use crate::error::Result;
use crate::pack::DictionaryRecord;
use crate::pack::EncodedFrame;
use crate::pack::Footer;
use crate::pack::Frame;
use crate::pack::PackHeader;
use crate::pack::PackName;
use crate::pack::PackWriter;
use crate::pack::PolicyRecord;
use crate::pack::SegmentRecord;
use crate::pack::Tombstone;
use crate::pack::frame;
use crate::pack::tests::OTHER;
use crate::pack::tests::block;
use crate::pack::tests::describe;
use crate::pack::tests::frame_at;
use crate::pack::tests::pack;
use crate::pack::tests::pack_header;
use crate::pack::tests::read_all;

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
