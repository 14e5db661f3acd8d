//! Zstd with other bytes before it: what stands in them, anywhere, costs next to nothing. Long-distance matching finds
//! what is far apart. The prefix is no dictionary of the registry: whoever decodes brings the same bytes.

use zstd_safe::CCtx;
use zstd_safe::CParameter;
use zstd_safe::DCtx;
use zstd_safe::DParameter;

use crate::codec::zstd::check_level;
use crate::codec::zstd::finish_decode;
use crate::codec::zstd::finish_encode;
use crate::codec::zstd::room;
use crate::error::Error;
use crate::error::Result;

/// Bytes of a prefix, and of what is encoded behind one, at most.
pub const PREFIX_BYTES_MAX: usize = 24 << 20;

/// The window that spans both at their longest, as a power of two.
const WINDOW_LOG_MAX: u32 = 26;

/// One zstd frame of `bytes` that refers to `prefix`.
pub fn encode_behind(prefix: &[u8], bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    check_level(level)?;
    check_lengths(prefix.len(), bytes.len(), Error::invalid)?;
    let span = prefix.len() + bytes.len();
    let window = span.next_power_of_two().ilog2().clamp(10, WINDOW_LOG_MAX);
    let mut context = CCtx::try_create().ok_or_else(no_context)?;
    let parameters = [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(window),
        CParameter::EnableLongDistanceMatching(true),
    ];
    for parameter in parameters {
        let _set = context.set_parameter(parameter).map_err(|code| failed("be set up", code))?;
    }
    let _set = context.ref_prefix(prefix).map_err(|code| failed("take a prefix", code))?;
    let mut stored = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    let done = context.compress2(&mut stored, bytes);
    finish_encode(done, stored)
}

/// The content of one frame that refers to `prefix`.
pub fn decode_behind(prefix: &[u8], stored: &[u8], decoded_bytes: usize) -> Result<Vec<u8>> {
    check_lengths(prefix.len(), decoded_bytes, Error::corrupt)?;
    let mut decoded = room(stored, decoded_bytes)?;
    let mut context = DCtx::try_create().ok_or_else(no_context)?;
    let _set = context
        .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
        .map_err(|code| failed("be set up", code))?;
    let _set = context.ref_prefix(prefix).map_err(|code| failed("take a prefix", code))?;
    let done = context.decompress(&mut decoded, stored);
    let decoded = finish_decode(done, decoded)?;
    if decoded.len() == decoded_bytes {
        return Ok(decoded);
    }
    Err(Error::corrupt("a zstd frame behind a prefix has another length than it states"))
}

fn check_lengths(prefix: usize, bytes: usize, error: fn(&'static str) -> Error) -> Result<()> {
    if prefix.max(bytes) <= PREFIX_BYTES_MAX {
        return Ok(());
    }
    Err(error("a prefix, or what is encoded behind one, is over its limit"))
}

fn no_context() -> Error {
    Error::internal("zstd could not allocate a context")
}

fn failed(to: &str, code: usize) -> Error {
    Error::internal(format!("zstd could not {to}")).with_source(zstd_safe::get_error_name(code))
}
