//! Taking an object apart beside another one that is nearly the same: streams that both have stay as they are, and only
//! what differs is undone. Reading the result back takes no longer than that needs.

use std::collections::HashSet;

use crate::error::Error;
use crate::error::Result;
use crate::pack::TransformId;
use crate::recode::Limits;
use crate::recode::Recoded;
use crate::recode::checksum::adler32;
use crate::recode::decode;
use crate::recode::deflate;
use crate::recode::find;
use crate::recode::find::Guess;
use crate::recode::find::Patience;
use crate::recode::unpack::Engines;
use crate::recode::unpack::unpack_around;

/// Streams by checksum and length. One that only looks the same is left as it is, which is right, too.
#[derive(Debug, Default)]
pub struct Known(HashSet<(u32, usize)>);

impl Known {
    fn name(stream: &[u8]) -> (u32, usize) {
        (crc32c::crc32c(stream), stream.len())
    }

    /// The streams of an object.
    pub fn of(object: &[u8], streams: &[Stream]) -> Self {
        let slices = streams.iter().filter_map(|stream| object.get(stream.start..stream.end));
        Self(slices.map(Self::name).collect())
    }

    /// Whether it has that stream.
    pub fn has(&self, stream: &[u8]) -> bool {
        !self.0.is_empty() && self.0.contains(&Self::name(stream))
    }
}

/// A compressed stream in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it holds, where it is deflate; none for pictures.
    pub content: Option<Vec<u8>>,
}

/// The streams of an object, in order, those inside of others left out. Their contents have at most `content_bytes_max`
/// bytes together; streams beyond that are left out.
pub fn streams(object: &[u8], content_bytes_max: usize) -> Vec<Stream> {
    let (mut found, mut left) = (Vec::new(), content_bytes_max);
    let (mut from, mut patience) = (0, Patience::of(object.len()));
    while let Some(guess) = find::next(object, from, &mut patience) {
        let at = guess.found_at();
        match stream(object, &guess, left, &mut patience) {
            Some(stream) => {
                left -= stream.content.as_ref().map_or(0, Vec::len);
                from = stream.end.max(at + 1);
                found.push(stream);
            }
            None => from = at + 1,
        }
    }
    found
}

fn stream(object: &[u8], guess: &Guess, content_max: usize, patience: &mut Patience) -> Option<Stream> {
    let mut inflated = |at: usize| match deflate::inflate(object.get(at..)?, content_max) {
        Ok(inflated) => {
            Some(Stream { start: at, end: at + inflated.stream, content: Some(inflated.content) })
        }
        Err(in_vain) => {
            patience.lose(in_vain);
            None
        }
    };
    match guess {
        Guess::Deflate(at) => inflated(*at),
        Guess::Zlib { at, announced } => {
            let stream = inflated(*at + 2)?;
            let mut checksum = adler32(stream.content.as_deref().unwrap_or_default()).to_le_bytes();
            checksum.reverse();
            let right = object.get(stream.end..)?.starts_with(&checksum);
            (right || *announced).then_some(stream)
        }
        Guess::Idat { at, end, .. } => Some(Stream { start: *at, end: *end, content: None }),
        Guess::Jpeg { at, outline } => Some(Stream { start: *at, end: at + outline.bytes, content: None }),
    }
}

/// What the deflate stream at `at` holds: exactly `content_bytes` bytes.
pub fn inflate_at(object: &[u8], at: usize, content_bytes: usize) -> Result<Vec<u8>> {
    let rest = object.get(at..).unwrap_or_default();
    match deflate::inflate(rest, content_bytes) {
        Ok(inflated) if inflated.content.len() == content_bytes => Ok(inflated.content),
        Ok(_) | Err(_) => Err(Error::corrupt("a base object does not hold the stream that a delta needs")),
    }
}

/// The object with all streams undone but those that are known; none where that is no other form.
pub fn encode_around(object: &[u8], known: &Known, limits: &Limits) -> Option<Recoded> {
    let made = |careful| {
        let unpacked = unpack_around(object, limits, (Engines::REAL, careful), known)?;
        let (transform, stored, nanos) = (TransformId::DEFLATE, unpacked.write()?, unpacked.nanos);
        let again = decode(transform, &[], &stored, object.len());
        let proved = again.is_ok_and(|again| again == object);
        proved.then_some(Recoded { transform, parameters: Vec::new(), stored, gain: 0, nanos })
    };
    made(false).or_else(|| made(true))
}
