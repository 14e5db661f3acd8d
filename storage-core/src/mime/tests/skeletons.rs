//! The bytes of recipes and skeletons, and malformed ones.

use crate::error::Kind;
use crate::mime::Encoding;
use crate::mime::Skeleton;
use crate::mime::SplitLimits;
use crate::mime::assemble;
use crate::mime::encode_part;
use crate::mime::split;
use crate::mime::tests::attachment;
use crate::mime::tests::base64;
use crate::mime::tests::noise;
use crate::mime::tests::round_trip_large;

#[test]
fn recipes_that_disagree_are_corrupt() {
    let mut out = Vec::new();
    let blank_lines = [0u8, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    for (encoding, recipe, decoded, length) in [
        (Encoding::Identity, &b"x"[..], &b""[..], 0),
        (Encoding::Identity, b"", b"abc", 2),
        (Encoding::Base64, b"", b"abc", 4),
        (Encoding::Base64, &[2, 4], b"", 4),
        (Encoding::Base64, &[2, 4], b"abcd", 4),
        (Encoding::Base64, &[2, 4], b"abc", 5),
        (Encoding::Base64, &[2 | 5 << 2, 0, 0xff], b"a", 2),
        (Encoding::Base64, &[0x80], b"abc", 4),
        (Encoding::Base64, &blank_lines, b"", u64::MAX),
        (Encoding::QuotedPrintable, b"", b"", 0),
        (Encoding::QuotedPrintable, &[7, 0], b"", 0),
        (Encoding::QuotedPrintable, &[0, 0, 40], b"abc", 3),
        (Encoding::QuotedPrintable, &[0, 0, 2, 200], b"abc", 3),
    ] {
        let error = encode_part(encoding, (recipe, decoded), length, &mut out).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{encoding:?} {recipe:?}");
    }
}

#[test]
fn the_bytes_of_recipes_and_skeletons_stand() {
    let message = attachment("base64", &base64(&noise(300_000), 76, "\r\n"));
    let whole = round_trip_large(&message);
    let head = b"\x01\x02\x00\x6a\x57\x00\x12application/x-test\x05a.bin\xa0\x87\x19\xe0\xa7\x12\x06\x04\x8f\x29\x4c\x05\x0c";
    assert_eq!(whole.split.skeleton[..head.len()], head[..], "{:02x?}", &whole.split.skeleton[..head.len()]);
}

#[test]
fn malformed_skeletons_are_refused() {
    for skeleton in [
        &b""[..],
        b"\x00",
        b"\x02\x00",
        b"\x01",
        b"\x01\x01",
        b"\x01\x01\x00\x05abc",
        b"\x01\x00x",
        b"\x01\x01\x04\x01",
        b"\x01\x01\x83\x01\x05",
        b"\x01\x01\x03\x7f\x05",
        b"\x01\xff\xff\x03",
    ] {
        assert_eq!(Skeleton::parse(skeleton).unwrap_err().kind(), Kind::Corrupt, "{skeleton:?}");
    }
    assert_eq!(Skeleton::parse(b"\x01\x00").unwrap().total_bytes(), 0);
    let missing = split(&attachment("7bit", &"x\n".repeat(5000)), SplitLimits::default()).unwrap();
    assert_eq!(assemble(&missing.split.skeleton, &|_| None).unwrap_err().kind(), Kind::Corrupt);
    assert_eq!(assemble(&missing.split.skeleton, &|_| Some(b"x")).unwrap_err().kind(), Kind::Corrupt);
}

/// A recipe that writes much and then fails leaves nothing of it.
#[test]
fn a_refused_recipe_leaves_no_more_than_was_stated() {
    let literal = [&[3, 100][..], &[b'x'; 100], &[0xFF]].concat();
    let mut out = b"before".to_vec();
    let refused = encode_part(Encoding::Base64, (&literal, b"abc"), 4, &mut out).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt);
    assert_eq!(out, b"before");
}
