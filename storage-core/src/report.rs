//! The plain data that upkeep and admin operations take and tell. No logic.

mod erase;
mod integrity;
mod similar;
mod stats;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::model::ItemKind;
use crate::model::Tier;

pub use erase::EraseOptions;
pub use erase::EraseReport;
pub use erase::EraseWhat;
pub use integrity::Finding;
pub use integrity::FindingKind;
pub use integrity::RebuildReport;
pub use integrity::RepairAction;
pub use integrity::RepairOptions;
pub use integrity::RepairReport;
pub use integrity::ScrubEvent;
pub use integrity::ScrubOptions;
pub use integrity::ScrubReport;
pub use similar::Similar;
pub use similar::SimilarOptions;
pub use stats::Added;
pub use stats::Latency;
pub use stats::Saved;
pub use stats::Stats;
pub use stats::StatsBy;
pub use stats::StatsRow;
pub use stats::TierStats;

/// What to migrate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MigrateOptions {
    /// Only this tenant; all if absent.
    pub tenant: Option<String>,
    /// Plan only, write nothing.
    pub dry_run: bool,
    /// Evaluate ages at this time; now if absent.
    pub as_of: Option<Timestamp>,
    /// Move everything that is warmer into this tier, whatever its age. Pins still hold.
    pub to: Option<Tier>,
    /// Stop after about this many decoded bytes.
    pub bytes_max: Option<u64>,
    /// Read at most this many decoded bytes a second.
    pub bytes_per_second_max: Option<u64>,
    /// Leave what is due in its tier until it fills a block there, 14 days at most. What is forced by `to` or pinned does
    /// not wait.
    pub wait: bool,
}

/// What moves from one tier to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Move {
    /// Skeletons and objects.
    pub objects: u64,
    /// Their decoded bytes.
    pub decoded_bytes: u64,
    /// The bytes they take in their new frames; 0 in a plan.
    pub stored_bytes: u64,
}

/// What a migration planned, or did so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MigrateReport {
    /// Moves by `"hot -> warm"` and the like.
    pub moves: BTreeMap<String, Move>,
    /// Copies made in a warmer tier because of reads (`"archive -> hot"`).
    pub copies: BTreeMap<String, Move>,
    /// Objects planned in all; what `moves` and `copies` are working towards.
    pub planned_objects: u64,
    /// Decoded bytes planned in all.
    pub planned_bytes: u64,
    /// Objects that are due and wait until they fill a block. They are not planned.
    pub waiting_objects: u64,
    /// Their decoded bytes.
    pub waiting_bytes: u64,
    /// Packs written.
    pub packs: u64,
    /// Objects that another change overtook; left to the next run.
    pub overtaken: u64,
    /// Objects that could not be read back exactly and were left where they are. Restore from a backup.
    pub damaged: u64,
    /// True where a limit or a stop ended the run before the plan was done.
    pub stopped: bool,
}

/// What to compact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactOptions {
    /// Only packs that hold something of this tenant; all if absent. A pack is rewritten whole, whoever is in it.
    pub tenant: Option<String>,
    /// Plan only, write nothing.
    pub dry_run: bool,
    /// Rewrite packs of which at least this share is dead, in percent. Default 25.
    pub dead_percent_min: u8,
    /// Stop after about this many decoded bytes.
    pub bytes_max: Option<u64>,
    /// Read at most this many decoded bytes a second.
    pub bytes_per_second_max: Option<u64>,
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self {
            tenant: None,
            dry_run: false,
            dead_percent_min: 25,
            bytes_max: None,
            bytes_per_second_max: None,
        }
    }
}

/// What a compaction planned, or did so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CompactReport {
    /// Packs that are partly dead, or small, and are emptied.
    pub planned_packs: u64,
    /// Skeletons and objects to move; what `objects` is working towards.
    pub planned_objects: u64,
    /// Their decoded bytes.
    pub planned_bytes: u64,
    /// Skeletons and objects in packs that were written.
    pub objects: u64,
    /// Their decoded bytes.
    pub decoded_bytes: u64,
    /// Blocks taken over as they were.
    pub blocks_copied: u64,
    /// Blocks that were decoded: small, partly dead, or written with an older dictionary.
    pub blocks_decoded: u64,
    /// Bytes of all frames that were read to be replaced.
    pub replaced_bytes: u64,
    /// Bytes of the frames that replace them.
    pub stored_bytes: u64,
    /// Dictionaries whose frames moved.
    pub dictionaries_moved: u64,
    /// Dictionaries that were sampled.
    pub dictionaries_made: u64,
    /// Packs written.
    pub packs: u64,
    /// Objects that another change overtook; left to the next run.
    pub overtaken: u64,
    /// Objects that could not be read back exactly and were left where they are. Restore from a backup.
    pub damaged: u64,
    /// True where a limit or a stop ended the run before the plan was done.
    pub stopped: bool,
}

/// What to sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepOptions {
    /// How long a pack stays after nothing in it is needed any more. Default 24 h.
    pub grace: Duration,
    /// Report only.
    pub dry_run: bool,
}

impl Default for SweepOptions {
    fn default() -> Self {
        Self { grace: Duration::from_hours(24), dry_run: false }
    }
}

/// What a sweep did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SweepReport {
    /// Objects without a reference, forgotten.
    pub objects_removed: u64,
    /// Packs found to hold nothing that is needed; the grace period runs.
    pub packs_condemned: u64,
    /// Packs deleted.
    pub packs_deleted: u64,
    /// Bytes given back.
    pub bytes_deleted: u64,
    /// Condemned packs whose grace period is not over.
    pub packs_waiting: u64,
}

/// Where one object or skeleton is, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainPart {
    /// `skeleton`, or `part N`.
    pub what: String,
    /// SHA-256 of the object in hex; empty for a skeleton.
    pub sha256: String,
    /// Decoded bytes.
    pub decoded_bytes: u64,
    /// How many messages and contents refer to it.
    pub references: u64,
    /// The tier of its primary location.
    pub tier: String,
    /// The pack, by name.
    pub pack: String,
    /// The frame's number in the pack.
    pub frame: u32,
    /// The codec of its block.
    pub codec: String,
    /// Dictionary of its block, if any.
    pub dictionary: Option<String>,
    /// Decoded and stored bytes of its whole block: what reading it costs.
    pub block_decoded_bytes: u64,
    /// See above.
    pub block_stored_bytes: u64,
    /// The warmer tier it has a second location in, if any.
    pub copy_tier: Option<String>,
    /// What happens to it next and when, as a sentence.
    pub next: String,
}

/// Why an item is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The server's id.
    pub id: Uuid,
    /// `message` or `content`.
    pub kind: String,
    /// The moment its age counts from (the later of creation and last access), milliseconds since 1970.
    pub used: i64,
    /// Sentences, in order of weight: age, pin, hold, retention, policy.
    pub reasons: Vec<String>,
    /// The skeleton and every object.
    pub parts: Vec<ExplainPart>,
}

impl ItemKind {
    /// `message` or `content`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Content => "content",
        }
    }
}

/// A dictionary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DictionaryInfo {
    /// Its permanent id.
    pub id: Uuid,
    /// The tenant's name; empty for the built-in one, which small tenants share.
    pub tenant: String,
    /// The content class it was made for.
    pub class: String,
    /// `trained`, `sampled`, or `built in`.
    pub origin: String,
    /// Which one of its tenant and class it is, from 1; 0 where that was not noted.
    pub version: u32,
    /// `active`: new blocks use it. `retired`: it stays while blocks need it. `damaged`: it cannot be read.
    pub state: String,
    /// Skeletons and objects that it was sampled from.
    pub samples: u64,
    /// Decoded bytes that are in use in blocks that need it.
    pub served_bytes: u64,
    /// Bytes of the dictionary, and of its frame.
    pub bytes: u64,
    /// See above.
    pub stored_bytes: u64,
    /// What it saved on a held-out sample when it was made: 1 - with / without. 0 for the built-in one, which is tried
    /// on each class anew.
    pub gain: f64,
    /// When it was made.
    pub created: i64,
    /// Packs that need it.
    pub packs: u64,
}

/// A background job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobInfo {
    /// Its id.
    pub id: i64,
    /// `migrate`, `sweep`, ...
    pub kind: String,
    /// `running`, `done`, `failed` or `stopped` (also where the process ended in between).
    pub state: String,
    /// When it began and ended, milliseconds since 1970.
    pub created: i64,
    /// See above.
    pub ended: Option<i64>,
    /// The report as JSON, or the error.
    pub detail: String,
}
