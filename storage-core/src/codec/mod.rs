//! The closed registry of compression algorithms. An id is permanent and never reused, and every codec that was
//! ever written decodes for ever. Decoding yields exactly the stated length or an error, and never allocates
//! beyond it, whatever the stored bytes claim. Knows neither tiers nor packs; does no I/O.

pub mod builtin;
mod dictionary;
mod gzip;
mod lz4;
mod prefix;
mod probe;
#[cfg(test)]
mod tests;
mod zstd;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;

pub use dictionary::DICTIONARY_BYTES_MAX;
pub use dictionary::Dictionary;
pub use dictionary::DictionaryEncoder;
pub use dictionary::DictionaryKind;
pub use dictionary::train;
pub use prefix::PREFIX_BYTES_MAX;
pub use prefix::decode_behind;
pub use prefix::encode_behind;
pub use probe::probe;

/// The longest stream that is encoded or decoded as one unit.
pub const DECODED_BYTES_MAX: usize = 64 << 20;

/// The permanent number of a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodecId(pub u16);

impl CodecId {
    /// Stored as it is.
    pub const NONE: Self = Self(0);
    /// The standard LZ4 frame.
    pub const LZ4: Self = Self(1);
    /// RFC 1952.
    pub const GZIP: Self = Self(2);
    /// One zstd frame with its content size.
    pub const ZSTD: Self = Self(3);
    /// One zstd frame that needs the dictionary its frame header names.
    pub const ZSTD_DICTIONARY: Self = Self(4);

    /// Every codec of this version.
    pub const ALL: [Self; 5] = [Self::NONE, Self::LZ4, Self::GZIP, Self::ZSTD, Self::ZSTD_DICTIONARY];

    /// The name used in the API, the CLI and the docs.
    pub fn name(self) -> &'static str {
        match self {
            Self::NONE => "none",
            Self::LZ4 => "lz4",
            Self::GZIP => "gzip",
            Self::ZSTD => "zstd",
            Self::ZSTD_DICTIONARY => "zstd+dictionary",
            _ => "unknown",
        }
    }

    /// The codec of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.name() == name)
    }

    /// The id itself, if this version can decode it.
    pub fn check(self) -> Result<Self> {
        if Self::ALL.contains(&self) { Ok(self) } else { Err(unknown(self)) }
    }
}

impl fmt::Display for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec with the parameters that encoding needs. Decoding needs none of them.
#[derive(Debug, Clone)]
pub enum Codec {
    /// Keep the bytes.
    None,
    /// LZ4, fast.
    Lz4,
    /// Deflate with a gzip header.
    Gzip {
        /// 0 to 9.
        level: u32,
    },
    /// Zstd by itself.
    Zstd {
        /// 1 to 22.
        level: i32,
    },
    /// Zstd with a prepared dictionary.
    ZstdDictionary(Arc<DictionaryEncoder>),
}

impl Codec {
    /// The permanent number.
    pub fn id(&self) -> CodecId {
        match self {
            Self::None => CodecId::NONE,
            Self::Lz4 => CodecId::LZ4,
            Self::Gzip { .. } => CodecId::GZIP,
            Self::Zstd { .. } => CodecId::ZSTD,
            Self::ZstdDictionary(_) => CodecId::ZSTD_DICTIONARY,
        }
    }

    /// The dictionary that decoding will need.
    pub fn dictionary(&self) -> Option<&Arc<Dictionary>> {
        match self {
            Self::ZstdDictionary(encoder) => Some(encoder.dictionary()),
            Self::None | Self::Lz4 | Self::Gzip { .. } | Self::Zstd { .. } => None,
        }
    }

    /// The encoded form of at most [`DECODED_BYTES_MAX`] bytes.
    pub fn encode(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        if bytes.len() > DECODED_BYTES_MAX {
            return Err(Error::invalid(format!(
                "{} bytes are too many for one unit of compression: split them below {DECODED_BYTES_MAX}",
                bytes.len()
            )));
        }
        match self {
            Self::None => Ok(bytes.to_vec()),
            Self::Lz4 => lz4::encode(bytes),
            Self::Gzip { level } => gzip::encode(bytes, *level),
            Self::Zstd { level } => zstd::encode(bytes, *level),
            Self::ZstdDictionary(encoder) => zstd::encode_with(bytes, encoder),
        }
    }
}

/// The `decoded_bytes` bytes that `stored` stands for. Any other length is corrupt.
///
/// `dictionary` is used by [`CodecId::ZSTD_DICTIONARY`] alone; it must be the one the frame names.
pub fn decode(
    id: CodecId,
    stored: &[u8],
    decoded_bytes: usize,
    dictionary: Option<&Dictionary>,
) -> Result<Vec<u8>> {
    if decoded_bytes > DECODED_BYTES_MAX {
        return Err(Error::corrupt(format!("a decoded length of {decoded_bytes} is over the limit")));
    }
    let decoded = match id {
        CodecId::NONE => {
            check_length(stored.len(), decoded_bytes)?;
            stored.to_vec()
        }
        CodecId::LZ4 => lz4::decode(stored, decoded_bytes)?,
        CodecId::GZIP => gzip::decode(stored, decoded_bytes)?,
        CodecId::ZSTD => zstd::decode(stored, decoded_bytes)?,
        CodecId::ZSTD_DICTIONARY => {
            let dictionary = dictionary.ok_or_else(|| {
                Error::internal("a stream that needs a dictionary was decoded without one: look it up first")
            })?;
            zstd::decode_with(stored, decoded_bytes, dictionary)?
        }
        other => return Err(unknown(other)),
    };
    check_length(decoded.len(), decoded_bytes)?;
    Ok(decoded)
}

/// The same for what is never encoded with a dictionary; where it says that it is, it is corrupt.
pub fn decode_alone(id: CodecId, stored: &[u8], decoded_bytes: usize) -> Result<Vec<u8>> {
    if id == CodecId::ZSTD_DICTIONARY {
        return Err(Error::corrupt("something that is never encoded with a dictionary claims one"));
    }
    decode(id, stored, decoded_bytes, None)
}

/// What an encoding came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded<'a> {
    /// The codec that made it.
    pub codec: CodecId,
    /// The stored form.
    pub bytes: Cow<'a, [u8]>,
}

/// The smallest of the `candidates`' results; the bytes as they are where none of them gets below 98 %.
pub fn smallest<'a>(bytes: &'a [u8], candidates: &[Codec]) -> Result<Encoded<'a>> {
    let worthwhile = bytes.len() - bytes.len() / 50;
    let mut best: Option<Encoded<'a>> = None;
    for codec in candidates.iter().filter(|codec| codec.id() != CodecId::NONE) {
        let encoded = codec.encode(bytes)?;
        let limit = best.as_ref().map_or(worthwhile, |best| best.bytes.len());
        if encoded.len() < limit {
            best = Some(Encoded { codec: codec.id(), bytes: Cow::Owned(encoded) });
        }
    }
    Ok(best.unwrap_or(Encoded { codec: CodecId::NONE, bytes: Cow::Borrowed(bytes) }))
}

fn unknown(id: CodecId) -> Error {
    Error::new(Kind::Unimplemented, format!("codec {} is unknown to this version", id.0))
}

fn check_length(found: usize, stated: usize) -> Result<()> {
    if found == stated {
        return Ok(());
    }
    Err(Error::corrupt(format!("a stream decodes to {found} bytes where {stated} are stated")))
}
