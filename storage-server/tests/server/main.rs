//! The server from outside, over real sockets on free ports.

#![allow(
    unused_results,
    clippy::unwrap_used,
    dead_code,
    reason = "a test stops where it cannot go on, and looks at what it is about; the support is shared"
)]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod items;
mod life;
mod streams;
