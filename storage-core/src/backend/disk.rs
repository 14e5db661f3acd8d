//! What a local backend asks of a file system, and nothing else of it: so that a test can put a disk in its place that
//! forgets what was not synced. Every method is what the system call of that name does.

use std::fmt::Debug;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A file system.
pub trait Disk: Send + Sync + Debug {
    /// Whether its calls block, and so must leave the async threads.
    fn blocks(&self) -> bool {
        true
    }

    /// Makes a directory. One that is there is `AlreadyExists`. Its name is durable once its parent is synced.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Whether there is a file or directory of that name.
    fn exists(&self, path: &Path) -> bool;

    /// The files of a directory with their lengths, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<(PathBuf, u64)>>;

    /// Makes the names of a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Makes a file to write to. One that is there is `AlreadyExists`.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file a second name. One that is taken is `AlreadyExists`.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name in the same directory, in place of what had it, as one change.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// Its length.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from an offset.
    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of these bytes at an offset.
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts it, or lengthens it by zeros.
    fn set_length(&self, bytes: u64) -> io::Result<()>;

    /// Makes its bytes and length durable.
    fn sync(&self) -> io::Result<()>;
}

/// Makes a directory and those above it that are missing, durably: whoever relies on what is in it relies on their names.
pub(crate) fn create_durably(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    let parent = match directory.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    if !disk.exists(parent) {
        create_durably(disk, parent)?;
    }
    match disk.create_directory(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        // One that is there may have been made a moment before its maker ended.
        _ => {}
    }
    disk.sync_directory(parent)
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Machine;

impl Disk for Machine {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) => files.push((entry.path(), metadata.len())),
                // It was deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Arc::new(MachineFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(MachineFile(File::open(path)?)))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(MachineFile(file)))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// A file of this machine.
#[derive(Debug)]
struct MachineFile(File);

impl DiskFile for MachineFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    /// `fdatasync` writes the length, too; what it leaves out are times.
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Disk;
    use super::Machine;

    /// Nothing short of a power cut tells a sync from none, but the system refuses one where there is nothing to sync, and
    /// that it was asked is what the model of a disk cannot show.
    #[test]
    fn a_sync_reaches_the_system() {
        let file = Machine.open_to_write(Path::new("/dev/null")).unwrap();
        file.write(b"gone", 0).unwrap();
        assert!(file.sync().is_err(), "a device that cannot be synced was");
        assert!(Machine.sync_directory(Path::new("/proc")).is_err(), "a directory that cannot be synced was");
        let dir = tempfile::tempdir().unwrap();
        Machine.create(&dir.path().join("file")).unwrap().sync().unwrap();
        Machine.sync_directory(dir.path()).unwrap();
    }
}
