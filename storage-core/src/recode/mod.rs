//! Content-aware recoding, lossless: JPEG files and deflate streams (in PNG, PDF, zip, Office documents, gzip) are
//! undone into a form that the tier's codec compresses better, and made again, bit by bit, when they are read. Pure:
//! takes bytes and returns bytes; knows no clock, no pool, no pack.
//!
//! Guarantees: what [`encode`] gives has been decoded and compared; it is given only where it is smaller; making it
//! again is bounded in memory and in time. [`decode`] gives exactly the stated length or an error, for any bytes.

mod around;
mod checksum;
mod container;
mod cost;
mod cuts;
mod deflate;
mod find;
mod guarded;
mod jpeg;
mod jpeg_scan;
mod lepton_check;
mod op;
mod rebuild;
#[cfg(test)]
mod tests;
mod unpack;

use crate::codec::Codec;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::media::MediaClass;
use crate::pack::TransformId;
use crate::recode::op::Op;
use crate::recode::unpack::Engines;

pub use around::Known;
pub use around::Stream;
pub use around::encode_around;
pub use around::inflate_at;
pub use around::streams;
pub use cuts::cuts;

/// The longest object that is recoded as one, and the longest that a stored form may stand for.
pub const OBJECT_BYTES_MAX: usize = 16 << 20;

/// What an object unpacks to at most, for each of its bytes.
pub const UNPACKED_RATIO_MAX: usize = 32;

/// Nanoseconds that making an object again may take on one core: one in fifty messages of some mail has such an object,
/// and one in a hundred may wait for 10 ms.
const DECODE_NANOS_MAX: u64 = 6_000_000;

/// The same for the few objects that may take long: no read may take 100 ms.
const PATIENT_DECODE_NANOS_MAX: u64 = 50_000_000;

/// The same for what is stored by itself: whoever reads a document asked for that, not for a message.
const DOCUMENT_DECODE_NANOS_MAX: u64 = 70_000_000;

/// The same for each piece of a large object.
const PIECE_DECODE_NANOS_MAX: u64 = 50_000_000;

/// The same for all its pieces, where they are read several at a time.
const PIECES_DECODE_NANOS_MAX: u64 = 110_000_000;

/// The same where they are read one after the other.
const STREAMED_DECODE_NANOS_MAX: u64 = 50_000_000;

/// Longer objects may be part of an item that is streamed, which reads pieces one after the other.
const AT_ONCE_BYTES_MAX: usize = 3 << 20;

/// Shorter objects are not worth a look.
const OBJECT_BYTES_MIN: usize = 512;

/// What recoding one object may cost whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The zstd level at which the stored form is compared with the object.
    pub level: i32,
    /// Bytes that all its streams may hold, together.
    pub unpacked_bytes_max: usize,
    /// The same for each byte of the object.
    pub unpacked_ratio_max: usize,
    /// Streams inside one another.
    pub depth_max: usize,
    /// Time that making the object again may take on one core, by the measured rates.
    pub decode_nanos_max: u64,
}

impl Limits {
    /// The limits of the tiers, compared at `level`.
    pub fn at_level(level: i32) -> Self {
        Self {
            level,
            unpacked_bytes_max: 8 << 20,
            unpacked_ratio_max: UNPACKED_RATIO_MAX,
            depth_max: 3,
            decode_nanos_max: DECODE_NANOS_MAX,
        }
    }

    /// The limits of an object of which there are few.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { decode_nanos_max: PATIENT_DECODE_NANOS_MAX, ..self }
    }

    /// The limits of an object that is stored by itself.
    #[must_use]
    pub fn document(self) -> Self {
        Self { decode_nanos_max: DOCUMENT_DECODE_NANOS_MAX, ..self }
    }

    /// The limits of a piece when all pieces may still take `nanos_left`.
    #[must_use]
    pub fn of_piece(self, nanos_left: u64) -> Self {
        Self { decode_nanos_max: PIECE_DECODE_NANOS_MAX.min(nanos_left), ..self }
    }
}

/// Nanoseconds that making all pieces of a large object again may take.
pub fn pieces_nanos_max(object_bytes: usize) -> u64 {
    if object_bytes <= AT_ONCE_BYTES_MAX { PIECES_DECODE_NANOS_MAX } else { STREAMED_DECODE_NANOS_MAX }
}

/// An object in another form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recoded {
    /// What turns the stored form into the object.
    pub transform: TransformId,
    /// What that needs besides. Empty so far.
    pub parameters: Vec<u8>,
    /// The stored form.
    pub stored: Vec<u8>,
    /// Bytes by which it compresses better than the object, each by itself.
    pub gain: u64,
    /// Nanoseconds that making the object again takes, by the measured rates.
    pub nanos: u64,
}

/// Whether objects of a class can hold anything that is recoded.
pub fn applies(class: MediaClass) -> bool {
    match class {
        MediaClass::Skeleton | MediaClass::Text | MediaClass::Html | MediaClass::Markup => false,
        MediaClass::Jpeg
        | MediaClass::Png
        | MediaClass::Image
        | MediaClass::Pdf
        | MediaClass::Zip
        | MediaClass::Compressed
        | MediaClass::Binary => true,
    }
}

/// The recoded form of an object, where it is worth it.
pub fn encode(class: MediaClass, object: &[u8], limits: &Limits) -> Option<Recoded> {
    if !applies(class) {
        return None;
    }
    encode_with(object, limits, Engines::REAL)
}

fn encode_with(object: &[u8], limits: &Limits, engines: Engines) -> Option<Recoded> {
    if !(OBJECT_BYTES_MIN..=OBJECT_BYTES_MAX).contains(&object.len()) {
        return None;
    }
    // Nearly every stream can be made again. Where one cannot, all are tried one by one.
    let proved = |careful| {
        let recoded = recoded(object, limits, engines, careful)?;
        let again = decode(recoded.transform, &recoded.parameters, &recoded.stored, object.len());
        again.is_ok_and(|again| again == object).then_some(recoded)
    };
    let recoded = proved(false).or_else(|| proved(true))?;
    let gain = gain(object, &recoded.stored, limits.level)?;
    Some(Recoded { gain, ..recoded })
}

fn recoded(object: &[u8], limits: &Limits, engines: Engines, careful: bool) -> Option<Recoded> {
    let unpacked = unpack::unpack(object, limits, engines, careful)?;
    let nanos = unpacked.nanos;
    let (transform, stored) = match unpacked.ops.as_slice() {
        [Op::Jpeg { .. }] => (TransformId::JPEG, unpacked.data),
        _ => (TransformId::DEFLATE, unpacked.write()?),
    };
    Some(Recoded { transform, parameters: Vec::new(), stored, gain: 0, nanos })
}

/// By how much the stored form compresses better than the object, if that is at least 1 % of it.
fn gain(object: &[u8], stored: &[u8], level: i32) -> Option<u64> {
    let codec = Codec::Zstd { level };
    let compressed = |bytes: &[u8]| codec.encode(bytes).map(|encoded| encoded.len().min(bytes.len())).ok();
    let plain = compressed(object)?;
    let gain = plain.checked_sub(compressed(stored)?)?;
    (gain > plain / 100).then_some(u64::try_from(gain).unwrap_or(u64::MAX))
}

/// The object of `object_bytes` bytes that a stored form stands for. Transforms of a newer version are
/// [`Kind::Unimplemented`]; whatever else does not fit is [`Kind::Corrupt`].
pub fn decode(
    transform: TransformId,
    parameters: &[u8],
    stored: &[u8],
    object_bytes: usize,
) -> Result<Vec<u8>> {
    if !matches!(transform, TransformId::JPEG | TransformId::DEFLATE) || !parameters.is_empty() {
        return Err(Error::new(
            Kind::Unimplemented,
            "This object was written by a newer version. Update the server to read it.",
        ));
    }
    if object_bytes > OBJECT_BYTES_MAX {
        return Err(Error::corrupt("a recoded object states an impossible length"));
    }
    let object = if transform == TransformId::JPEG {
        jpeg::decode(stored, object_bytes)?
    } else {
        rebuild::rebuild(&container::read(stored, object_bytes)?)?
    };
    if object.len() != object_bytes {
        return Err(Error::corrupt("a recoded object has another length than it should"));
    }
    Ok(object)
}
