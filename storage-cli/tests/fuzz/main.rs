//! Damaged bytes against everything that reads bytes from outside: one table of targets (`targets/mod.rs`), one harness.
//! Every target begins with valid inputs that are generated, damages them by seed, and must hold its promise for each.
//!
//! `FUZZ_SECONDS` is the time for each target (default 1), `FUZZ_TARGET` names a single one, `FUZZ_FIRST` is the number
//! of the first input, which is its seed. A failure prints the command that makes it again. The same targets run under
//! a coverage-guided fuzzer: see `fuzz/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

mod corpus;
mod harness;
#[path = "../../../storage-core/tests/support/seal.rs"]
mod seal;
mod targets;

use harness::Budget;
use targets::CANARY;
use targets::TARGETS;

#[test]
fn every_target_holds() {
    let wanted = std::env::var("FUZZ_TARGET").ok();
    let chosen = TARGETS.iter().filter(|target| wanted.as_ref().is_none_or(|name| name == target.name));
    let mut ran = 0;
    for target in chosen {
        let inputs =
            harness::fuzz(target, Budget::from_environment()).unwrap_or_else(|failure| panic!("{failure}"));
        eprintln!("{:20} {inputs} inputs", target.name);
        assert!(inputs > 10, "{} is too slow to be of use: {inputs} inputs", target.name);
        ran += 1;
    }
    assert!(ran > 0, "FUZZ_TARGET names none of: {:?}", TARGETS.map(|target| target.name));
}

/// A target that breaks on purpose: a harness that lets it pass would let everything pass.
#[test]
fn the_canary_is_noticed() {
    let failure = harness::fuzz(&CANARY, Budget::inputs(100_000)).expect_err("the canary must fail");
    assert!(failure.contains("FUZZ_TARGET=canary"), "{failure}");
    let again = harness::fuzz(&CANARY, Budget::inputs(100_000)).expect_err("the canary must fail");
    assert_eq!(failure, again, "the same seeds fail alike");
}
