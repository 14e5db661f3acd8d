//! Watches the memory of a process until it ends, a time is over, or Ctrl-C; prints the peak.

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use storage_benches::memory::Sample;
use storage_benches::print;
use storage_benches::stopwatch::Stopwatch;

/// Watches the memory of a process and prints the peak.
#[derive(Debug, Parser)]
struct Arguments {
    /// The process to watch, such as a server's.
    #[arg(long)]
    pid: u32,
    /// Time between samples.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    interval_millis: u64,
    /// Stop after so many seconds; without it, when the process ends or on Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut last = Sample::first(arguments.pid)?;
    let (first, mut highest, mut samples) = (last, last.resident, 1_u64);
    let mut ticks = tokio::time::interval(Duration::from_millis(arguments.interval_millis));
    let stopwatch = Stopwatch::start();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            interrupted = tokio::signal::ctrl_c() => { interrupted?; break; }
        }
        // A process that has ended has no memory in its status, or no status.
        let Some(sample) = Sample::take(arguments.pid) else { break };
        samples += 1;
        highest = highest.max(sample.resident);
        last = sample;
        if arguments.seconds.is_some_and(|seconds| stopwatch.elapsed().as_secs() >= seconds) {
            break;
        }
    }
    print::line(&format!(
        "peak {} KiB (since the process began), highest sample {highest} KiB, first {} KiB, last {} KiB, {samples} samples",
        last.peak, first.resident, last.resident
    ))?;
    Ok(())
}
