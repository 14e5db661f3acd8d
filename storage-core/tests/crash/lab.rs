//! A store over doors in memory that follow a plan, together with what its callers know. Every operation notes what it
//! asks for before it asks, and what it was told afterwards.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use storage_core::catalog::Catalog;
use storage_core::clock::Clock;
use storage_core::clock::Timestamp;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::engine::Engine;
use storage_core::error::Result;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::PutOptions;
use storage_core::model::PutReceipt;
use storage_core::settings::Settings;
use storage_core::testing::clock::ManualClock;
use storage_core::testing::faults::Faults;
use storage_core::testing::power::Commits;
use storage_core::testing::power::Disk;
use storage_core::tier::policy::TierPolicy;

use crate::packs::Packs;
use crate::rows::Rows;
use crate::world::Item;
use crate::world::Key;
use crate::world::World;

/// What a power cut does to both doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) disk: Disk,
    pub(crate) commits: Commits,
}

impl Cut {
    /// The process ends and the machine goes on.
    pub(crate) const NOTHING: Self = Self { disk: Disk::Kept, commits: Commits::Kept };
    /// Nothing survives that was not made durable.
    pub(crate) const EVERYTHING: Self = Self { disk: Disk::Lost, commits: Commits::Lost };
}

/// A put that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    pub(crate) key: Key,
    pub(crate) options: PutOptions,
    pub(crate) bytes: Bytes,
}

impl Put {
    pub(crate) fn new(tenant: &'static str, kind: ItemKind, id: &str, bytes: impl Into<Bytes>) -> Self {
        let options = PutOptions { caller_id: Some(id.to_owned()), ..PutOptions::default() };
        Self { key: (tenant, kind, id.to_owned()), options, bytes: bytes.into() }
    }

    pub(crate) fn content(id: &str, bytes: impl Into<Bytes>) -> Self {
        Self::new(DEFAULT_TENANT, ItemKind::Content, id, bytes)
    }

    pub(crate) fn message(id: &str, bytes: impl Into<Bytes>) -> Self {
        Self::new(DEFAULT_TENANT, ItemKind::Message, id, bytes)
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut PutOptions)) -> Self {
        change(&mut self.options);
        self
    }
}

/// A store, its doors, and what its callers know.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) faults: Faults,
    pub(crate) packs: Packs,
    pub(crate) rows: Rows,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) world: World,
    /// Whether a write failed since the store was opened: a pack without a row, or a row without a pack, may stay until
    /// the next opening.
    pub(crate) leftovers: bool,
    /// Whether a pack was damaged and is not repaired: a scrub finds that.
    pub(crate) damaged: bool,
    engine: Option<Engine>,
    /// The catalog of the open store, past the plan.
    catalog: Option<Arc<dyn Catalog>>,
    /// How often a store was opened: ids follow from it.
    opened: u64,
}

pub(crate) fn settings() -> Settings {
    let mut settings = Settings::new("in memory");
    settings.workers = 0;
    settings.policy.promote_warm_reads = 2;
    settings.policy.promote_hot_reads = 4;
    settings
}

impl Lab {
    /// One without packs and rows, not opened yet.
    pub(crate) fn new() -> Self {
        Self::over(Packs::memory(), Rows::memory())
    }

    pub(crate) fn over(packs: Packs, rows: Rows) -> Self {
        let mut world = World::default();
        // It is made by the first opening, which may not have been told of.
        world.tenant(DEFAULT_TENANT).maybe.push(true);
        Self {
            faults: Faults::new(),
            packs,
            rows,
            clock: Arc::new(ManualClock::default()),
            world,
            leftovers: false,
            damaged: false,
            engine: None,
            catalog: None,
            opened: 0,
        }
    }

    /// The same store with its doors as a cut leaves them, without a plan, not opened.
    pub(crate) fn cut(&self, cut: Cut) -> Self {
        self.with_doors(self.packs.after(cut.disk), self.rows.after(cut.commits))
    }

    /// The same store with the same doors, which change apart from these from now on; not opened.
    pub(crate) fn fork(&self) -> Self {
        self.with_doors(self.packs.fork(), self.rows.fork())
    }

    /// The same store with other rows; not opened.
    pub(crate) fn with_rows(&self, rows: Rows) -> Self {
        self.with_doors(self.packs.fork(), rows)
    }

    fn with_doors(&self, packs: Packs, rows: Rows) -> Self {
        Self {
            faults: Faults::new(),
            packs,
            rows,
            clock: Arc::new(ManualClock::at(self.clock.now())),
            world: self.world.clone(),
            leftovers: false,
            damaged: self.damaged,
            engine: None,
            catalog: None,
            opened: self.opened,
        }
    }

    pub(crate) async fn open(&mut self) -> Result<()> {
        let catalog = self.rows.door().await?;
        let doors = self.packs.doors(Arc::clone(&catalog), &self.faults).await?;
        self.catalog = Some(catalog);
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        self.opened += 1;
        self.leftovers = false;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.opened.to_le_bytes());
        self.engine = Some(Engine::open_doors(settings(), clock, doors, seed).await?);
        self.world.tenant(DEFAULT_TENANT).settle(true);
        self.faults.acknowledged();
        Ok(())
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("an open store")
    }

    pub(crate) fn catalog(&self) -> &dyn Catalog {
        self.catalog.as_deref().expect("a store that was opened")
    }

    pub(crate) fn is_open(&self) -> bool {
        self.engine.is_some()
    }

    /// Ends the store in an orderly way. The catalog's door can be opened again afterwards.
    pub(crate) async fn close(&mut self) -> Result<()> {
        if let Some(engine) = self.engine.take() {
            engine.close().await?;
        }
        self.rows = self.rows.reopened();
        Ok(())
    }

    /// Gives the engine up without a word.
    pub(crate) fn abandon(&mut self) {
        self.faults.crash();
        (self.engine, self.catalog) = (None, None);
    }

    pub(crate) async fn create_tenant(&mut self, name: &'static str) -> Result<()> {
        self.world.tenant(name).maybe.push(true);
        let _stat = self.engine().create_tenant(name).await?;
        self.world.tenant(name).settle(true);
        self.faults.acknowledged();
        Ok(())
    }

    pub(crate) async fn set_policy(&mut self, tenant: &'static str, days: Option<u32>) -> Result<()> {
        let policy = days.map(|days| TierPolicy { warm_after_days: days, ..settings().policy });
        self.world.policy(tenant).maybe.push(policy.clone());
        self.engine().set_policy(tenant, policy.clone()).await?;
        self.world.policy(tenant).settle(policy);
        self.faults.acknowledged();
        Ok(())
    }

    fn ask(&mut self, put: &Put) {
        let item = Item::new(put.bytes.clone(), &put.options);
        self.world.item(&put.key).maybe.push(Some(item));
    }

    fn told(&mut self, put: &Put, answer: Result<PutReceipt>) -> Result<PutReceipt> {
        let receipt = answer?;
        let _mended = self.world.damaged.remove(&put.key);
        self.world.item(&put.key).settle(Some(Item::new(put.bytes.clone(), &put.options)));
        self.faults.acknowledged();
        Ok(receipt)
    }

    pub(crate) async fn put(&mut self, put: Put) -> Result<PutReceipt> {
        self.ask(&put);
        let answer = ask_put(self.engine().clone(), put.clone()).await;
        self.told(&put, answer)
    }

    /// Puts that come at once; the first error of theirs.
    pub(crate) async fn put_all(&mut self, puts: Vec<Put>) -> Result<()> {
        for put in &puts {
            self.ask(put);
        }
        let engine = self.engine().clone();
        let answers = join_all(puts.iter().map(|put| ask_put(engine.clone(), put.clone()))).await;
        let mut done = Ok(());
        for (put, answer) in puts.iter().zip(answers) {
            let told = self.told(put, answer);
            done = done.and(told.map(drop));
        }
        done
    }

    /// A put in pieces.
    pub(crate) async fn put_streamed(&mut self, put: Put) -> Result<PutReceipt> {
        self.ask(&put);
        let answer = ask_streamed(self.engine().clone(), put.clone()).await;
        self.told(&put, answer)
    }

    pub(crate) async fn delete(&mut self, key: &Key) -> Result<()> {
        self.world.item(key).maybe.push(None);
        // What is deleted is not looked for, as what is erased is.
        let _trace = self.world.traces.remove(key);
        self.engine().delete(key.0, key.1, &key.2).await?;
        self.world.item(key).settle(None);
        self.faults.acknowledged();
        Ok(())
    }

    pub(crate) async fn update(&mut self, key: &Key, update: ItemUpdate) -> Result<()> {
        let mut item = self.world.item(key).is.clone().expect("an item to update");
        item.hold = update.hold.unwrap_or(item.hold);
        item.pin = update.pin.unwrap_or(item.pin);
        item.retention_end = update.retention_end.unwrap_or(item.retention_end);
        item.labels.extend(update.labels_set.clone());
        self.world.item(key).maybe.push(Some(item.clone()));
        let _stat = self.engine().update(key.0, key.1, &key.2, update).await?;
        self.world.item(key).settle(Some(item));
        self.faults.acknowledged();
        Ok(())
    }

    /// Reads an item so often that it counts.
    pub(crate) async fn read_often(&self, key: &Key, times: usize) -> Result<()> {
        for _ in 0..times {
            let _bytes = read(self.engine(), key, true).await?;
        }
        Ok(())
    }

    /// How often it was opened.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Asks an engine for a put.
pub(crate) async fn ask_put(engine: Engine, put: Put) -> Result<PutReceipt> {
    engine.put(put.key.0, put.key.1, put.options, put.bytes).await
}

/// Asks it for the same in pieces.
pub(crate) async fn ask_streamed(engine: Engine, put: Put) -> Result<PutReceipt> {
    let mut stream = engine.begin_put(put.key.0, put.key.1, put.options).await?;
    let mut pieces: VecDeque<Bytes> = VecDeque::new();
    let mut left = put.bytes;
    while !left.is_empty() {
        pieces.push_back(left.split_to(left.len().min(1_300_000)));
    }
    for piece in pieces {
        stream.push(piece).await?;
    }
    stream.finish().await
}

/// All bytes of an item.
pub(crate) async fn read(engine: &Engine, key: &Key, touch: bool) -> Result<Vec<u8>> {
    let options = GetOptions { range: None, touch };
    let (_, mut stream) = engine.get(key.0, key.1, &key.2, options).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}
