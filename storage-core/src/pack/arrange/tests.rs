//! What is arranged comes back exactly, whatever it is; what is forged is refused or is other bytes of the stated length,
//! without a panic.

use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::prelude::proptest;
use proptest::test_runner::RngSeed;

use super::arrange;
use super::code;
use super::field;
use super::parse;
use super::restore;
use super::text;
use crate::error::Kind;

const SIGNATURE: &str = "b=Jk3dZ0pQe8RuYxVn1TqWs7LcAoHgMf2B\r\n\t Xy5iEwKb9NjPvStD4ahFzGmUl6OrCq3=;";

fn mail(number: u8) -> Vec<u8> {
    let id = format!("{:016x}", (u64::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    format!("\u{1}DKIM-Signature: {number}{SIGNATURE}\r\nMessage-ID: <{id}@a>\r\n\r\nHello {number}\n\nBye\n")
        .replacen("Jk3d", &format!("J{:03x}", 256 + u32::from(number)), 1)
        .into_bytes()
}

fn whole(units: &[Vec<u8>]) -> (Vec<u8>, Option<Vec<u8>>) {
    let slices: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
    (units.concat(), arrange(&slices))
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(0x6d69_6d65),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Units with many ends of lines, codes and digits.
fn units() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop::sample::select(b"\n\n\n\r\xF8\xF9\xFA\xFBaB3/+Zf09 ".to_vec());
    let run = prop::collection::vec(prop::sample::select(b"0123456789abcdefABCXYZ+/".to_vec()), 0..60);
    let unit = (prop::collection::vec(byte, 0..80), run, prop::collection::vec(any::<u8>(), 0..30));
    prop::collection::vec(unit.prop_map(|(a, b, c)| [a, b, c].concat()), 0..6)
}

#[test]
fn tokens_are_taken_out_and_heads_come_first() {
    let units: Vec<Vec<u8>> = (0..20).map(mail).collect();
    let (stream, arranged) = whole(&units);
    let arranged = arranged.unwrap();
    assert_eq!(restore(&arranged, stream.len()).unwrap(), stream);
    assert!(arranged.len() + 20 * 9 < stream.len(), "{} of {}", arranged.len(), stream.len());
    let find = |what: &[u8]| arranged.windows(what.len()).position(|window| window == what);
    assert!(find(b"Jk3").is_none() && find(b"J100").is_none(), "the signature is bits");
    assert!(find(b"Hello").unwrap() > arranged.windows(5).rposition(|window| window == b"DKIM-").unwrap());
}

#[test]
fn what_comes_twice_stays() {
    let twice = [mail(1), mail(1)];
    let (stream, arranged) = whole(&twice);
    let arranged = arranged.unwrap();
    assert_eq!(restore(&arranged, stream.len()).unwrap(), stream);
    assert!(arranged.len() >= stream.len());
}

#[test]
fn the_text_of_a_unit_has_no_tokens() {
    let text = text(&mail(7));
    assert!(text.windows(5).any(|window| window == b"Hello"));
    assert!(!text.windows(4).any(|window| window == b"J107"));
    assert!(text.contains(&code::BASE64));
}

#[test]
fn the_field_is_read_as_it_was_written() {
    assert_eq!(parse(&field(300)).unwrap(), 300);
    assert_eq!(parse(&[2, 5]).unwrap_err().kind(), Kind::Unimplemented);
    for wrong in [&[][..], &[1], &[1, 5, 0], &[1, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]] {
        assert_eq!(parse(wrong).unwrap_err().kind(), Kind::Corrupt, "{wrong:?}");
    }
}

#[test]
fn every_forged_length_is_refused() {
    let (stream, arranged) = whole(&[mail(1), mail(2)]);
    let arranged = arranged.unwrap();
    for bytes in [0, stream.len() - 1, stream.len() + 1, usize::MAX] {
        assert_eq!(restore(&arranged, bytes).unwrap_err().kind(), Kind::Corrupt);
    }
    for end in 0..arranged.len() {
        assert_eq!(
            restore(&arranged[..end], stream.len()).unwrap_err().kind(),
            Kind::Corrupt,
            "cut at {end}"
        );
    }
    let more = [arranged, vec![0]].concat();
    assert_eq!(restore(&more, stream.len()).unwrap_err().kind(), Kind::Corrupt);
    // An empty run of digits.
    let empty = [1, 3, 0, 2, code::HEX, 0, b'a', b'b'];
    assert_eq!(restore(&empty, 2).unwrap_err().kind(), Kind::Corrupt);
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn everything_comes_back(units in units()) {
        let (stream, arranged) = whole(&units);
        assert_eq!(restore(&arranged.expect("it can be restored"), stream.len()).unwrap(), stream);
    }

    #[test]
    fn damage_is_refused_or_has_the_length(units in units(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let (stream, arranged) = whole(&units);
        let mut arranged = arranged.expect("it can be restored");
        let at = at.index(arranged.len());
        arranged[at] = to;
        match restore(&arranged, stream.len()) {
            Ok(other) => assert_eq!(other.len(), stream.len()),
            Err(error) => assert_eq!(error.kind(), Kind::Corrupt),
        }
    }
}
