//! Tests of signatures and deltas: what is found, exact round trips, hostile parameters and stored forms.

use proptest::collection::vec;
use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::proptest;
use sha2::Digest as _;
use storage_fixtures::documents::Kind as Document;
use storage_fixtures::documents::family;

use crate::error::Kind;
use crate::media::MediaClass;
use crate::model::Sha256;
use crate::pack::wire::put_varint;
use crate::recode;
use crate::recode::Limits;
use crate::similarity::Base;
use crate::similarity::Digest;
use crate::similarity::Signature;
use crate::similarity::alone;
use crate::similarity::base_of;
use crate::similarity::decode;

fn hash(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

fn class(bytes: &[u8]) -> MediaClass {
    MediaClass::of("application/octet-stream", bytes)
}

fn base(bytes: &[u8]) -> Base {
    Base::new(hash(bytes), class(bytes), bytes.to_vec())
}

/// What the smaller form of an object takes by itself.
fn by_itself(object: &[u8]) -> usize {
    let recoded = recode::encode(class(object), object, &Limits::at_level(9));
    alone(object, recoded.as_ref().map(|recoded| recoded.stored.as_slice()), 9)
}

/// Bytes that no compressor shrinks and that repeat for the same seed.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let block = |number: u64| sha2::Sha256::digest([seed.to_le_bytes(), number.to_le_bytes()].concat());
    (0..).flat_map(block).take(bytes).collect()
}

fn found(kept: &Signature, asking: &Signature) -> bool {
    let asked = asking.asked();
    kept.kept(|_| false).iter().any(|feature| asked.contains(feature))
}

#[test]
fn digests_are_those_of_ssdeep() {
    let digest = Digest::of(&noise(1, 20_000)).unwrap();
    assert_eq!(
        digest.text(),
        ssdeep::hash(&noise(1, 20_000)).unwrap(),
        "the library's text is kept as it is"
    );
    assert_eq!(digest.score(&digest), 100);
    assert_eq!(digest.score(&Digest::of(&noise(2, 20_000)).unwrap()), 0);
}

#[test]
fn digests_that_score_share_a_gram() {
    let whole = noise(3, 40_000);
    for (from, cut) in [(0, 30_000), (100, 39_000), (5_000, 40_000), (20_000, 26_000)] {
        let (one, other) = (Digest::of(&whole).unwrap(), Digest::of(&whole[from..cut]).unwrap());
        let common = one.grams().iter().any(|gram| other.grams().contains(gram));
        assert!(one.score(&other) == 0 || common, "{from}..{cut} scores {}", one.score(&other));
    }
}

#[test]
fn versions_of_a_document_are_found_and_stored_as_deltas() {
    for kind in [Document::Docx, Document::Xlsx, Document::Pdf] {
        let versions = family(7, kind, 3);
        let (first, last) = (&versions[0], &versions[3]);
        let (kept, asking) =
            (Signature::of(class(first), first).unwrap(), Signature::of(class(last), last).unwrap());
        assert!(found(&kept, &asking), "{kind:?} was not found");
        let likeness = kept.likeness(&asking);
        assert!(likeness.shared > 35, "{kind:?} shares {likeness:?}");
        let taken = by_itself(last);
        let delta = base(first).encode(class(last), last, 9, taken).unwrap();
        let bytes = delta.params.len() + delta.stored.len();
        assert!(bytes * 3 < taken, "{kind:?}: {bytes} instead of {taken}");
        assert_eq!(delta.gain, (taken - bytes) as u64);
        assert_eq!(base_of(&delta.params).unwrap(), hash(first));
        let again = decode(&delta.params, &delta.stored, last.len(), first);
        assert!(again.is_ok_and(|again| again == *last));
    }
}

#[test]
fn what_is_resent_with_another_head_is_a_delta_of_its_raw_bytes() {
    let photo = storage_fixtures::documents::parts::jpeg(
        9,
        120,
        storage_fixtures::documents::parts::JpegKind::Baseline,
    );
    let mut resent = photo.clone();
    drop(resent.splice(2..2, [0xff, 0xfe, 0, 6, b'm', b'a', b'i', b'l']));
    let delta = base(&photo).encode(MediaClass::Jpeg, &resent, 19, by_itself(&resent)).unwrap();
    assert!(delta.stored.len() < 60, "{} bytes", delta.stored.len());
    assert_eq!(decode(&delta.params, &delta.stored, resent.len(), &photo).unwrap(), resent);
}

#[test]
fn strangers_are_neither_found_nor_deltas() {
    let (one, other) = (noise(4, 30_000), noise(5, 30_000));
    let (kept, asking) =
        (Signature::of(class(&one), &one).unwrap(), Signature::of(class(&other), &other).unwrap());
    assert!(!found(&kept, &asking));
    assert_eq!(kept.likeness(&asking).shared, 0);
    assert_eq!(base(&one).encode(class(&other), &other, 9, other.len()), None);
}

#[test]
fn what_is_short_has_no_signature() {
    assert_eq!(Signature::of(MediaClass::Binary, &noise(1, 4_095)), None);
    assert!(Signature::of(MediaClass::Binary, &noise(1, 4_096)).is_some());
    assert_eq!(Signature::of(MediaClass::Text, &noise(1, 20_000)), None);
    assert_eq!(Signature::of(MediaClass::Skeleton, &noise(1, 100_000)), None);
}

#[test]
fn what_everybody_has_is_not_kept() {
    let signature = Signature::of(MediaClass::Binary, &noise(6, 50_000)).unwrap();
    let kept = signature.kept(|_| false);
    assert_eq!(kept.len(), 4);
    let others = signature.kept(|feature| kept.contains(&feature));
    assert_eq!(others.len(), 4);
    assert!(others.iter().all(|feature| !kept.contains(feature)));
    assert!(signature.kept(|_| true).is_empty());
}

#[test]
fn another_base_or_less_of_it_is_corrupt_or_other_bytes() {
    let versions = family(8, Document::Docx, 1);
    let delta = base(&versions[0]).encode(MediaClass::Zip, &versions[1], 9, by_itself(&versions[1])).unwrap();
    let of = |base: &[u8]| decode(&delta.params, &delta.stored, versions[1].len(), base);
    for wrong in [&versions[0][1..], &versions[0][..1_000], &[], &versions[1]] {
        match of(wrong) {
            Ok(other) => assert_ne!(other, versions[1]),
            Err(error) => assert_eq!(error.kind(), Kind::Corrupt),
        }
    }
}

#[test]
fn impossible_parameters_are_corrupt() {
    let made = |numbers: &[u64]| {
        let mut params = vec![7; 32];
        for number in numbers {
            put_varint(&mut params, *number);
        }
        params
    };
    let impossible: [&[u64]; 6] = [
        &[0, 100 << 20, 0],
        &[0, 10, 300],
        &[0, 10, 1, 5],
        &[0, 10, 1, 5, 100 << 20],
        &[0, 10, 2, u64::MAX, 1, 1, 1],
        &[0, 10, 0, 9],
    ];
    for numbers in impossible {
        assert_eq!(base_of(&made(numbers)).unwrap_err().kind(), Kind::Corrupt, "{numbers:?}");
    }
    assert_eq!(base_of(&[1; 31]).unwrap_err().kind(), Kind::Corrupt);
    let delta = base(&noise(1, 9_000)).encode(MediaClass::Binary, &noise(1, 9_000), 9, 9_000).unwrap();
    let newer = [&delta.params[..32], &[9], &delta.params[33..]].concat();
    assert_eq!(
        decode(&newer, &delta.stored, 9_000, &noise(1, 9_000)).unwrap_err().kind(),
        Kind::Unimplemented
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn edited_bytes_come_back(seed in any::<u64>(), at in 0_usize..9_000, cut in 0_usize..2_000,
                              put in vec(any::<u8>(), 0..200)) {
        let whole = noise(seed, 10_000);
        let mut edited = whole.clone();
        let end = (at + cut).min(edited.len());
        drop(edited.splice(at..end, put));
        let delta = base(&whole).encode(MediaClass::Binary, &edited, 3, edited.len()).expect("a delta");
        assert_eq!(decode(&delta.params, &delta.stored, edited.len(), &whole).unwrap(), edited);
    }

    #[test]
    fn changed_deltas_never_panic(at in 0_usize..10_000, bits in 1_u8..) {
        let versions = family(11, Document::Xlsx, 1);
        let delta = base(&versions[0])
            .encode(MediaClass::Zip, &versions[1], 1, by_itself(&versions[1])).expect("a delta");
        let (mut params, mut stored) = (delta.params.clone(), delta.stored.clone());
        let length = params.len();
        let byte = if at % 2 == 0 { &mut params[at % length] } else { &mut stored[at % delta.stored.len()] };
        *byte ^= bits;
        if let Ok(object) = decode(&params, &stored, versions[1].len(), &versions[0]) {
            assert_eq!(object.len(), versions[1].len());
        }
    }
}
