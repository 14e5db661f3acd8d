//! Looks at the header of a recoded JPEG before its decoder does: the decoder allocates what the header states, and
//! here nothing is stated that the bytes or the expected length do not bear out.

use crate::error::Error;
use crate::error::Result;
use crate::pack::wire::Cursor;
use crate::recode::deflate::inflate;
use crate::recode::jpeg_scan::SAMPLES_MAX;
use crate::recode::jpeg_scan::samples;

const MAGIC: [u8; 2] = [0xcf, 0x84];
const VERSION: u8 = 1;
const FIXED_BYTES: usize = 28;

/// What the decoded header may be longer than the file: lists of restart markers and the like.
const HEADER_BYTES_MORE: usize = 64 << 10;

/// Bytes of the record of one partition.
const PARTITION_BYTES: u64 = 16;

/// Bytes of the record of a file that ends early.
const EARLY_END_BYTES: u64 = 28;

fn wrong() -> Error {
    Error::corrupt("a recoded JPEG has an impossible header")
}

/// Refuses a stored form whose header does not fit a file of `bytes` bytes.
pub(super) fn check(stored: &[u8], bytes: usize) -> Result<()> {
    let (fixed, rest) = stored.split_at_checked(FIXED_BYTES).ok_or_else(wrong)?;
    let mut cursor = Cursor::new(fixed);
    if cursor.array()? != MAGIC || cursor.u8()? != VERSION {
        return Err(wrong());
    }
    let _kind_and_revision: [u8; 17] = cursor.array()?;
    let (file, header) = (cursor.u32()?, cursor.u32()?);
    if usize::try_from(file).ok() != Some(bytes) {
        return Err(wrong());
    }
    let header = usize::try_from(header).ok().and_then(|length| rest.get(..length)).ok_or_else(wrong)?;
    let (zlib, stream) = header.split_at_checked(2).ok_or_else(wrong)?;
    if !matches!(zlib, [0x78, flags] if flags & 0x20 == 0) {
        return Err(wrong());
    }
    let inflated = inflate(stream, bytes.saturating_add(HEADER_BYTES_MORE)).map_err(|_| wrong())?;
    check_records(&inflated.content)
}

fn check_records(content: &[u8]) -> Result<()> {
    let mut cursor = Cursor::new(content);
    if cursor.array()? != *b"HDR" {
        return Err(wrong());
    }
    let length = cursor.u32()?;
    let header = cursor.take(u64::from(length))?;
    if samples(header).is_none_or(|samples| samples == 0 || samples > SAMPLES_MAX) {
        return Err(wrong());
    }
    while !cursor.is_empty() {
        let skipped = match cursor.array()? {
            [b'P', b'0', b'D'] => 1,
            [b'H', b'H', partitions] => u64::from(partitions) * PARTITION_BYTES,
            [b'C', b'R', b'S'] => u64::from(cursor.u32()?) * 4,
            [b'F', b'R', b'S'] | [b'G', b'R', b'B'] => u64::from(cursor.u32()?),
            [b'E', b'E', b'E'] => EARLY_END_BYTES,
            _ => return Err(wrong()),
        };
        let _record = cursor.take(skipped)?;
    }
    Ok(())
}
