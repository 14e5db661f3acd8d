//! Small stores, and opening them with other packs than they were written with.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::backend::Backend;
use storage_core::backend::MemoryBackend;
use storage_core::catalog::Catalog;
use storage_core::catalog::sqlite::SqliteCatalog;
use storage_core::clock::SystemClock;
use storage_core::engine::Engine;
use storage_core::error::Error;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::pack::PackName;
use storage_core::report::MigrateOptions;
use storage_core::settings::Settings;
use storage_core::store::Doors;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Packs by name.
pub(crate) type Packs = BTreeMap<PackName, Bytes>;

/// A message of one line, and contents: enough that a frame holds a skeleton, an object and their records.
pub(crate) const ITEMS: [(ItemKind, &str, &[u8]); 3] = [
    (ItemKind::Message, "one", b"Message-ID: <1@a.example>\r\nSubject: one\r\n\r\nThe body.\r\n"),
    // Text that the built-in dictionary has.
    (
        ItemKind::Content,
        "two",
        b"Ihre Bestellung wurde versandt. Bitte antworten Sie nicht auf diese E-Mail.\nMit freundlichen Gr\xc3\xbc\xc3\x9fen\n",
    ),
    (ItemKind::Content, "three", b"Bitte antworten Sie nicht auf diese E-Mail. Vielen Dank."),
];

/// A store whose packs are in memory.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) dir: TempDir,
    pub(crate) backend: MemoryBackend,
    pub(crate) engine: Engine,
}

fn settings() -> Settings {
    let mut settings = Settings::new("unused");
    settings.workers = 1;
    settings.block_cache_bytes = 0;
    settings.dictionary_cache_bytes = 0;
    settings
}

pub(crate) async fn engine(backend: &MemoryBackend, catalog: Arc<dyn Catalog>) -> Result<Engine> {
    let doors = Doors { backend: Arc::new(backend.clone()), catalog };
    Engine::open_doors(settings(), Arc::new(SystemClock), doors, [7; 32]).await
}

pub(crate) async fn open_catalog(dir: &Path) -> Result<Arc<dyn Catalog>> {
    Ok(Arc::new(SqliteCatalog::open(&dir.join("catalog.db")).await?))
}

impl Built {
    /// A store that is open and has nothing in it.
    pub(crate) async fn empty() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let backend = MemoryBackend::new();
        let catalog = open_catalog(dir.path()).await.expect("a catalog");
        let engine = engine(&backend, catalog).await.expect("an engine");
        Self { dir, backend, engine }
    }

    /// The same with all items in it.
    pub(crate) async fn filled() -> Self {
        let built = Self::empty().await;
        built.fill().await;
        built
    }

    pub(crate) async fn fill(&self) {
        for (kind, id, bytes) in ITEMS {
            self.put(kind, id, Bytes::from_static(bytes)).await;
        }
    }

    pub(crate) async fn put(&self, kind: ItemKind, id: &str, bytes: Bytes) {
        let media_type = (kind == ItemKind::Content).then(|| "text/plain".to_owned());
        let options = PutOptions { caller_id: Some(id.to_owned()), media_type, ..PutOptions::default() };
        let _receipt = self.engine.put("default", kind, options, bytes).await.expect("a put");
    }

    /// Moves everything into one tier.
    pub(crate) async fn migrate(&self, tier: Tier) {
        let (progress, mut reports) = mpsc::channel(8);
        let options = MigrateOptions { to: Some(tier), ..MigrateOptions::default() };
        let drained = async { while reports.recv().await.is_some() {} };
        let (report, ()) =
            tokio::join!(self.engine.migrate(options, progress, CancellationToken::new()), drained);
        assert_eq!(report.expect("a migration").damaged, 0);
    }

    pub(crate) async fn packs(&self) -> Packs {
        let mut packs = Packs::new();
        for (name, bytes) in self.backend.list().await.expect("packs in memory") {
            let bytes = self.backend.read(name, 0..bytes).await.expect("a pack in memory");
            let _none = packs.insert(name, bytes);
        }
        packs
    }
}

/// A backend with these packs.
pub(crate) async fn backend(packs: &Packs) -> MemoryBackend {
    let backend = MemoryBackend::new();
    for (name, bytes) in packs {
        let mut source = VecDeque::from([bytes.clone()]);
        let _length = backend.put(*name, &mut source).await.expect("a new name");
    }
    backend
}

/// All bytes of an item.
pub(crate) async fn read(engine: &Engine, kind: ItemKind, id: &str) -> Result<Vec<u8>> {
    let options = GetOptions { touch: false, ..GetOptions::default() };
    let (_stat, mut stream) = engine.get("default", kind, id, options).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// What reading an item came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Right,
    Failed(Kind),
}

/// Reads an item; other bytes than its own end the test.
pub(crate) async fn check(engine: &Engine, (kind, id, bytes): (ItemKind, &str, &[u8])) -> Found {
    match read(engine, kind, id).await {
        Ok(found) => {
            assert!(found == bytes, "{id}: other bytes");
            Found::Right
        }
        Err(error) => Found::Failed(Error::kind(&error)),
    }
}
