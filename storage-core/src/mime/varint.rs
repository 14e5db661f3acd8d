//! Unsigned LEB128 numbers and a cursor over hostile bytes. Guarantees that reading never panics, never
//! goes past the end, and refuses numbers that do not fit or are written longer than needed.

use crate::error::Error;
use crate::error::Result;

/// Longest encoding of a `u64`.
const VARINT_BYTES_MAX: usize = 10;

/// Appends `value`, seven bits a byte, least significant first.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = value.to_le_bytes()[0];
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends a length.
pub(crate) fn put_len(out: &mut Vec<u8>, value: usize) {
    put(out, to_u64(value));
}

/// A length as the number that is stored.
pub(crate) fn to_u64(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// Takes values off the front of bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at position `at` of `bytes`.
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Where it stands.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// How many bytes follow.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Result<u8> {
        let byte = *self.bytes.get(self.at).ok_or_else(truncated)?;
        self.at += 1;
        Ok(byte)
    }

    /// The next number.
    pub(crate) fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for index in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if (index == VARINT_BYTES_MAX - 1 && bits > 1) || (byte == 0 && index > 0) {
                return Err(Error::corrupt("A stored number is malformed. Restore from a backup."));
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::corrupt("A stored number is malformed. Restore from a backup."))
    }

    /// The next number, as a length.
    pub(crate) fn len(&mut self) -> Result<usize> {
        usize::try_from(self.varint()?).map_err(|_| truncated())
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or_else(truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(truncated)?;
        self.at = end;
        Ok(taken)
    }
}

fn truncated() -> Error {
    Error::corrupt("A skeleton or recipe ends early. Restore from a backup.")
}
