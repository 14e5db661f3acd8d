//! One deflate stream: undone into its content and the corrections that make exactly the same stream again, and redone.

use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;
use preflate_rs::PreflateConfig;
use preflate_rs::preflate_whole_deflate_stream;
use preflate_rs::recreate_whole_deflate_stream;

use crate::error::Error;
use crate::error::Result;
use crate::recode::guarded::guarded;

/// The longest chain of candidates that a compressor may have searched for a match: what zlib does at its best level.
const CHAIN_MAX: u32 = 4_096;

/// A stream that was undone.
#[derive(Debug)]
pub(super) struct Undone {
    /// What it holds.
    pub(super) content: Vec<u8>,
    /// What redoing it needs besides.
    pub(super) corrections: Vec<u8>,
    /// The longest chain of candidates that is searched for a match.
    pub(super) chain: u32,
}

/// A stream that begins with `bytes` and ends somewhere in them, decoded.
pub(super) struct Inflated {
    /// Bytes of the stream.
    pub(super) stream: usize,
    /// What it holds.
    pub(super) content: Vec<u8>,
}

/// Decodes the stream at the start of `bytes`. Where there is none that holds at most `content_max` bytes: how many were
/// decoded in vain.
pub(super) fn inflate(bytes: &[u8], content_max: usize) -> Result<Inflated, usize> {
    let mut inflater = Decompress::new(false);
    // Most bytes that look like a stream are none, and are found out within the first few.
    let mut content = Vec::with_capacity(content_max.min(bytes.len().saturating_mul(3)).min(4 << 10));
    loop {
        let before = (inflater.total_in(), inflater.total_out());
        let stream = usize::try_from(before.0).unwrap_or(usize::MAX);
        let rest = bytes.get(stream..).unwrap_or_default();
        let done = inflater.decompress_vec(rest, &mut content, FlushDecompress::None);
        let stuck = before == (inflater.total_in(), inflater.total_out());
        match done {
            _ if content.len() > content_max => return Err(content.len()),
            Ok(Status::StreamEnd) => {
                let stream = usize::try_from(inflater.total_in()).unwrap_or(usize::MAX);
                return Ok(Inflated { stream, content });
            }
            Ok(Status::Ok | Status::BufError) if content.len() == content.capacity() => {
                content.reserve(content.len().max(1 << 10));
            }
            Ok(Status::Ok | Status::BufError) if !stuck => {}
            Ok(Status::Ok | Status::BufError) | Err(_) => return Err(content.len()),
        }
    }
}

/// Undoes a stream that is exactly `stream` and holds `content_bytes` bytes. May panic.
pub(super) fn undo(stream: &[u8], content_bytes: usize) -> Option<Undone> {
    let config = PreflateConfig {
        max_chain_length: CHAIN_MAX,
        plain_text_limit: content_bytes,
        verify_compression: false,
    };
    let (undone, content) = preflate_whole_deflate_stream(stream, &config).ok()?;
    if undone.compressed_size != stream.len() || content.len() != content_bytes {
        return None;
    }
    let chain = undone.parameters.map_or(CHAIN_MAX, |parameters| parameters.max_chain);
    Some(Undone { content: content.text().to_vec(), corrections: undone.corrections, chain })
}

/// The stream of `stream_bytes` bytes that `content` and `corrections` make.
pub(super) fn redo(content: &[u8], corrections: &[u8], stream_bytes: usize) -> Result<Vec<u8>> {
    let redone = guarded(|| recreate_whole_deflate_stream(content, corrections).ok());
    redone
        .filter(|stream| stream.len() == stream_bytes)
        .ok_or_else(|| Error::corrupt("a deflate stream cannot be made again from its content"))
}
