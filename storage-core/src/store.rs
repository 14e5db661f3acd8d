//! What every operation needs, in one place: the two doors, time, ids, caches, pools. No logic of any operation.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tokio::sync::RwLock as AsyncRwLock;
use uuid::Uuid;

use crate::backend::LogBackend;
use crate::budget::Budget;
use crate::caches::ReadCaches;
use crate::catalog::Catalog;
use crate::catalog::rows::AccessRow;
use crate::catalog::rows::TenantRow;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::counters::Counters;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::IdSource;
use crate::ids::ItemKey;
use crate::ids::TenantKey;
use crate::ids::uuid_v7_time;
use crate::latency::Latencies;
use crate::settings::Settings;
use crate::tier::policy::TierPolicy;
use crate::workers::Workers;

/// The doors of a store.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Where packs live.
    pub backend: Arc<dyn LogBackend>,
    /// What exists.
    pub catalog: Arc<dyn Catalog>,
}

/// What every operation needs.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) backend: Arc<dyn LogBackend>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) ids: IdSource,
    pub(crate) caches: Arc<ReadCaches>,
    pub(crate) reads: ReadCounts,
    pub(crate) latencies: Latencies,
    pub(crate) counters: Counters,
    /// For reads and puts.
    pub(crate) foreground: Workers,
    /// For migrations and the like.
    pub(crate) background: Workers,
    /// Bytes of a tenant's class when a dictionary for it was last tried in vain.
    pub(crate) dictionary_trials: Mutex<HashMap<(TenantKey, u8), u64>>,
    /// Bytes of a tenant's class when its dictionary was last tried on what came since.
    pub(crate) drift_trials: Mutex<HashMap<(TenantKey, u8), u64>>,
    /// Bytes of puts in flight.
    pub(crate) put_memory: Budget<TenantKey>,
    /// Bytes of answers that were made and not taken yet.
    pub(crate) get_memory: Budget<TenantKey>,
    /// Held shared by every put that writes a pack of its own, exclusively while the store is reopened.
    pub(crate) large_puts: Arc<AsyncRwLock<()>>,
    tenants: RwLock<HashMap<String, Arc<TenantRow>>>,
    shut: AtomicBool,
    /// Barriers that failed, and how many of them a later one made up for.
    owed_barriers: AtomicU64,
    paid_barriers: AtomicU64,
    /// The time in the newest pack's name.
    newest_pack: AtomicI64,
    /// The highest sequence of a policy record.
    newest_sequence: AtomicU64,
}

impl Store {
    pub(crate) fn new(settings: Settings, clock: Arc<dyn Clock>, doors: Doors, seed: [u8; 32]) -> Self {
        let workers = settings.workers;
        let budget =
            |bytes| Budget::new(usize::try_from(bytes).unwrap_or(usize::MAX), settings.tenant_share_percent);
        Self {
            caches: Arc::new(ReadCaches::new(&settings)),
            reads: ReadCounts::default(),
            latencies: Latencies::default(),
            counters: Counters::default(),
            dictionary_trials: Mutex::default(),
            drift_trials: Mutex::default(),
            foreground: Workers::new(workers * 2),
            background: Workers::in_background(workers),
            put_memory: budget(settings.put_memory_bytes),
            get_memory: budget(settings.get_memory_bytes),
            large_puts: Arc::default(),
            settings,
            clock,
            backend: doors.backend,
            catalog: doors.catalog,
            ids: IdSource::new(seed),
            tenants: RwLock::default(),
            shut: AtomicBool::new(false),
            owed_barriers: AtomicU64::new(0),
            paid_barriers: AtomicU64::new(0),
            newest_pack: AtomicI64::new(0),
            newest_sequence: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// After a failed write nothing is known about what reached the disk: no more writes until the store is reopened.
    pub(crate) fn shut_for_writes(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    /// Makes rows durable that no replay of the log would write. Where somebody reads the catalog for long this fails and is
    /// owed from then on ([`Store::owes_barrier`]); any other failure shuts the store for writes.
    pub(crate) async fn settle_rows(&self) -> Result<()> {
        let owed = self.owed_barriers.load(Ordering::SeqCst);
        let settled = self.catalog.barrier().await;
        match &settled {
            Ok(()) => {
                let _before = self.paid_barriers.fetch_max(owed, Ordering::SeqCst);
            }
            Err(error) => {
                let _before = self.owed_barriers.fetch_add(1, Ordering::SeqCst);
                if error.kind() != Kind::Unavailable {
                    self.shut_for_writes();
                }
            }
        }
        settled
    }

    /// Whether rows that can be seen may not be durable: who answers because of them settles them first.
    pub(crate) fn owes_barrier(&self) -> bool {
        self.owed_barriers.load(Ordering::SeqCst) > self.paid_barriers.load(Ordering::SeqCst)
    }

    /// What reached the disk is known again.
    pub(crate) fn open_for_writes(&self) {
        self.shut.store(false, Ordering::SeqCst);
    }

    pub(crate) fn writable(&self) -> bool {
        !self.shut.load(Ordering::SeqCst)
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.writable() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Unavailable,
            "The store is shut for writes since a write failed. Mend the disk (space, permissions), then reopen it (storage-cli reopen) or restart the server.",
        ))
    }

    /// A name for a pack that is written from now on. Names grow even where the clock steps back: recovery replays logs
    /// in their order.
    pub(crate) fn pack_name(&self, now: Timestamp) -> Result<Uuid> {
        let after = self.newest_pack.fetch_max(now.0, Ordering::SeqCst);
        let next = now.0.max(after.saturating_add(1));
        let _ = self.newest_pack.fetch_max(next, Ordering::SeqCst);
        self.ids.next(Timestamp(next))
    }

    /// A sequence for a policy record that is written from now on. Sequences grow even where the clock steps back or
    /// stands still: of two records about the same thing the higher one stands. Only the log asks.
    pub(crate) fn next_sequence(&self, now: Timestamp) -> u64 {
        let after = self.newest_sequence();
        let next = u64::try_from(now.0).unwrap_or(0).max(after.saturating_add(1));
        self.saw_sequence(next);
        next
    }

    pub(crate) fn newest_sequence(&self) -> u64 {
        self.newest_sequence.load(Ordering::SeqCst)
    }

    /// Notes a sequence that was given before.
    pub(crate) fn saw_sequence(&self, sequence: u64) {
        let _ = self.newest_sequence.fetch_max(sequence, Ordering::SeqCst);
    }

    /// Notes a pack that stands already.
    pub(crate) fn saw_pack(&self, name: Uuid) {
        let _ = self.newest_pack.fetch_max(uuid_v7_time(name).0, Ordering::SeqCst);
    }

    /// Reads all tenants again.
    pub(crate) async fn refresh_tenants(&self) -> Result<()> {
        let rows = self.catalog.tenants().await?;
        let map = rows.into_iter().map(|row| (row.name.clone(), Arc::new(row))).collect();
        *self.tenants.write().unwrap_or_else(PoisonError::into_inner) = map;
        Ok(())
    }

    pub(crate) fn known_tenant(&self, name: &str) -> Option<Arc<TenantRow>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn known_tenant_key(&self, id: Uuid) -> Option<TenantKey> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.values().find(|row| row.id == id).map(|row| row.key)
    }

    /// The tenant of that name; one that another server created is found, too.
    pub(crate) async fn tenant(&self, name: &str) -> Result<Arc<TenantRow>> {
        if let Some(row) = self.known_tenant(name) {
            return Ok(row);
        }
        self.refresh_tenants().await?;
        self.known_tenant(name).ok_or_else(|| {
            Error::not_found(format!(
                "There is no tenant {name:?}. Create it first: storage-cli tenant create NAME."
            ))
        })
    }

    /// The policy that holds for a tenant.
    pub(crate) fn policy_of(&self, tenant: &TenantRow) -> Result<TierPolicy> {
        let Some(json) = &tenant.policy else {
            return Ok(self.settings.policy.clone());
        };
        serde_json::from_str(json).map_err(|source| {
            Error::corrupt(format!(
                "The tier policy of tenant {:?} cannot be read. Set it again.",
                tenant.name
            ))
            .with_source(source)
        })
    }
}

/// Reads counted in memory until they are flushed to the catalog: no database write per read.
#[derive(Debug, Default)]
pub(crate) struct ReadCounts {
    counts: Mutex<BTreeMap<(ItemKey, i64), u32>>,
}

impl ReadCounts {
    /// Distinct items that are remembered between two flushes. Beyond it, reads of further items are not counted.
    const ITEMS_MAX: usize = 100_000;

    pub(crate) fn add(&self, item: ItemKey, day: i64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() < Self::ITEMS_MAX || counts.contains_key(&(item, day)) {
            *counts.entry((item, day)).or_default() += 1;
        }
    }

    /// Takes what was counted since the last time.
    pub(crate) fn take(&self) -> Vec<AccessRow> {
        let counts = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        counts.into_iter().map(|((item, day), reads)| AccessRow { item, day, reads }).collect()
    }
}
