//! Packs in memory, with the contract of the local backend: for tests, simulations and stores that need not last.

use std::collections::BTreeMap;
use std::fmt;
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
use crate::backend::not_found;
use crate::backend::sum;
use crate::backend::too_short;
use crate::error::Result;
use crate::pack::PackName;

/// Packs in memory. Clones share them.
#[derive(Clone, Default)]
pub struct MemoryBackend {
    packs: Arc<Mutex<BTreeMap<PackName, BytesMut>>>,
}

impl MemoryBackend {
    /// One without packs.
    pub fn new() -> Self {
        Self::default()
    }

    fn packs(&self) -> MutexGuard<'_, BTreeMap<PackName, BytesMut>> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, name: PackName, content: BytesMut) -> Result<()> {
        let mut packs = self.packs();
        if packs.contains_key(&name) {
            return Err(already_exists(name));
        }
        let _none = packs.insert(name, content);
        Ok(())
    }

    fn read_now(&self, name: PackName, range: &Range<u64>) -> Result<Bytes> {
        let packs = self.packs();
        let content = packs.get(&name).ok_or_else(|| not_found(name))?;
        if range.end < range.start {
            return Err(backwards(range));
        }
        let found = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let found = found.and_then(|(start, end)| content.get(start..end));
        let found = found.ok_or_else(|| too_short(name, length(content), range.end))?;
        Ok(Bytes::copy_from_slice(found))
    }

    fn cut(&self, name: PackName, bytes: u64) -> Result<()> {
        let mut packs = self.packs();
        let content = packs.get_mut(&name).ok_or_else(|| not_found(name))?;
        if length(content) < bytes {
            return Err(too_short(name, length(content), bytes));
        }
        content.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(())
    }

    fn append(&self, name: PackName, parts: &[Bytes]) -> Result<()> {
        let mut packs = self.packs();
        let content = packs.get_mut(&name).ok_or_else(|| not_found(name))?;
        for part in parts {
            content.extend_from_slice(part);
        }
        Ok(())
    }
}

fn length(content: &BytesMut) -> u64 {
    u64::try_from(content.len()).unwrap_or(u64::MAX)
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
            let bytes = length(&content);
            self.create(name, content)?;
            Ok(bytes)
        })
    }

    fn read(&self, name: PackName, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        Box::pin(async move { self.read_now(name, &range) })
    }

    fn length(&self, name: PackName) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move { self.packs().get(&name).map(length).ok_or_else(|| not_found(name)) })
    }

    fn delete(&self, name: PackName) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let _content = self.packs().remove(&name);
            Ok(())
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<(PackName, u64)>>> {
        Box::pin(
            async move { Ok(self.packs().iter().map(|(name, content)| (*name, length(content))).collect()) },
        )
    }
}

impl LogBackend for MemoryBackend {
    fn create_log(&self, name: PackName) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        Box::pin(async move {
            self.create(name, BytesMut::new())?;
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
            self.backend.append(self.name, &parts)?;
            let offset = self.bytes;
            self.bytes += sum(&parts);
            Ok(offset)
        })
    }

    fn append_sync(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>> {
        self.append(parts)
    }

    fn sync(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn length(&self) -> u64 {
        self.bytes
    }
}
