//! Packs that were written once and must be read for ever: `fixtures/format/v1` holds their bytes and, beside them, what
//! they say in plain text. Decoding must give the text. Encoding must give the bytes again where nothing is compressed;
//! what a compressor makes may change with its library, so there only decoding is pinned. Foreign and newer bytes must be
//! refused by name.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

#[path = "../support/seal.rs"]
mod seal;

mod content;
mod files;
mod foreign;
mod layout;
mod packs;
