//! Moving content between tiers. Order, for each pack that is written: as in `ops/rewrite/mod.rs`.
//!
//! A run that is killed at any step loses the pack it was writing and nothing else: what was committed has moved, the
//! rest has not, and the next run goes on with that. Reading counts are flushed first; the log's open pack is sealed,
//! so that everything that moves lies in sealed packs.

mod allowance;
pub(crate) mod plan;
mod recoding;
mod refill;
mod run;
mod similar;
mod tally;

pub(crate) use run::migrate;
