//! What the engine refuses, and that a refusal leaves nothing behind: bad input, bad state, bad bytes on disk.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

mod damage;
mod input;
mod refusals;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::clock::SystemClock;
use storage_core::engine::Engine;
use storage_core::error::Error;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::PutReceipt;
use storage_core::settings::Settings;
use tempfile::TempDir;

pub(crate) const MESSAGE: &[u8] = b"Message-ID: <one@mail.example>\r\nSubject: one\r\n\r\nThe body.\r\n";

pub(crate) struct Store {
    dir: TempDir,
    engine: Engine,
}

pub(crate) async fn open(dir: &Path) -> Result<Engine> {
    let mut settings = Settings::new(dir);
    settings.item_bytes_max = 8_000_000;
    settings.workers = 2;
    Engine::open(settings, Arc::new(SystemClock)).await
}

impl Store {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path()).await.unwrap();
        Self { dir, engine }
    }

    /// Closes and opens again after `change` did something to the files.
    pub(crate) async fn reopened(self, change: impl FnOnce(&Path)) -> Self {
        self.engine.close().await.unwrap();
        change(self.dir.path());
        let engine = open(self.dir.path()).await.unwrap();
        Self { dir: self.dir, engine }
    }

    pub(crate) fn packs(&self) -> Vec<PathBuf> {
        packs(self.dir.path())
    }

    pub(crate) async fn put(&self, options: PutOptions, bytes: impl Into<Bytes>) -> Result<PutReceipt> {
        self.engine.put("default", ItemKind::Message, options, bytes.into()).await
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Vec<u8>> {
        read(&self.engine, id, GetOptions::default()).await
    }
}

pub(crate) fn packs(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("packs")).unwrap();
    let mut packs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    packs
}

pub(crate) async fn read(engine: &Engine, id: &str, options: GetOptions) -> Result<Vec<u8>> {
    let (_, mut stream) = engine.get("default", ItemKind::Message, id, options).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

pub(crate) fn named(id: &str) -> PutOptions {
    PutOptions { caller_id: Some(id.to_owned()), ..PutOptions::default() }
}

pub(crate) fn kind<T>(result: Result<T>) -> Kind {
    result.err().as_ref().map_or_else(|| panic!("it was not refused"), Error::kind)
}

/// A message whose attachment of `bytes` random bytes is an object.
pub(crate) fn with_attachment(seed: u64, bytes: u64) -> Bytes {
    let mut message = Vec::new();
    storage_fixtures::large::write(seed, bytes, &mut message).unwrap();
    Bytes::from(message)
}
