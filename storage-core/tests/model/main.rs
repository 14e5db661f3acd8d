//! The engine against a plain model in memory: seeded sequences of everything a caller and an operator do, with closes,
//! power cuts and lost catalogs in between. After every few steps all that the model has is byte-identical in the
//! engine, nothing else is there, and the statistics add up to the bytes on disk.
//!
//! `MODEL_SEEDS=200 cargo test -p storage-core --test model` runs more seeds; `MODEL_FIRST=17` begins at that one. A
//! failure names its seed and step.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

mod check;
mod driver;
mod erasing;
mod image;
mod regressions;
mod steps;
mod world;

use crate::driver::Covered;
use crate::driver::Driver;

/// Seeds of an ordinary run, and steps of each.
const SEEDS: u64 = 7;
const STEPS: u32 = 40;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_does_what_the_model_does() {
    let (first, seeds) = (number("MODEL_FIRST", 0), number("MODEL_SEEDS", SEEDS));
    let mut covered = Covered::default();
    for seed in first..first + seeds {
        let mut driver = Driver::start(seed).await;
        for _ in 0..STEPS {
            driver.step().await;
        }
        covered.add(&driver.finish().await);
    }
    if first == 0 && seeds >= SEEDS {
        covered.require_everything();
    }
}
