//! A cheap guess whether bytes are compressed already. Pure; a wrong guess costs space or time, never content.

use crate::codec::Codec;

/// Shorter than this is not worth a guess: compressing it is as cheap.
const PROBED_BYTES_MIN: usize = 4 << 10;
/// Bytes of one sample.
const SAMPLE_BYTES: usize = 8 << 10;
/// Samples taken, spread evenly: the start alone is often a header that compresses well.
const SAMPLES: usize = 4;

/// True where samples of the bytes shrink by less than 3 % at zstd's fastest level: keep them as they are.
pub fn probe(bytes: &[u8]) -> bool {
    if bytes.len() < PROBED_BYTES_MIN {
        return false;
    }
    let stride = (bytes.len() / SAMPLES).max(SAMPLE_BYTES);
    let sample: Vec<u8> =
        bytes.chunks(stride).flat_map(|chunk| chunk.iter().take(SAMPLE_BYTES).copied()).collect();
    let encoded = Codec::Zstd { level: 1 }.encode(&sample);
    encoded.is_ok_and(|encoded| encoded.len() >= sample.len() - sample.len() * 3 / 100)
}
