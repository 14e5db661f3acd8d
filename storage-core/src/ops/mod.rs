//! One operation a file, its order of effects at the top.

mod base;
pub(crate) mod compact;
pub(crate) mod explain;
pub mod get;
mod holders;
pub(crate) mod items;
mod large_sink;
pub(crate) mod log;
pub(crate) mod migrate;
pub(crate) mod prepared;
pub mod put;
mod put_large;
pub(crate) mod read;
pub(crate) mod rebuild;
mod recoded;
pub mod recover;
pub(crate) mod repair;
mod replay;
mod replay_checks;
pub(crate) mod rewrite;
pub(crate) mod scrub;
pub(crate) mod stats;
pub mod stream;
mod survey;
pub(crate) mod sweep;
pub(crate) mod train;
mod words;
