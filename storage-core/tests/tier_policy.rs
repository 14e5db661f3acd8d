//! Properties of tier policies: an arbitrary one is refused or is total and monotone. Age never warms, size and pins never
//! contradict it, more reads never deserve less.

use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::prelude::prop_oneof;
use proptest::prelude::proptest;
use proptest::test_runner::RngSeed;
use storage_core::clock::DAY_MILLIS;
use storage_core::clock::Timestamp;
use storage_core::error::Kind;
use storage_core::model::Tier;
use storage_core::tier::policy::TierPolicy;

fn config() -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(0x7469_6572);
    ProptestConfig { cases: 512, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

/// Small numbers, so that thresholds meet, and all others.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0..12_u32, any::<u32>()]
}

fn policy() -> impl Strategy<Value = TierPolicy> {
    let skip = prop_oneof![0..5_000_u64, any::<u64>(), prop::strategy::Just(u64::MAX)];
    (number(), number(), number(), skip, number(), number()).prop_map(
        |(warm, cold, archive, skip, hot, copy)| TierPolicy {
            warm_after_days: warm,
            cold_after_days: cold,
            archive_after_days: archive,
            skip_warm_bytes_min: skip,
            promote_hot_reads: hot,
            promote_warm_reads: copy,
        },
    )
}

/// A policy that holds.
fn valid() -> impl Strategy<Value = TierPolicy> {
    policy().prop_map(|policy| {
        let mut days = [policy.warm_after_days, policy.cold_after_days, policy.archive_after_days];
        days.sort_unstable();
        let mut reads = [policy.promote_warm_reads.max(1), policy.promote_hot_reads.max(1)];
        reads.sort_unstable();
        TierPolicy {
            warm_after_days: days[0],
            cold_after_days: days[1],
            archive_after_days: days[2],
            promote_warm_reads: reads[0],
            promote_hot_reads: reads[1],
            ..policy
        }
    })
}

/// Moments near one another, and all others.
fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![-20 * DAY_MILLIS..20 * DAY_MILLIS, any::<i64>()]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_arbitrary_policy_is_refused_or_in_order(policy in policy()) {
        let days = [policy.warm_after_days, policy.cold_after_days, policy.archive_after_days];
        let reads = [1, policy.promote_warm_reads, policy.promote_hot_reads];
        match policy.validate() {
            Ok(()) => assert!(days.is_sorted() && reads.is_sorted()),
            Err(error) => {
                assert_eq!(error.kind(), Kind::InvalidArgument);
                assert!(!days.is_sorted() || !reads.is_sorted());
            }
        }
    }

    #[test]
    fn a_policy_survives_its_json(policy in policy()) {
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<TierPolicy>(&text).unwrap(), policy);
    }

    /// For every moment there is an answer, and a later one is never warmer; nor is an earlier use.
    #[test]
    fn age_never_warms(policy in valid(), used in moment(), now in moment(), later in moment(), bytes in any::<u64>()) {
        policy.validate().unwrap();
        let (now, later) = (now.min(later), now.max(later));
        let target = |used, now| policy.target(Timestamp(used), Timestamp(now), bytes);
        assert!(target(used, now) <= target(used, later));
        assert!(target(later, now) <= target(now, now));
        assert!(target(later, later.max(used)) <= target(used.min(later), later.max(used)));
    }

    /// The thresholds are what they say: a day before one the content is not there yet, on it it is.
    #[test]
    fn thresholds_are_met_on_the_day(policy in valid(), used in -20 * DAY_MILLIS..20 * DAY_MILLIS) {
        let at = |days: u32| policy.target(Timestamp(used), Timestamp(used + i64::from(days) * DAY_MILLIS), 0);
        assert_eq!(at(policy.archive_after_days), Tier::Archive);
        assert!(at(policy.cold_after_days) >= Tier::Cold);
        if policy.skip_warm_bytes_min > 0 {
            assert!(at(policy.warm_after_days) >= Tier::Warm);
        }
        if let Some(before) = policy.warm_after_days.checked_sub(1) {
            assert_eq!(at(before), Tier::Hot);
        }
        if let Some(before) = policy.archive_after_days.checked_sub(1) {
            assert!(at(before) < Tier::Archive);
        }
    }

    /// Size decides nothing but whether the warm tier is skipped, and then content stays hot until it is cold.
    #[test]
    fn size_only_skips_the_warm_tier(policy in valid(), used in moment(), now in moment(), bytes in any::<u64>()) {
        let small = policy.target(Timestamp(used), Timestamp(now), 0);
        let target = policy.target(Timestamp(used), Timestamp(now), bytes);
        if bytes >= policy.skip_warm_bytes_min {
            assert_ne!(target, Tier::Warm);
        }
        match small {
            Tier::Warm => assert!(matches!(target, Tier::Hot | Tier::Warm)),
            other if policy.skip_warm_bytes_min > 0 => assert_eq!(target, other),
            _ => {}
        }
    }

    /// More reads never deserve a colder copy, or none.
    #[test]
    fn reads_only_warm(policy in valid(), reads in number(), more in number()) {
        let (reads, more) = (reads.min(more), reads.max(more));
        let rank = |reads| match policy.promotion(reads) {
            None => 0,
            Some(Tier::Warm) => 1,
            Some(Tier::Hot) => 2,
            Some(other) => panic!("a copy in {other:?}"),
        };
        assert!(rank(reads) <= rank(more));
        assert_eq!(policy.promotion(0), None);
        assert_eq!(policy.promotion(policy.promote_hot_reads), Some(Tier::Hot));
    }
}
