//! Packs as files of one directory, `<uuid>.pack`. A put writes `<uuid>.tmp`, syncs it, links it under its name and
//! syncs the directory, so that a name never stands for half a pack. Everything that blocks goes through
//! [`blocking`], the one place that leaves the async threads.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use uuid::Uuid;

use crate::backend::Backend;
use crate::backend::BlockingRead;
use crate::backend::BoxFuture;
use crate::backend::LogBackend;
use crate::backend::LogFile;
use crate::backend::Source;
use crate::backend::already_exists;
use crate::backend::backwards;
use crate::backend::disk::Disk;
use crate::backend::disk::DiskFile;
use crate::backend::disk::Machine;
use crate::backend::disk::create_durably;
use crate::backend::local_log::LocalLog;
use crate::backend::not_found;
use crate::backend::too_short;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::pack::PackName;

/// Files kept open for reading.
const OPEN_FILES_MAX: usize = 128;
const PACK_EXTENSION: &str = "pack";
const TEMPORARY_EXTENSION: &str = "tmp";

/// Packs in a local directory, which belongs to one process.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// Open files, the most recently used last. A pack is never written twice under one name, so a file that is
    /// open here never stands for other bytes.
    open: Mutex<VecDeque<(PackName, Arc<dyn DiskFile>)>>,
}

impl LocalBackend {
    /// Opens the directory, which is created if it is not there, and removes what a crash left half-written.
    pub async fn open(directory: PathBuf) -> Result<Self> {
        Self::over(Arc::new(Machine), directory).await
    }

    /// The same on a disk of the caller's.
    pub async fn over(disk: Arc<dyn Disk>, directory: PathBuf) -> Result<Self> {
        let inner = Arc::new(Inner { disk, directory, open: Mutex::new(VecDeque::new()) });
        let backend = Self { inner };
        let open = |inner: &Inner| {
            let unusable = |error| failed("create the pack directory", error);
            create_durably(inner.disk.as_ref(), &inner.directory).map_err(unusable)?;
            inner.remove_leftovers()?;
            // Names that a killed process gave or took away are seen, and perhaps not durable: recovery relies on them.
            inner.sync()
        };
        backend.run(open).await?;
        Ok(backend)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        blocking(self.inner.disk.blocks(), move || work(&inner)).await
    }

    async fn write_temporary(&self, file: &Arc<dyn DiskFile>, source: &mut dyn Source) -> Result<u64> {
        let mut bytes = 0;
        while let Some(chunk) = source.next().await? {
            let (file, offset) = (Arc::clone(file), bytes);
            bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let write = move || file.write(&chunk, offset).map_err(|error| failed("write a pack", error));
            blocking(self.inner.disk.blocks(), write).await?;
        }
        Ok(bytes)
    }
}

impl Inner {
    fn path(&self, name: PackName) -> PathBuf {
        self.directory.join(format!("{name}.{PACK_EXTENSION}"))
    }

    fn temporary(&self, name: PackName) -> PathBuf {
        self.directory.join(format!("{name}.{TEMPORARY_EXTENSION}"))
    }

    fn sync(&self) -> Result<()> {
        let synced = self.disk.sync_directory(&self.directory);
        synced.map_err(|error| failed("sync the pack directory", error))
    }

    /// Removes a file that need not be there.
    fn remove(&self, path: &Path) -> Result<()> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("delete a pack", error)),
            _ => Ok(()),
        }
    }

    fn remove_leftovers(&self) -> Result<()> {
        for (path, _) in self.files()? {
            if has_extension(&path, TEMPORARY_EXTENSION) && name_of(&path).is_some() {
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    fn files(&self) -> Result<Vec<(PathBuf, u64)>> {
        self.disk.list(&self.directory).map_err(|error| failed("list the packs", error))
    }

    /// Sync, take the name, sync the directory. The name is taken by a link, which unlike a rename never replaces.
    fn publish(&self, name: PackName, file: &dyn DiskFile) -> Result<()> {
        file.sync().map_err(|error| failed("sync a pack", error))?;
        self.disk.link(&self.temporary(name), &self.path(name)).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => already_exists(name),
            _ => failed("name a pack", error),
        })?;
        let named = self.remove(&self.temporary(name)).and_then(|()| self.sync());
        if named.is_err() {
            // A put that fails leaves no pack. What fails here again, the caller's error tells already.
            drop(self.remove(&self.path(name)));
        }
        named
    }

    /// The file of a pack, open for reading.
    fn file(&self, name: PackName) -> Result<Arc<dyn DiskFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let position = open.iter().position(|(other, _)| *other == name);
        let found = position.and_then(|position| open.remove(position));
        let file = match found {
            Some((_, file)) => file,
            None => {
                self.disk.open(&self.path(name)).map_err(|error| failed_on(name, "open a pack", error))?
            }
        };
        if open.len() >= OPEN_FILES_MAX {
            let _oldest = open.pop_front();
        }
        open.push_back((name, Arc::clone(&file)));
        Ok(file)
    }

    fn read(&self, name: PackName, range: &Range<u64>) -> Result<Bytes> {
        let file = self.file(name)?;
        if range.end < range.start {
            return Err(backwards(range));
        }
        let length = file.length().map_err(|error| failed("look at a pack", error))?;
        // The length is checked first, so that a wrong range allocates nothing.
        if length < range.end {
            return Err(too_short(name, length, range.end));
        }
        let bytes = usize::try_from(range.end - range.start)
            .map_err(|_| Error::internal("a range is too long for memory"))?;
        let mut content = vec![0; bytes];
        file.read(&mut content, range.start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => too_short(name, length, range.end),
            _ => failed("read a pack", error),
        })?;
        Ok(Bytes::from(content))
    }

    fn delete(&self, name: PackName) -> Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(other, _)| *other != name);
        drop(open);
        self.remove(&self.path(name))?;
        self.sync()
    }

    fn list(&self) -> Result<Vec<(PackName, u64)>> {
        let mut packs = Vec::new();
        for (path, bytes) in self.files()? {
            match pack_of(&path) {
                Some(name) => packs.push((name, bytes)),
                None if has_extension(&path, TEMPORARY_EXTENSION) => {}
                None => tracing::warn!(path = %path.display(), "ignored a foreign file among the packs"),
            }
        }
        packs.sort();
        Ok(packs)
    }

    fn create_log(&self, name: PackName) -> Result<Arc<dyn DiskFile>> {
        let file = self.disk.create(&self.path(name)).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => already_exists(name),
            _ => failed("create a pack", error),
        })?;
        self.sync()?;
        Ok(file)
    }

    fn open_log(&self, name: PackName, bytes: u64) -> Result<Arc<dyn DiskFile>> {
        let opened = self.disk.open_to_write(&self.path(name));
        let file = opened.map_err(|error| failed_on(name, "open a pack", error))?;
        let length = file.length().map_err(|error| failed("look at a pack", error))?;
        if length < bytes {
            return Err(too_short(name, length, bytes));
        }
        file.set_length(bytes).map_err(|error| failed("cut a pack", error))?;
        write_again(file.as_ref(), bytes).map_err(|error| failed("write a pack again", error))?;
        file.sync().map_err(|error| failed("sync a pack", error))?;
        Ok(file)
    }
}

impl Backend for LocalBackend {
    fn put<'a>(&'a self, name: PackName, source: &'a mut dyn Source) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let create = move |inner: &Inner| {
                if inner.disk.exists(&inner.path(name)) {
                    return Err(already_exists(name));
                }
                let path = inner.temporary(name);
                inner.remove(&path)?;
                inner.disk.create(&path).map_err(|error| failed("create a pack", error))
            };
            let file = self.run(create).await?;
            let bytes = match self.write_temporary(&file, source).await {
                Ok(bytes) => self.run(move |inner| inner.publish(name, file.as_ref())).await.map(|()| bytes),
                Err(error) => Err(error),
            };
            if bytes.is_err() {
                self.run(move |inner| inner.remove(&inner.temporary(name))).await?;
            }
            bytes
        })
    }

    fn read(&self, name: PackName, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        Box::pin(self.run(move |inner| inner.read(name, &range)))
    }

    fn blocking_read(&self, name: PackName, range: Range<u64>) -> Option<BlockingRead> {
        let inner = Arc::clone(&self.inner);
        inner.disk.blocks().then(|| -> BlockingRead { Box::new(move || inner.read(name, &range)) })
    }

    fn length(&self, name: PackName) -> BoxFuture<'_, Result<u64>> {
        Box::pin(self.run(move |inner| {
            let opened = inner.disk.open(&inner.path(name)).and_then(|file| file.length());
            opened.map_err(|error| failed_on(name, "look at a pack", error))
        }))
    }

    fn delete(&self, name: PackName) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.run(move |inner| inner.delete(name)))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<(PackName, u64)>>> {
        Box::pin(self.run(Inner::list))
    }
}

impl LogBackend for LocalBackend {
    fn create_log(&self, name: PackName) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        Box::pin(async move {
            let file = self.run(move |inner| inner.create_log(name)).await?;
            let log: Box<dyn LogFile> = Box::new(LocalLog::new((name, file, self.inner.disk.blocks()), 0));
            Ok(log)
        })
    }

    fn open_log(&self, name: PackName, bytes: u64) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        Box::pin(async move {
            let file = self.run(move |inner| inner.open_log(name, bytes)).await?;
            let log: Box<dyn LogFile> =
                Box::new(LocalLog::new((name, file, self.inner.disk.blocks()), bytes));
            Ok(log)
        })
    }
}

/// Runs what blocks on the threads that may; what does not, here.
pub(super) async fn blocking<T: Send + 'static>(
    blocks: bool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if !blocks {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("work on a pack's file did not end").with_source(error)),
    }
}

/// An I/O error as the engine sees it.
pub(super) fn failed(what: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::new(
            Kind::ResourceExhausted,
            format!("could not {what}, the disk is full: free some space, then reopen the store"),
        )
        .with_source(error),
        _ => Error::io(format!("could not {what}: check the disk and the directory's permissions"), error),
    }
}

fn failed_on(name: PackName, what: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => not_found(name),
        _ => failed(what, error),
    }
}

/// Writes what a file holds once more. After a sync that failed, the system may show bytes as clean that never reached
/// the disk, and another sync would pass over them.
fn write_again(file: &dyn DiskFile, bytes: u64) -> io::Result<()> {
    const PIECE_BYTES: u64 = 1 << 20;
    let mut piece = Vec::new();
    let mut offset = 0;
    while offset < bytes {
        let length = PIECE_BYTES.min(bytes - offset);
        piece.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        file.read(&mut piece, offset)?;
        file.write(&piece, offset)?;
        offset += length;
    }
    Ok(())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn name_of(path: &Path) -> Option<PackName> {
    let stem = path.file_stem()?.to_str()?;
    let name = Uuid::try_parse(stem).ok()?;
    // Only the one spelling that we write ourselves.
    (name.to_string() == stem).then_some(PackName(name))
}

fn pack_of(path: &Path) -> Option<PackName> {
    if has_extension(path, PACK_EXTENSION) { name_of(path) } else { None }
}
