//! The operations of a base64 recipe: how the characters of the encoded text are laid out. Guarantees that
//! a regular text costs a handful of bytes, however long, and that a hostile recipe is refused, not believed.

use crate::error::Error;
use crate::error::Result;
use crate::mime::varint;
use crate::mime::varint::Cursor;

/// Line ends that have a number. Position is the number: permanent, append only, at most eight.
pub(crate) const LINE_ENDS: [&[u8]; 7] = [b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r\n", b" \n", b" \r\n"];

const TAG_LINES: u8 = 0;
const TAG_LINE: u8 = 1;
const TAG_CHARS: u8 = 2;
const TAG_LITERAL: u8 = 3;

/// How a run of characters ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It goes on.
    Open,
    /// The last 2 or 3 characters (`chars`) hold the last 1 or 2 bytes of a base64 text. `bits` are the
    /// bits of the last character that hold no data: 0 in canonical text. `padded` says that the right
    /// number of `=` follows.
    Closed { chars: u8, bits: u8, padded: bool },
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecipeOp<'a> {
    /// `count` lines of `width` characters, each followed by line end number `line_end`.
    Lines { count: u64, width: u64, line_end: u8 },
    /// `count` characters without a line end, those of `end` not included.
    Chars { count: u64, end: End },
    /// These bytes as they are.
    Literal(&'a [u8]),
}

impl<'a> RecipeOp<'a> {
    /// Reads the next operation; none at the end.
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Option<Self>> {
        if cursor.left() == 0 {
            return Ok(None);
        }
        let tag = cursor.byte()?;
        let detail = tag >> 2;
        let op = match tag & 3 {
            TAG_LINES | TAG_LINE if usize::from(detail) < LINE_ENDS.len() => {
                let count = if tag & 3 == TAG_LINES { cursor.varint()? } else { 1 };
                Self::Lines { count, width: cursor.varint()?, line_end: detail }
            }
            TAG_CHARS if detail <= 6 => {
                let count = cursor.varint()?;
                let bits = if detail >= 5 { cursor.byte()? } else { 0 };
                let end = match detail {
                    0 => End::Open,
                    _ => End::Closed { chars: 3 - detail % 2, bits, padded: detail <= 2 },
                };
                Self::Chars { count, end }
            }
            TAG_LITERAL if detail == 0 => {
                let len = cursor.len()?;
                Self::Literal(cursor.take(len)?)
            }
            _ => {
                return Err(Error::corrupt(
                    "A base64 recipe holds an unknown operation. Restore from a backup.",
                ));
            }
        };
        Ok(Some(op))
    }
}

/// The operation not written yet, because it may still grow.
#[derive(Debug, Default)]
enum Pending {
    #[default]
    None,
    Lines {
        count: u64,
        width: u64,
        line_end: u8,
    },
    Chars(u64),
    Literal(Vec<u8>),
}

/// Builds a recipe, joining what is alike.
#[derive(Debug, Default)]
pub(crate) struct RecipeBuilder {
    bytes: Vec<u8>,
    pending: Pending,
}

impl RecipeBuilder {
    /// About how many bytes the recipe takes so far, the pending operation included.
    pub(crate) fn len(&self) -> usize {
        let pending = if let Pending::Literal(bytes) = &self.pending { bytes.len() } else { 0 };
        self.bytes.len() + pending + 8
    }

    /// Lines of `width` characters.
    pub(crate) fn lines(&mut self, lines: u64, width: u64, line_end: u8) {
        // A run of characters that the line end completes is a line.
        let mut width = width;
        if let Pending::Chars(open) = self.pending
            && lines == 1
        {
            width += open;
            self.pending = Pending::None;
        }
        match &mut self.pending {
            Pending::Lines { count, width: same, line_end: end } if (*same, *end) == (width, line_end) => {
                *count += lines;
            }
            _ => {
                self.flush();
                self.pending = Pending::Lines { count: lines, width, line_end };
            }
        }
    }

    /// Characters without a line end.
    pub(crate) fn chars(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        if let Pending::Chars(open) = &mut self.pending {
            *open += count;
        } else {
            self.flush();
            self.pending = Pending::Chars(count);
        }
    }

    /// The end of a base64 text that stops inside a quantum.
    pub(crate) fn close(&mut self, chars: u8, bits: u8, padded: bool) {
        let mut count = 0;
        if let Pending::Chars(open) = self.pending {
            count = open;
            self.pending = Pending::None;
        }
        self.flush();
        let three = chars == 3;
        let detail = match (padded, bits) {
            (true, 0) => 1 + u8::from(three),
            (_, 0) => 3 + u8::from(three),
            _ => 5 + u8::from(three),
        };
        self.bytes.push(TAG_CHARS | (detail << 2));
        varint::put(&mut self.bytes, count);
        if detail >= 5 {
            self.bytes.push(bits);
        }
    }

    /// Bytes as they are.
    pub(crate) fn literal(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Pending::Literal(open) = &mut self.pending {
            open.extend_from_slice(bytes);
        } else {
            self.flush();
            self.pending = Pending::Literal(bytes.to_vec());
        }
    }

    /// Appends the operations of another recipe.
    pub(crate) fn append(&mut self, recipe: &[u8]) -> Result<()> {
        let mut cursor = Cursor::new(recipe, 0);
        while let Some(op) = RecipeOp::read(&mut cursor)? {
            match op {
                RecipeOp::Lines { count, width, line_end } => self.lines(count, width, line_end),
                RecipeOp::Literal(bytes) => self.literal(bytes),
                RecipeOp::Chars { count, end } => {
                    self.chars(count);
                    if let End::Closed { chars, bits, padded } = end {
                        self.close(chars, bits, padded);
                    }
                }
            }
        }
        Ok(())
    }

    /// The finished recipe.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.bytes
    }

    fn flush(&mut self) {
        match std::mem::take(&mut self.pending) {
            Pending::None => {}
            Pending::Lines { count, width, line_end } => {
                let one = count == 1;
                self.bytes.push(if one { TAG_LINE } else { TAG_LINES } | (line_end << 2));
                if !one {
                    varint::put(&mut self.bytes, count);
                }
                varint::put(&mut self.bytes, width);
            }
            Pending::Chars(count) => {
                self.bytes.push(TAG_CHARS);
                varint::put(&mut self.bytes, count);
            }
            Pending::Literal(bytes) => {
                self.bytes.push(TAG_LITERAL);
                varint::put_len(&mut self.bytes, bytes.len());
                self.bytes.extend_from_slice(&bytes);
            }
        }
    }
}
