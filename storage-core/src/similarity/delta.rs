//! An object as its difference from another one, its *base* (`docs/format.md`, "Delta"). What the base holds, as it lies
//! there and in chosen deflate streams of it undone, is the prefix of a zstd frame; that frame decodes to the object, or
//! to a form of it in which the streams that differ are undone.
//!
//! Guarantees: a delta needs nothing but the base's bytes, however and wherever these are stored, so a base may be moved
//! and recoded freely. What [`Base::encode`] gives was decoded and compared. [`decode`] gives exactly the stated length
//! or an error, for any bytes.

use std::collections::HashSet;

use crate::codec::Codec;
use crate::codec::decode_behind;
use crate::codec::encode_behind;
use crate::error::Error;
use crate::error::Result;
use crate::media::MediaClass;
use crate::model::Sha256;
use crate::pack::TransformId;
use crate::pack::wire::Cursor;
use crate::pack::wire::narrow;
use crate::pack::wire::put_varint;
use crate::recode;
use crate::recode::Known;
use crate::recode::Limits;
use crate::recode::OBJECT_BYTES_MAX;
use crate::recode::Stream;

/// Bytes that a base's chosen streams hold at most.
const CONTENT_BYTES_MAX: usize = 8 << 20;

/// Streams that are chosen at most.
const STREAMS_MAX: usize = 256;

/// Bytes of the form that the zstd frame decodes to.
const INNER_BYTES_MAX: usize = 16 << 20;

/// Time that the streams of the object may take, on top of what the base takes.
const DECODE_NANOS_MAX: u64 = 3_000_000;

/// What a row and an entry of a delta cost beside the delta.
const ENTRY_BYTES: usize = 128;

/// An object that others may be stored as differences from.
#[derive(Debug)]
pub struct Base {
    sha256: Sha256,
    bytes: Vec<u8>,
    streams: Vec<Stream>,
    known: Known,
}

/// An object as its difference from a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// Names the base and says what of it is used.
    pub params: Vec<u8>,
    /// The difference.
    pub stored: Vec<u8>,
    /// Bytes by which it is smaller than the object compressed by itself.
    pub gain: u64,
}

/// What the parameters say.
#[derive(Debug, PartialEq, Eq)]
struct Params {
    base: Sha256,
    /// What turns the decoded frame into the object.
    inner: TransformId,
    inner_bytes: usize,
    /// Streams of the base: where each begins, and how many bytes it holds.
    streams: Vec<(usize, usize)>,
}

impl Params {
    fn write(&self) -> Vec<u8> {
        let mut params = self.base.0.to_vec();
        put_varint(&mut params, u64::from(self.inner.0));
        put_varint(&mut params, u64::try_from(self.inner_bytes).unwrap_or(u64::MAX));
        put_varint(&mut params, u64::try_from(self.streams.len()).unwrap_or(u64::MAX));
        let mut before = 0;
        for (at, content) in &self.streams {
            put_varint(&mut params, u64::try_from(at - before).unwrap_or(u64::MAX));
            put_varint(&mut params, u64::try_from(*content).unwrap_or(u64::MAX));
            before = *at;
        }
        params
    }

    fn read(params: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(params);
        let base = Sha256(cursor.array()?);
        let inner = TransformId(narrow(cursor.varint()?)?);
        let inner_bytes = narrow(cursor.varint()?)?;
        let count: usize = narrow(cursor.varint()?)?;
        if count > STREAMS_MAX || inner_bytes > INNER_BYTES_MAX {
            return Err(Error::corrupt("a delta needs more than any delta does"));
        }
        let (mut streams, mut at, mut left) = (Vec::with_capacity(count), 0_usize, CONTENT_BYTES_MAX);
        for _ in 0..count {
            let (distance, content): (usize, usize) = (narrow(cursor.varint()?)?, narrow(cursor.varint()?)?);
            let over = || Error::corrupt("the streams that a delta needs are over their limit");
            at = at.checked_add(distance).ok_or_else(over)?;
            left = left.checked_sub(content).ok_or_else(over)?;
            streams.push((at, content));
        }
        cursor.end()?;
        Ok(Self { base, inner, inner_bytes, streams })
    }

    /// What stands before the frame.
    fn prefix(&self, base: &[u8]) -> Result<Vec<u8>> {
        let contents: usize = self.streams.iter().map(|(_, content)| content).sum();
        let mut prefix = Vec::with_capacity(base.len() + contents);
        prefix.extend_from_slice(base);
        for (at, content) in &self.streams {
            prefix.extend_from_slice(&recode::inflate_at(base, *at, *content)?);
        }
        Ok(prefix)
    }
}

/// The base that a delta with these parameters needs.
pub fn base_of(params: &[u8]) -> Result<Sha256> {
    Ok(Params::read(params)?.base)
}

/// The object of `object_bytes` bytes that a delta and its base stand for.
pub fn decode(params: &[u8], stored: &[u8], object_bytes: usize, base: &[u8]) -> Result<Vec<u8>> {
    if object_bytes > OBJECT_BYTES_MAX || base.len() > OBJECT_BYTES_MAX {
        return Err(Error::corrupt("a delta or its base states an impossible length"));
    }
    let params = Params::read(params)?;
    let inner = decode_behind(&params.prefix(base)?, stored, params.inner_bytes)?;
    let object = if params.inner == TransformId::NONE {
        inner
    } else {
        recode::decode(params.inner, &[], &inner, object_bytes)?
    };
    if object.len() != object_bytes {
        return Err(Error::corrupt("a delta makes another length than it should"));
    }
    Ok(object)
}

impl Base {
    /// A base of these bytes.
    pub fn new(sha256: Sha256, class: MediaClass, bytes: Vec<u8>) -> Self {
        let streams =
            if recode::applies(class) { recode::streams(&bytes, CONTENT_BYTES_MAX) } else { Vec::new() };
        let known = Known::of(&bytes, &streams);
        Self { sha256, bytes, streams, known }
    }

    /// Its hash.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        let contents = self.streams.iter().filter_map(|stream| stream.content.as_ref()).map(Vec::len);
        self.bytes.len() + contents.sum::<usize>()
    }

    /// The object as a delta from this base, at a zstd level; none where the object by itself, compressed in `alone`
    /// bytes, is not larger by a margin.
    pub fn encode(&self, class: MediaClass, object: &[u8], level: i32, alone: usize) -> Option<Delta> {
        if object.len() > OBJECT_BYTES_MAX || self.bytes.len() > OBJECT_BYTES_MAX {
            return None;
        }
        let plain = self.plain(object, level);
        let around = if recode::applies(class) { self.around(object, level) } else { None };
        let (params, stored) = [plain, around]
            .into_iter()
            .flatten()
            .min_by_key(|(params, stored)| params.len() + stored.len())?;
        let gain = alone.checked_sub(params.len() + stored.len())?;
        let again = || decode(&params, &stored, object.len(), &self.bytes);
        let taken = pays(class, params.len() + stored.len(), alone) && again().ok()? == object;
        taken.then(|| Delta { params, stored, gain: u64::try_from(gain).unwrap_or(u64::MAX) })
    }

    /// Behind the base as it lies there.
    fn plain(&self, object: &[u8], level: i32) -> Option<(Vec<u8>, Vec<u8>)> {
        let params = Params {
            base: self.sha256,
            inner: TransformId::NONE,
            inner_bytes: object.len(),
            streams: Vec::new(),
        };
        let stored = encode_behind(&self.bytes, object, level).ok()?;
        Some((params.write(), stored))
    }

    /// Behind the base and those of its streams that the object does not have, with the object's own such streams undone.
    fn around(&self, object: &[u8], level: i32) -> Option<(Vec<u8>, Vec<u8>)> {
        let limits = Limits { decode_nanos_max: DECODE_NANOS_MAX, ..Limits::at_level(level) };
        let form = recode::encode_around(object, &self.known, &limits)?;
        let own = recode::streams(object, CONTENT_BYTES_MAX);
        let own: HashSet<&[u8]> =
            own.iter().filter_map(|stream| object.get(stream.start..stream.end)).collect();
        let differs = |stream: &&Stream| {
            self.bytes.get(stream.start..stream.end).is_some_and(|slice| !own.contains(slice))
        };
        let streams: Vec<(usize, usize)> = self
            .streams
            .iter()
            .filter(differs)
            .filter_map(|stream| Some((stream.start, stream.content.as_ref()?.len())))
            .take(STREAMS_MAX)
            .collect();
        let inner_bytes = form.stored.len();
        let params = Params { base: self.sha256, inner: form.transform, inner_bytes, streams };
        let stored = encode_behind(&params.prefix(&self.bytes).ok()?, &form.stored, level).ok()?;
        Some((params.write(), stored))
    }
}

/// Whether a delta is smaller than the object by itself, by a margin: what lies beside it in a block takes its share of
/// the object, too, and a delta makes reading slower and its base immovable.
fn pays(class: MediaClass, delta: usize, alone: usize) -> bool {
    let margin = if class.is_text() { 4 } else { 2 };
    delta.saturating_add(ENTRY_BYTES).saturating_mul(margin) < alone
}

/// What an object takes by itself at a zstd level, in the smaller of two forms.
pub fn alone(object: &[u8], recoded: Option<&[u8]>, level: i32) -> usize {
    let codec = Codec::Zstd { level };
    let takes =
        |bytes: &[u8]| codec.encode(bytes).map_or(bytes.len(), |stored| stored.len().min(bytes.len()));
    let plain = takes(object);
    recoded.map_or(plain, |stored| plain.min(takes(stored)))
}
