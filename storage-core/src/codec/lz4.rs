//! LZ4 in its standard frame, which carries the content size. Knows nothing of packs.

use std::io::Read;
use std::io::Write;

use lz4_flex::frame::BlockMode;
use lz4_flex::frame::FrameDecoder;
use lz4_flex::frame::FrameEncoder;
use lz4_flex::frame::FrameInfo;

use crate::error::Error;
use crate::error::Result;

/// LZ4 cannot expand further than this many bytes a stored byte.
const EXPANSION_MAX: usize = 256;

/// One LZ4 frame.
pub(super) fn encode(bytes: &[u8]) -> Result<Vec<u8>> {
    let length = u64::try_from(bytes.len()).ok();
    let info = FrameInfo::new().block_mode(BlockMode::Linked).content_size(length);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(bytes.len() / 2 + 64));
    encoder.write_all(bytes).map_err(|error| Error::internal("lz4 failed to encode").with_source(error))?;
    encoder.finish().map_err(|error| Error::internal("lz4 failed to encode").with_source(error))
}

/// At most `decoded_bytes` + 1 bytes: one more than stated shows that the length is wrong.
pub(super) fn decode(stored: &[u8], decoded_bytes: usize) -> Result<Vec<u8>> {
    let mut rest = stored;
    let decoded = read_bounded(FrameDecoder::new(&mut rest), decoded_bytes, stored.len() * EXPANSION_MAX)?;
    if rest.is_empty() { Ok(decoded) } else { Err(Error::corrupt("bytes follow an lz4 frame")) }
}

/// Everything `reader` yields, up to one byte more than `decoded_bytes`; reserves no more than `plausible_bytes`
/// before the bytes are there.
pub(super) fn read_bounded(
    reader: impl Read,
    decoded_bytes: usize,
    plausible_bytes: usize,
) -> Result<Vec<u8>> {
    let mut decoded = Vec::with_capacity(decoded_bytes.min(plausible_bytes));
    let limit = u64::try_from(decoded_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let read = reader.take(limit).read_to_end(&mut decoded);
    let _bytes =
        read.map_err(|error| Error::corrupt("a stored stream does not decode").with_source(error))?;
    Ok(decoded)
}
