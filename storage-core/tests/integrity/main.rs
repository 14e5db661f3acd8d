//! Scrub, repair and rebuild on small stores: every kind of damage is made and found under its name, every byte is
//! flipped, what can be mended is mended, and a catalog that is rebuilt from packs says what the lost one said.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

mod bytes;
mod damage;
mod mend;
mod rebuild;
mod repair;
mod rows;
mod store;
mod tombstones;
