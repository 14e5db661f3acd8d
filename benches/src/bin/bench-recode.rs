//! What recoding saves on the files of a directory, and what reading it back costs: each file by itself, and all files
//! of a class in blocks as a tier writes them. Needs no server.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use clap::Parser;
use storage_benches::mail::paths_below;
use storage_benches::print;
use storage_benches::size;
use storage_benches::stopwatch::CpuStopwatch;
use storage_benches::summary::Latencies;
use storage_core::codec::Codec;
use storage_core::media::MediaClass;
use storage_core::recode;
use storage_core::recode::Limits;

/// Recodes the files of a directory and compares every one.
#[derive(Debug, Parser)]
struct Arguments {
    /// Files, such as the decoded attachments of mail.
    directory: PathBuf,
    /// The zstd level.
    #[arg(long, default_value_t = 19)]
    level: i32,
    /// Longer files are cut into pieces, as the store cuts them into segments.
    #[arg(long, default_value = "1MiB", value_parser = size::parse)]
    piece_bytes_max: u64,
    /// Bytes of a block, in which files of a class lie together.
    #[arg(long, default_value = "1MiB", value_parser = size::parse)]
    block_bytes: u64,
    /// Time that reading a file back may take, by the measured rates.
    #[arg(long, default_value_t = 60)]
    decode_millis_max: u64,
    /// Prints a line for every file.
    #[arg(long)]
    files: bool,
}

/// What the files of a class came to.
#[derive(Debug, Default)]
struct Sum {
    files: u64,
    recoded: u64,
    bytes: u64,
    stored: u64,
    plain: u64,
    smallest: u64,
    encode: Duration,
    decode: Latencies,
    blocks_plain: Blocks,
    blocks_recoded: Blocks,
}

/// Blocks that are filled one after the other.
#[derive(Debug, Default)]
struct Blocks {
    open: Vec<u8>,
    bytes: u64,
}

impl Blocks {
    fn add(&mut self, bytes: &[u8], arguments: &Arguments) -> Result<()> {
        self.open.extend_from_slice(bytes);
        if self.open.len() as u64 >= arguments.block_bytes { self.finish(arguments) } else { Ok(()) }
    }

    fn finish(&mut self, arguments: &Arguments) -> Result<()> {
        self.bytes += compressed(&std::mem::take(&mut self.open), arguments)?;
        Ok(())
    }
}

fn compressed(bytes: &[u8], arguments: &Arguments) -> Result<u64> {
    let encoded = Codec::Zstd { level: arguments.level }.encode(bytes)?;
    Ok(encoded.len().min(bytes.len()) as u64)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let paths = paths_below(&arguments.directory)?;
    let mut sums: BTreeMap<&'static str, Sum> = BTreeMap::new();
    for path in &paths {
        let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let class = MediaClass::of("application/octet-stream", &file);
        measure(path, (class, &file), sums.entry(class.name()).or_default(), &arguments)?;
    }
    print::line(
        "class        files  recoded      bytes   unpacked    zstd  smallest  ratio  blocks  blocks recoded  MB/s  reading back",
    )?;
    let mut all = Sum::default();
    for (name, mut sum) in sums {
        sum.blocks_plain.finish(&arguments)?;
        sum.blocks_recoded.finish(&arguments)?;
        line(name, &sum)?;
        all.add(sum);
    }
    line("all", &all)?;
    Ok(())
}

fn measure(
    path: &Path,
    (class, file): (MediaClass, &[u8]),
    sum: &mut Sum,
    arguments: &Arguments,
) -> Result<()> {
    let whole = file.len() as u64 <= arguments.piece_bytes_max;
    let lengths = if whole {
        vec![file.len()]
    } else {
        recode::cuts(file, usize::try_from(arguments.piece_bytes_max)?)
    };
    let plain = compressed(file, arguments)?;
    let (mut rest, mut pieces, mut recoded) = (file, 0, false);
    for length in lengths {
        let (piece, behind) = rest.split_at_checked(length).context("the pieces do not add up")?;
        rest = behind;
        let measured = measure_piece(path, (class, piece), sum, arguments)?;
        pieces += measured.smallest;
        recoded |= measured.recoded;
    }
    sum.files += 1;
    sum.recoded += u64::from(recoded);
    sum.bytes += file.len() as u64;
    sum.plain += plain;
    sum.smallest += plain.min(pieces);
    if arguments.files {
        let (path, class, bytes) = (path.display(), class.name(), file.len());
        print::line(&format!("{path} {class} {bytes} zstd {plain} recoded {pieces}"))?;
    }
    Ok(())
}

/// What a piece came to.
struct Measured {
    smallest: u64,
    recoded: bool,
}

fn measure_piece(
    path: &Path,
    (class, piece): (MediaClass, &[u8]),
    sum: &mut Sum,
    arguments: &Arguments,
) -> Result<Measured> {
    let limits = Limits {
        decode_nanos_max: arguments.decode_millis_max * 1_000_000,
        ..Limits::at_level(arguments.level)
    };
    let stopwatch = CpuStopwatch::start();
    let recoded = recode::encode(class, piece, &limits);
    sum.encode += stopwatch.elapsed();
    let mut smallest = compressed(piece, arguments)?;
    if let Some(recoded) = &recoded {
        let stopwatch = CpuStopwatch::start();
        let again = recode::decode(recoded.transform, &recoded.parameters, &recoded.stored, piece.len())?;
        sum.decode.add(stopwatch.elapsed());
        ensure!(again == piece, "{} came back as other bytes", path.display());
        smallest = smallest.min(compressed(&recoded.stored, arguments)?);
    }
    let stored = recoded.as_ref().map_or(piece, |recoded| recoded.stored.as_slice());
    sum.stored += stored.len() as u64;
    sum.blocks_plain.add(piece, arguments)?;
    sum.blocks_recoded.add(stored, arguments)?;
    Ok(Measured { smallest, recoded: recoded.is_some() })
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.recoded += other.recoded;
        self.bytes += other.bytes;
        self.stored += other.stored;
        self.plain += other.plain;
        self.smallest += other.smallest;
        self.encode += other.encode;
        self.decode.merge(other.decode);
        self.blocks_plain.bytes += other.blocks_plain.bytes;
        self.blocks_recoded.bytes += other.blocks_recoded.bytes;
    }
}

fn line(name: &str, sum: &Sum) -> Result<()> {
    let thousandths = sum.smallest * 1000 / sum.plain.max(1);
    let rate = u128::from(sum.bytes) * 100 / sum.encode.as_micros().max(1);
    print::line(&format!(
        "{name:<12} {:>5} {:>8} {:>10} {:>10} {:>9} {:>9}  {}.{:03} {:>9} {:>9} {}.{:02}  {}",
        sum.files,
        sum.recoded,
        sum.bytes,
        sum.stored,
        sum.plain,
        sum.smallest,
        thousandths / 1000,
        thousandths % 1000,
        sum.blocks_plain.bytes,
        sum.blocks_recoded.bytes,
        rate / 100,
        rate % 100,
        sum.decode
    ))?;
    Ok(())
}
