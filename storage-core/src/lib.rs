//! A tiered, deduplicating, byte-exact content store for mail.

pub mod backend;
pub mod catalog;
pub mod clock;
pub mod codec;
mod data_dir;
pub mod engine;
pub mod error;
pub mod ids;
pub mod media;
pub mod mime;
pub mod model;
pub mod ops;
pub mod pack;
pub mod report;
pub mod settings;
pub mod store;
pub mod tier;
mod workers;
