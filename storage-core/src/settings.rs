//! What an engine is opened with. Plain data; the doors themselves are made by [`crate::engine::Engine::open`].

use std::path::PathBuf;

use crate::tier::policy::TierPolicy;

/// Settings of an engine on the embedded defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The directory that holds packs and catalog. Created if absent.
    pub data_dir: PathBuf,
    /// The tier policy of tenants without one of their own.
    pub policy: TierPolicy,
    /// Largest item accepted, in bytes as received. Default 256 MiB.
    pub item_bytes_max: u64,
    /// Threads for CPU-heavy work; with 0 it is done where it stands, and a run repeats exactly: for simulations.
    /// Default: the machine's cores.
    pub workers: usize,
    /// Memory for decoded blocks kept for further reads, in bytes. Default 32 MiB.
    pub block_cache_bytes: u64,
    /// Memory for dictionaries kept for reads, in bytes. Default 32 MiB.
    pub dictionary_cache_bytes: u64,
    /// Memory for puts in flight, in bytes; further puts wait. Default 48 MiB.
    pub put_memory_bytes: u64,
    /// Memory for answers on their way out, in bytes; further reads wait. Default 64 MiB.
    pub get_memory_bytes: u64,
    /// How much of a budget one tenant may hold, in percent. Default 75.
    pub tenant_share_percent: u8,
}

impl Settings {
    /// The defaults, in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            policy: TierPolicy::default(),
            item_bytes_max: 256 << 20,
            workers: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            block_cache_bytes: 32 << 20,
            dictionary_cache_bytes: 32 << 20,
            put_memory_bytes: 48 << 20,
            get_memory_bytes: 64 << 20,
            tenant_share_percent: 75,
        }
    }
}
