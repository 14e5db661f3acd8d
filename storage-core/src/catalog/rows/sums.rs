//! Reads, statistics and jobs.

use crate::clock::Timestamp;
use crate::ids::ItemKey;
use crate::ids::TenantKey;
use crate::model::Tier;

/// Reads of an item on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRow {
    /// The item.
    pub item: ItemKey,
    /// The day.
    pub day: i64,
    /// Reads.
    pub reads: u32,
}

/// Sums of statistics. See the table's comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Messages.
    pub messages: i64,
    /// Contents.
    pub contents: i64,
    /// Bytes as received.
    pub logical_bytes: i64,
    /// Skeletons and the objects they refer to, once per reference.
    pub referenced_bytes: i64,
    /// Objects.
    pub objects: i64,
    /// Their bytes.
    pub object_bytes: i64,
    /// Skeletons.
    pub skeletons: i64,
    /// Their bytes.
    pub skeleton_bytes: i64,
    /// Second locations, decoded.
    pub copy_bytes: i64,
    /// Decoded bytes moved into the tier.
    pub moved_bytes: i64,
    /// Bytes as received of what was deleted.
    pub deleted_bytes: i64,
}

/// Statistics of a tenant, day and tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatisticsRow {
    /// The tenant.
    pub tenant: TenantKey,
    /// The day; 0 in counted rows.
    pub day: i64,
    /// The tier.
    pub tier: Tier,
    /// The sums.
    pub sums: Statistics,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Its id.
    pub id: i64,
    /// Its kind.
    pub kind: String,
    /// Its state.
    pub state: String,
    /// When it began.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Report or error.
    pub detail: String,
}
