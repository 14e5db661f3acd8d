//! The checksums of the formats that are taken apart: what is computed need not be stored.

/// The largest prime below 2^16.
const ADLER_MODULUS: u32 = 65_521;

/// Bytes after which the sums could overflow 32 bits.
const ADLER_BYTES: usize = 5_552;

/// The checksum of a zlib stream (RFC 1950).
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for part in bytes.chunks(ADLER_BYTES) {
        for byte in part {
            low += u32::from(*byte);
            high += low;
        }
        low %= ADLER_MODULUS;
        high %= ADLER_MODULUS;
    }
    high << 16 | low
}

/// The CRC-32 of PNG, zip and gzip over some runs of bytes.
pub(super) fn crc32(runs: &[&[u8]]) -> u32 {
    let mut crc = flate2::Crc::new();
    for run in runs {
        crc.update(run);
    }
    crc.sum()
}
