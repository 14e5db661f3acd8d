//! The catalog of a lab: in memory, or the real one in files of a temporary directory. What a power cut leaves of files is
//! what is in the database file and a prefix of its write-ahead log.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use storage_core::catalog::Catalog;
use storage_core::catalog::sqlite::SqliteCatalog;
use storage_core::error::Result;
use storage_core::testing::chance::Chance;
use storage_core::testing::memory_catalog::MemoryCatalog;
use storage_core::testing::power::Commits;
use storage_core::testing::power::catalog_after;
use tempfile::TempDir;

/// Where the rows are.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    Memory(MemoryCatalog),
    Files(Arc<TempDir>),
}

/// The database and its write-ahead log.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) database: Vec<u8>,
    pub(crate) log: Vec<u8>,
}

fn database(dir: &TempDir) -> PathBuf {
    dir.path().join("catalog.db")
}

fn log(dir: &TempDir) -> PathBuf {
    dir.path().join("catalog.db-wal")
}

fn length(path: &Path) -> usize {
    fs::metadata(path).map_or(0, |file| usize::try_from(file.len()).expect("a length"))
}

impl Rows {
    pub(crate) fn memory() -> Self {
        Self::Memory(MemoryCatalog::new())
    }

    pub(crate) fn files() -> Self {
        Self::Files(Arc::new(tempfile::tempdir().expect("a temporary directory")))
    }

    /// A database and its log, as files.
    pub(crate) fn of(files: &Files) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(database(&dir), &files.database).expect("a database");
        if !files.log.is_empty() {
            fs::write(log(&dir), &files.log).expect("a log");
        }
        Self::Files(Arc::new(dir))
    }

    /// What is in the files now.
    pub(crate) fn bytes(&self) -> Files {
        match self {
            Self::Memory(_) => panic!("these rows are not in files"),
            Self::Files(dir) => Files {
                database: fs::read(database(dir)).expect("a database"),
                log: fs::read(log(dir)).unwrap_or_default(),
            },
        }
    }

    /// The catalog's door.
    pub(crate) async fn door(&self) -> Result<Arc<dyn Catalog>> {
        Ok(match self {
            Self::Memory(catalog) => Arc::new(catalog.clone()),
            Self::Files(dir) => Arc::new(SqliteCatalog::open(&database(dir)).await?),
        })
    }

    /// What can be opened after an orderly end.
    pub(crate) fn reopened(&self) -> Self {
        match self {
            Self::Memory(catalog) => Self::Memory(catalog.reopened(usize::MAX)),
            Self::Files(dir) => Self::Files(Arc::clone(dir)),
        }
    }

    /// The same rows, which change apart from these.
    pub(crate) fn fork(&self) -> Self {
        match self {
            Self::Memory(catalog) => Self::Memory(catalog.fork()),
            Self::Files(dir) => Self::copy(dir, usize::MAX),
        }
    }

    /// How many different cuts there are, about.
    pub(crate) fn pending(&self) -> usize {
        match self {
            Self::Memory(catalog) => catalog.pending(),
            Self::Files(dir) => length(&log(dir)),
        }
    }

    /// What a power cut leaves.
    pub(crate) fn after(&self, commits: Commits) -> Self {
        match self {
            _ if commits == Commits::Kept => self.fork(),
            Self::Memory(catalog) => Self::Memory(catalog_after(catalog, commits)),
            Self::Files(dir) => Self::copy(
                dir,
                match commits {
                    Commits::Kept => usize::MAX,
                    Commits::Lost => 0,
                    Commits::Some(seed) => {
                        let bytes = Chance::new(seed).below(length(&log(dir)) as u64);
                        usize::try_from(bytes).expect("a length")
                    }
                },
            ),
        }
    }

    /// All rows as text, where equal texts are equal rows.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Memory(catalog) => catalog.told(),
            Self::Files(_) => panic!("files are not compared"),
        }
    }

    fn copy(from: &TempDir, log_bytes: usize) -> Self {
        let to = tempfile::tempdir().expect("a temporary directory");
        if database(from).exists() {
            let _bytes = fs::copy(database(from), database(&to)).expect("a database");
        }
        if log(from).exists() && log_bytes > 0 {
            let mut bytes = fs::read(log(from)).expect("the database's log");
            bytes.truncate(log_bytes);
            fs::write(log(&to), bytes).expect("a copy");
        }
        Self::Files(Arc::new(to))
    }
}
