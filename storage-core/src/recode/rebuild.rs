//! From an unpacked object back to its exact bytes. Memory is bounded by the lengths that the operations state, which
//! were checked when they were read; every operation must make exactly what it states.

use crate::error::Error;
use crate::error::Result;
use crate::recode::checksum::adler32;
use crate::recode::checksum::crc32;
use crate::recode::container::Sections;
use crate::recode::deflate;
use crate::recode::jpeg;
use crate::recode::op::ChunkRun;
use crate::recode::op::Op;
use crate::recode::op::Wrapper;
use crate::recode::op::made;

/// The name of the PNG chunks that hold the picture.
pub(super) const IDAT: [u8; 4] = *b"IDAT";

/// The bytes that the sections stand for.
pub(super) fn rebuild(sections: &Sections<'_>) -> Result<Vec<u8>> {
    let mut rebuilder = Rebuilder { data: sections.data, plain: sections.plain };
    rebuilder.sequence(&sections.ops)
}

/// What the operations have not taken yet.
struct Rebuilder<'a> {
    data: &'a [u8],
    plain: &'a [u8],
}

fn short() -> Error {
    Error::corrupt("a recoded object ends early")
}

fn take<'a>(from: &mut &'a [u8], bytes: usize) -> Result<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(bytes).ok_or_else(short)?;
    *from = rest;
    Ok(taken)
}

impl Rebuilder<'_> {
    fn sequence(&mut self, ops: &[Op]) -> Result<Vec<u8>> {
        let bytes = usize::try_from(made(ops)).map_err(|_| short())?;
        let mut into = Vec::with_capacity(bytes);
        for op in ops {
            self.operation(op, &mut into)?;
        }
        Ok(into)
    }

    fn operation(&mut self, op: &Op, into: &mut Vec<u8>) -> Result<()> {
        match op {
            Op::Literal { bytes } => into.extend_from_slice(take(&mut self.plain, *bytes)?),
            Op::Jpeg { bytes, stored } => {
                let stored = take(&mut self.data, *stored)?;
                into.extend_from_slice(&jpeg::decode(stored, *bytes)?);
            }
            Op::Deflate { wrapper, bytes, corrections, inner } => {
                let corrections = take(&mut self.data, *corrections)?;
                let content = self.sequence(inner)?;
                let stream = bytes.checked_sub(wrapper.bytes()).ok_or_else(short)?;
                let stream = deflate::redo(&content, corrections, stream)?;
                wrap(*wrapper, &content, &stream, into);
            }
            Op::Idat { runs, inner } => {
                let content = self.sequence(inner)?;
                cut(&content, runs, into)?;
            }
        }
        Ok(())
    }
}

/// Appends a stream with what stands around it.
fn wrap(wrapper: Wrapper, content: &[u8], stream: &[u8], into: &mut Vec<u8>) {
    if let Wrapper::Zlib(header) = wrapper {
        into.extend_from_slice(&header);
    }
    into.extend_from_slice(stream);
    if let Wrapper::Zlib(_) = wrapper {
        into.extend(adler32(content).to_le_bytes().iter().rev());
    }
}

/// Appends content as chunks of a PNG. PNG counts in big-endian.
fn cut(mut content: &[u8], runs: &[ChunkRun], into: &mut Vec<u8>) -> Result<()> {
    for run in runs {
        for _ in 0..run.count {
            let chunk = take(&mut content, usize::try_from(run.bytes).map_err(|_| short())?)?;
            into.extend(run.bytes.to_le_bytes().iter().rev());
            into.extend_from_slice(&IDAT);
            into.extend_from_slice(chunk);
            into.extend(crc32(&[&IDAT, chunk]).to_le_bytes().iter().rev());
        }
    }
    Ok(())
}
