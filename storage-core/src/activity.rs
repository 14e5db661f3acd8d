//! What an engine says about how it fares, for whoever watches it. Plain data; no logic.

use crate::model::Tier;

/// A number of operations and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// How many.
    pub count: u64,
    /// Of how many bytes.
    pub bytes: u64,
}

/// What was done since the engine was opened. Counted in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Messages stored.
    pub messages_put: Done,
    /// Contents stored.
    pub contents_put: Done,
    /// Puts whose id and bytes were there already.
    pub known_put: Done,
    /// Reads, by the tier the item was in.
    pub reads: [(Tier, Done); 4],
    /// Groups of the log.
    pub groups: u64,
    /// Requests in them.
    pub group_requests: u64,
    /// Units whose stored bytes did not match their hash, or were gone, when they were read or migrated.
    pub damaged: u64,
}

/// How busy the engine is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Bytes that puts in flight hold.
    pub put_memory_bytes: u64,
    /// Puts that wait for such bytes.
    pub puts_waiting: u64,
    /// Bytes that answers on their way out hold.
    pub get_memory_bytes: u64,
    /// Reads that wait for such bytes.
    pub gets_waiting: u64,
    /// Requests that wait for the log.
    pub log_queue: u64,
    /// Pieces of CPU-heavy work of reads and puts that run.
    pub foreground_running: u64,
    /// The same, of migrations and the like.
    pub background_running: u64,
    /// Bytes in the cache of decoded blocks.
    pub block_cache_bytes: u64,
    /// Bytes in the cache of dictionaries.
    pub dictionary_cache_bytes: u64,
    /// Bytes in the cache of packs' indexes.
    pub index_cache_bytes: u64,
    /// Whether a migration, a sweep or a training runs.
    pub upkeep_running: bool,
}

/// The packs of one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierPacks {
    /// The tier.
    pub tier: Tier,
    /// Packs, condemned ones included.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them are condemned.
    pub condemned: u64,
}

/// How long reads took since the engine was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadLatencies {
    /// The tier that was read.
    pub tier: Tier,
    /// The sum of all of them, in seconds.
    pub seconds: f64,
    /// Upper edges in seconds, and how many reads took up to that and longer than the edge before. Longer ones are in
    /// the last.
    pub buckets: Vec<(f64, u64)>,
}
