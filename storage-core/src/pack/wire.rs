//! Little-endian integers, variable-length integers and a cursor that never reads past its end. A varint is
//! LEB128: seven bits a byte, lowest first, at most ten bytes.

use crate::error::Error;
use crate::error::Result;

/// Unread bytes.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, bytes: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(bytes).ok().and_then(|bytes| self.rest.split_at_checked(bytes));
        let (taken, rest) = split.ok_or_else(short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::corrupt("a number in a pack has too many bytes"))
    }

    pub(crate) fn varint_u32(&mut self) -> Result<u32> {
        narrow(self.varint()?)
    }

    pub(crate) fn signed(&mut self) -> Result<i64> {
        Ok(unzigzag(self.varint()?))
    }

    /// A value, where nothing may follow it.
    pub(crate) fn only<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let value = read(&mut self)?;
        self.end()?;
        Ok(value)
    }

    pub(crate) fn end(&self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(Error::corrupt("bytes follow a value in a pack")) }
    }

    /// The rest as text.
    pub(crate) fn text(self) -> Result<String> {
        let text = std::str::from_utf8(self.rest);
        text.map(str::to_owned)
            .map_err(|error| Error::corrupt("a text in a pack is not UTF-8").with_source(error))
    }
}

/// The value as a smaller integer.
pub(crate) fn narrow<T: TryFrom<u64>>(value: u64) -> Result<T> {
    T::try_from(value).map_err(|_| Error::corrupt(format!("a number in a pack is out of range: {value}")))
}

pub(crate) fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while let [low, _, _, _, _, _, _, _] = value.to_le_bytes()
        && value >= 0x80
    {
        into.push(low | 0x80);
        value >>= 7;
    }
    let [low, _, _, _, _, _, _, _] = value.to_le_bytes();
    into.push(low);
}

/// The length of something in memory as the format writes it.
pub(crate) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A number of things in memory as the format writes it.
pub(super) fn length_of(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

/// Small magnitudes of either sign become small numbers.
pub(crate) fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn short() -> Error {
    Error::corrupt("a structure in a pack ends early")
}
