//! Erasing: afterwards no file of the store holds, decoded, what only the erased items had.
//!
//! Order of effects:
//! 1. Nothing forbids it (holds, retention). A tombstone that asks for the erasure is durable in the log, then the item is
//!    deleted in the catalog, with a row that says what is to be erased: from here on the id is not found, and whatever
//!    ends the process, the next erasure goes on. The tombstone names hashes, and no id of the caller's.
//! 2. The log is sealed. What is stored as a difference from an object without a reference is written whole; then objects
//!    without a reference are forgotten. What is still referred to is not only the item's.
//! 3. Every pack is searched for what is left of the items: their records, their skeletons, objects that only they referred
//!    to, wherever an earlier rewrite left them; changes and tombstones that name them; dictionaries that sampled them, and
//!    all frames that need one of these.
//! 4. These dictionaries retire. All that is alive in the packs found moves into new ones, as in a compaction; what needed
//!    the dictionaries is encoded again.
//! 5. What outlives the packs is carried into the log. The catalog is made durable. The packs are deleted at once: the grace
//!    of a sweep does not hold for them.
//! 6. 2 to 5 again, until nothing is found.
//! 7. The catalog's file is written anew and its log cut off, so that nothing of a deleted row stays in them.
//! 8. The rows of 1 are marked: that is when the items are erased.
//!
//! A crash, a stop or a failure between the steps leaves the rows of 1 unmarked. Damage beside what is to be erased leaves its
//! pack, and the rows, as they are; the report names the pack.

mod found;
mod request;
mod run;
mod search;
mod targets;

pub(crate) use request::request;
pub(crate) use run::finish;
pub(crate) use run::plan;
