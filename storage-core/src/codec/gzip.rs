//! Gzip, for stores whose content should be readable with every tool there is. Knows nothing of packs.

use std::io::Write;

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use crate::codec::lz4::read_bounded;
use crate::error::Error;
use crate::error::Result;

/// Deflate cannot expand further than this many bytes a stored byte.
const EXPANSION_MAX: usize = 1_032;

/// One gzip member without a name or a time, so that the same bytes always encode alike.
pub(super) fn encode(bytes: &[u8], level: u32) -> Result<Vec<u8>> {
    if level > 9 {
        return Err(Error::invalid(format!("gzip level {level} does not exist: use 0 to 9")));
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2 + 64), Compression::new(level));
    encoder.write_all(bytes).map_err(|error| Error::internal("gzip failed to encode").with_source(error))?;
    encoder.finish().map_err(|error| Error::internal("gzip failed to encode").with_source(error))
}

/// At most `decoded_bytes` + 1 bytes: one more than stated shows that the length is wrong.
pub(super) fn decode(stored: &[u8], decoded_bytes: usize) -> Result<Vec<u8>> {
    let mut rest = stored;
    let decoded = read_bounded(GzDecoder::new(&mut rest), decoded_bytes, stored.len() * EXPANSION_MAX)?;
    if rest.is_empty() || decoded.len() > decoded_bytes {
        return Ok(decoded);
    }
    Err(Error::corrupt("bytes follow a gzip member"))
}
