//! Erasing: afterwards no file of the data directory holds, decoded, any 16 bytes in a row that only the erased items
//! had, wherever they were; everything else is there, byte for byte; and whatever ends the process on the way, the next
//! erasure finishes it.
//!
//! With `ERASE_MAIL=DIRECTORY` the ignored test in `mail.rs` erases from real mail and prints what that costs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

mod bases;
mod crash;
mod mail;
mod places;
mod requests;
mod traces;
mod yard;
