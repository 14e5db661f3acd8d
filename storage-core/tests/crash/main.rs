//! Every operation survives a crash at every step, and every failure of a door. A step is a call through a door: each
//! scenario is run once to count its calls, then once for every call with a crash before it, in the middle of it and
//! after it, and once for every call that fails once, fails after its effect, and fails for ever. After a crash the
//! un-synced writes are lost, kept, torn and lost out of order. What must hold then is in `check.rs`.
//!
//! How many points were covered is printed: `cargo test -p storage-core --test crash -- --nocapture`.
//! `SIMULATION_SEEDS=5000` runs more seeds of the simulation, `SIMULATION_FIRST=17` begins at that one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

mod answers;
mod canaries;
mod catalog_files;
mod check;
mod choices;
mod erasures;
mod interleavings;
mod jobs;
mod known;
mod lab;
mod moves;
mod packs;
mod points;
mod promises;
mod regressions;
mod rows;
mod runs;
mod simulation;
mod stores;
mod upkeep;
mod wishes;
mod world;
mod writes;
