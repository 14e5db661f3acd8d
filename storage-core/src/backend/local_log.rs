//! A growing pack in a local directory. The length counts only what was written as a whole; once a write or a sync
//! fails, what the file holds is unknown, so the log stays shut.

use std::sync::Arc;

use bytes::Bytes;

use crate::backend::BoxFuture;
use crate::backend::LogFile;
use crate::backend::disk::DiskFile;
use crate::backend::latched;
use crate::backend::local::blocking;
use crate::backend::local::failed;
use crate::backend::sum;
use crate::error::Result;
use crate::pack::PackName;

/// An open pack at its end.
#[derive(Debug)]
pub(super) struct LocalLog {
    name: PackName,
    file: Arc<dyn DiskFile>,
    /// Whether its calls block.
    blocks: bool,
    bytes: u64,
    state: State,
}

/// Whether the file is known to hold exactly what was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sound,
    /// A call is under way, or was given up half-way, or has failed.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Later,
    Now,
}

impl LocalLog {
    pub(super) fn new((name, file, blocks): (PackName, Arc<dyn DiskFile>, bool), bytes: u64) -> Self {
        Self { name, file, blocks, bytes, state: State::Sound }
    }

    async fn write(&mut self, parts: Vec<Bytes>, durability: Durability) -> Result<u64> {
        if self.state == State::Unknown {
            return Err(latched(self.name));
        }
        self.state = State::Unknown;
        let (file, offset, added) = (Arc::clone(&self.file), self.bytes, sum(&parts));
        blocking(self.blocks, move || write_now(file.as_ref(), offset, &parts, durability)).await?;
        self.bytes += added;
        self.state = State::Sound;
        Ok(offset)
    }
}

fn write_now(file: &dyn DiskFile, mut offset: u64, parts: &[Bytes], durability: Durability) -> Result<()> {
    let joined;
    // Many small parts are cheaper to copy together than to write one by one.
    let parts = if parts.len() > 1 {
        joined = [Bytes::from(parts.concat())];
        joined.as_slice()
    } else {
        parts
    };
    for part in parts {
        file.write(part, offset).map_err(|error| failed("append to a pack", error))?;
        offset += u64::try_from(part.len()).unwrap_or(u64::MAX);
    }
    if durability == Durability::Now {
        file.sync().map_err(|error| failed("sync a pack", error))?;
    }
    Ok(())
}

impl LogFile for LocalLog {
    fn append(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>> {
        Box::pin(self.write(parts, Durability::Later))
    }

    fn append_sync(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>> {
        Box::pin(self.write(parts, Durability::Now))
    }

    fn sync(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let _offset = self.write(Vec::new(), Durability::Now).await?;
            Ok(())
        })
    }

    fn length(&self) -> u64 {
        self.bytes
    }
}
