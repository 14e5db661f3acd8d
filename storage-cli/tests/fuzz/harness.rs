//! Damages inputs by seed and calls a target until its time is over.

use std::panic;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use storage_core::clock::Clock;
use storage_core::clock::SystemClock;
use storage_fixtures::mutate::mutate;
use storage_fixtures::rng::Rng;

use crate::targets::Target;

/// How long a target is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    first: u64,
    inputs: u64,
    time: Duration,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

impl Budget {
    pub(crate) fn from_environment() -> Self {
        let time = Duration::from_secs(number("FUZZ_SECONDS", 1));
        Self { first: number("FUZZ_FIRST", 0), inputs: number("FUZZ_INPUTS", u64::MAX), time }
    }

    pub(crate) fn inputs(inputs: u64) -> Self {
        Self { first: 0, inputs, time: Duration::MAX }
    }
}

/// Tries a target; how many inputs it held for, or what made it fail.
pub(crate) fn fuzz(target: &Target, budget: Budget) -> Result<u64, String> {
    let corpus = (target.corpus)();
    assert!(!corpus.is_empty(), "{} has inputs to begin with", target.name);
    let clock = SystemClock;
    let begun = clock.monotonic();
    if budget.first == 0 {
        for (number, input) in corpus.iter().enumerate() {
            hold(target, input, || format!("undamaged input {number}"))?;
        }
    }
    let mut done = 0;
    while done < budget.inputs && clock.monotonic().saturating_sub(begun) < budget.time {
        let seed = budget.first.saturating_add(done);
        let mut rng = Rng::new(seed);
        let (input, other) = (rng.pick(&corpus).clone(), rng.pick(&corpus).clone());
        let damaged = mutate(&mut rng, &input, &other);
        hold(target, &damaged, || {
            format!("again with FUZZ_TARGET={} FUZZ_FIRST={seed} FUZZ_INPUTS=1", target.name)
        })?;
        done += 1;
    }
    Ok(done)
}

fn hold(target: &Target, input: &[u8], which: impl FnOnce() -> String) -> Result<(), String> {
    let held = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    held.map_err(|_panic| {
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or('?');
        let hex: String =
            input.iter().take(2_000).flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        format!("{} failed, {}; {} bytes: {hex}", target.name, which(), input.len())
    })
}
