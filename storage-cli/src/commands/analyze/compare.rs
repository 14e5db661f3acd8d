//! The same messages in the usual ways: each by itself with a general codec, and all of them in one stream, which no
//! single message can be read from.

use std::io;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use storage_core::codec::Codec;
use storage_core::error::Error;

use crate::failure::Failure;
use crate::failure::Result;
use crate::mail::read;
use crate::mail::read::Found;
use crate::progress;

/// Level and window of the one stream: 128 MiB, as `zstd -19 --long=27`.
const SOLID_LEVEL: i32 = 19;
const SOLID_WINDOW_LOG: u32 = 27;

/// What one way came to.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    pub(super) way: &'static str,
    pub(super) bytes: u64,
}

/// Compresses everything in each way; the one stream beside the others.
pub(super) async fn compare(paths: &[PathBuf]) -> Result<Vec<Compared>> {
    let (one, other) = (paths.to_owned(), paths.to_owned());
    let solid = tokio::task::spawn_blocking(move || solid(&one));
    let alone = tokio::task::spawn_blocking(move || alone(&other));
    let ended = |error| Failure::new(format!("Comparing failed: {error}."));
    let mut compared = alone.await.map_err(ended)??;
    compared.push(solid.await.map_err(ended)??);
    Ok(compared)
}

/// Each message by itself.
fn alone(paths: &[PathBuf]) -> Result<Vec<Compared>> {
    let ways = [
        ("lz4, each message", Codec::Lz4),
        ("gzip -6, each message", Codec::Gzip { level: 6 }),
        ("zstd -3, each message", Codec::Zstd { level: 3 }),
        ("zstd -19, each message", Codec::Zstd { level: 19 }),
    ];
    let bar = progress::counter("messages compared");
    let mut sums = vec![0_u64; ways.len()];
    each(paths, |bytes| {
        for ((_, codec), sum) in ways.iter().zip(&mut sums) {
            *sum += codec.encode(bytes).map_err(|error| failed(&error))?.len() as u64;
        }
        bar.inc(1);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(ways.into_iter().zip(sums).map(|((way, _), bytes)| Compared { way, bytes }).collect())
}

/// All messages in one stream, in the order in which they are found.
fn solid(paths: &[PathBuf]) -> Result<Compared> {
    let unusable = |error: io::Error| Failure::new(format!("Compressing in one stream failed: {error}."));
    let mut encoder = zstd::Encoder::new(Counted::default(), SOLID_LEVEL).map_err(unusable)?;
    encoder.long_distance_matching(true).map_err(unusable)?;
    encoder.window_log(SOLID_WINDOW_LOG).map_err(unusable)?;
    each(paths, |bytes| encoder.write_all(bytes).map_err(unusable))?;
    let bytes = encoder.finish().map_err(unusable)?.bytes;
    Ok(Compared { way: "zstd -19 --long=27, one stream", bytes })
}

/// Hands over every message that can be read. What cannot was told when the mailbox was read before.
fn each(paths: &[PathBuf], mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut outcome = Ok(());
    for path in paths {
        let wanted = read::messages(path, &mut |found| {
            if let Found::Message { bytes, .. } = found {
                outcome = take(&bytes);
            }
            outcome.is_ok()
        });
        if !wanted {
            break;
        }
    }
    outcome
}

fn failed(error: &Error) -> Failure {
    Failure::new(format!("Compressing a message failed: {error}"))
}

/// Counts what is written to it.
#[derive(Debug, Default)]
struct Counted {
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
