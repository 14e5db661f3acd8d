//! A store with documents in it, and what is asked of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::clock::SystemClock;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::engine::Engine;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::CompactOptions;
use storage_core::report::CompactReport;
use storage_core::report::MigrateOptions;
use storage_core::report::ScrubEvent;
use storage_core::report::ScrubOptions;
use storage_core::report::Stats;
use storage_core::report::SweepOptions;
use storage_core::settings::Settings;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A store and what must be in it.
pub(crate) struct Shelf {
    pub(crate) dir: TempDir,
    pub(crate) engine: Engine,
    pub(crate) put: Vec<(String, Bytes)>,
}

pub(crate) async fn open(dir: &std::path::Path) -> Engine {
    let settings = Settings { workers: 2, ..Settings::new(dir) };
    Engine::open(settings, Arc::new(SystemClock)).await.unwrap()
}

impl Shelf {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path()).await;
        Self { dir, engine, put: Vec::new() }
    }

    pub(crate) async fn put(&mut self, id: &str, bytes: &[u8]) {
        let options = PutOptions { caller_id: Some(id.to_owned()), ..PutOptions::default() };
        let bytes = Bytes::copy_from_slice(bytes);
        let _done = self.engine.put(DEFAULT_TENANT, ItemKind::Content, options, bytes.clone()).await.unwrap();
        self.put.push((id.to_owned(), bytes));
    }

    pub(crate) async fn delete(&mut self, id: &str) {
        self.engine.delete(DEFAULT_TENANT, ItemKind::Content, id).await.unwrap();
        self.put.retain(|(put, _)| put != id);
    }

    pub(crate) async fn read(&self, id: &str) -> storage_core::error::Result<Vec<u8>> {
        let untouched = GetOptions { touch: false, ..GetOptions::default() };
        let (_, mut stream) = self.engine.get(DEFAULT_TENANT, ItemKind::Content, id, untouched).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    pub(crate) async fn migrate(&self, to: Tier) {
        let (progress, _told) = mpsc::channel(1);
        let options = MigrateOptions { to: Some(to), ..MigrateOptions::default() };
        let report = self.engine.migrate(options, progress, CancellationToken::new()).await.unwrap();
        assert_eq!((report.damaged, report.overtaken), (0, 0));
    }

    pub(crate) async fn sweep(&self) {
        let options = SweepOptions { grace: Duration::ZERO, dry_run: false };
        let _report = self.engine.sweep(options).await.unwrap();
    }

    pub(crate) async fn compact(&self, dead_percent_min: u8) -> CompactReport {
        let (progress, _told) = mpsc::channel(1);
        let options = CompactOptions { dead_percent_min, ..CompactOptions::default() };
        self.engine.compact(options, progress, CancellationToken::new()).await.unwrap()
    }

    /// The findings of a scrub, as text.
    pub(crate) async fn scrub(&self) -> Vec<String> {
        let (events, mut heard) = mpsc::channel(64);
        let listening = tokio::spawn(async move {
            let mut found = Vec::new();
            while let Some(event) = heard.recv().await {
                if let ScrubEvent::Finding(finding) = event {
                    found.push(format!("{}: {}", finding.kind, finding.what));
                }
            }
            found
        });
        let _report =
            self.engine.scrub(ScrubOptions::default(), events, CancellationToken::new()).await.unwrap();
        listening.await.unwrap()
    }

    pub(crate) async fn reopen(&mut self) {
        self.engine.close().await.unwrap();
        self.engine = open(self.dir.path()).await;
    }

    /// How an object is stored.
    pub(crate) async fn codec(&self, id: &str) -> String {
        let explained = self.engine.explain(DEFAULT_TENANT, ItemKind::Content, id).await.unwrap();
        explained.parts.last().unwrap().codec.clone()
    }

    pub(crate) async fn is_delta(&self, id: &str) -> bool {
        self.codec(id).await.starts_with("delta+")
    }

    /// The ids that are stored as deltas.
    pub(crate) async fn deltas(&self) -> Vec<String> {
        let mut deltas = Vec::new();
        for (id, _) in &self.put {
            if self.is_delta(id).await {
                deltas.push(id.clone());
            }
        }
        deltas
    }

    /// Every byte is there, the sums add up, and a scrub finds nothing.
    pub(crate) async fn check(&self) -> Stats {
        for (id, bytes) in &self.put {
            assert!(self.read(id).await.unwrap() == *bytes, "{id} came back as other bytes");
        }
        assert_eq!(self.scrub().await, Vec::<String>::new());
        let stats = self.engine.stats(None).await.unwrap();
        let (saved, added) = (stats.saved, stats.added);
        let saved = saved.transfer_decoding
            + saved.exact_dedup
            + saved.similar_dedup
            + saved.recoding
            + saved.compression;
        let added = added.dictionaries + added.records + added.indexes + added.copies + added.dead;
        assert_eq!(stats.logical_bytes as i64 - saved + added, stats.stored_bytes as i64);
        assert!(stats.added.dead >= 0, "{stats:?}");
        stats
    }
}
