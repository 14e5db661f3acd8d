//! What tests of a whole store need: a clock that moves when it is told to, a catalog in memory, and wrappers of both
//! doors that count calls, fail, crash, hold and lie by plan. Nothing here is part of a store that runs.
//!
//! A crash point is a call through a door. With [`memory_catalog::MemoryCatalog`] and
//! [`crate::backend::MemoryBackend`], `Settings::workers = 0` and a runtime of one thread with paused time, a run
//! depends on nothing but its seeds.

pub mod chance;
pub mod clock;
pub mod faults;
mod faulty_backend;
mod faulty_catalog;
mod faulty_similar;
pub mod memory_catalog;
pub mod model_disk;
pub mod power;
