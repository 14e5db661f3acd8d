//! Splitting mail and joining it again, at scale: whatever the bytes and however they are fed, they come back exactly,
//! without a panic, and in time that grows no faster than their length.
//!
//! `MIME_CORPUS` names a directory of sample mail and `MIME_MUTATIONS` how many damaged messages to make of it;
//! `MIME_WORST` measures the shapes made to cost most. Without them generated mail is damaged a few hundred times.

mod mutations;
mod round;
mod worst;
