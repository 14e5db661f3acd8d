//! The embedded default's data directory: `LOCK`, `catalog.db` (with its WAL) and `packs/`. Guarantees that one process
//! at a time uses it and that a directory that holds something else is not touched.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

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
        remove_catalog(&self.root, REBUILT)?;
        Ok(self.root.join(REBUILT))
    }

    /// Gives a rebuilt and closed catalog its name: its file is durable before, and the name after. Logs of the catalog
    /// that was lost must not be taken for those of the new one.
    pub(crate) fn publish_rebuilt(&self) -> Result<()> {
        let failed = |e| Error::io("The rebuilt catalog cannot be put in its place. Check the disk.", e);
        let rebuilt = self.root.join(REBUILT);
        File::open(&rebuilt).and_then(|file| file.sync_all()).map_err(failed)?;
        remove_catalog(&self.root, CATALOG)?;
        let synced = || File::open(&self.root).and_then(|directory| directory.sync_all()).map_err(failed);
        synced()?;
        std::fs::rename(&rebuilt, self.root.join(CATALOG)).map_err(failed)?;
        synced()
    }

    pub(crate) fn packs(&self) -> PathBuf {
        self.root.join(PACKS)
    }
}

/// Removes a database file and what SQLite keeps beside it, where they are.
fn remove_catalog(root: &Path, name: &str) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::remove_file(root.join(format!("{name}{suffix}"))) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("A leftover of a catalog cannot be removed. Check permissions.", e));
            }
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
    use super::DataDir;
    use crate::error::Kind;

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
}
