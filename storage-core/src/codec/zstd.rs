//! Zstd, with and without a dictionary. One-shot calls pledge the content size, and contexts are reused: a fresh
//! context for every small unit would cost more than the compression. Knows nothing of packs.

use std::sync::Mutex;
use std::sync::PoisonError;

use zstd_safe::CCtx;
use zstd_safe::DCtx;

use crate::codec::dictionary::Dictionary;
use crate::codec::dictionary::DictionaryEncoder;
use crate::error::Error;
use crate::error::Result;

/// Idle contexts kept; a pool of workers on more cores than this creates some anew.
const IDLE_MAX: usize = 16;
/// What one zstd block decodes to at most.
const BLOCK_BYTES_MAX: usize = 128 << 10;
/// What one zstd block takes at least: its header and a byte to repeat.
const BLOCK_STORED_BYTES_MIN: usize = 4;

static ENCODERS: Pool<CCtx<'static>> = Pool::new();
static DECODERS: Pool<DCtx<'static>> = Pool::new();

/// Contexts that nobody uses at the moment.
struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Runs `work` with an idle context, or with a new one. The lock is not held meanwhile.
    fn with<R>(&self, create: impl FnOnce() -> Option<T>, work: impl FnOnce(&mut T) -> R) -> Result<R> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut context = match idle {
            Some(context) => context,
            None => create().ok_or_else(|| Error::internal("zstd could not allocate a context"))?,
        };
        let done = work(&mut context);
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(context);
        }
        Ok(done)
    }
}

/// Refuses levels that zstd would silently clamp.
pub(super) fn check_level(level: i32) -> Result<()> {
    if (1..=22).contains(&level) {
        return Ok(());
    }
    Err(Error::invalid(format!("zstd level {level} does not exist: use 1 to 22")))
}

/// One zstd frame.
pub(super) fn encode(bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    check_level(level)?;
    let mut stored = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    let done = ENCODERS.with(CCtx::try_create, |context| context.compress(&mut stored, bytes, level))?;
    finish_encode(done, stored)
}

/// One zstd frame that refers to the encoder's dictionary.
pub(super) fn encode_with(bytes: &[u8], encoder: &DictionaryEncoder) -> Result<Vec<u8>> {
    let mut stored = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    let done = ENCODERS.with(CCtx::try_create, |context| {
        context.compress_using_cdict(&mut stored, bytes, encoder.prepared())
    })?;
    finish_encode(done, stored)
}

pub(super) fn finish_encode(done: zstd_safe::SafeResult, mut stored: Vec<u8>) -> Result<Vec<u8>> {
    let _bytes = done.map_err(|code| {
        Error::internal("zstd failed to encode").with_source(zstd_safe::get_error_name(code))
    })?;
    stored.shrink_to_fit();
    Ok(stored)
}

/// The content of one frame.
pub(super) fn decode(stored: &[u8], decoded_bytes: usize) -> Result<Vec<u8>> {
    let mut decoded = room(stored, decoded_bytes)?;
    let done = DECODERS.with(DCtx::try_create, |context| context.decompress(&mut decoded, stored))?;
    finish_decode(done, decoded)
}

/// The content of one frame that refers to `dictionary`.
pub(super) fn decode_with(stored: &[u8], decoded_bytes: usize, dictionary: &Dictionary) -> Result<Vec<u8>> {
    let mut decoded = room(stored, decoded_bytes)?;
    let into = &mut decoded;
    let done = DECODERS.with(DCtx::try_create, |context| match dictionary.prepared() {
        Some(prepared) => context.decompress_using_ddict(into, stored, prepared),
        None => context.decompress_using_dict(into, stored, dictionary.bytes()),
    })?;
    finish_decode(done, decoded)
}

/// Room for the content, once the frame agrees that it has the stated length and could hold as much.
pub(super) fn room(stored: &[u8], decoded_bytes: usize) -> Result<Vec<u8>> {
    let stated = u64::try_from(decoded_bytes).ok();
    match zstd_safe::get_frame_content_size(stored) {
        Ok(size) if size == stated => {}
        _ => return Err(Error::corrupt("a zstd frame does not state the expected length")),
    }
    if zstd_safe::find_frame_compressed_size(stored) != Ok(stored.len()) {
        return Err(Error::corrupt("a zstd stream is not exactly one frame"));
    }
    let plausible = (stored.len() / BLOCK_STORED_BYTES_MIN + 1).saturating_mul(BLOCK_BYTES_MAX);
    if decoded_bytes > plausible {
        return Err(Error::corrupt("a zstd stream is too short for its stated length"));
    }
    Ok(Vec::with_capacity(decoded_bytes))
}

pub(super) fn finish_decode(done: zstd_safe::SafeResult, mut decoded: Vec<u8>) -> Result<Vec<u8>> {
    let bytes = done.map_err(|code| {
        Error::corrupt("a zstd stream does not decode").with_source(zstd_safe::get_error_name(code))
    })?;
    decoded.truncate(bytes);
    Ok(decoded)
}
