//! Calls into the crates that recode. They see outside bytes, and their own checks are assertions: a panic there is
//! caught here and means that the bytes cannot be recoded, or that a stored form is corrupt. Nothing of theirs is used
//! after a panic.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

/// What `work` gives, or none where it panics.
pub(super) fn guarded<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    // What `work` holds is dropped with it, so nobody sees it half done.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_default()
}
