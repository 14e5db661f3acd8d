//! Rewriting packs that are partly dead, and merging what is small: packs far below the length of a full one, and blocks
//! far below the block size of their tier. Order, for each pack that is written: as in `ops/rewrite/mod.rs`. The old
//! packs are dead then, but for what a later sweep carries into the log.
//!
//! Units keep their tier. A block that is whole and not small is taken over as it is, sealed anew for its place; from all
//! others the living units are decoded, merged in order of arrival with their neighbours of the same tenant, class and
//! tier, and encoded again. Large objects move with their segments, dictionaries with their frames.
//!
//! A run that is killed at any step loses the packs it was writing and nothing else; the next run plans anew.

mod dictionaries;
mod drift;
mod forced;
mod frames;
mod plan;
mod run;

pub(crate) use forced::Forced;
pub(crate) use forced::empty;
pub(crate) use forced::free_bases;
pub(crate) use run::compact;
