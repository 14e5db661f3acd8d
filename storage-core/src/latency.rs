//! How long reads took, by tier: a histogram with buckets a quarter of a power of two wide.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::activity::ReadLatencies;
use crate::model::Tier;
use crate::report::Latency;

/// Buckets from 1 microsecond up, four per doubling: the last one begins at 2^25 us, half a minute.
const BUCKETS: usize = 100;

#[derive(Debug)]
struct Histogram {
    counts: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), micros: AtomicU64::new(0) }
    }
}

/// Read latencies by tier since the engine opened.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    tiers: [Histogram; 4],
}

impl Latencies {
    pub(crate) fn add(&self, tier: Tier, took: Duration) {
        let micros = (took.as_secs_f64() * 1e6).max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the logarithm is small and not negative"
        )]
        let bucket = ((micros.log2() * 4.0) as usize).min(BUCKETS - 1);
        let histogram = self.histogram(tier);
        if let Some(count) = histogram.counts.get(bucket) {
            let _ = count.fetch_add(1, Ordering::Relaxed);
        }
        let whole = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let _ = histogram.micros.fetch_add(whole, Ordering::Relaxed);
    }

    fn histogram(&self, tier: Tier) -> &Histogram {
        let [hot, warm, cold, archive] = &self.tiers;
        match tier {
            Tier::Hot => hot,
            Tier::Warm => warm,
            Tier::Cold => cold,
            Tier::Archive => archive,
        }
    }

    /// The histogram itself, in buckets that double; the last one has no upper edge.
    pub(crate) fn buckets(&self, tier: Tier) -> ReadLatencies {
        let histogram = self.histogram(tier);
        let mut edge = 1e-6;
        let buckets = histogram
            .counts
            .chunks(4)
            .map(|quarters| {
                edge *= 2.0;
                (edge, quarters.iter().map(|count| count.load(Ordering::Relaxed)).sum())
            })
            .collect();
        let micros = histogram.micros.load(Ordering::Relaxed);
        ReadLatencies { tier, seconds: Duration::from_micros(micros).as_secs_f64(), buckets }
    }

    pub(crate) fn of(&self, tier: Tier) -> Latency {
        let counts: Vec<u64> =
            self.histogram(tier).counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Latency { p50: quantile(&counts, 0.50), p99: quantile(&counts, 0.99) }
    }
}

/// The upper edge, in milliseconds, of the bucket that the quantile lies in; 0 where nothing was counted.
fn quantile(counts: &[u64], share: f64) -> f64 {
    let total: u64 = counts.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "a share of a count needs no more precision")]
    let wanted = total as f64 * share;
    let mut seen = 0.0;
    for (bucket, count) in counts.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        let (count, edge) = (*count as f64, (bucket + 1) as f64);
        seen += count;
        if seen > 0.0 && seen >= wanted {
            return (edge / 4.0).exp2() / 1000.0;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Latencies;
    use crate::model::Tier;

    #[test]
    fn quantiles_are_within_a_bucket() {
        let latencies = Latencies::default();
        assert!(latencies.of(Tier::Cold).p99.abs() < f64::EPSILON);
        for millis in 1..=100 {
            latencies.add(Tier::Cold, Duration::from_millis(millis));
        }
        let found = latencies.of(Tier::Cold);
        assert!((50.0..60.0).contains(&found.p50), "{}", found.p50);
        assert!((99.0..119.0).contains(&found.p99), "{}", found.p99);
    }
}
