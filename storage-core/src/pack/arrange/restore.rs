//! Restoring the stream of a block from its arranged form.

use crate::error::Result;
use crate::pack::arrange::bits::BitReader;
use crate::pack::arrange::code;
use crate::pack::arrange::head_end;
use crate::pack::arrange::misfit;
use crate::pack::arrange::tokens::Digits;
use crate::pack::wire::Cursor;
use crate::pack::wire::narrow;

/// What one arranged byte becomes at most: bits, two hexadecimal digits.
const GROWTH_MAX: usize = 2;

/// A text with codes.
struct Text<'a>(Cursor<'a>);

/// Whether a text is that of heads, which end behind an empty line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Body,
}

impl Text<'_> {
    /// Appends to `into`, which has room for `left` bytes, until it is full or, in a head, until the head ends.
    fn restore(
        &mut self,
        part: Part,
        into: &mut Vec<u8>,
        end: usize,
        bits: &mut BitReader<'_>,
    ) -> Result<()> {
        while into.len() < end {
            let rest = self.0.rest();
            let near = rest.get(..end - into.len()).unwrap_or(rest);
            let plain = memchr::memchr3(code::BASE64, code::HEX, code::LITERAL, near).unwrap_or(near.len());
            let span = near.get(..plain).unwrap_or_default();
            let last = if part == Part::Head { head_end(span) } else { None };
            let taken = self.0.take(last.unwrap_or(plain) as u64)?;
            into.extend_from_slice(taken);
            if last.is_some() || into.len() == end {
                return Ok(());
            }
            self.coded(into, end, bits)?;
        }
        Ok(())
    }

    fn coded(&mut self, into: &mut Vec<u8>, end: usize, bits: &mut BitReader<'_>) -> Result<()> {
        let digits = match self.0.u8()? {
            code::BASE64 => Digits::Base64,
            code::HEX => Digits::Hex,
            code::LITERAL => {
                into.push(self.0.u8()?);
                return Ok(());
            }
            _ => return Err(misfit()),
        };
        let count: usize = narrow(self.0.varint()?)?;
        if count == 0 || count > end - into.len() {
            return Err(misfit());
        }
        bits.spell(count, (digits.alphabet(), digits.width()), into)
    }
}

/// The `bytes` bytes that were arranged; any other length is corrupt.
pub fn restore(arranged: &[u8], bytes: usize) -> Result<Vec<u8>> {
    if bytes > arranged.len().saturating_mul(GROWTH_MAX) {
        return Err(misfit());
    }
    let mut cursor = Cursor::new(arranged);
    let [lengths, heads, bodies] = [cursor.varint()?, cursor.varint()?, cursor.varint()?];
    let mut lengths = Cursor::new(cursor.take(lengths)?);
    let (mut heads, mut bodies) =
        (Text(Cursor::new(cursor.take(heads)?)), Text(Cursor::new(cursor.take(bodies)?)));
    let mut bits = BitReader::new(cursor.rest());
    let mut restored = Vec::with_capacity(bytes);
    while !lengths.is_empty() {
        let unit: usize = narrow(lengths.varint()?)?;
        let end = restored.len().checked_add(unit).filter(|end| *end <= bytes).ok_or_else(misfit)?;
        heads.restore(Part::Head, &mut restored, end, &mut bits)?;
        bodies.restore(Part::Body, &mut restored, end, &mut bits)?;
    }
    bits.end()?;
    if restored.len() != bytes || !heads.0.is_empty() || !bodies.0.is_empty() {
        return Err(misfit());
    }
    Ok(restored)
}
