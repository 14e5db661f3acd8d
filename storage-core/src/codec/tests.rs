//! Tests of the registry: exact round trips, exact lengths, bounded bombs.

use std::sync::Arc;

use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::proptest;
use uuid::Uuid;

use crate::codec::Codec;
use crate::codec::CodecId;
use crate::codec::DECODED_BYTES_MAX;
use crate::codec::Dictionary;
use crate::codec::DictionaryEncoder;
use crate::codec::DictionaryKind;
use crate::codec::decode;
use crate::codec::probe;
use crate::codec::smallest;
use crate::codec::train;
use crate::error::Kind;

/// Bytes that look random, without a source of chance.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(step).collect()
}

fn text(lines: usize, seed: usize) -> Vec<u8> {
    (0..lines)
        .flat_map(|line| {
            let number = line * 7919 + seed;
            format!("Line {line} of letter {seed}, with a number {number} and the usual words\r\n")
                .into_bytes()
        })
        .collect()
}

fn raw_dictionary() -> Arc<Dictionary> {
    let bytes = Arc::from(text(200, 1));
    Arc::new(Dictionary::new(Uuid::from_u128(1), DictionaryKind::RawContent, bytes).unwrap())
}

fn trained_dictionary() -> Arc<Dictionary> {
    let samples: Vec<Vec<u8>> = (0..200).map(|seed| text(20, seed)).collect();
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    let bytes = train(&samples, 16 << 10).unwrap();
    Arc::new(Dictionary::new(Uuid::from_u128(2), DictionaryKind::Trained, Arc::from(bytes)).unwrap())
}

fn with_dictionary(dictionary: Arc<Dictionary>) -> Codec {
    Codec::ZstdDictionary(Arc::new(DictionaryEncoder::new(dictionary, 3).unwrap()))
}

fn codecs() -> Vec<Codec> {
    vec![
        Codec::None,
        Codec::Lz4,
        Codec::Gzip { level: 6 },
        Codec::Zstd { level: 3 },
        Codec::Zstd { level: 19 },
        with_dictionary(raw_dictionary()),
        with_dictionary(trained_dictionary()),
    ]
}

fn round_trip(codec: &Codec, bytes: &[u8]) -> Vec<u8> {
    let stored = codec.encode(bytes).unwrap();
    let dictionary = codec.dictionary().map(Arc::as_ref);
    assert_eq!(decode(codec.id(), &stored, bytes.len(), dictionary).unwrap(), bytes, "{codec:?}");
    stored
}

#[test]
fn ids_are_permanent() {
    let ids: Vec<(u16, &str)> = CodecId::ALL.into_iter().map(|id| (id.0, id.name())).collect();
    assert_eq!(ids, [(0, "none"), (1, "lz4"), (2, "gzip"), (3, "zstd"), (4, "zstd+dictionary")]);
    assert_eq!(CodecId::from_name("zstd"), Some(CodecId::ZSTD));
    assert_eq!(CodecId::from_name("unknown"), None);
}

#[test]
fn an_unknown_codec_is_named() {
    let error = decode(CodecId(77), b"x", 1, None).unwrap_err();
    assert_eq!(error.kind(), Kind::Unimplemented);
    assert_eq!(error.message(), "codec 77 is unknown to this version");
}

#[test]
fn every_codec_gives_the_bytes_back() {
    for codec in codecs() {
        for bytes in [Vec::new(), vec![7], noise(100_000, 3), text(3_000, 2), vec![0; 300_000]] {
            let _stored = round_trip(&codec, &bytes);
        }
    }
}

#[test]
fn a_wrong_stated_length_is_corrupt() {
    let bytes = text(100, 5);
    for codec in codecs() {
        let stored = codec.encode(&bytes).unwrap();
        let dictionary = codec.dictionary().map(Arc::as_ref);
        for stated in [0, 1, bytes.len() - 1, bytes.len() + 1, DECODED_BYTES_MAX, DECODED_BYTES_MAX + 1] {
            let error = decode(codec.id(), &stored, stated, dictionary).unwrap_err();
            assert_eq!(error.kind(), Kind::Corrupt, "{codec:?} as {stated}");
        }
    }
}

#[test]
fn bytes_after_the_stream_are_corrupt() {
    let bytes = text(10, 5);
    for codec in codecs() {
        let mut stored = codec.encode(&bytes).unwrap();
        stored.push(0);
        let dictionary = codec.dictionary().map(Arc::as_ref);
        let error = decode(codec.id(), &stored, bytes.len(), dictionary).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{codec:?}");
    }
}

#[test]
fn a_bomb_ends_at_the_stated_length() {
    let zeros = vec![0; 8 << 20];
    for codec in codecs() {
        let stored = codec.encode(&zeros).unwrap();
        let dictionary = codec.dictionary().map(Arc::as_ref);
        let error = decode(codec.id(), &stored, 1_000, dictionary).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{codec:?}");
    }
}

#[test]
fn a_stream_is_too_short_for_what_it_claims() {
    // A frame header that claims 64 MiB, followed by next to nothing.
    let mut stored = vec![0x28, 0xB5, 0x2F, 0xFD, 0xA0];
    stored.extend_from_slice(&u32::try_from(DECODED_BYTES_MAX).unwrap().to_le_bytes());
    stored.extend_from_slice(&[1, 0, 0]);
    let error = decode(CodecId::ZSTD, &stored, DECODED_BYTES_MAX, None).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
}

#[test]
fn too_much_for_one_unit_is_refused() {
    let error = Codec::None.encode(&vec![0; DECODED_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
}

#[test]
fn levels_that_do_not_exist_are_refused() {
    for codec in [Codec::Gzip { level: 10 }, Codec::Zstd { level: 0 }, Codec::Zstd { level: 23 }] {
        assert_eq!(codec.encode(b"x").unwrap_err().kind(), Kind::InvalidArgument, "{codec:?}");
    }
}

#[test]
fn dictionaries_help_and_are_needed() {
    let bytes = text(20, 77);
    let alone = Codec::Zstd { level: 3 }.encode(&bytes).unwrap().len();
    for dictionary in [raw_dictionary(), trained_dictionary()] {
        let codec = with_dictionary(Arc::clone(&dictionary));
        let stored = round_trip(&codec, &bytes);
        assert!(stored.len() < alone, "{dictionary:?}: {} of {alone}", stored.len());
        assert_eq!(decode(codec.id(), &stored, bytes.len(), None).unwrap_err().kind(), Kind::Internal);
    }
}

#[test]
fn all_of_a_large_dictionary_is_used() {
    let content = noise(3 << 19, 8);
    let block = [&content[..100_000], &content[700_000..800_000]].concat();
    let bytes = Arc::from(content);
    let dictionary = Dictionary::new(Uuid::from_u128(3), DictionaryKind::RawContent, bytes).unwrap();
    let encoder = DictionaryEncoder::new(Arc::new(dictionary), 19).unwrap();
    let stored = round_trip(&Codec::ZstdDictionary(Arc::new(encoder)), &block);
    assert!(stored.len() < 200, "{} bytes for what stands in the dictionary", stored.len());
}

#[test]
fn a_dictionary_must_be_what_it_says() {
    let trained = trained_dictionary();
    for (kind, bytes) in [
        (DictionaryKind::RawContent, Arc::clone(trained.bytes())),
        (DictionaryKind::Trained, Arc::from(text(10, 1))),
        (DictionaryKind::RawContent, Arc::from(&b"short"[..])),
    ] {
        let error = Dictionary::new(Uuid::nil(), kind, bytes).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{kind:?}");
    }
    let damaged: Arc<[u8]> = Arc::from(&trained.bytes()[..20]);
    assert!(Dictionary::new(Uuid::nil(), DictionaryKind::Trained, damaged).is_err());
}

#[test]
fn the_smallest_wins_and_noise_stays() {
    let candidates = codecs();
    let bytes = text(500, 9);
    let best = smallest(&bytes, &candidates).unwrap();
    let least = candidates.iter().map(|codec| codec.encode(&bytes).unwrap().len()).min();
    assert_eq!(Some(best.bytes.len()), least);
    let random = noise(50_000, 4);
    let kept = smallest(&random, &candidates).unwrap();
    assert_eq!((kept.codec, &*kept.bytes), (CodecId::NONE, &*random));
    assert_eq!(smallest(&[], &candidates).unwrap().codec, CodecId::NONE);
}

#[test]
fn the_probe_tells_text_from_noise() {
    assert!(!probe(&text(3_000, 1)));
    assert!(!probe(b"short"));
    assert!(probe(&noise(100_000, 1)));
    assert!(probe(&noise(5_000, 1)));
    let mut headed = text(20, 1);
    headed.extend(noise(200_000, 2));
    assert!(probe(&Codec::Zstd { level: 3 }.encode(&headed).unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        for codec in [Codec::Lz4, Codec::Gzip { level: 1 }, Codec::Zstd { level: 1 }] {
            let stored = codec.encode(&bytes).unwrap();
            prop_assert_eq!(decode(codec.id(), &stored, bytes.len(), None).unwrap(), bytes.clone());
        }
    }

    #[test]
    fn hostile_bytes_never_panic(stored in proptest::collection::vec(any::<u8>(), 0..300), stated in 0_usize..10_000) {
        for id in CodecId::ALL {
            if let Ok(decoded) = decode(id, &stored, stated, None) {
                prop_assert_eq!(decoded.len(), stated);
            }
        }
    }
}
