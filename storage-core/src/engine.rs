//! The engine: opens a store, owns its doors, exposes the operations. Every operation itself is in `ops/`.

mod erasing;
mod integrity;
mod similar;
mod upkeep;
mod watch;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backend::LocalBackend;
use crate::catalog::rows::ItemRow;
use crate::catalog::rows::TenantRow;
use crate::catalog::sqlite::SqliteCatalog;
use crate::clock::Clock;
use crate::data_dir::DataDir;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::model::GetOptions;
use crate::model::ItemKind;
use crate::model::ItemStat;
use crate::model::ItemUpdate;
use crate::model::ListQuery;
use crate::model::Page;
use crate::model::PartStat;
use crate::model::PutOptions;
use crate::model::PutReceipt;
use crate::model::TenantStat;
use crate::ops::get;
use crate::ops::items;
use crate::ops::log::Change;
use crate::ops::log::LogHandle;
use crate::ops::log::Request;
use crate::ops::put;
use crate::ops::read::moved_away;
use crate::ops::recover::recover;
use crate::settings::Settings;
use crate::store::Doors;
use crate::store::Store;
use crate::tier::policy::TierPolicy;

pub use crate::ops::put::PutStream;
pub use crate::ops::recover::Recovered;
pub use crate::ops::stream::GetStream;

/// The tenant that always exists.
pub const DEFAULT_TENANT: &str = "default";

/// How often counted reads are written to the catalog.
const FLUSH_INTERVAL: Duration = Duration::from_mins(1);

/// An open store. Cheap to clone; all clones are the same engine.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    log: LogHandle,
    recovered: Recovered,
    closing: CancellationToken,
    /// One place: upkeep runs one job at a time.
    upkeep: Arc<Semaphore>,
    data_dir: Mutex<Option<DataDir>>,
}

impl Drop for Inner {
    /// An engine that was dropped without a close leaves no task behind; the next start recovers what it left open.
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl Engine {
    /// Opens (or creates) the store in `settings.data_dir`; recovers what is durable in packs and not yet in the
    /// catalog.
    ///
    /// `FailedPrecondition`: the directory is in use by another process, or holds something else.
    pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let data_dir = DataDir::hold(&settings.data_dir)?;
        let catalog = SqliteCatalog::open(&data_dir.catalog()).await?;
        let backend = LocalBackend::open(data_dir.packs()).await?;
        let doors = Doors { backend: Arc::new(backend), catalog: Arc::new(catalog) };
        let mut seed = [0; 32];
        for half in seed.chunks_exact_mut(16) {
            half.copy_from_slice(Uuid::new_v4().as_bytes());
        }
        let engine = Self::open_doors(settings, clock, doors, seed).await?;
        *engine.inner.data_dir.lock().unwrap_or_else(PoisonError::into_inner) = Some(data_dir);
        Ok(engine)
    }

    /// Opens a store over doors of the caller's, with the randomness of its ids from `seed`.
    pub async fn open_doors(
        settings: Settings,
        clock: Arc<dyn Clock>,
        doors: Doors,
        seed: [u8; 32],
    ) -> Result<Self> {
        settings.policy.validate()?;
        let store = Arc::new(Store::new(settings, clock, doors, seed));
        let recovered = recover(&store).await?;
        if recovered.frames + recovered.torn_bytes + recovered.deleted > 0 {
            tracing::info!(?recovered, "the store was not closed cleanly; it is recovered");
        }
        store.saw_sequence(store.catalog.sequence().await?);
        store.catalog.stop_orphaned_jobs(store.now()).await?;
        store.refresh_tenants().await?;
        let log = LogHandle::start(Arc::clone(&store));
        let closing = CancellationToken::new();
        drop(tokio::spawn(flush_now_and_then(Arc::clone(&store), closing.clone())));
        let inner = Inner {
            store,
            log,
            recovered,
            closing,
            upkeep: Arc::new(Semaphore::new(1)),
            data_dir: Mutex::new(None),
        };
        let engine = Self { inner: Arc::new(inner) };
        if engine.store().known_tenant(DEFAULT_TENANT).is_none() {
            let _ = engine.create_tenant(DEFAULT_TENANT).await?;
            // From here on a catalog without a tenant is one that was lost.
            engine.store().catalog.barrier().await?;
        }
        Ok(engine)
    }

    /// Finishes what was accepted, makes the catalog durable, releases the directory. Later calls get `Unavailable`.
    pub async fn close(&self) -> Result<()> {
        if self.inner.closing.is_cancelled() {
            return Ok(());
        }
        self.inner.closing.cancel();
        // A job that runs stops at its next safe step; the directory is not given up before.
        let idle = self.inner.upkeep.acquire().await;
        let sealed = self.inner.log.ask(Request::Close).await;
        let flushed = items::flush_reads(self.store()).await;
        let closed = self.store().catalog.close().await;
        drop(self.inner.data_dir.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(idle);
        sealed.and(flushed).and(closed)
    }

    fn store(&self) -> &Arc<Store> {
        &self.inner.store
    }

    fn check_open(&self) -> Result<()> {
        if self.inner.closing.is_cancelled() {
            return Err(Error::new(Kind::Unavailable, "The store is closed."));
        }
        Ok(())
    }

    /// What the engine was opened with.
    pub fn settings(&self) -> &Settings {
        &self.store().settings
    }

    /// What opening the store had to mend.
    pub fn recovered(&self) -> Recovered {
        self.inner.recovered
    }

    /// False once a failed write has shut the engine for writes, and after closing; health checks report it.
    pub fn writable(&self) -> bool {
        self.store().writable() && !self.inner.closing.is_cancelled()
    }

    async fn tenant(&self, name: &str) -> Result<Arc<TenantRow>> {
        self.check_open()?;
        self.store().tenant(name).await
    }

    async fn tenant_opt(&self, name: Option<&str>) -> Result<Option<Arc<TenantRow>>> {
        self.check_open()?;
        match name {
            Some(name) => Ok(Some(self.store().tenant(name).await?)),
            None => Ok(None),
        }
    }

    // Tenants. `tenant` arguments everywhere are tenants' names.

    /// Creates a tenant.
    pub async fn create_tenant(&self, name: &str) -> Result<TenantStat> {
        self.check_open()?;
        items::check_tenant_name(name)?;
        let name = name.to_owned();
        let change = Change::CreateTenant { name: name.clone() };
        self.inner.log.ask(|reply| Request::Change(change, reply)).await?;
        Ok(items::tenant_stat(&*self.store().tenant(&name).await?))
    }

    /// All tenants, oldest first.
    pub async fn tenants(&self) -> Result<Vec<TenantStat>> {
        self.check_open()?;
        Ok(self.store().catalog.tenants().await?.iter().map(items::tenant_stat).collect())
    }

    /// The tenant's effective policy (its own, else the store's); the store's where `tenant` is none.
    pub async fn policy(&self, tenant: Option<&str>) -> Result<TierPolicy> {
        match self.tenant_opt(tenant).await? {
            Some(tenant) => self.store().policy_of(&tenant),
            None => Ok(self.settings().policy.clone()),
        }
    }

    /// Sets (or with none removes) the tenant's own policy. Durable when it returns.
    pub async fn set_policy(&self, tenant: &str, policy: Option<TierPolicy>) -> Result<()> {
        let tenant = self.tenant(tenant).await?;
        if let Some(policy) = &policy {
            policy.validate()?;
        }
        let change = Change::SetPolicy { tenant, policy };
        self.inner.log.ask(|reply| Request::Change(change, reply)).await
    }

    // Items. `id` is the server's id (a UUID in text) or the caller's.

    /// Stores bytes that are in memory already. When it returns they survive power loss.
    pub async fn put(
        &self,
        tenant: &str,
        kind: ItemKind,
        options: PutOptions,
        bytes: Bytes,
    ) -> Result<PutReceipt> {
        self.check_open()?;
        put::put(self.store(), &self.inner.log, (tenant, kind), options, bytes).await
    }

    /// Begins a put of unknown size.
    pub async fn begin_put(&self, tenant: &str, kind: ItemKind, options: PutOptions) -> Result<PutStream> {
        self.check_open()?;
        put::begin(self.store(), &self.inner.log, (tenant, kind), options).await
    }

    /// Reads an item.
    pub async fn get(
        &self,
        tenant: &str,
        kind: ItemKind,
        id: &str,
        options: GetOptions,
    ) -> Result<(ItemStat, GetStream)> {
        let tenant = self.tenant(tenant).await?;
        let begun = self.store().clock.monotonic();
        let mut row = items::find(self.store(), &tenant, kind, id).await?;
        let mut opened = get::open_item(self.store(), (tenant.key, &row), options.range.clone()).await;
        if opened.as_ref().is_err_and(moved_away) {
            row = items::find(self.store(), &tenant, kind, id).await?;
            opened = get::open_item(self.store(), (tenant.key, &row), options.range).await;
        }
        let (parts, stream) = self.noticed(opened)?;
        self.note_read(&row, (options.touch, stream.bytes()), begun);
        Ok((items::outline_with(&row, &parts), stream))
    }

    /// Reads one part of a message, decoded. `options.range` counts decoded bytes.
    pub async fn get_part(
        &self,
        tenant: &str,
        id: &str,
        part: u32,
        options: GetOptions,
    ) -> Result<(PartStat, GetStream)> {
        let tenant = self.tenant(tenant).await?;
        let begun = self.store().clock.monotonic();
        let mut row = items::find(self.store(), &tenant, ItemKind::Message, id).await?;
        let mut opened = get::open_part(self.store(), (tenant.key, &row), part, options.range.clone()).await;
        if opened.as_ref().is_err_and(moved_away) {
            row = items::find(self.store(), &tenant, ItemKind::Message, id).await?;
            opened = get::open_part(self.store(), (tenant.key, &row), part, options.range).await;
        }
        let (found, reference, stream) = self.noticed(opened)?;
        self.note_read(&row, (options.touch, stream.bytes()), begun);
        Ok((items::part_stat(&found, reference.as_ref(), row.location.tier), stream))
    }

    /// Counts damage where a read found some.
    fn noticed<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.store().counters.failed(error))
    }

    fn note_read(&self, row: &ItemRow, (touch, bytes): (bool, u64), begun: Duration) {
        let store = self.store();
        store.counters.read(row.location.tier, bytes);
        if touch {
            store.reads.add(row.key, store.now().day());
        }
        store.latencies.add(row.location.tier, store.clock.monotonic().saturating_sub(begun));
    }

    /// Everything about an item but its bytes.
    pub async fn stat(&self, tenant: &str, kind: ItemKind, id: &str) -> Result<ItemStat> {
        let tenant = self.tenant(tenant).await?;
        let row = items::find(self.store(), &tenant, kind, id).await?;
        let stat = match items::stat(self.store(), &row).await {
            Err(error) if moved_away(&error) => {
                let row = items::find(self.store(), &tenant, kind, id).await?;
                items::stat(self.store(), &row).await
            }
            done => done,
        };
        self.noticed(stat)
    }

    /// A page of items, oldest first.
    pub async fn list(&self, tenant: &str, kind: ItemKind, query: ListQuery) -> Result<Page> {
        let tenant = self.tenant(tenant).await?;
        items::list(self.store(), &tenant, kind, query).await
    }

    /// Changes retention, hold, pin or labels. Durable when it returns.
    pub async fn update(
        &self,
        tenant: &str,
        kind: ItemKind,
        id: &str,
        update: ItemUpdate,
    ) -> Result<ItemStat> {
        let row = self.tenant(tenant).await?;
        let id = items::find(self.store(), &row, kind, id).await?.id;
        let change = Change::Update { tenant: row, kind, id, update };
        self.inner.log.ask(|reply| Request::Change(change, reply)).await?;
        self.stat(tenant, kind, &id.to_string()).await
    }

    /// Deletes an item. Durable when it returns. `FailedPrecondition` under a hold or before the retention end.
    pub async fn delete(&self, tenant: &str, kind: ItemKind, id: &str) -> Result<()> {
        let tenant = self.tenant(tenant).await?;
        let id = items::find(self.store(), &tenant, kind, id).await?.id;
        let change = Change::Delete { tenant, kind, id };
        self.inner.log.ask(|reply| Request::Change(change, reply)).await
    }
}

/// Writes counted reads to the catalog once a minute, so that a crash loses few.
async fn flush_now_and_then(store: Arc<Store>, closing: CancellationToken) {
    let mut ticks = tokio::time::interval(FLUSH_INTERVAL);
    let _ = ticks.tick().await;
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = items::flush_reads(&store).await {
            tracing::warn!(%error, "counted reads could not be written; they do not count");
        }
    }
}
