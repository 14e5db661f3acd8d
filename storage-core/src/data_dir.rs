//! The embedded default's data directory: `LOCK`, `catalog.db` (with its WAL) and `packs/`. Guarantees that one process
//! at a time uses it and that a directory that holds something else is not touched.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crate::backend::Disk;
use crate::backend::Machine;
use crate::backend::create_durably;
use crate::error::Error;
use crate::error::Result;

const LOCK: &str = "LOCK";
const CATALOG: &str = "catalog.db";
/// A catalog that is being rebuilt.
const REBUILT: &str = "catalog.db.rebuilt";
const PACKS: &str = "packs";

/// An exclusive hold on a data directory. Released when dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    #[expect(dead_code, reason = "the lock is held as long as the file is open")]
    lock: File,
}

impl DataDir {
    /// Creates the directory if it is absent, refuses foreign ones, and locks it.
    pub(crate) fn hold(root: &Path) -> Result<Self> {
        let shown = root.display();
        // Without a catalog nothing is in it yet: from here on its name is durable.
        if !root.join(CATALOG).exists() {
            create_durably(&Machine, root).map_err(|e| {
                Error::io(format!("The data directory {shown} cannot be created. Check its permissions."), e)
            })?;
        }
        refuse_foreign(root)?;
        Self::lock(root)
    }

    /// The same for a directory that has packs and lost its catalog.
    pub(crate) fn hold_without_catalog(root: &Path) -> Result<Self> {
        let shown = root.display();
        if root.join(CATALOG).exists() {
            return Err(Error::precondition(format!(
                "The data directory {shown} has a catalog.db. Put it aside first, with its -wal and -shm files: a catalog \
                 is rebuilt only where there is none."
            )));
        }
        if !root.join(PACKS).is_dir() {
            return Err(Error::precondition(format!(
                "The directory {shown} holds no packs to rebuild a catalog from."
            )));
        }
        Self::lock(root)
    }

    fn lock(root: &Path) -> Result<Self> {
        let shown = root.display();
        let mut lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(root.join(LOCK)).map_err(
                |e| {
                    Error::io(
                        format!("The data directory {shown} cannot be written to. Check its permissions."),
                        e,
                    )
                },
            )?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::precondition(format!(
                    "The data directory {shown} is in use by another process. Stop that server, or talk to it with --server."
                )));
            }
            Err(TryLockError::Error(e)) => {
                return Err(Error::io(format!("The data directory {shown} cannot be locked."), e));
            }
        }
        // For whoever wonders who holds it; nothing reads it.
        let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        noted.map_err(|e| {
            Error::io(format!("The data directory {shown} cannot be written to. Is the disk full?"), e)
        })?;
        Ok(Self { root: root.to_owned(), lock })
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join(CATALOG)
    }

    /// Where a rebuilt catalog is written. What an interrupted rebuild left there is removed.
    pub(crate) fn fresh_rebuilt(&self) -> Result<PathBuf> {
        remove_catalog(&Machine, &self.root, REBUILT)
            .map_err(|e| Error::io("A leftover of a catalog cannot be removed. Check permissions.", e))?;
        Ok(self.root.join(REBUILT))
    }

    /// Gives a rebuilt and closed catalog its name, durably.
    pub(crate) fn publish_rebuilt(&self) -> Result<()> {
        publish(&Machine, &self.root)
            .map_err(|e| Error::io("The rebuilt catalog cannot be put in its place. Check the disk.", e))
    }

    pub(crate) fn packs(&self) -> PathBuf {
        self.root.join(PACKS)
    }
}

/// Order: the file is durable -> what is left of the catalog that was lost goes, durably, because its log must not be taken
/// for that of the new one -> the file gets its name, durably.
fn publish(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    let rebuilt = root.join(REBUILT);
    disk.open_to_write(&rebuilt)?.sync()?;
    remove_catalog(disk, root, CATALOG)?;
    disk.sync_directory(root)?;
    disk.rename(&rebuilt, &root.join(CATALOG))?;
    disk.sync_directory(root)
}

/// Removes a database file and what SQLite keeps beside it, where they are.
fn remove_catalog(disk: &dyn Disk, root: &Path, name: &str) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        match disk.remove(&root.join(format!("{name}{suffix}"))) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// A directory is ours if it is empty or holds a catalog. Packs without a catalog are a store that lost it: starting
/// with an empty catalog would hide them.
fn refuse_foreign(root: &Path) -> Result<()> {
    let shown = root.display();
    let unreadable =
        |e| Error::io(format!("The data directory {shown} cannot be read. Check its permissions."), e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name());
    }
    if names.iter().any(|name| name == CATALOG) {
        return Ok(());
    }
    if names.iter().any(|name| name == PACKS) {
        let packs = std::fs::read_dir(root.join(PACKS)).map_err(unreadable)?.next().is_some();
        if packs {
            return Err(Error::precondition(format!(
                "The data directory {shown} holds packs but no catalog.db. Starting without it would hide what the packs \
                 hold. Make a new one from the packs: storage-cli --data-dir {shown} rebuild-catalog; or restore \
                 catalog.db and packs from one backup."
            )));
        }
    }
    match names.iter().find(|name| *name != LOCK && *name != PACKS) {
        None => Ok(()),
        Some(name) => Err(Error::precondition(format!(
            "The directory {shown} holds {} and no store. Choose an empty or new directory.",
            name.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::path::PathBuf;

    use super::DataDir;
    use super::publish;
    use crate::backend::Disk;
    use crate::error::Kind;
    use crate::testing::faults::Fault;
    use crate::testing::faults::Faults;
    use crate::testing::model_disk::ModelDisk;
    use crate::testing::power;

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::hold(dir.path()).unwrap();
        let second = DataDir::hold(dir.path()).unwrap_err();
        assert_eq!(second.kind(), Kind::FailedPrecondition);
        assert!(second.message().contains("in use"), "{second}");
        drop(held);
        let _again = DataDir::hold(dir.path()).unwrap();
    }

    #[test]
    fn foreign_directories_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("notes.txt"), b"mine").unwrap();
        let refused = DataDir::hold(dir.path()).unwrap_err();
        assert_eq!(refused.kind(), Kind::FailedPrecondition);
        assert!(refused.message().contains("notes.txt"), "{refused}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn packs_without_a_catalog_are_not_hidden() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("packs")).unwrap();
        std::fs::write(dir.path().join("packs/x.pack"), b"x").unwrap();
        assert!(DataDir::hold(dir.path()).unwrap_err().message().contains("catalog.db"));
    }

    /// A directory with the log of a catalog that was lost, and a rebuilt one that nobody has synced yet.
    fn rebuilt() -> ModelDisk {
        let disk = ModelDisk::new();
        let root = Path::new("/data");
        disk.create_directory(root).unwrap();
        let log = disk.create(&root.join("catalog.db-wal")).unwrap();
        log.write(b"of another catalog", 0).unwrap();
        log.sync().unwrap();
        disk.sync_directory(root).unwrap();
        disk.sync_directory(Path::new("/")).unwrap();
        let file = disk.create(&root.join(super::REBUILT)).unwrap();
        file.write(REBUILT_BYTES, 0).unwrap();
        disk
    }

    const REBUILT_BYTES: &[u8] = b"rows";

    /// Whether there is a catalog after a cut. It is whole then, and has no log of another one beside it.
    fn has_catalog(disk: &ModelDisk) -> bool {
        let files: BTreeMap<PathBuf, Vec<u8>> = disk.contents().into_iter().collect();
        let Some(bytes) = files.get(Path::new("/data/catalog.db")) else {
            return false;
        };
        assert_eq!(bytes, REBUILT_BYTES, "the catalog is not whole");
        assert!(
            !files.contains_key(Path::new("/data/catalog.db-wal")),
            "the log of another one is beside it"
        );
        true
    }

    #[test]
    fn a_power_cut_never_leaves_a_catalog_in_part_or_with_the_log_of_another() {
        let root = Path::new("/data");
        let cuts = |seed| {
            [power::Disk::Kept, power::Disk::Lost, power::Disk::Torn(seed), power::Disk::OutOfOrder(seed)]
        };
        let mut calls = 0;
        loop {
            let (base, faults) = (rebuilt(), Faults::new());
            faults.arm(calls, Fault::CrashBefore);
            let published = publish(&base.following(&faults), root);
            for seed in 0..20 {
                for cut in cuts(seed) {
                    let there = has_catalog(&base.after(cut));
                    assert!(there || published.is_err(), "it was told of, and {cut:?} takes it");
                }
            }
            if published.is_ok() {
                break;
            }
            calls += 1;
        }
        assert!(calls > 6, "every call is one to crash at: {calls}");
    }
}
