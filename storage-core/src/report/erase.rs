//! What to erase, and what erasing came to.

use serde::Serialize;
use uuid::Uuid;

use crate::model::ItemKind;

/// Whose bytes must go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EraseWhat {
    /// Messages or contents, by the server's ids or the caller's. Deleted ones, too, by ids that their packs still know.
    Items(ItemKind, Vec<String>),
    /// Everything that was put with this lead, deleted or not.
    Lead(Uuid),
    /// Everything of the tenant, deleted or not. The tenant itself stays.
    Tenant,
}

/// What to erase, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EraseOptions {
    /// The tenant that it belongs to, by name, and what. None means what was asked for before.
    pub what: Option<(String, EraseWhat)>,
    /// Only tell what it would take.
    pub dry_run: bool,
    /// Make the request durable and leave the work to the next erasure.
    pub later: bool,
}

/// What erasing came to so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EraseReport {
    /// Messages and contents that this call asks to erase.
    pub requested: u64,
    /// How many of them had been asked for before.
    pub known: u64,
    /// Messages and contents that were erased now: nothing of them is left in any file.
    pub erased: u64,
    /// When that was so, milliseconds since 1970.
    pub erased_at: Option<i64>,
    /// Messages and contents that are still to be erased, of this call or an earlier one.
    pub pending: u64,
    /// Packs that hold something of them, or need a dictionary that does.
    pub planned_packs: u64,
    /// The length of these packs.
    pub planned_pack_bytes: u64,
    /// Decoded bytes in them that stay and are written again: what `decoded_bytes` is working towards.
    pub planned_bytes: u64,
    /// Decoded bytes that were written again.
    pub decoded_bytes: u64,
    /// Bytes of the frames that were written, as stored, new dictionaries included: what the erasure cost.
    pub rewritten_bytes: u64,
    /// Bytes of the catalog, which was written anew.
    pub catalog_bytes: u64,
    /// Packs written.
    pub packs_written: u64,
    /// Packs deleted.
    pub packs_deleted: u64,
    /// Their bytes.
    pub bytes_deleted: u64,
    /// Dictionaries that had sampled what was erased, and are gone.
    pub dictionaries_retired: u64,
    /// Dictionaries that were sampled in their place.
    pub dictionaries_made: u64,
    /// Skeletons and objects beside what was to be erased that cannot be read back, and frames whose table cannot: what
    /// is near them cannot be erased before they are repaired.
    pub damaged: u64,
    /// Packs that could not be emptied, by name.
    pub left: Vec<Uuid>,
    /// True where a stop ended the run before it was done.
    pub stopped: bool,
}
