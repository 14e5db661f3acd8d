//! Damage under the engine: bytes of packs and of the catalog are flipped, cut off, swapped and copied. Reading and
//! opening give the right bytes or an error, never other bytes, a panic, or no end.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

#[path = "../support/seal.rs"]
mod seal;

mod catalog;
mod packs;
mod recovery;
mod rows;
mod store;
