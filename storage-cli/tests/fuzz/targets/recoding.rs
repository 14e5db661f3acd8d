//! Recoding: any bytes come back exactly, and any stored form makes exactly the stated length or is refused. The first
//! three bytes of a stored form's input are the stated length.

use storage_core::error::Kind;
use storage_core::media::MediaClass;
use storage_core::pack::TransformId;
use storage_core::recode;
use storage_core::recode::Limits;
use storage_core::similarity;

fn check(transform: TransformId, input: &[u8]) {
    let [low, middle, high, stored @ ..] = input else {
        return;
    };
    let stated = usize::from(*low) | (usize::from(*middle) << 8) | (usize::from(*high) << 16);
    match recode::decode(transform, &[], stored, stated) {
        Ok(object) => assert_eq!(object.len(), stated),
        Err(error) => assert!(matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented), "{error:?}"),
    }
}

pub(crate) fn jpeg(input: &[u8]) {
    check(TransformId::JPEG, input);
}

pub(crate) fn deflate(input: &[u8]) {
    check(TransformId::DEFLATE, input);
}

pub(crate) fn objects(input: &[u8]) {
    if let Some(recoded) = recode::encode(MediaClass::Binary, input, &Limits::at_level(3)) {
        let again = recode::decode(recoded.transform, &recoded.parameters, &recoded.stored, input.len());
        assert!(again.is_ok_and(|again| again == input), "an object came back as other bytes");
    }
}

/// The stated length (3 bytes), bytes of the parameters and of the difference (2 bytes each), both, and then the base.
pub(crate) fn delta(input: &[u8]) {
    let [low, middle, high, a, b, c, d, rest @ ..] = input else {
        return;
    };
    let stated = usize::from(*low) | (usize::from(*middle) << 8) | (usize::from(*high) << 16);
    let (params, difference) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
    let Some((params, rest)) = rest.split_at_checked(usize::from(params)) else {
        return;
    };
    let Some((difference, base)) = rest.split_at_checked(usize::from(difference)) else {
        return;
    };
    match similarity::decode(params, difference, stated, base) {
        Ok(object) => assert_eq!(object.len(), stated),
        Err(error) => assert!(matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented), "{error:?}"),
    }
}
