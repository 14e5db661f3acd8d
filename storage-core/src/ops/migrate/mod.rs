//! Moving content between tiers. Order, for each pack that is written:
//! read -> encode into a new pack -> durable -> read back, decode, compare every hash -> register the pack -> commit the
//! new locations where the old ones still stand -> the old bytes are dead, sweep deletes them later.
//!
//! A run that is killed at any step loses the pack it was writing and nothing else: what was committed has moved, the
//! rest has not, and the next run goes on with that. Reading counts are flushed first; the log's open pack is sealed,
//! so that everything that moves lies in sealed packs.

pub(crate) mod dictionary;
mod encode;
mod large;
mod pending;
pub(crate) mod plan;
mod run;

pub(crate) use run::migrate;
