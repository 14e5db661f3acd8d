//! Numbers of a few bits, one after the other, the highest bit first; the last byte is filled up with zeros.

use crate::error::Result;
use crate::pack::arrange::misfit;

/// Bits being written.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u32,
    count: u32,
}

impl BitWriter {
    /// Appends the lowest `width` bits, at most 8.
    pub(super) fn put(&mut self, value: u8, width: u32) {
        self.pending = (self.pending << width) | u32::from(value);
        self.count += width;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.pending >> self.count).to_le_bytes()[0]);
            self.pending &= (1 << self.count) - 1;
        }
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
        self.bytes
    }
}

/// Bits being read.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    rest: &'a [u8],
    pending: u32,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, pending: 0, count: 0 }
    }

    /// The next `width` bits, at most 8.
    pub(super) fn take(&mut self, width: u32) -> Result<usize> {
        if self.count < width {
            let (next, rest) = self.rest.split_first().ok_or_else(misfit)?;
            self.rest = rest;
            self.pending = (self.pending << 8) | u32::from(*next);
            self.count += 8;
        }
        self.count -= width;
        let value = self.pending >> self.count;
        self.pending &= (1 << self.count) - 1;
        Ok(value as usize)
    }

    /// Appends the digits that the next `count` numbers of `width` bits stand for: three bytes at a time, whichever bit
    /// they begin at, then one by one.
    pub(super) fn spell(
        &mut self,
        count: usize,
        (alphabet, width): (&[u8], u32),
        into: &mut Vec<u8>,
    ) -> Result<()> {
        let mask = (1_u32 << width) - 1;
        let end = into.len() + count;
        let each = (24 / width) as usize;
        while end - into.len() >= each
            && let Some((&[one, two, three], rest)) = self.rest.split_first_chunk()
        {
            let next = u32::from_le_bytes([three, two, one, 0]);
            self.rest = rest;
            self.pending = (self.pending << 24) | next;
            let mut left = self.count + 24;
            while left >= self.count + width {
                left -= width;
                into.push(*alphabet.get(((self.pending >> left) & mask) as usize).ok_or_else(misfit)?);
            }
            self.pending &= (1 << self.count) - 1;
        }
        while into.len() < end {
            into.push(*alphabet.get(self.take(width)?).ok_or_else(misfit)?);
        }
        Ok(())
    }

    /// Nothing may be left but the zeros that fill the last byte.
    pub(super) fn end(&self) -> Result<()> {
        if self.rest.is_empty() && self.count < 8 && self.pending == 0 { Ok(()) } else { Err(misfit()) }
    }
}
