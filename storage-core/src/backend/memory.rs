//! Packs in memory, with the contract of the local backend: for tests, simulations and stores that need not last.
//! It remembers what was made durable, so that a test can ask what a power cut would leave of it.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use bytes::BytesMut;

use crate::backend::Backend;
use crate::backend::BoxFuture;
use crate::backend::LogBackend;
use crate::backend::LogFile;
use crate::backend::Source;
use crate::backend::already_exists;
use crate::backend::backwards;
use crate::backend::memory_file::MemoryFile;
use crate::backend::not_found;
use crate::backend::sum;
use crate::backend::too_short;
use crate::error::Result;
use crate::pack::PackName;

/// Something that was written and is not durable yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// The name of a new pack: without it there is no pack.
    Name(PackName),
    /// Bytes appended by one call, and how many they are.
    Append(PackName, u64),
}

/// What a power cut does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It reached the disk in time.
    Kept,
    /// It did not.
    Lost,
    /// So many of its bytes did.
    Torn(u64),
}

/// Packs in memory. Clones share them.
#[derive(Clone, Default)]
pub struct MemoryBackend {
    packs: Arc<Mutex<BTreeMap<PackName, MemoryFile>>>,
    /// Whether the name of a new pack is durable at once, as the trait wants it.
    late_names: bool,
}

/// Tells packs apart that differ in anything, also in what of them is durable.
impl Hash for MemoryBackend {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&*self.packs(), self.late_names).hash(state);
    }
}

impl MemoryBackend {
    /// One without packs.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that breaks the contract: the name of a new log is durable only when the directory is synced for another
    /// reason (a put or a delete). For proving that a test notices.
    #[must_use]
    pub fn with_late_names(self) -> Self {
        Self { late_names: true, ..self }
    }

    /// The same packs, which from now on change apart from these.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { packs: Arc::new(Mutex::new(self.packs().clone())), late_names: self.late_names }
    }

    /// What a power cut leaves, where `fate` decides about everything that is not durable, in the order of names and
    /// of writes. A write that is lost before one that is kept leaves zeros, as a file system does.
    #[must_use]
    pub fn after_power_cut(&self, fate: &mut dyn FnMut(Unsynced) -> Fate) -> Self {
        let mut left = BTreeMap::new();
        for (name, file) in self.packs().iter() {
            if let Some(file) = file.after_power_cut(*name, fate) {
                let _none = left.insert(*name, file);
            }
        }
        Self { packs: Arc::new(Mutex::new(left)), late_names: self.late_names }
    }

    /// What is not durable, in the order in which [`MemoryBackend::after_power_cut`] asks about it.
    pub fn unsynced(&self) -> Vec<Unsynced> {
        let mut found = Vec::new();
        let _left = self.after_power_cut(&mut |what| {
            found.push(what);
            Fate::Kept
        });
        found
    }

    /// All packs with their bytes, as readers see them.
    pub fn contents(&self) -> Vec<(PackName, Bytes)> {
        let packs = self.packs();
        packs.iter().map(|(name, file)| (*name, Bytes::copy_from_slice(file.content()))).collect()
    }

    fn packs(&self) -> MutexGuard<'_, BTreeMap<PackName, MemoryFile>> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, name: PackName, file: MemoryFile) -> Result<()> {
        let mut packs = self.packs();
        if packs.contains_key(&name) {
            return Err(already_exists(name));
        }
        let _none = packs.insert(name, file);
        Ok(())
    }

    /// All names are durable.
    fn sync_names(&self) {
        self.packs().values_mut().for_each(MemoryFile::sync_name);
    }

    /// Does something to a pack that is there.
    fn with<T>(&self, name: PackName, work: impl FnOnce(&mut MemoryFile) -> T) -> Result<T> {
        let mut packs = self.packs();
        let file = packs.get_mut(&name).ok_or_else(|| not_found(name))?;
        Ok(work(file))
    }

    fn read_now(&self, name: PackName, range: &Range<u64>) -> Result<Bytes> {
        let packs = self.packs();
        let file = packs.get(&name).ok_or_else(|| not_found(name))?;
        if range.end < range.start {
            return Err(backwards(range));
        }
        let found = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let found = found.and_then(|(start, end)| file.content().get(start..end));
        let found = found.ok_or_else(|| too_short(name, file.bytes(), range.end))?;
        Ok(Bytes::copy_from_slice(found))
    }

    fn cut(&self, name: PackName, bytes: u64) -> Result<()> {
        let found = self.with(name, |file| file.cut(bytes))?;
        found.map_err(|length| too_short(name, length, bytes))
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryBackend({} packs)", self.packs().len())
    }
}

impl Backend for MemoryBackend {
    fn put<'a>(&'a self, name: PackName, source: &'a mut dyn Source) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let mut content = BytesMut::new();
            while let Some(chunk) = source.next().await? {
                content.extend_from_slice(&chunk);
            }
            let file = MemoryFile::durable(content.into());
            let bytes = file.bytes();
            self.create(name, file)?;
            self.sync_names();
            Ok(bytes)
        })
    }

    fn read(&self, name: PackName, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        Box::pin(async move { self.read_now(name, &range) })
    }

    fn length(&self, name: PackName) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move { self.with(name, |file| file.bytes()) })
    }

    fn delete(&self, name: PackName) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let _content = self.packs().remove(&name);
            self.sync_names();
            Ok(())
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<(PackName, u64)>>> {
        Box::pin(async move { Ok(self.packs().iter().map(|(name, file)| (*name, file.bytes())).collect()) })
    }
}

impl LogBackend for MemoryBackend {
    fn create_log(&self, name: PackName) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        Box::pin(async move {
            let file = if self.late_names { MemoryFile::unnamed() } else { MemoryFile::default() };
            self.create(name, file)?;
            let log: Box<dyn LogFile> = Box::new(MemoryLog { backend: self.clone(), name, bytes: 0 });
            Ok(log)
        })
    }

    fn open_log(&self, name: PackName, bytes: u64) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        Box::pin(async move {
            self.cut(name, bytes)?;
            let log: Box<dyn LogFile> = Box::new(MemoryLog { backend: self.clone(), name, bytes });
            Ok(log)
        })
    }
}

/// A growing pack in memory.
#[derive(Debug)]
struct MemoryLog {
    backend: MemoryBackend,
    name: PackName,
    bytes: u64,
}

impl LogFile for MemoryLog {
    fn append(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move {
            self.backend.with(self.name, |file| file.append(&parts))?;
            let offset = self.bytes;
            self.bytes += sum(&parts);
            Ok(offset)
        })
    }

    fn append_sync(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move {
            let offset = self.append(parts).await?;
            self.sync().await?;
            Ok(offset)
        })
    }

    fn sync(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.backend.with(self.name, MemoryFile::sync) })
    }

    fn length(&self) -> u64 {
        self.bytes
    }
}
