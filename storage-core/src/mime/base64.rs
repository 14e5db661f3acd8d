//! Base64 text from decoded bytes and a recipe, streaming. Guarantees that memory is the recipe plus a few
//! bytes, that output per call is bounded by what is fed, and that anything inconsistent is `Corrupt`.

use crate::error::Error;
use crate::error::Result;
use crate::mime::limits::BLANK_BYTES_MAX;
use crate::mime::recipe::End;
use crate::mime::recipe::LINE_ENDS;
use crate::mime::recipe::RecipeOp;
use crate::mime::varint;
use crate::mime::varint::Cursor;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Marks a byte that is not of the alphabet.
pub(crate) const INVALID: u8 = 0xff;

/// Value of each byte as a base64 character.
static VALUES: [u8; 256] = values();

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated at compile time")]
const fn values() -> [u8; 256] {
    let mut table = [INVALID; 256];
    let mut index = 0;
    while index < ALPHABET.len() {
        table[ALPHABET[index] as usize] = index as u8;
        index += 1;
    }
    table
}

/// The value of a base64 character, or [`INVALID`].
pub(crate) fn value(byte: u8) -> u8 {
    VALUES.get(usize::from(byte)).copied().unwrap_or(INVALID)
}

fn letter(value: u32) -> u8 {
    let index = usize::try_from(value & 63).unwrap_or_default();
    ALPHABET.get(index).copied().unwrap_or_default()
}

/// Four characters for three bytes.
fn quantum(bytes: [u8; 3]) -> [u8; 4] {
    let word = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
    [letter(word >> 18), letter(word >> 12), letter(word >> 6), letter(word)]
}

/// Three bytes of four characters; none if one is not of the alphabet.
fn unquantum(chars: [u8; 4]) -> Option<[u8; 3]> {
    let values = chars.map(value);
    if values.iter().fold(0, |all, one| all | one) & 0xc0 != 0 {
        return None;
    }
    let word = values.iter().fold(0u32, |word, one| (word << 6) | u32::from(*one));
    let [third, second, first, _] = word.to_le_bytes();
    Some([first, second, third])
}

/// Decodes whole quanta onto `out`; on a byte outside the alphabet `out` is as before, and the answer false.
pub(crate) fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let (quanta, rest) = text.as_chunks::<4>();
    out.reserve(quanta.len() * 3);
    for chars in quanta {
        let Some(bytes) = unquantum(*chars) else {
            out.truncate(before);
            return false;
        };
        out.extend_from_slice(&bytes);
    }
    rest.is_empty()
}

/// The operation being carried out.
#[derive(Debug, Clone, Copy)]
enum Current {
    Lines { left: u64, width: u64, column: u64, line_end: u8 },
    Chars { left: u64, end: End },
}

/// Encodes one part. It owns its recipe.
#[derive(Debug)]
pub(crate) struct Base64Encoder {
    recipe: Vec<u8>,
    at: usize,
    current: Option<Current>,
    /// Decoded bytes that do not fill a quantum yet.
    held: Held,
    /// Characters of a quantum that a line end cut.
    ready: [u8; 4],
    ready_left: usize,
    blank_bytes: u64,
}

#[derive(Debug, Default)]
struct Held {
    bytes: [u8; 3],
    len: usize,
}

impl Held {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }
}

impl Base64Encoder {
    pub(crate) fn new(recipe: &[u8]) -> Self {
        Self {
            recipe: recipe.to_vec(),
            at: 0,
            current: None,
            held: Held::default(),
            ready: [0; 4],
            ready_left: 0,
            blank_bytes: 0,
        }
    }

    /// Encodes as much as the bytes so far allow.
    pub(crate) fn push(&mut self, decoded: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut input = decoded;
        loop {
            let current = match self.current.take() {
                Some(current) => current,
                None => match self.next(out)? {
                    Some(current) => current,
                    None if input.is_empty() && self.held.len == 0 => return Ok(()),
                    None => return Err(disagrees()),
                },
            };
            let unfinished = match current {
                Current::Lines { .. } => self.lines(current, &mut input, out)?,
                Current::Chars { left, end } => self.run(left, end, &mut input, out)?,
            };
            if unfinished.is_some() {
                self.current = unfinished;
                return Ok(());
            }
        }
    }

    /// Everything was fed.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) -> Result<()> {
        self.push(&[], out)?;
        let done = self.current.is_none() && self.at == self.recipe.len();
        if done && self.held.len == 0 && self.ready_left == 0 { Ok(()) } else { Err(disagrees()) }
    }

    /// Reads on to the next operation that needs input.
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Current>> {
        let mut cursor = Cursor::new(&self.recipe, self.at);
        let current = loop {
            match RecipeOp::read(&mut cursor)? {
                None => break None,
                Some(RecipeOp::Literal(bytes)) => out.extend_from_slice(bytes),
                Some(RecipeOp::Lines { count, width: 0, line_end }) => {
                    self.blank_bytes = put_blank(count, line_end, self.blank_bytes, out)?;
                }
                Some(RecipeOp::Lines { count, width, line_end }) => {
                    break Some(Current::Lines { left: count, width, column: 0, line_end });
                }
                Some(RecipeOp::Chars { count, end }) => break Some(Current::Chars { left: count, end }),
            }
        };
        self.at = cursor.at();
        Ok(current)
    }

    fn lines(&mut self, lines: Current, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Option<Current>> {
        let Current::Lines { mut left, width, mut column, line_end } = lines else { return Ok(Some(lines)) };
        let terminator = line_end_of(line_end)?;
        while left > 0 {
            column += self.chars(width - column, input, out);
            if column < width {
                return Ok(Some(Current::Lines { left, width, column, line_end }));
            }
            out.extend_from_slice(terminator);
            column = 0;
            left -= 1;
        }
        Ok(None)
    }

    fn run(&mut self, left: u64, end: End, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Option<Current>> {
        let left = left - self.chars(left, input, out);
        if left > 0 {
            return Ok(Some(Current::Chars { left, end }));
        }
        let End::Closed { chars, bits, padded } = end else { return Ok(None) };
        if self.ready_left > 0 {
            return Err(disagrees());
        }
        let need = usize::from(chars) - 1;
        while self.held.len < need {
            let Some((byte, rest)) = input.split_first() else {
                return Ok(Some(Current::Chars { left, end }));
            };
            self.held.push(*byte);
            *input = rest;
        }
        // More bytes held than this text ends with, or bits where data belongs, cannot come from a writer.
        if self.held.len > need || bits >> (2 * (4 - chars)) != 0 {
            return Err(disagrees());
        }
        // With one byte the spare bits are the upper half of the second, with two the upper quarter of the third.
        let [first, second, _] = std::mem::take(&mut self.held).bytes;
        let text =
            if need == 1 { quantum([first, bits << 4, 0]) } else { quantum([first, second, bits << 6]) };
        out.extend_from_slice(text.get(..usize::from(chars)).unwrap_or_default());
        if padded {
            out.extend(std::iter::repeat_n(b'=', 4 - usize::from(chars)));
        }
        Ok(None)
    }

    /// Writes up to `count` characters and says how many; fewer only when the input is used up.
    fn chars(&mut self, count: u64, input: &mut &[u8], out: &mut Vec<u8>) -> u64 {
        let mut written = 0;
        while written < count {
            if self.ready_left > 0 {
                let next = self.ready.get(4 - self.ready_left).copied().unwrap_or_default();
                out.push(next);
                self.ready_left -= 1;
                written += 1;
            } else if self.held.len == 0 && count - written >= 4 && input.len() >= 3 {
                written += encode_quanta(count - written, input, out);
            } else if let Some((byte, rest)) = input.split_first() {
                *input = rest;
                self.held.push(*byte);
                self.fill();
            } else {
                self.fill();
                if self.ready_left == 0 {
                    break;
                }
            }
        }
        written
    }

    fn fill(&mut self) {
        if self.held.len == 3 {
            self.ready = quantum(self.held.bytes);
            self.ready_left = 4;
            self.held = Held::default();
        }
    }
}

/// Encodes as many whole quanta as `chars_max` and the input allow; returns the characters written.
fn encode_quanta(chars_max: u64, input: &mut &[u8], out: &mut Vec<u8>) -> u64 {
    let wanted = usize::try_from(chars_max / 4).unwrap_or(usize::MAX);
    let count = wanted.min(input.len() / 3);
    let (now, rest) = input.split_at(count * 3);
    let (triples, _) = now.as_chunks::<3>();
    let start = out.len();
    out.resize(start + count * 4, 0);
    let (quanta, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<4>();
    for (text, bytes) in quanta.iter_mut().zip(triples) {
        *text = quantum(*bytes);
    }
    *input = rest;
    varint::to_u64(count * 4)
}

fn put_blank(count: u64, line_end: u8, before: u64, out: &mut Vec<u8>) -> Result<u64> {
    let terminator = line_end_of(line_end)?;
    let bytes = count.saturating_mul(varint::to_u64(terminator.len())).saturating_add(before);
    if bytes > BLANK_BYTES_MAX {
        return Err(Error::corrupt("A base64 recipe holds too many blank lines. Restore from a backup."));
    }
    for _ in 0..count {
        out.extend_from_slice(terminator);
    }
    Ok(bytes)
}

fn line_end_of(number: u8) -> Result<&'static [u8]> {
    LINE_ENDS.get(usize::from(number)).copied().ok_or_else(disagrees)
}

fn disagrees() -> Error {
    Error::corrupt("A base64 part and its recipe disagree. Restore from a backup.")
}
