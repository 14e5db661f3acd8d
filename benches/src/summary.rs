//! Percentiles and rates of a run. Percentiles are nearest-rank: one of the measured values, never between two.

use std::fmt;
use std::time::Duration;

/// Durations of one kind of operation.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    micros: Vec<u64>,
}

impl Latencies {
    /// Adds one measurement.
    pub fn add(&mut self, duration: Duration) {
        self.micros.push(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, mut other: Self) {
        self.micros.append(&mut other.micros);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.micros.len()
    }

    /// The value that `percent` of the measurements do not exceed, in microseconds; 0 where there are none.
    pub fn percentile(&self, percent: usize) -> u64 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(0)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |percent| {
            let micros = self.percentile(percent);
            format!("{}.{:03}", micros / 1000, micros % 1000)
        };
        write!(
            f,
            "n {}  p50 {} ms  p90 {} ms  p99 {} ms  max {} ms",
            self.count(),
            millis(50),
            millis(90),
            millis(99),
            millis(100)
        )
    }
}

/// How much was done in how long.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The time it took.
    pub elapsed: Duration,
}

impl Rate {
    /// Messages a second, rounded down.
    pub fn messages_per_second(&self) -> u64 {
        per_second(self.messages, self.elapsed)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = per_second(self.bytes, self.elapsed) / 100_000;
        write!(
            f,
            "{} messages, {} bytes in {} ms: {} messages/s, {}.{} MB/s",
            self.messages,
            self.bytes,
            self.elapsed.as_millis(),
            self.messages_per_second(),
            tenths / 10,
            tenths % 10
        )
    }
}

/// `first / second` with two decimals.
pub fn ratio(first: u64, second: u64) -> String {
    let hundredths = u128::from(first) * 100 / u128::from(second.max(1));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(count) * 1_000_000 / elapsed.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Latencies;
    use super::Rate;
    use super::ratio;

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(99), 0);
        for micros in (1..=200).rev() {
            latencies.add(Duration::from_micros(micros));
        }
        assert_eq!([50, 90, 99, 100].map(|percent| latencies.percentile(percent)), [100, 180, 198, 200]);
        assert_eq!(latencies.to_string(), "n 200  p50 0.100 ms  p90 0.180 ms  p99 0.198 ms  max 0.200 ms");
    }

    #[test]
    fn rates_are_by_the_second() {
        let rate = Rate { messages: 300, bytes: 4_000_000, elapsed: Duration::from_millis(1500) };
        assert_eq!(rate.to_string(), "300 messages, 4000000 bytes in 1500 ms: 200 messages/s, 2.6 MB/s");
        assert_eq!(ratio(5, 2), "2.50");
        assert_eq!(ratio(5, 0), "5.00");
    }
}
