//! What migration and compaction share: units are read and verified, gathered into blocks, encoded, and written into a
//! new pack, which counts only at the end.
//!
//! Order, for each pack that is written: read -> encode into a new pack -> durable -> read back, decode, compare every
//! hash -> register the pack -> commit the new locations where the old ones still stand -> the old bytes are dead, sweep
//! deletes them later.

pub(crate) mod dependents;
pub(crate) mod dictionary;
pub(crate) mod encode;
mod large;
pub(crate) mod mover;
pub(crate) mod pack;
pub(crate) mod pending;
mod sample;
pub(crate) mod unit;
