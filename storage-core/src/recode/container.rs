//! The stored form of an object whose deflate streams were undone: version, checksum, operations, data, plain bytes.
//! What the streams hold and what stands around them lies together at the end, so that the block's compression finds
//! what is common to all of it. Every byte but the version is under the checksum: damage never reaches a decoder.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::pack::wire::Cursor;
use crate::pack::wire::length;
use crate::pack::wire::narrow;
use crate::pack::wire::put_varint;
use crate::recode::op;
use crate::recode::op::Op;

/// The version that is written.
const VERSION: u8 = 1;

/// An unpacked object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Unpacked {
    /// How the object is made.
    pub(super) ops: Vec<Op>,
    /// Corrections of deflate streams and recoded JPEG files, in the order of the operations.
    pub(super) data: Vec<u8>,
    /// Bytes of literals, in the order of the operations.
    pub(super) plain: Vec<u8>,
    /// Nanoseconds that making the object takes, by the measured rates. Not stored.
    pub(super) nanos: u64,
}

/// The same as it lies in a stored form.
#[derive(Debug)]
pub(super) struct Sections<'a> {
    pub(super) ops: Vec<Op>,
    pub(super) data: &'a [u8],
    pub(super) plain: &'a [u8],
}

impl Unpacked {
    /// The stored form; none where it would be over what a reader takes.
    pub(super) fn write(&self) -> Option<Vec<u8>> {
        let mut ops = Vec::new();
        op::write(&self.ops, &mut ops);
        if ops.len() > op::OPS_BYTES_MAX {
            return None;
        }
        let mut body = Vec::with_capacity(ops.len() + self.data.len() + self.plain.len() + 10);
        put_varint(&mut body, length(&ops));
        put_varint(&mut body, length(&self.data));
        body.extend_from_slice(&ops);
        body.extend_from_slice(&self.data);
        body.extend_from_slice(&self.plain);
        let mut stored = Vec::with_capacity(body.len() + 5);
        stored.push(VERSION);
        stored.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        stored.append(&mut body);
        Some(stored)
    }
}

/// Reads a stored form that must make `object_bytes` bytes.
pub(super) fn read(stored: &[u8], object_bytes: usize) -> Result<Sections<'_>> {
    let mut cursor = Cursor::new(stored);
    let version = cursor.u8()?;
    if version != VERSION {
        return Err(Error::new(
            Kind::Unimplemented,
            format!("version {version} of a recoded object is unknown to this version"),
        ));
    }
    let checksum = cursor.u32()?;
    if checksum != crc32c::crc32c(cursor.rest()) {
        return Err(Error::corrupt("a recoded object does not match its checksum"));
    }
    let (ops_bytes, data_bytes) = (cursor.varint()?, cursor.varint()?);
    if narrow::<usize>(ops_bytes)? > op::OPS_BYTES_MAX {
        return Err(Error::corrupt("a recoded object has too many operations"));
    }
    let (ops, sums) = op::read(cursor.take(ops_bytes)?)?;
    let data = cursor.take(data_bytes)?;
    let plain = cursor.rest();
    let fits = sums.data == length(data)
        && sums.plain == length(plain)
        && Some(op::made(&ops)) == u64::try_from(object_bytes).ok();
    if !fits {
        return Err(Error::corrupt("the lengths of a recoded object do not add up"));
    }
    Ok(Sections { ops, data, plain })
}
