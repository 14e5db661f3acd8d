//! Packs: their states, watermarks and counters.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::PackKey;
use crate::model::Tier;

/// Byte counters of a pack: `stream + record + dictionary + index` is its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackBytes {
    /// Decoded bytes of all block and segment streams.
    pub decoded: u64,
    /// The same as stored.
    pub stream: u64,
    /// Frame headers, tables, tombstones and the like.
    pub record: u64,
    /// Dictionary frames.
    pub dictionary: u64,
    /// Pack header, index and footer.
    pub index: u64,
}

impl PackBytes {
    /// The pack's length.
    pub fn total(self) -> u64 {
        self.stream + self.record + self.dictionary + self.index
    }
}

/// How far a pack is: the watermark and its counters up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackProgress {
    /// Everything before this offset is in the catalog. Equals `bytes.total()`.
    pub committed_bytes: u64,
    /// Counters up to there.
    pub bytes: PackBytes,
}

impl PackProgress {
    /// The progress of a pack with these counters.
    pub fn of(bytes: PackBytes) -> Self {
        Self { committed_bytes: bytes.total(), bytes }
    }
}

/// What a pack was written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackOrigin {
    /// Puts; replayed by recovery.
    Log,
    /// A migration or compaction, from other packs.
    Rewrite,
    /// One large put; replayed by recovery.
    Large,
}

/// The states of a pack: open -> sealed -> condemned -> gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackState {
    /// Being written.
    Open,
    /// Immutable.
    Sealed,
    /// Nothing in it is needed; the grace period runs.
    Condemned(Timestamp),
}

/// A pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRow {
    /// Its key.
    pub key: PackKey,
    /// Its name.
    pub name: Uuid,
    /// What wrote it.
    pub origin: PackOrigin,
    /// Its tier.
    pub tier: Tier,
    /// Its state.
    pub state: PackState,
    /// Watermark and counters.
    pub progress: PackProgress,
    /// When it was created.
    pub created: Timestamp,
}

/// A pack to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPack {
    /// Its name.
    pub name: Uuid,
    /// What writes it.
    pub origin: PackOrigin,
    /// Its tier.
    pub tier: Tier,
    /// False while it can still grow.
    pub sealed: bool,
    /// Watermark and counters.
    pub progress: PackProgress,
    /// When it was created.
    pub created: Timestamp,
}
