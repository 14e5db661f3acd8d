//! A store on disk, what was put into it, and short ways to erase and to prove that it is gone.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use storage_core::clock::Clock;
use storage_core::clock::DAY_MILLIS;
use storage_core::clock::Timestamp;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::engine::Engine;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Sha256;
use storage_core::model::Tier;
use storage_core::report::EraseOptions;
use storage_core::report::EraseReport;
use storage_core::report::EraseWhat;
use storage_core::report::MigrateOptions;
use storage_core::report::ScrubEvent;
use storage_core::report::ScrubOptions;
use storage_core::report::SweepOptions;
use storage_core::settings::Settings;
use storage_fixtures::rng::Rng;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::traces;
use crate::traces::Owner;
use crate::traces::Traces;

/// A clock that moves when it is told to.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn advance_days(&self, days: i64) {
        let _ = self.0.fetch_add(days * DAY_MILLIS, Ordering::SeqCst);
    }

    fn tick(&self) {
        let _ = self.0.fetch_add(1_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now().0.unsigned_abs())
    }
}

/// An item that was put: its bytes, its parts decoded, and what else was said about it.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) kind: ItemKind,
    pub(crate) bytes: Bytes,
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) objects: Vec<Sha256>,
}

pub(crate) struct Yard {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Engine,
    pub(crate) items: BTreeMap<Uuid, Item>,
    /// Where an item that stays cuts its content, or stores it in another form, bytes come together as they do in what is
    /// erased, by chance. With real mail what is stored of such items, which their hashes prove, is not looked at.
    pub(crate) by_chance: bool,
}

pub(crate) fn settings(dir: &Path) -> Settings {
    let mut settings = Settings::new(dir);
    settings.workers = 2;
    settings.policy.promote_hot_reads = 4;
    settings.policy.promote_warm_reads = 2;
    settings
}

pub(crate) async fn collect(engine: &Engine, kind: ItemKind, id: &str) -> Result<Bytes> {
    let options = GetOptions { touch: false, ..GetOptions::default() };
    let (_, mut stream) = engine.get(DEFAULT_TENANT, kind, id, options).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(Bytes::from(bytes))
}

/// What to erase: messages by id.
pub(crate) fn messages(ids: &[Uuid]) -> EraseOptions {
    let ids = ids.iter().map(Uuid::to_string).collect();
    let what = EraseWhat::Items(ItemKind::Message, ids);
    EraseOptions { what: Some((DEFAULT_TENANT.to_owned(), what)), ..EraseOptions::default() }
}

impl Yard {
    pub(crate) async fn open() -> Self {
        let clock = Arc::new(ManualClock(AtomicI64::new(1_700_000_000_000)));
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(settings(dir.path()), Arc::<ManualClock>::clone(&clock)).await.unwrap();
        Self { dir, clock, engine, items: BTreeMap::new(), by_chance: false }
    }

    pub(crate) async fn put_with(&mut self, kind: ItemKind, options: PutOptions, bytes: Bytes) -> Uuid {
        self.clock.tick();
        let mut pieces = vec![bytes.clone()];
        let told = options.caller_id.iter().chain(options.labels.values());
        pieces.extend(told.cloned().map(Bytes::from));
        let mut stream = self.engine.begin_put(DEFAULT_TENANT, kind, options).await.unwrap();
        stream.push(bytes.clone()).await.unwrap();
        let id = stream.finish().await.unwrap().id;
        let stat = self.engine.stat(DEFAULT_TENANT, kind, &id.to_string()).await.unwrap();
        for part in stat.parts.iter().filter(|_| kind == ItemKind::Message) {
            pieces.push(self.part(id, part.index).await);
            pieces.extend(part.file_name.clone().map(Bytes::from));
        }
        let objects = stat.parts.iter().filter_map(|part| part.sha256).collect();
        let _ = self.items.insert(id, Item { kind, bytes, pieces, objects });
        id
    }

    pub(crate) async fn put(&mut self, bytes: Bytes) -> Uuid {
        self.put_with(ItemKind::Message, PutOptions::default(), bytes).await
    }

    async fn part(&self, id: Uuid, part: u32) -> Bytes {
        let options = GetOptions { touch: false, ..GetOptions::default() };
        let id = id.to_string();
        let (_, mut stream) = self.engine.get_part(DEFAULT_TENANT, &id, part, options).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        Bytes::from(bytes)
    }

    /// Plain messages beside what is erased.
    pub(crate) async fn put_neighbours(&mut self, seed: u64, count: usize) -> Vec<Uuid> {
        let mut rng = Rng::new(seed);
        let mut ids = Vec::new();
        for _ in 0..count {
            let text = format!("Subject: {}\r\n\r\n{}\r\n", rng.hex(12), rng.hex(6_000));
            ids.push(self.put(Bytes::from(text)).await);
        }
        ids
    }

    pub(crate) async fn migrate_to(&self, to: Tier) {
        let (progress, _ignored) = mpsc::channel(1);
        let options = MigrateOptions { to: Some(to), ..MigrateOptions::default() };
        let report = self.engine.migrate(options, progress, CancellationToken::new()).await.unwrap();
        assert_eq!((report.damaged, report.stopped), (0, false));
    }

    pub(crate) async fn migrate(&self) {
        let (progress, _ignored) = mpsc::channel(1);
        let report = self.engine.migrate(MigrateOptions::default(), progress, CancellationToken::new());
        assert_eq!(report.await.unwrap().damaged, 0);
    }

    pub(crate) async fn sweep(&self) {
        let options = SweepOptions { grace: Duration::ZERO, dry_run: false };
        let _ = self.engine.sweep(options).await.unwrap();
    }

    pub(crate) async fn delete(&self, id: Uuid) {
        self.engine.delete(DEFAULT_TENANT, self.items[&id].kind, &id.to_string()).await.unwrap();
    }

    pub(crate) async fn try_erase(&self, options: EraseOptions) -> Result<EraseReport> {
        let (progress, _ignored) = mpsc::channel(1);
        self.engine.erase(options, progress, CancellationToken::new()).await
    }

    /// What only these items have.
    pub(crate) fn traces(&self, ids: &[Uuid]) -> Traces {
        let mut traces = Traces::of(ids.iter().flat_map(|id| &self.items[id].pieces));
        let others = self.items.iter().filter(|(id, _)| !ids.contains(id));
        others.flat_map(|(_, item)| &item.pieces).for_each(|piece| traces.forget(piece));
        assert!(traces.len() > 40, "there is something to look for");
        traces
    }

    pub(crate) fn found(&self, traces: &Traces) -> traces::Found {
        let mut living = HashSet::new();
        for (id, item) in self.items.iter().filter(|_| self.by_chance) {
            let _ = living.insert(Owner::Item(*id));
            living.extend(item.objects.iter().map(|hash| Owner::Object(*hash)));
        }
        traces::in_directory(self.dir.path(), traces, &living)
    }

    /// Erases these items with these options, and proves that nothing of them is left and everything else is.
    pub(crate) async fn erase_with(&mut self, ids: &[Uuid], options: EraseOptions) -> EraseReport {
        let traces = self.traces(ids);
        let by_chance = std::mem::take(&mut self.by_chance);
        assert!(!self.found(&traces).is_empty(), "what is to be erased is there");
        self.by_chance = by_chance;
        let report = self.try_erase(options).await.unwrap();
        self.is_erased(ids, &traces, &report).await;
        report
    }

    pub(crate) async fn erase(&mut self, ids: &[Uuid]) -> EraseReport {
        self.erase_with(ids, messages(ids)).await
    }

    pub(crate) async fn is_erased(&mut self, ids: &[Uuid], traces: &Traces, report: &EraseReport) {
        assert_eq!((report.pending, report.damaged, report.left.as_slice()), (0, 0, &[][..]), "{report:?}");
        assert!(report.erased_at.is_some(), "{report:?}");
        for id in ids {
            if let Some(item) = self.items.remove(id) {
                let gone = collect(&self.engine, item.kind, &id.to_string()).await.unwrap_err();
                assert_eq!(gone.kind(), Kind::NotFound);
            }
        }
        assert_eq!(self.found(traces), traces::Found::new(), "{report:?}");
        self.is_whole().await;
        self.reopen().await;
        self.is_whole().await;
        assert_eq!(self.found(traces), traces::Found::new(), "after closing");
    }

    /// Everything else comes back, and store and catalog are in order.
    pub(crate) async fn is_whole(&self) {
        for (id, item) in &self.items {
            let read = collect(&self.engine, item.kind, &id.to_string()).await.unwrap();
            assert!(read == item.bytes, "{id} came back with other bytes");
        }
        let (events, mut told) = mpsc::channel(1_000);
        let report =
            self.engine.scrub(ScrubOptions::default(), events, CancellationToken::new()).await.unwrap();
        let mut findings = Vec::new();
        while let Some(event) = told.recv().await {
            if let ScrubEvent::Finding(finding) = event {
                findings.push(finding);
            }
        }
        assert_eq!(findings, [], "{report:?}");
        let stats = self.engine.stats(None).await.unwrap();
        assert_eq!(stats.stored_bytes, self.pack_bytes(), "packs on disk");
        assert_eq!(usize::try_from(stats.messages + stats.contents).unwrap(), self.items.len());
    }

    pub(crate) fn packs(&self) -> BTreeSet<std::path::PathBuf> {
        std::fs::read_dir(self.dir.path().join("packs")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    pub(crate) fn pack_bytes(&self) -> u64 {
        self.packs().iter().map(|path| path.metadata().unwrap().len()).sum()
    }

    pub(crate) async fn reopen(&mut self) {
        self.engine.close().await.unwrap();
        self.engine =
            Engine::open(settings(self.dir.path()), Arc::<ManualClock>::clone(&self.clock)).await.unwrap();
    }

    /// Loses the catalog and makes it again from the packs.
    pub(crate) async fn rebuild(&mut self) {
        self.engine.close().await.unwrap();
        std::fs::remove_file(self.dir.path().join("catalog.db")).unwrap();
        let clock = Arc::<ManualClock>::clone(&self.clock);
        let _ = Engine::rebuild_catalog(settings(self.dir.path()), clock).await.unwrap();
        self.engine =
            Engine::open(settings(self.dir.path()), Arc::<ManualClock>::clone(&self.clock)).await.unwrap();
    }
}
