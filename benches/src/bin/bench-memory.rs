//! Watches the memory of a process until it ends, a time is over, or Ctrl-C; prints the peak.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use clap::Parser;
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

/// Kilobytes of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    /// Resident now.
    resident: u64,
    /// The most that was ever resident, as the kernel counts it.
    peak: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let path = format!("/proc/{}/status", arguments.pid);
    let status =
        fs::read_to_string(&path).with_context(|| format!("there is no process {}", arguments.pid))?;
    let mut last = parse(&status).with_context(|| format!("{path} names no memory"))?;
    let (first, mut highest, mut samples) = (last, last.resident, 1_u64);
    let mut ticks = tokio::time::interval(Duration::from_millis(arguments.interval_millis));
    let stopwatch = Stopwatch::start();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            interrupted = tokio::signal::ctrl_c() => { interrupted?; break; }
        }
        // A process that has ended has no memory in its status, or no status.
        let Some(sample) = fs::read_to_string(&path).ok().as_deref().and_then(parse) else { break };
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

fn parse(status: &str) -> Option<Sample> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(Sample { resident: field("VmRSS")?, peak: field("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::Sample;
    use super::parse;

    #[test]
    fn a_status_is_read() {
        let status = "Name:\tserver\nVmHWM:\t  204800 kB\nVmRSS:\t    1024 kB\nThreads:\t4\n";
        assert_eq!(parse(status), Some(Sample { resident: 1024, peak: 204_800 }));
        assert_eq!(parse("Name:\tzombie\n"), None);
    }
}
