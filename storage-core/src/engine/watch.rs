//! What the engine tells whoever watches it, and the way back after a failed write.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::activity::Activity;
use crate::activity::Load;
use crate::activity::ReadLatencies;
use crate::activity::TierPacks;
use crate::catalog::rows::PackState;
use crate::engine::Engine;
use crate::error::Error;
use crate::error::Result;
use crate::model::Tier;
use crate::ops::log::Request;
use crate::ops::recover::Recovered;

impl Engine {
    /// What was done since the engine was opened.
    pub fn activity(&self) -> Activity {
        self.store().counters.activity()
    }

    /// How long reads took since then, by tier.
    pub fn read_latencies(&self) -> Vec<ReadLatencies> {
        Tier::ALL.into_iter().map(|tier| self.store().latencies.buckets(tier)).collect()
    }

    /// How busy it is now.
    pub fn load(&self) -> Load {
        let store = self.store();
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Load {
            put_memory_bytes: number(store.put_memory.held()),
            puts_waiting: number(store.put_memory.waiting()),
            get_memory_bytes: number(store.get_memory.held()),
            gets_waiting: number(store.get_memory.waiting()),
            log_queue: number(self.inner.log.waiting()),
            foreground_running: number(store.foreground.running()),
            background_running: number(store.background.running()),
            block_cache_bytes: store.caches.blocks.weighted_size(),
            dictionary_cache_bytes: store.caches.dictionaries.weighted_size(),
            index_cache_bytes: store.caches.indexes.weighted_size(),
            upkeep_running: self.inner.upkeep.available_permits() == 0,
        }
    }

    /// Packs by tier.
    pub async fn packs_by_tier(&self) -> Result<Vec<TierPacks>> {
        self.check_open()?;
        let empty = |tier| (tier, TierPacks { tier, packs: 0, bytes: 0, condemned: 0 });
        let mut tiers: BTreeMap<Tier, TierPacks> = Tier::ALL.into_iter().map(empty).collect();
        for pack in self.store().catalog.packs().await? {
            if let Some(sum) = tiers.get_mut(&pack.tier) {
                sum.packs += 1;
                sum.bytes += pack.progress.bytes.total();
                sum.condemned += u64::from(matches!(pack.state, PackState::Condemned(_)));
            }
        }
        Ok(tiers.into_values().collect())
    }

    /// Whether a tenant of that name is known, without asking the catalog.
    pub fn knows_tenant(&self, name: &str) -> bool {
        self.store().known_tenant(name).is_some()
    }

    /// Opens a store for writes again that a failed write has shut, by the recovery that a start runs. Reads go on
    /// meanwhile. Does nothing where the store takes writes.
    ///
    /// `FailedPrecondition`: upkeep or a large put is still under way. Any other error: it stays shut.
    pub async fn reopen(&self) -> Result<Recovered> {
        self.check_open()?;
        let Ok(_idle) = Arc::clone(&self.inner.upkeep).try_acquire_owned() else {
            return Err(Error::precondition(
                "A migration, a sweep or a training is running. Reopen the store when it has ended.",
            ));
        };
        let Ok(_no_large_put) = Arc::clone(&self.store().large_puts).try_write_owned() else {
            return Err(Error::precondition("A large put is still ending. Reopen the store in a moment."));
        };
        self.inner.log.ask(Request::Reopen).await
    }
}
