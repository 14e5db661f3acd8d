//! What it takes to make an object again from its stored form: measured rates, no clock. An object is taken apart only
//! as far as a reader on one core can wait for it.

/// Nanoseconds for a byte of a JPEG file.
const JPEG_BYTE: u64 = 90;

/// Nanoseconds for a sample of its picture.
const JPEG_SAMPLE: u64 = 4;

/// Nanoseconds for setting up one stream.
const STREAM: u64 = 30_000;

/// Nanoseconds for a byte of a deflate stream and for a byte of its content, by the longest chain of candidates that
/// its compressor searched: redoing searches them again.
const BY_CHAIN: [(u32, u64, u64); 4] = [(16, 45, 1), (256, 90, 2), (1_024, 150, 4), (u32::MAX, 700, 8)];

/// Nanoseconds to make a JPEG file again.
pub(super) fn jpeg(file: usize, samples: u64) -> u64 {
    wide(file).saturating_mul(JPEG_BYTE).saturating_add(samples.saturating_mul(JPEG_SAMPLE))
}

/// Nanoseconds to make a deflate stream again.
pub(super) fn deflate(stream: usize, content: usize, chain: u32) -> u64 {
    let rates = BY_CHAIN.into_iter().find(|(longest, ..)| chain <= *longest);
    let (_, a_stream_byte, a_content_byte) = rates.unwrap_or_default();
    let bytes = wide(stream).saturating_mul(a_stream_byte);
    bytes.saturating_add(wide(content).saturating_mul(a_content_byte)).saturating_add(STREAM)
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
