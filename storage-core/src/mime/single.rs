//! Skeletons that are not split from a message: an item that is one part, and looking into a header again.

use crate::error::Result;
use crate::mime::assemble::split;
use crate::mime::builder::Builder;
use crate::mime::builder::Finished;
use crate::mime::limits::SplitLimits;
use crate::mime::part::PartInfo;
use crate::mime::skeleton::Op;
use crate::mime::skeleton::Skeleton;
use crate::mime::splitter::Sink;

/// Bytes of the header that are searched for a Message-ID.
const HEADER_BYTES_MAX: usize = 64 << 10;

struct Nowhere;

impl Sink for Nowhere {
    fn part_begin(&mut self, _index: u32, _info: &PartInfo) -> Result<()> {
        Ok(())
    }

    fn part_data(&mut self, _decoded: &[u8]) -> Result<()> {
        Ok(())
    }

    fn part_end(&mut self, _index: u32, _decoded_bytes: u64, _encoded_bytes: u64) -> Result<()> {
        Ok(())
    }
}

/// The skeleton of an item that is one object of `bytes` bytes as it came: a content stored by itself, or a message
/// that is kept whole.
pub fn single_part(info: &PartInfo, bytes: u64) -> Result<Vec<u8>> {
    let mut builder = Builder::new(SplitLimits::default());
    builder.object_begin(info, &mut Nowhere)?;
    let part =
        Finished { info: info.clone(), recipe: Vec::new(), decoded_bytes: bytes, encoded_bytes: bytes };
    builder.object_end(part, &mut Nowhere)?;
    Ok(builder.finish(&mut Nowhere)?.0)
}

/// The Message-ID of the message that `skeleton` belongs to, if its header is in the skeleton.
pub fn message_id(skeleton: &[u8], parsed: &Skeleton) -> Option<String> {
    let Some(Op::Literal(range)) = parsed.ops().first() else {
        return None;
    };
    let literal = skeleton.get(range.clone())?;
    let header = literal.get(..HEADER_BYTES_MAX).unwrap_or(literal);
    split(header, SplitLimits::default()).ok()?.split.message_id
}

#[cfg(test)]
mod tests {
    use super::message_id;
    use super::single_part;
    use crate::mime::assemble::assemble;
    use crate::mime::assemble::split;
    use crate::mime::limits::SplitLimits;
    use crate::mime::part::PartInfo;
    use crate::mime::skeleton::Skeleton;

    #[test]
    fn a_single_part_comes_back() {
        let skeleton = single_part(&PartInfo::raw(), 5).unwrap();
        assert_eq!(assemble(&skeleton, &|_| Some(b"hello")).unwrap(), b"hello");
    }

    #[test]
    fn the_message_id_is_found_again() {
        let message =
            b"From: a@example.com\r\nMessage-ID: <1@example.com>\r\n\r\nMessage-ID: <2@example.com>\r\n";
        let skeleton = split(message, SplitLimits::default()).unwrap().split.skeleton;
        let parsed = Skeleton::parse(&skeleton).unwrap();
        assert_eq!(message_id(&skeleton, &parsed).as_deref(), Some("1@example.com"));
    }
}
