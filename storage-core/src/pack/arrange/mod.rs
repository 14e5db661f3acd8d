//! Another order for the bytes of a block of skeletons, in which they compress better: first what stands up to the first
//! empty line of each, then the rest of each, and last, as bare bits, the tokens in which no compressor finds anything
//! (base64 and hexadecimal digits of signatures and ids). `docs/format.md` has the bytes. Pure.
//!
//! The writer proves what it makes by restoring it. What is read is hostile: restoring takes memory in proportion to it.

mod bits;
mod restore;
#[cfg(test)]
mod tests;
mod tokens;
mod write;

use crate::error::Error;
use crate::error::Result;
use crate::pack::names::unknown;
use crate::pack::wire::Cursor;
use crate::pack::wire::narrow;
use crate::pack::wire::put_varint;

pub use restore::restore;
pub use write::arrange;
pub use write::text;

/// The permanent number of the only arrangement there is.
const MAIL: u64 = 1;

/// The bytes that stand for something else in a text.
mod code {
    /// A number of base64 digits follows; they are the next of the bits, six each.
    pub(super) const BASE64: u8 = 0xF8;
    /// A number of lower-case hexadecimal digits follows; they are the next of the bits, four each.
    pub(super) const HEX: u8 = 0xF9;
    /// The next byte stands for itself.
    pub(super) const LITERAL: u8 = 0xFA;
}

/// The value of the frame's field.
pub(super) fn field(arranged_bytes: u64) -> Vec<u8> {
    let mut value = Vec::new();
    put_varint(&mut value, MAIL);
    put_varint(&mut value, arranged_bytes);
    value
}

/// The length of the arranged stream that a frame's field states.
pub(super) fn parse(field: &[u8]) -> Result<u32> {
    let mut cursor = Cursor::new(field);
    let number = cursor.varint()?;
    if number != MAIL {
        return Err(unknown("arrangement", number));
    }
    let bytes = narrow(cursor.varint()?)?;
    cursor.end()?;
    Ok(bytes)
}

/// Where the head of a skeleton ends in `bytes`: behind the first empty line.
fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match bytes.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

fn misfit() -> Error {
    Error::corrupt("an arranged stream does not fit together")
}
