//! What `stats` tells, in the shape of its JSON contract. No logic.

use std::collections::BTreeMap;

use serde::Serialize;

/// Bytes saved, by cause. Each may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Saved {
    /// Undoing base64 and quoted-printable.
    pub transfer_decoding: i64,
    /// Storing the same bytes once.
    pub exact_dedup: i64,
    /// Storing differences.
    pub similar_dedup: i64,
    /// Recoding JPEG and deflate.
    pub recoding: i64,
    /// LZ4 and Zstd.
    pub compression: i64,
}

/// Bytes added, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Added {
    /// Dictionaries, as stored.
    pub dictionaries: i64,
    /// Frame headers, block tables with their message records, tombstones and the like.
    pub records: i64,
    /// Pack headers, indexes and footers.
    pub indexes: i64,
    /// Second locations in a warmer tier, decoded.
    pub copies: i64,
    /// Bytes nothing refers to any more, decoded; sweep and compact give them back.
    pub dead: i64,
}

/// Read latencies since the server started, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Latency {
    /// Half of the reads were faster.
    pub p50: f64,
    /// 99 of 100 reads were faster.
    pub p99: f64,
}

/// One tier in [`Stats`].
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TierStats {
    /// `hot`, `warm`, `cold` or `archive`.
    pub tier: String,
    /// Skeletons and objects whose primary location is in this tier.
    pub objects: u64,
    /// Their decoded bytes.
    pub unique_bytes: u64,
    /// Bytes of the packs of this tier.
    pub stored_bytes: u64,
    /// Stored stream bytes by codec name.
    pub codecs: BTreeMap<String, u64>,
    /// How long reads took whose skeleton was in this tier.
    pub read_latency_ms: Latency,
}

/// What is stored and what was saved. `logical - sum(saved) + sum(added) = stored`, to the byte.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Stats {
    /// Stored messages.
    pub messages: u64,
    /// Contents stored by themselves.
    pub contents: u64,
    /// Unique objects.
    pub objects: u64,
    /// As received: every message and content.
    pub logical_bytes: u64,
    /// After decoding transfer encodings and exact dedup.
    pub unique_bytes: u64,
    /// Bytes of all packs on their backends.
    pub stored_bytes: u64,
    /// Database files after a checkpoint.
    pub catalog_bytes: u64,
    /// Savings by cause.
    pub saved: Saved,
    /// Overheads by cause.
    pub added: Added,
    /// `logical_bytes / (stored_bytes + catalog_bytes)`.
    pub ratio: f64,
    /// All four tiers, warmest first.
    pub tiers: Vec<TierStats>,
}

/// How `stats` may be broken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatsBy {
    /// By tier.
    Tier,
    /// By codec.
    Codec,
    /// Messages and contents, bodies and attachments.
    Kind,
    /// By media class.
    Media,
    /// By tenant.
    Tenant,
    /// By day.
    Day,
    /// By what the files hold: compressed mail, and everything that is not mail.
    Overhead,
    /// The largest groups of near-duplicates.
    Similar,
}

/// One row of a breakdown. Fields that a breakdown cannot tell are 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StatsRow {
    /// The tier, codec, kind, media class, tenant, day (`2026-01-31`), kind of bytes, or hash and class of a group's oldest
    /// object.
    pub key: String,
    /// Objects and skeletons (messages and contents, by kind, tenant and day).
    pub objects: u64,
    /// Bytes as received.
    pub logical_bytes: u64,
    /// Bytes after decoding and exact dedup.
    pub unique_bytes: u64,
    /// Bytes as stored; of a group, what is left of its bytes where objects are differences from others.
    pub stored_bytes: u64,
    /// Decoded bytes moved between tiers (by day).
    pub moved_bytes: u64,
    /// Bytes as received of what was deleted (by day).
    pub deleted_bytes: u64,
}
