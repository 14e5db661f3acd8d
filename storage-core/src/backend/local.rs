//! Packs as files of one directory, `<uuid>.pack`. A put writes `<uuid>.tmp`, syncs it, links it under its name and
//! syncs the directory, so that a name never stands for half a pack. Everything that blocks goes through
//! [`blocking`], the one place that leaves the async threads.

use std::collections::VecDeque;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use uuid::Uuid;

use crate::backend::Backend;
use crate::backend::BoxFuture;
use crate::backend::LogBackend;
use crate::backend::LogFile;
use crate::backend::Source;
use crate::backend::already_exists;
use crate::backend::backwards;
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
    directory: PathBuf,
    /// Open files, the most recently used last. A pack is never written twice under one name, so a file that is
    /// open here never stands for other bytes.
    open: Mutex<VecDeque<(PackName, Arc<File>)>>,
}

impl LocalBackend {
    /// Opens the directory, which is created if it is not there, and removes what a crash left half-written.
    pub async fn open(directory: PathBuf) -> Result<Self> {
        blocking(move || {
            fs::create_dir_all(&directory).map_err(|error| failed("create the pack directory", error))?;
            if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync_directory(parent)?;
            }
            remove_leftovers(&directory)?;
            let open = Mutex::new(VecDeque::new());
            Ok(Self { inner: Arc::new(Inner { directory, open }) })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        blocking(move || work(&inner)).await
    }

    async fn write_temporary(&self, file: &Arc<File>, source: &mut dyn Source) -> Result<u64> {
        let mut bytes = 0;
        while let Some(chunk) = source.next().await? {
            let file = Arc::clone(file);
            bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            blocking(move || (&*file).write_all(&chunk).map_err(|error| failed("write a pack", error)))
                .await?;
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
        sync_directory(&self.directory)
    }

    /// Sync, take the name, sync the directory. The name is taken by a link, which unlike a rename never replaces.
    fn publish(&self, name: PackName, file: &File) -> Result<()> {
        file.sync_all().map_err(|error| failed("sync a pack", error))?;
        fs::hard_link(self.temporary(name), self.path(name)).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => already_exists(name),
            _ => failed("name a pack", error),
        })?;
        let named = remove(&self.temporary(name)).and_then(|()| self.sync());
        if named.is_err() {
            // A put that fails leaves no pack. What fails here again, the caller's error tells already.
            drop(remove(&self.path(name)));
        }
        named
    }

    /// The file of a pack, open for reading.
    fn file(&self, name: PackName) -> Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let position = open.iter().position(|(other, _)| *other == name);
        let found = position.and_then(|position| open.remove(position));
        let file = match found {
            Some((_, file)) => file,
            None => {
                Arc::new(File::open(self.path(name)).map_err(|error| failed_on(name, "open a pack", error))?)
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
        let length = file.metadata().map_err(|error| failed("look at a pack", error))?.len();
        // The length is checked first, so that a wrong range allocates nothing.
        if length < range.end {
            return Err(too_short(name, length, range.end));
        }
        let bytes = usize::try_from(range.end - range.start)
            .map_err(|_| Error::internal("a range is too long for memory"))?;
        let mut content = vec![0; bytes];
        file.read_exact_at(&mut content, range.start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => too_short(name, length, range.end),
            _ => failed("read a pack", error),
        })?;
        Ok(Bytes::from(content))
    }

    fn delete(&self, name: PackName) -> Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(other, _)| *other != name);
        drop(open);
        remove(&self.path(name))?;
        self.sync()
    }

    fn list(&self) -> Result<Vec<(PackName, u64)>> {
        let mut packs = Vec::new();
        let unreadable = |error| failed("list the packs", error);
        for entry in fs::read_dir(&self.directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path();
            match pack_of(&path) {
                Some(name) => match entry.metadata() {
                    Ok(metadata) => packs.push((name, metadata.len())),
                    // It was deleted meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(unreadable(error)),
                },
                None if has_extension(&path, TEMPORARY_EXTENSION) => {}
                None => tracing::warn!(path = %path.display(), "ignored a foreign file among the packs"),
            }
        }
        packs.sort();
        Ok(packs)
    }

    fn create_log(&self, name: PackName) -> Result<File> {
        let created = OpenOptions::new().write(true).create_new(true).open(self.path(name));
        let file = created.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => already_exists(name),
            _ => failed("create a pack", error),
        })?;
        self.sync()?;
        Ok(file)
    }

    fn open_log(&self, name: PackName, bytes: u64) -> Result<File> {
        let opened = OpenOptions::new().read(true).write(true).open(self.path(name));
        let file = opened.map_err(|error| failed_on(name, "open a pack", error))?;
        let length = file.metadata().map_err(|error| failed("look at a pack", error))?.len();
        if length < bytes {
            return Err(too_short(name, length, bytes));
        }
        file.set_len(bytes).map_err(|error| failed("cut a pack", error))?;
        write_again(&file, bytes).map_err(|error| failed("write a pack again", error))?;
        file.sync_all().map_err(|error| failed("sync a pack", error))?;
        Ok(file)
    }
}

impl Backend for LocalBackend {
    fn put<'a>(&'a self, name: PackName, source: &'a mut dyn Source) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let create = move |inner: &Inner| {
                if inner.path(name).exists() {
                    return Err(already_exists(name));
                }
                let path = inner.temporary(name);
                remove(&path)?;
                let created = OpenOptions::new().write(true).create_new(true).open(path);
                created.map(Arc::new).map_err(|error| failed("create a pack", error))
            };
            let file = self.run(create).await?;
            let bytes = match self.write_temporary(&file, source).await {
                Ok(bytes) => self.run(move |inner| inner.publish(name, &file)).await.map(|()| bytes),
                Err(error) => Err(error),
            };
            if bytes.is_err() {
                self.run(move |inner| remove(&inner.temporary(name))).await?;
            }
            bytes
        })
    }

    fn read(&self, name: PackName, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        Box::pin(self.run(move |inner| inner.read(name, &range)))
    }

    fn length(&self, name: PackName) -> BoxFuture<'_, Result<u64>> {
        Box::pin(self.run(move |inner| {
            let metadata = fs::metadata(inner.path(name));
            Ok(metadata.map_err(|error| failed_on(name, "look at a pack", error))?.len())
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
            let log: Box<dyn LogFile> = Box::new(LocalLog::new(name, file, 0));
            Ok(log)
        })
    }

    fn open_log(&self, name: PackName, bytes: u64) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        Box::pin(async move {
            let file = self.run(move |inner| inner.open_log(name, bytes)).await?;
            let log: Box<dyn LogFile> = Box::new(LocalLog::new(name, file, bytes));
            Ok(log)
        })
    }
}

/// Runs what blocks on the threads that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
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
fn write_again(file: &File, bytes: u64) -> io::Result<()> {
    const PIECE_BYTES: u64 = 1 << 20;
    let mut piece = Vec::new();
    let mut offset = 0;
    while offset < bytes {
        let length = PIECE_BYTES.min(bytes - offset);
        piece.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        file.read_exact_at(&mut piece, offset)?;
        file.write_all_at(&piece, offset)?;
        offset += length;
    }
    Ok(())
}

fn sync_directory(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| failed("sync the pack directory", error))
}

/// Removes a file that need not be there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("delete a pack", error)),
        _ => Ok(()),
    }
}

fn remove_leftovers(directory: &Path) -> Result<()> {
    let unreadable = |error| failed("list the packs", error);
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if has_extension(&path, TEMPORARY_EXTENSION) && name_of(&path).is_some() {
            remove(&path)?;
        }
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
