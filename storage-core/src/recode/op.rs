//! What an unpacked object consists of, and how that is written in its stored form. Reading guarantees that every
//! stated length fits before anything is allocated for it or rebuilt from it.
//!
//! A *sequence* is a list of operations that make bytes one after the other. The object itself is one; so is what a
//! deflate stream holds, which is how a picture inside a document inside an archive is reached.

use crate::error::Error;
use crate::error::Result;
use crate::pack::wire::Cursor;
use crate::pack::wire::narrow;
use crate::pack::wire::put_varint;

/// Sequences inside one another, the object's own not counted.
pub(super) const DEPTH_MAX: usize = 4;

/// Bytes that all operations of all sequences make, together.
pub(super) const MADE_BYTES_MAX: u64 = 32 << 20;

/// Bytes of the operations' own encoding.
pub(super) const OPS_BYTES_MAX: usize = 256 << 10;

/// Bytes around the content of one PNG chunk: length, name, checksum.
pub(super) const CHUNK_FRAME_BYTES: u64 = 12;

/// The permanent numbers of the operations.
mod tag {
    pub(super) const LITERAL: u8 = 0;
    pub(super) const DEFLATE: u8 = 1;
    pub(super) const ZLIB: u8 = 2;
    pub(super) const IDAT: u8 = 3;
    pub(super) const JPEG: u8 = 4;
}

/// What stands around a deflate stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapper {
    /// Nothing.
    Raw,
    /// The two bytes of a zlib header before it, and the right Adler-32 behind it.
    Zlib([u8; 2]),
}

impl Wrapper {
    /// Bytes around the stream.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Raw => 0,
            Self::Zlib(_) => 6,
        }
    }
}

/// Chunks of equal length that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkRun {
    /// Bytes of the content of each.
    pub(super) bytes: u32,
    /// How many.
    pub(super) count: u32,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    /// Bytes as they are, from the plain section.
    Literal { bytes: usize },
    /// A deflate stream of `bytes` bytes with its wrapper, made again from `inner` and `corrections` bytes of the data
    /// section.
    Deflate { wrapper: Wrapper, bytes: usize, corrections: usize, inner: Vec<Self> },
    /// The content that `inner` makes, cut into `IDAT` chunks of a PNG.
    Idat { runs: Vec<ChunkRun>, inner: Vec<Self> },
    /// A JPEG file of `bytes` bytes, made again from `stored` bytes of the data section.
    Jpeg { bytes: usize, stored: usize },
}

impl Op {
    /// Bytes that it makes.
    pub(super) fn made(&self) -> u64 {
        match self {
            Self::Literal { bytes } | Self::Deflate { bytes, .. } | Self::Jpeg { bytes, .. } => {
                u64::try_from(*bytes).unwrap_or(u64::MAX)
            }
            Self::Idat { runs, .. } => runs
                .iter()
                .map(|run| (u64::from(run.bytes) + CHUNK_FRAME_BYTES).saturating_mul(u64::from(run.count)))
                .fold(0, u64::saturating_add),
        }
    }
}

/// Bytes that a sequence makes.
pub(super) fn made(ops: &[Op]) -> u64 {
    ops.iter().map(Op::made).fold(0, u64::saturating_add)
}

fn put_length(into: &mut Vec<u8>, value: usize) {
    put_varint(into, u64::try_from(value).unwrap_or(u64::MAX));
}

/// Appends a sequence: the number of its operations, then each.
pub(super) fn write(ops: &[Op], into: &mut Vec<u8>) {
    put_length(into, ops.len());
    for op in ops {
        match op {
            Op::Literal { bytes } => {
                into.push(tag::LITERAL);
                put_length(into, *bytes);
            }
            Op::Deflate { wrapper, bytes, corrections, inner } => {
                match wrapper {
                    Wrapper::Raw => into.push(tag::DEFLATE),
                    Wrapper::Zlib([first, second]) => into.extend_from_slice(&[tag::ZLIB, *first, *second]),
                }
                put_length(into, *bytes);
                put_length(into, *corrections);
                write(inner, into);
            }
            Op::Idat { runs, inner } => {
                into.push(tag::IDAT);
                put_length(into, runs.len());
                for run in runs {
                    put_varint(into, u64::from(run.bytes));
                    put_varint(into, u64::from(run.count));
                }
                write(inner, into);
            }
            Op::Jpeg { bytes, stored } => {
                into.push(tag::JPEG);
                put_length(into, *bytes);
                put_length(into, *stored);
            }
        }
    }
}

/// What operations take and make, added up while they are read.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Bytes of the plain section.
    pub(super) plain: u64,
    /// Bytes of the data section.
    pub(super) data: u64,
    /// Bytes that are made, at every level.
    pub(super) made: u64,
}

impl Sums {
    fn add(&mut self, op: &Op) -> Result<()> {
        match op {
            Op::Literal { bytes } => add(&mut self.plain, *bytes)?,
            Op::Deflate { corrections, .. } => add(&mut self.data, *corrections)?,
            Op::Jpeg { stored, .. } => add(&mut self.data, *stored)?,
            Op::Idat { .. } => {}
        }
        self.made = self.made.saturating_add(op.made());
        if self.made > MADE_BYTES_MAX {
            return Err(Error::corrupt("a recoded object makes more bytes than it may"));
        }
        Ok(())
    }
}

fn add(sum: &mut u64, bytes: usize) -> Result<()> {
    *sum = sum.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    if *sum > MADE_BYTES_MAX {
        return Err(Error::corrupt("a recoded object states impossible lengths"));
    }
    Ok(())
}

/// Reads all of `bytes` as one sequence.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Op>, Sums)> {
    let mut cursor = Cursor::new(bytes);
    let mut sums = Sums::default();
    let ops = sequence(&mut cursor, &mut sums, 0)?;
    cursor.end()?;
    Ok((ops, sums))
}

fn sequence(cursor: &mut Cursor<'_>, sums: &mut Sums, depth: usize) -> Result<Vec<Op>> {
    if depth > DEPTH_MAX {
        return Err(Error::corrupt("the operations of a recoded object are nested too deep"));
    }
    let count = length(cursor)?;
    // An operation takes at least two bytes.
    if count > cursor.rest().len() / 2 {
        return Err(Error::corrupt("a recoded object states more operations than it has"));
    }
    let mut ops = Vec::new();
    for _ in 0..count {
        let op = operation(cursor, sums, depth)?;
        sums.add(&op)?;
        ops.push(op);
    }
    Ok(ops)
}

fn operation(cursor: &mut Cursor<'_>, sums: &mut Sums, depth: usize) -> Result<Op> {
    Ok(match cursor.u8()? {
        tag::LITERAL => Op::Literal { bytes: length(cursor)? },
        tag::DEFLATE => deflate(cursor, sums, (Wrapper::Raw, depth))?,
        tag::ZLIB => {
            let wrapper = Wrapper::Zlib(cursor.array()?);
            deflate(cursor, sums, (wrapper, depth))?
        }
        tag::IDAT => idat(cursor, sums, depth)?,
        tag::JPEG => Op::Jpeg { bytes: length(cursor)?, stored: length(cursor)? },
        other => {
            return Err(Error::new(
                crate::error::Kind::Unimplemented,
                format!("operation {other} of a recoded object is unknown to this version"),
            ));
        }
    })
}

fn deflate(cursor: &mut Cursor<'_>, sums: &mut Sums, (wrapper, depth): (Wrapper, usize)) -> Result<Op> {
    let (bytes, corrections) = (length(cursor)?, length(cursor)?);
    if bytes < wrapper.bytes() {
        return Err(Error::corrupt("a zlib stream in a recoded object is shorter than its frame"));
    }
    Ok(Op::Deflate { wrapper, bytes, corrections, inner: sequence(cursor, sums, depth + 1)? })
}

fn idat(cursor: &mut Cursor<'_>, sums: &mut Sums, depth: usize) -> Result<Op> {
    let count = length(cursor)?;
    if count > cursor.rest().len() / 2 {
        return Err(Error::corrupt("a recoded object states more chunks than it has"));
    }
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push(ChunkRun { bytes: cursor.varint_u32()?, count: cursor.varint_u32()? });
    }
    let inner = sequence(cursor, sums, depth + 1)?;
    let content = runs
        .iter()
        .map(|run| u64::from(run.bytes).saturating_mul(u64::from(run.count)))
        .fold(0, u64::saturating_add);
    if content != made(&inner) {
        return Err(Error::corrupt("the chunks of a recoded picture do not hold what they should"));
    }
    Ok(Op::Idat { runs, inner })
}

/// A length. No single one is over what all of them may make together.
fn length(cursor: &mut Cursor<'_>) -> Result<usize> {
    let value = cursor.varint()?;
    if value > MADE_BYTES_MAX {
        return Err(Error::corrupt("a recoded object states an impossible length"));
    }
    narrow(value)
}
