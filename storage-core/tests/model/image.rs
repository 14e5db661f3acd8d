//! What a data directory would be after a power cut: its files as they are, with or without the catalog's last commits.

use std::path::Path;

use tempfile::TempDir;

/// The catalog after the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Catalog {
    /// Everything reached the disk.
    Whole,
    /// What was not checkpointed did not.
    Behind,
}

/// Copies the directory of an engine that is idle.
pub(crate) fn cut(data_dir: &Path, catalog: Catalog) -> TempDir {
    let image = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(image.path().join("packs")).expect("a new directory");
    copy_files(&data_dir.join("packs"), &image.path().join("packs"));
    let _ = std::fs::copy(data_dir.join("catalog.db"), image.path().join("catalog.db")).expect("a catalog");
    let wal = data_dir.join("catalog.db-wal");
    if catalog == Catalog::Whole && wal.exists() {
        let _ = std::fs::copy(wal, image.path().join("catalog.db-wal")).expect("the catalog's log");
    }
    image
}

/// Copies the packs alone.
pub(crate) fn packs(data_dir: &Path) -> TempDir {
    let image = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(image.path().join("packs")).expect("a new directory");
    copy_files(&data_dir.join("packs"), &image.path().join("packs"));
    image
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let _ = std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

/// The lengths of all files in `packs`.
pub(crate) fn pack_bytes(data_dir: &Path) -> u64 {
    let entries = std::fs::read_dir(data_dir.join("packs")).expect("the packs");
    entries.map(|entry| entry.expect("an entry").metadata().expect("a file").len()).sum()
}
