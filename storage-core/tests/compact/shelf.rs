//! An engine, what was put into it, and short ways to do things to both.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use storage_core::clock::Clock;
use storage_core::clock::Timestamp;
use storage_core::engine::Engine;
use storage_core::error::Result;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::CompactOptions;
use storage_core::report::CompactReport;
use storage_core::report::MigrateOptions;
use storage_core::report::MigrateReport;
use storage_core::report::Stats;
use storage_core::report::SweepOptions;
use storage_core::settings::Settings;
use storage_fixtures::mailbox::Mailbox;
use storage_fixtures::rng::Rng;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A clock that moves when it is told to.
#[derive(Debug)]
pub(crate) struct ManualClock(Mutex<Duration>);

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Duration::from_secs(1_700_000_000)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.0.lock().unwrap().as_millis()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// What was put: by tenant and id.
pub(crate) type Items = BTreeMap<(String, Uuid), Bytes>;

pub(crate) struct Shelf {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Engine,
    pub(crate) items: Items,
}

pub(crate) fn settings(dir: &TempDir) -> Settings {
    let mut settings = Settings::new(dir.path());
    settings.workers = 2;
    settings.policy.promote_warm_reads = 3;
    settings
}

pub(crate) async fn collect(engine: &Engine, tenant: &str, id: Uuid) -> Result<Vec<u8>> {
    let options = GetOptions { touch: false, ..GetOptions::default() };
    let (_, mut stream) = engine.get(tenant, ItemKind::Message, &id.to_string(), options).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// A message whose body is `bytes` of words.
pub(crate) fn text(rng: &mut Rng, bytes: usize) -> Bytes {
    const WORDS: [&str; 12] = [
        "offer", "meeting", "invoice", "please", "the", "and", "with", "tomorrow", "report", "attached",
        "of", "to",
    ];
    let mut message = format!("Subject: {}\r\nMIME-Version: 1.0\r\n\r\n", rng.hex(8)).into_bytes();
    while message.len() < bytes {
        message.extend_from_slice(rng.pick_text(&WORDS).as_bytes());
        message.extend_from_slice(if rng.chance(100) { b"\r\n" } else { b" " });
        if rng.chance(50) {
            message.extend_from_slice(rng.hex(12).as_bytes());
        }
    }
    Bytes::from(message)
}

impl Shelf {
    pub(crate) async fn open() -> Self {
        let clock = Arc::new(ManualClock::new());
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(settings(&dir), Arc::<ManualClock>::clone(&clock)).await.unwrap();
        Self { dir, clock, engine, items: Items::new() }
    }

    pub(crate) async fn tenant(&mut self, name: &str) {
        let _ = self.engine.create_tenant(name).await.unwrap();
    }

    pub(crate) async fn put(&mut self, tenant: &str, bytes: Bytes) -> Uuid {
        let put = self.engine.put(tenant, ItemKind::Message, PutOptions::default(), bytes.clone());
        let id = put.await.unwrap().id;
        let _ = self.items.insert((tenant.to_owned(), id), bytes);
        self.clock.advance(Duration::from_secs(1));
        id
    }

    pub(crate) async fn put_mail(&mut self, tenant: &str, seed: u64, count: usize) {
        for message in Mailbox::new(seed, count * 3).filter(|mail| mail.bytes.len() < 60_000).take(count) {
            let _ = self.put(tenant, Bytes::from(message.bytes)).await;
        }
    }

    pub(crate) async fn put_text(&mut self, tenant: &str, seed: u64, count: usize, bytes: usize) {
        let mut rng = Rng::new(seed);
        for _ in 0..count {
            let _ = self.put(tenant, text(&mut rng, bytes)).await;
        }
    }

    /// A message whose attachment is an object of `bytes` random bytes.
    pub(crate) async fn put_random(&mut self, tenant: &str, seed: u64, bytes: u64) {
        let mut message = Vec::new();
        storage_fixtures::large::write(seed, bytes, &mut message).unwrap();
        let message = Bytes::from(message);
        let mut stream =
            self.engine.begin_put(tenant, ItemKind::Message, PutOptions::default()).await.unwrap();
        stream.push(message.clone()).await.unwrap();
        let id = stream.finish().await.unwrap().id;
        let _ = self.items.insert((tenant.to_owned(), id), message);
    }

    pub(crate) fn ids(&self) -> Vec<(String, Uuid)> {
        self.items.keys().cloned().collect()
    }

    pub(crate) async fn delete(&mut self, (tenant, id): (String, Uuid)) {
        self.engine.delete(&tenant, ItemKind::Message, &id.to_string()).await.unwrap();
        let _ = self.items.remove(&(tenant, id)).unwrap();
    }

    /// Deletes `count` items, spread over all.
    pub(crate) async fn delete_some(&mut self, count: usize) {
        let ids = self.ids();
        let stride = (ids.len() / count).max(1);
        for id in ids.into_iter().step_by(stride).take(count) {
            self.delete(id).await;
        }
    }

    pub(crate) async fn delete_largest(&mut self) {
        let largest = self.items.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap().0.clone();
        self.delete(largest).await;
    }

    /// Reads some items so often that they get a copy.
    pub(crate) async fn read_often(&self, count: usize) {
        for (tenant, id) in self.ids().into_iter().rev().take(count) {
            for _ in 0..5 {
                let options = GetOptions::default();
                let id = id.to_string();
                let read = self.engine.get(&tenant, ItemKind::Message, &id, options);
                let (_, mut stream) = read.await.unwrap();
                while let Some(piece) = stream.next().await {
                    drop(piece.unwrap());
                }
            }
        }
    }

    pub(crate) async fn migrate_with(&self, options: MigrateOptions) -> MigrateReport {
        let (progress, _ignored) = mpsc::channel(1);
        let report = self.engine.migrate(options, progress, CancellationToken::new()).await.unwrap();
        assert_eq!((report.damaged, report.overtaken, report.stopped), (0, 0, false));
        report
    }

    pub(crate) async fn migrate_to(&self, to: Tier) {
        let _ = self.migrate_with(MigrateOptions { to: Some(to), ..MigrateOptions::default() }).await;
    }

    pub(crate) async fn migrate(&self) {
        let _ = self.migrate_with(MigrateOptions::default()).await;
    }

    pub(crate) async fn try_compact(&self, options: CompactOptions) -> Result<CompactReport> {
        let (progress, _ignored) = mpsc::channel(1);
        self.engine.compact(options, progress, CancellationToken::new()).await
    }

    pub(crate) async fn compact(&self, options: CompactOptions) -> CompactReport {
        let report = self.try_compact(options).await.unwrap();
        self.adds_up().await;
        report
    }

    pub(crate) async fn sweep(&self) {
        let options = SweepOptions { grace: Duration::ZERO, dry_run: false };
        let _ = self.engine.sweep(options).await.unwrap();
    }

    pub(crate) async fn stats(&self) -> Stats {
        self.engine.stats(None).await.unwrap()
    }

    pub(crate) async fn adds_up(&self) {
        let stats = self.stats().await;
        assert_eq!(stats.stored_bytes, self.pack_bytes(), "packs on disk");
        let (saved, added) = (stats.saved, stats.added);
        let saved = saved.transfer_decoding
            + saved.exact_dedup
            + saved.similar_dedup
            + saved.recoding
            + saved.compression;
        assert!(added.dead >= 0 && added.copies >= 0, "{added:?}");
        let added = added.dictionaries + added.records + added.indexes + added.copies + added.dead;
        let logical: usize = self.items.values().map(Bytes::len).sum();
        assert_eq!(stats.logical_bytes, logical as u64);
        let signed = |value: u64| i64::try_from(value).unwrap();
        assert_eq!(signed(stats.logical_bytes) - saved + added, signed(stats.stored_bytes));
    }

    pub(crate) async fn holds_everything(&self) {
        self.holds_everything_but(&BTreeSet::new()).await;
    }

    /// The same through a clone of the engine.
    pub(crate) async fn holds_everything_on(&self, engine: &Engine) {
        for ((tenant, id), bytes) in &self.items {
            assert!(collect(engine, tenant, *id).await.unwrap() == *bytes, "{id} came back with other bytes");
        }
    }

    /// All but `lost` come back as they were put; what was deleted does not.
    pub(crate) async fn holds_everything_but(&self, lost: &BTreeSet<Uuid>) {
        for ((tenant, id), bytes) in &self.items {
            match collect(&self.engine, tenant, *id).await {
                Ok(read) => assert!(read == *bytes, "{id} came back with other bytes"),
                Err(error) => assert!(lost.contains(id), "{id}: {error:?}"),
            }
        }
        self.adds_up().await;
    }

    /// The packs' files, by name, with their lengths.
    pub(crate) fn packs(&self) -> BTreeMap<PathBuf, u64> {
        let entries = std::fs::read_dir(self.dir.path().join("packs")).unwrap();
        entries
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path(), entry.metadata().unwrap().len())
            })
            .collect()
    }

    pub(crate) fn pack_bytes(&self) -> u64 {
        self.packs().values().sum()
    }

    /// Flips a byte in the middle of the largest pack; the items that cannot be read any more.
    pub(crate) async fn damage_largest_frame(&mut self) -> BTreeSet<Uuid> {
        let (path, _) = self.packs().into_iter().max_by_key(|(_, bytes)| *bytes).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        self.reopen().await;
        let mut lost = BTreeSet::new();
        for (tenant, id) in self.ids() {
            if collect(&self.engine, &tenant, id).await.is_err() {
                let _ = lost.insert(id);
            }
        }
        assert!(!lost.is_empty());
        lost
    }

    pub(crate) async fn reopen(&mut self) {
        self.engine.close().await.unwrap();
        self.engine =
            Engine::open(settings(&self.dir), Arc::<ManualClock>::clone(&self.clock)).await.unwrap();
    }

    pub(crate) async fn close(self) {
        self.engine.close().await.unwrap();
    }
}
