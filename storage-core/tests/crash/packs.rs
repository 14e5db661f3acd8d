//! The packs of a lab: behind a door in memory, whose calls are the crash points; or in a local directory on a disk that
//! forgets, where every call of the disk is one.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::backend::LocalBackend;
use storage_core::backend::MemoryBackend;
use storage_core::catalog::Catalog;
use storage_core::error::Result;
use storage_core::pack::PackName;
use storage_core::store::Doors;
use storage_core::testing::faults::Faults;
use storage_core::testing::model_disk::ModelDisk;
use storage_core::testing::power::Disk;
use storage_core::testing::power::packs_after;
use uuid::Uuid;

/// Where the packs are.
#[derive(Debug, Clone)]
pub(crate) enum Packs {
    Memory(MemoryBackend),
    Files(ModelDisk),
}

fn name_of(path: &Path) -> Option<PackName> {
    let stem = path.file_stem()?.to_str()?;
    let pack = path.extension().is_some_and(|extension| extension == "pack");
    pack.then(|| PackName(Uuid::parse_str(stem).expect("a pack's name")))
}

impl Packs {
    pub(crate) fn memory() -> Self {
        Self::Memory(MemoryBackend::new())
    }

    pub(crate) fn files() -> Self {
        Self::Files(ModelDisk::new())
    }

    /// The doors, which follow a plan.
    pub(crate) async fn doors(&self, catalog: Arc<dyn Catalog>, faults: &Faults) -> Result<Doors> {
        match self {
            Self::Memory(backend) => Ok(faults.wrap(Doors { backend: Arc::new(backend.clone()), catalog })),
            Self::Files(disk) => {
                let disk = Arc::new(disk.following(faults));
                let backend = LocalBackend::over(disk, PathBuf::from("/packs")).await?;
                Ok(Doors { backend: Arc::new(backend), catalog: faults.wrap_catalog(catalog) })
            }
        }
    }

    /// What a power cut leaves; where all is kept, only the process ended, and what was not durable still is not.
    pub(crate) fn after(&self, disk: Disk) -> Self {
        match self {
            _ if disk == Disk::Kept => self.fork(),
            Self::Memory(backend) => Self::Memory(packs_after(backend, disk)),
            Self::Files(files) => Self::Files(files.after(disk)),
        }
    }

    /// The same, which change apart from these.
    pub(crate) fn fork(&self) -> Self {
        match self {
            Self::Memory(backend) => Self::Memory(backend.fork()),
            Self::Files(files) => Self::Files(files.fork()),
        }
    }

    /// Whether a power cut leaves everything.
    pub(crate) fn all_durable(&self) -> bool {
        match self {
            Self::Memory(backend) => backend.unsynced().is_empty(),
            Self::Files(files) => files.pending() == 0,
        }
    }

    /// All packs with their bytes.
    pub(crate) fn contents(&self) -> Vec<(PackName, Bytes)> {
        match self {
            Self::Memory(backend) => backend.contents(),
            Self::Files(files) => {
                let files = files.contents().into_iter();
                files.filter_map(|(path, bytes)| Some((name_of(&path)?, Bytes::from(bytes)))).collect()
            }
        }
    }

    /// The packs in memory.
    pub(crate) fn backend(&self) -> &MemoryBackend {
        match self {
            Self::Memory(backend) => backend,
            Self::Files(_) => panic!("these packs are in files"),
        }
    }
}
