//! Codecs: whatever is stored decodes to exactly the stated length, or is corrupt. The first three bytes of an input are
//! the stated length.

use std::sync::Arc;

use storage_core::codec::CodecId;
use storage_core::codec::Dictionary;
use storage_core::codec::DictionaryKind;
use storage_core::codec::decode;
use storage_core::error::Kind;
use uuid::Uuid;

fn check(codec: CodecId, input: &[u8], dictionary: Option<&Dictionary>) {
    let [low, middle, high, stored @ ..] = input else {
        return;
    };
    let stated = usize::from(*low) | (usize::from(*middle) << 8) | (usize::from(*high) << 16);
    match decode(codec, stored, stated, dictionary) {
        Ok(decoded) => assert_eq!(decoded.len(), stated),
        Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "{error:?}"),
    }
}

pub(crate) fn lz4(input: &[u8]) {
    check(CodecId::LZ4, input, None);
}

pub(crate) fn gzip(input: &[u8]) {
    check(CodecId::GZIP, input, None);
}

pub(crate) fn zstd(input: &[u8]) {
    check(CodecId::ZSTD, input, None);
}

pub(crate) fn zstd_dictionary(input: &[u8]) {
    let builtin = storage_core::codec::builtin::dictionary(storage_core::codec::builtin::BUILTIN_V1);
    check(CodecId::ZSTD_DICTIONARY, input, builtin.expect("a dictionary").as_deref());
}

/// Bytes that call themselves a dictionary, and a stream decoded with them.
pub(crate) fn dictionary(input: &[u8]) {
    for kind in [DictionaryKind::Trained, DictionaryKind::RawContent] {
        match Dictionary::stored(Uuid::nil(), kind, Arc::from(input)) {
            Ok(dictionary) => {
                let stored = storage_core::codec::Codec::Zstd { level: 1 }.encode(input).expect("any bytes");
                let decoded = decode(CodecId::ZSTD_DICTIONARY, &stored, input.len(), Some(&dictionary));
                assert!(decoded.is_ok_and(|decoded| decoded == input), "a frame that needs no dictionary");
            }
            Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "{error:?}"),
        }
    }
}
