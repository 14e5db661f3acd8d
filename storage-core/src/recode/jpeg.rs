//! One JPEG file: recoded with a better model of its coefficients, and back, bit by bit. What is decoded is looked at
//! first, so that no length in it is believed.

use std::io::Cursor;
use std::io::Write;

use lepton_jpeg::EnabledFeatures;
use lepton_jpeg::SingleThreadPool;
use lepton_jpeg::decode_lepton;
use lepton_jpeg::encode_lepton;

use crate::error::Error;
use crate::error::Result;
use crate::recode::guarded::guarded;
use crate::recode::lepton_check::check;

/// One side of a picture at most.
const SIDE_MAX: u32 = 16_384;

fn features(bytes: usize) -> EnabledFeatures {
    EnabledFeatures {
        // One partition: several compress worse, and a read has one core.
        max_partitions: 1,
        max_processor_threads: 1,
        max_jpeg_width: SIDE_MAX,
        max_jpeg_height: SIDE_MAX,
        max_jpeg_file_size: u32::try_from(bytes).unwrap_or(u32::MAX),
        ..EnabledFeatures::compat_lepton_vector_write()
    }
}

/// The recoded form of a file that is exactly `file`; the caller checks that it decodes. May panic.
pub(super) fn encode(file: &[u8]) -> Option<Vec<u8>> {
    let mut into = Cursor::new(Vec::with_capacity(file.len()));
    let pool = SingleThreadPool::default();
    let _metrics = encode_lepton(&mut Cursor::new(file), &mut into, &features(file.len()), &pool).ok()?;
    Some(into.into_inner())
}

/// The file of `bytes` bytes that `stored` stands for.
pub(super) fn decode(stored: &[u8], bytes: usize) -> Result<Vec<u8>> {
    check(stored, bytes)?;
    let decoded = guarded(|| {
        let mut into = Bounded { bytes: Vec::with_capacity(bytes), left: bytes };
        let pool = SingleThreadPool::default();
        let mut from = Cursor::new(stored);
        let _metrics = decode_lepton(&mut from, &mut into, &features(bytes), &pool).ok()?;
        (into.left == 0).then_some(into.bytes)
    });
    decoded.ok_or_else(|| Error::corrupt("a recoded JPEG does not decode"))
}

/// Bytes up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    left: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::WriteZero)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
