//! Elapsed time. The only place of the benches that reads a clock.

use std::time::Duration;
use std::time::Instant;

/// Measures from when it was started.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[expect(
        clippy::disallowed_methods,
        reason = "measuring time is what the benches are for; nothing else reads it"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Measures the time that this thread ran, which other programs on the machine hardly change; elapsed time where the
/// system does not tell.
#[derive(Debug, Clone, Copy)]
pub struct CpuStopwatch {
    begun: Option<Duration>,
    wall: Stopwatch,
}

impl CpuStopwatch {
    /// Starts measuring this thread.
    pub fn start() -> Self {
        Self { begun: ran(), wall: Stopwatch::start() }
    }

    /// Time since the start, asked for on the same thread.
    pub fn elapsed(&self) -> Duration {
        match (self.begun, ran()) {
            (Some(begun), Some(now)) => now.saturating_sub(begun),
            _ => self.wall.elapsed(),
        }
    }
}

/// How long this thread ran so far, by the kernel's count.
fn ran() -> Option<Duration> {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(status.split_whitespace().next()?.parse().ok()?))
}
