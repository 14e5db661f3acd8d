//! Splitting and rebuilding small messages in memory. Guarantees that a rebuilt message has the length that
//! its skeleton states; whether the objects are the right ones is for the caller's hashes to say.

use crate::error::Error;
use crate::error::Result;
use crate::mime::encoder::Encoder;
use crate::mime::limits::SplitLimits;
use crate::mime::part::Encoding;
use crate::mime::part::PartInfo;
use crate::mime::skeleton::Op;
use crate::mime::skeleton::Skeleton;
use crate::mime::splitter::Sink;
use crate::mime::splitter::Split;
use crate::mime::splitter::Splitter;
use crate::mime::varint::to_u64;

/// A split message with its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitInMemory {
    /// The skeleton and what is known of the parts.
    pub split: Split,
    /// What the objects are and their decoded bytes, in order.
    pub objects: Vec<(PartInfo, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Gather {
    objects: Vec<(PartInfo, Vec<u8>)>,
}

impl Sink for Gather {
    fn part_begin(&mut self, _index: u32, info: &PartInfo) -> Result<()> {
        self.objects.push((info.clone(), Vec::new()));
        Ok(())
    }

    fn part_data(&mut self, decoded: &[u8]) -> Result<()> {
        if let Some((_, bytes)) = self.objects.last_mut() {
            bytes.extend_from_slice(decoded);
        }
        Ok(())
    }

    fn part_end(&mut self, _index: u32, decoded_bytes: u64, _encoded_bytes: u64) -> Result<()> {
        match self.objects.last() {
            Some((_, bytes)) if to_u64(bytes.len()) == decoded_bytes => Ok(()),
            _ => Err(Error::internal(
                "A part ended with another length than it was given. Report this message.",
            )),
        }
    }
}

/// Splits a whole message.
pub fn split(message: &[u8], limits: SplitLimits) -> Result<SplitInMemory> {
    let mut gather = Gather::default();
    let mut splitter = Splitter::new(limits);
    splitter.push(message, &mut gather)?;
    let split = splitter.finish(&mut gather)?;
    Ok(SplitInMemory { split, objects: gather.objects })
}

/// Rebuilds a whole message from its skeleton and its objects by position. The caller bounds the size by
/// looking at [`Skeleton::total_bytes`] first.
pub fn assemble<'a>(skeleton: &[u8], objects: &dyn Fn(u32) -> Option<&'a [u8]>) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    replay(skeleton, objects, &mut |bytes| message.extend_from_slice(bytes))?;
    Ok(message)
}

/// Whether a skeleton and its objects rebuild exactly `message`: the proof of a put, without the copy.
pub fn rebuilds<'a>(skeleton: &[u8], objects: &dyn Fn(u32) -> Option<&'a [u8]>, message: &[u8]) -> bool {
    let mut rest = Some(message);
    let replayed = replay(skeleton, objects, &mut |bytes| {
        rest = rest.and_then(|rest| rest.strip_prefix(bytes));
    });
    replayed.is_ok() && rest.is_some_and(<[u8]>::is_empty)
}

/// Emits the bytes of a message piece by piece.
fn replay<'a>(
    skeleton: &[u8],
    objects: &dyn Fn(u32) -> Option<&'a [u8]>,
    emit: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    let parsed = Skeleton::parse(skeleton)?;
    for op in parsed.ops() {
        match op {
            Op::Literal(range) => emit(skeleton.get(range.clone()).ok_or_else(outside)?),
            Op::Inline { encoding, recipe, decoded, encoded_bytes, .. } => {
                let recipe = skeleton.get(recipe.clone()).ok_or_else(outside)?;
                let decoded = skeleton.get(decoded.clone()).ok_or_else(outside)?;
                emit_part(*encoding, (recipe, decoded), *encoded_bytes, emit)?;
            }
            Op::Object { object, encoding, recipe, decoded_bytes, encoded_bytes, .. } => {
                let recipe = skeleton.get(recipe.clone()).ok_or_else(outside)?;
                let decoded =
                    objects(*object).ok_or_else(|| Error::corrupt("An object of a message is missing."))?;
                if to_u64(decoded.len()) != *decoded_bytes {
                    return Err(Error::corrupt(
                        "An object of a message has another length than its skeleton states.",
                    ));
                }
                emit_part(*encoding, (recipe, decoded), *encoded_bytes, emit)?;
            }
        }
    }
    Ok(())
}

/// Emits one part; one that was kept as it came is not copied.
fn emit_part(
    encoding: Encoding,
    (recipe, decoded): (&[u8], &[u8]),
    encoded_bytes: u64,
    emit: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    if encoding == Encoding::Identity && recipe.is_empty() && to_u64(decoded.len()) == encoded_bytes {
        emit(decoded);
        return Ok(());
    }
    let mut encoded = Vec::new();
    encode_part(encoding, (recipe, decoded), encoded_bytes, &mut encoded)?;
    emit(&encoded);
    Ok(())
}

/// Appends the encoded bytes of one part, given its recipe and decoded bytes.
pub fn encode_part(
    encoding: Encoding,
    (recipe, decoded): (&[u8], &[u8]),
    encoded_bytes: u64,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut encoder = Encoder::new(encoding, recipe, encoded_bytes)?;
    encoder.push(decoded, out)?;
    encoder.finish(out)
}

fn outside() -> Error {
    Error::internal("A range of a skeleton lies outside of it. Report this message.")
}
