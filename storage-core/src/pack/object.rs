//! The entries of objects: whole ones, whose stored form lies in the block's stream, and segmented ones, whose
//! segments are frames of their own in the same pack.

use crate::error::Error;
use crate::error::Result;
use crate::model::Sha256;
use crate::pack::fields::Fields;
use crate::pack::fields::next_field;
use crate::pack::table::Body;
use crate::pack::table::Record;
use crate::pack::table::TableReader;
use crate::pack::table::required;
use crate::pack::wire::Cursor;
use crate::pack::wire::narrow;
use crate::pack::wire::put_varint;

/// Permanent tags of both sorts of entries.
pub(super) mod tag {
    pub(in crate::pack) const SHA256: u64 = 1;
    pub(in crate::pack) const BYTES: u64 = 2;
    pub(in crate::pack) const CLASS: u64 = 3;
    pub(in crate::pack) const TRANSFORM: u64 = 4;
    pub(in crate::pack) const PARAMS: u64 = 5;
    pub(in crate::pack) const STREAM_BYTES: u64 = 6;
    pub(in crate::pack) const SEGMENT: u64 = 7;
    pub(in crate::pack) const GAIN: u64 = 9;

    pub(in crate::pack) const SEGMENT_ORDINAL: u64 = 1;
    pub(in crate::pack) const SEGMENT_BYTES: u64 = 2;
    pub(in crate::pack) const SEGMENT_SHA256: u64 = 3;
    pub(in crate::pack) const SEGMENT_INDEX: u64 = 4;
}

/// The permanent number of a transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransformId(pub u16);

impl TransformId {
    /// The stored form is the object.
    pub const NONE: Self = Self(0);
    /// A difference from a base object.
    pub const DELTA: Self = Self(1);
    /// A recoded JPEG.
    pub const JPEG: Self = Self(2);
    /// Undone deflate streams.
    pub const DEFLATE: Self = Self(3);

    /// The name shown to people; none where the object is stored as it is.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::NONE => None,
            Self::DELTA => Some("delta"),
            Self::JPEG => Some("jpeg"),
            Self::DEFLATE => Some("deflate"),
            _ => Some("unknown"),
        }
    }
}

/// A whole object in the table of a block. Its stream bytes are its stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// SHA-256 of the object.
    pub sha256: Sha256,
    /// Bytes of the object.
    pub bytes: u64,
    /// Its media class; the numbers belong to the tier policy.
    pub class: u8,
    /// How its stored form becomes the object.
    pub transform: TransformId,
    /// What the transform needs besides.
    pub params: Vec<u8>,
    /// Bytes by which the stored form compressed better than the object, each by itself, when it was made.
    pub gain: u64,
    /// Fields of a newer version.
    pub unknown: Fields,
}

/// How the stream of a segment's frame stands for the segment, where it is not the segment itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentForm {
    /// How the stream becomes the segment.
    pub transform: TransformId,
    /// Bytes of the segment.
    pub bytes: u32,
    /// Bytes by which the stream compressed better than the segment, each by itself.
    pub gain: u64,
    /// What the transform needs besides.
    pub params: Vec<u8>,
}

impl SegmentForm {
    /// The value of the header field.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::new();
        for number in [u64::from(self.transform.0), u64::from(self.bytes), self.gain] {
            put_varint(&mut value, number);
        }
        value.extend_from_slice(&self.params);
        value
    }

    pub(super) fn parse(value: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(value);
        Ok(Self {
            transform: TransformId(narrow(cursor.varint()?)?),
            bytes: cursor.varint_u32()?,
            gain: cursor.varint()?,
            params: cursor.rest().to_vec(),
        })
    }
}

/// A large object in the table of a block. It has no stream bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentedEntry {
    /// SHA-256 of the object.
    pub sha256: Sha256,
    /// Bytes of the object.
    pub bytes: u64,
    /// Its media class.
    pub class: u8,
    /// Its segments in order.
    pub segments: Vec<SegmentPlace>,
    /// Fields of a newer version.
    pub unknown: Fields,
}

/// One segment of a large object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentPlace {
    /// The frame in the same pack.
    pub ordinal: u32,
    /// Decoded bytes.
    pub bytes: u32,
    /// SHA-256 of them.
    pub sha256: Sha256,
}

/// What a segment's own frame says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRecord {
    /// SHA-256 of the segment.
    pub sha256: Sha256,
    /// Decoded bytes.
    pub bytes: u32,
    /// Its place in the object, from 0.
    pub index: u32,
    /// Fields of a newer version.
    pub unknown: Fields,
}

pub(super) fn write_object(object: &ObjectEntry, stream_bytes: u64, body: &mut Body<'_>) {
    body.hash(tag::SHA256, object.sha256);
    body.number(tag::BYTES, object.bytes);
    body.number(tag::CLASS, u64::from(object.class));
    body.number(tag::TRANSFORM, u64::from(object.transform.0));
    if !object.params.is_empty() {
        body.bytes(tag::PARAMS, &object.params);
    }
    if stream_bytes != object.bytes {
        body.number_always(tag::STREAM_BYTES, stream_bytes);
    }
    body.number(tag::GAIN, object.gain);
    body.unknown(&object.unknown);
}

/// The entry and the length of its stored form.
pub(super) fn read_object(table: &mut TableReader<'_>, mut body: Cursor<'_>) -> Result<(ObjectEntry, u32)> {
    let (mut sha256, mut stream_bytes) = (None, None);
    let mut object = ObjectEntry {
        sha256: Sha256([0; 32]),
        bytes: 0,
        class: 0,
        transform: TransformId::NONE,
        params: Vec::new(),
        gain: 0,
        unknown: Fields::default(),
    };
    while let Some((tag, value)) = next_field(&mut body)? {
        match tag {
            tag::SHA256 => sha256 = Some(table.hash(value)?),
            tag::BYTES => object.bytes = value.only(Cursor::varint)?,
            tag::CLASS => object.class = narrow(value.only(Cursor::varint)?)?,
            tag::TRANSFORM => object.transform = TransformId(narrow(value.only(Cursor::varint)?)?),
            tag::PARAMS => object.params = value.rest().to_vec(),
            tag::STREAM_BYTES => stream_bytes = Some(value.only(Cursor::varint)?),
            tag::GAIN => object.gain = value.only(Cursor::varint)?,
            _ => object.unknown.keep(tag, value.rest()),
        }
    }
    object.sha256 = required(sha256, "hash")?;
    let stream_bytes = stream_bytes.unwrap_or(object.bytes);
    if object.transform == TransformId::NONE && stream_bytes != object.bytes {
        return Err(Error::corrupt("an object without a transform has another length in its stream"));
    }
    Ok((object, narrow(stream_bytes)?))
}

pub(super) fn write_segmented(object: &SegmentedEntry, body: &mut Body<'_>) {
    body.hash(tag::SHA256, object.sha256);
    body.number(tag::BYTES, object.bytes);
    body.number(tag::CLASS, u64::from(object.class));
    for segment in &object.segments {
        body.nested(tag::SEGMENT, |inner| {
            inner.number(tag::SEGMENT_ORDINAL, u64::from(segment.ordinal));
            inner.number(tag::SEGMENT_BYTES, u64::from(segment.bytes));
            inner.hash(tag::SEGMENT_SHA256, segment.sha256);
        });
    }
    body.unknown(&object.unknown);
}

pub(super) fn read_segmented(table: &mut TableReader<'_>, mut body: Cursor<'_>) -> Result<SegmentedEntry> {
    let mut sha256 = None;
    let mut object = SegmentedEntry {
        sha256: Sha256([0; 32]),
        bytes: 0,
        class: 0,
        segments: Vec::new(),
        unknown: Fields::default(),
    };
    while let Some((tag, value)) = next_field(&mut body)? {
        match tag {
            tag::SHA256 => sha256 = Some(table.hash(value)?),
            tag::BYTES => object.bytes = value.only(Cursor::varint)?,
            tag::CLASS => object.class = narrow(value.only(Cursor::varint)?)?,
            tag::SEGMENT => object.segments.push(read_segment_place(table, value)?),
            _ => object.unknown.keep(tag, value.rest()),
        }
    }
    object.sha256 = required(sha256, "hash")?;
    let sum = object.segments.iter().try_fold(0_u64, |sum, place| sum.checked_add(u64::from(place.bytes)));
    if sum != Some(object.bytes) {
        return Err(Error::corrupt("the segments of an object do not add up to its length"));
    }
    Ok(object)
}

fn read_segment_place(table: &mut TableReader<'_>, mut body: Cursor<'_>) -> Result<SegmentPlace> {
    let mut sha256 = None;
    let mut place = SegmentPlace { ordinal: 0, bytes: 0, sha256: Sha256([0; 32]) };
    while let Some((tag, value)) = next_field(&mut body)? {
        match tag {
            tag::SEGMENT_ORDINAL => place.ordinal = value.only(Cursor::varint_u32)?,
            tag::SEGMENT_BYTES => place.bytes = value.only(Cursor::varint_u32)?,
            tag::SEGMENT_SHA256 => sha256 = Some(table.hash(value)?),
            other => return Err(super::names::unknown("segment field", other)),
        }
    }
    place.sha256 = required(sha256, "hash")?;
    Ok(place)
}

impl Record for SegmentRecord {
    fn write(&self, body: &mut Body<'_>) {
        body.number(tag::SEGMENT_BYTES, u64::from(self.bytes));
        body.hash(tag::SEGMENT_SHA256, self.sha256);
        body.number(tag::SEGMENT_INDEX, u64::from(self.index));
        body.unknown(&self.unknown);
    }

    fn read(table: &mut TableReader<'_>, mut body: Cursor<'_>) -> Result<Self> {
        let mut sha256 = None;
        let mut record = Self { sha256: Sha256([0; 32]), bytes: 0, index: 0, unknown: Fields::default() };
        while let Some((tag, value)) = next_field(&mut body)? {
            match tag {
                tag::SEGMENT_BYTES => record.bytes = value.only(Cursor::varint_u32)?,
                tag::SEGMENT_SHA256 => sha256 = Some(table.hash(value)?),
                tag::SEGMENT_INDEX => record.index = value.only(Cursor::varint_u32)?,
                _ => record.unknown.keep(tag, value.rest()),
            }
        }
        record.sha256 = required(sha256, "hash")?;
        Ok(record)
    }
}
