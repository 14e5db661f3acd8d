//! A small store on disk, its files, its catalog through SQLite, and short words for what tests do with it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use sqlx::Connection;
use sqlx::SqliteConnection;
use storage_core::clock::Clock;
use storage_core::clock::DAY_MILLIS;
use storage_core::clock::Timestamp;
use storage_core::engine::Engine;
use storage_core::error::Result;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::PutReceipt;
use storage_core::model::Tier;
use storage_core::report::Finding;
use storage_core::report::MigrateOptions;
use storage_core::report::RepairAction;
use storage_core::report::RepairOptions;
use storage_core::report::RepairReport;
use storage_core::report::ScrubEvent;
use storage_core::report::ScrubOptions;
use storage_core::report::ScrubReport;
use storage_core::report::SweepOptions;
use storage_core::settings::Settings;
use storage_fixtures::rng::Rng;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) const TENANT: &str = "default";

/// A clock that moves when it is told to.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn advance_days(&self, days: i64) {
        let _ = self.0.fetch_add(days * DAY_MILLIS, Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, millis: i64) {
        let _ = self.0.fetch_add(millis, Ordering::SeqCst);
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

/// A store for one test.
pub(crate) struct Store {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Engine,
}

pub(crate) fn settings(dir: &Path) -> Settings {
    let mut settings = Settings::new(dir);
    settings.workers = 2;
    // What is read comes from the disk.
    settings.block_cache_bytes = 0;
    settings.dictionary_cache_bytes = 0;
    settings
}

pub(crate) async fn open(dir: &Path, clock: &Arc<ManualClock>) -> Result<Engine> {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    Engine::open(settings(dir), clock).await
}

impl Store {
    pub(crate) async fn start() -> Self {
        let clock = Arc::new(ManualClock(AtomicI64::new(1_700_000_000_000)));
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path(), &clock).await.unwrap();
        Self { dir, clock, engine }
    }

    /// Closes, does something to the files, opens again.
    pub(crate) async fn reopened(self, change: impl FnOnce(&Path)) -> Self {
        self.engine.close().await.unwrap();
        change(self.dir.path());
        let engine = open(self.dir.path(), &self.clock).await.unwrap();
        Self { engine, ..self }
    }

    /// Closes, edits the catalog, opens again. Foreign keys are not enforced meanwhile.
    pub(crate) async fn edited(self, sql: &'static str) -> Self {
        self.engine.close().await.unwrap();
        assert!(edit(self.dir.path(), sql).await > 0, "nothing was edited: {sql}");
        let engine = open(self.dir.path(), &self.clock).await.unwrap();
        Self { engine, ..self }
    }

    pub(crate) async fn put(&self, id: &str, bytes: &Bytes) -> PutReceipt {
        self.clock.advance(1_000);
        self.engine.put(TENANT, ItemKind::Message, named(id), bytes.clone()).await.unwrap()
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Vec<u8>> {
        read(&self.engine, TENANT, (ItemKind::Message, id)).await
    }

    pub(crate) async fn delete(&self, id: &str) {
        self.clock.advance(1_000);
        self.engine.delete(TENANT, ItemKind::Message, id).await.unwrap();
    }

    pub(crate) async fn migrate(&self, to: Tier) {
        self.clock.advance(1_000);
        let (progress, _ignored) = mpsc::channel(1);
        let options = MigrateOptions { to: Some(to), ..MigrateOptions::default() };
        let report = self.engine.migrate(options, progress, CancellationToken::new()).await.unwrap();
        assert_eq!(report.damaged, 0);
    }

    pub(crate) async fn sweep(&self) {
        self.clock.advance(1_000);
        let options = SweepOptions { grace: Duration::ZERO, dry_run: false };
        let _ = self.engine.sweep(options).await.unwrap();
    }

    pub(crate) async fn scrub(&self) -> (ScrubReport, Vec<Finding>) {
        scrub(&self.engine, ScrubOptions::default()).await
    }

    /// The names of what a scrub finds, each once.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        self.scrub().await.0.findings.into_keys().collect()
    }

    /// Nothing is wrong.
    pub(crate) async fn clean(&self) {
        let (report, findings) = self.scrub().await;
        assert!(findings.is_empty(), "{findings:#?}");
        assert!(!report.stopped && report.findings.is_empty());
    }

    pub(crate) async fn repair(&self, apply: bool) -> (RepairReport, Vec<RepairAction>) {
        let options = RepairOptions { apply, bytes_per_second_max: None };
        let (actions, mut heard) = mpsc::channel(16);
        let listening = tokio::spawn(async move {
            let mut all = Vec::new();
            while let Some(action) = heard.recv().await {
                all.push(action);
            }
            all
        });
        let report = self.engine.repair(options, actions, CancellationToken::new()).await.unwrap();
        (report, listening.await.unwrap())
    }

    pub(crate) fn packs(&self) -> Vec<PathBuf> {
        packs(self.dir.path())
    }
}

pub(crate) async fn scrub(engine: &Engine, options: ScrubOptions) -> (ScrubReport, Vec<Finding>) {
    let (events, mut heard) = mpsc::channel(16);
    let listening = tokio::spawn(async move {
        let mut findings = Vec::new();
        while let Some(event) = heard.recv().await {
            if let ScrubEvent::Finding(finding) = event {
                findings.push(finding);
            }
        }
        findings
    });
    let report = engine.scrub(options, events, CancellationToken::new()).await.unwrap();
    let findings = listening.await.unwrap();
    assert_eq!(report.findings.values().sum::<u64>(), findings.len() as u64);
    (report, findings)
}

pub(crate) fn named(id: &str) -> PutOptions {
    PutOptions { caller_id: Some(id.to_owned()), ..PutOptions::default() }
}

pub(crate) async fn read(engine: &Engine, tenant: &str, (kind, id): (ItemKind, &str)) -> Result<Vec<u8>> {
    let (_, mut stream) = engine.get(tenant, kind, id, GetOptions { range: None, touch: false }).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

pub(crate) fn packs(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("packs")).unwrap();
    let mut packs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    packs
}

/// Runs statements on the catalog of a closed store; how many rows that changed.
pub(crate) async fn edit(dir: &Path, sql: &'static str) -> u64 {
    let mut connection = connect(dir).await;
    let _ = sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut connection).await.unwrap();
    let mut changed = 0;
    for statement in sql.split(';').filter(|statement| !statement.trim().is_empty()) {
        changed += sqlx::query(statement).execute(&mut connection).await.unwrap().rows_affected();
    }
    connection.close().await.unwrap();
    changed
}

pub(crate) async fn connect(dir: &Path) -> SqliteConnection {
    let url = format!("sqlite://{}", dir.join("catalog.db").display());
    SqliteConnection::connect(&url).await.unwrap()
}

/// Changes bytes of a file in place.
pub(crate) fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    how(&mut bytes);
    std::fs::write(path, &bytes).unwrap();
}

/// A message of a few lines, and one attachment of `kilobytes` that is an object of its own.
pub(crate) fn message(subject: &str, attachment: u64, kilobytes: usize) -> Bytes {
    let mut bytes = format!(
        "Message-ID: <{subject}@example.com>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"cut\"\r\n\r\n--cut\r\nContent-Type: text/plain\r\n\r\n\
         The body of {subject}.\r\n--cut\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(&Rng::new(attachment).bytes(kilobytes << 10));
    bytes.extend_from_slice(b"\r\n--cut--\r\n");
    Bytes::from(bytes)
}

/// Text that compresses, of which every line is another.
pub(crate) fn text(subject: &str, lines: usize) -> Bytes {
    let mut text = format!("Subject: {subject}\r\n\r\n");
    for line in 0..lines {
        write!(text, "{subject}: the same words in line {line}, again and again\r\n").unwrap();
    }
    Bytes::from(text)
}

pub(crate) fn counts(findings: &[Finding]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.kind.name()).or_default() += 1;
    }
    counts
}
