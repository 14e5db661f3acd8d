//! What is nearly the same, through the whole engine: edited documents become deltas, within a run and against what lay
//! there before; every byte stays the same through compaction, deletion of bases, scrub, repair and a rebuilt catalog.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

mod bases;
mod damage;
mod large;
mod shelf;
mod store;
