//! Where packs live. A backend knows names and bytes, nothing of what a pack holds, and does no more than an object
//! store can: a pack is put once as a whole, read by ranges, listed and deleted. Packs that grow (the hot one, and
//! those that large objects are streamed into) need a [`LogBackend`]: a local directory, or memory.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod disk;
mod local;
mod local_log;
mod memory;
mod memory_file;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::pack::PackName;

pub use disk::Disk;
pub use disk::DiskFile;
pub(crate) use disk::Machine;
pub(crate) use disk::create_durably;
pub use local::LocalBackend;
pub use memory::Fate;
pub use memory::MemoryBackend;
pub use memory::Unsynced;

/// A future behind a pointer, so that the traits are object safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The bytes of a pack, chunk by chunk.
pub trait Source: Send {
    /// The next chunk; none at the end. An error makes the put fail and leaves nothing behind.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>>;
}

impl Source for VecDeque<Bytes> {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        let chunk = self.pop_front();
        Box::pin(std::future::ready(Ok(chunk)))
    }
}

/// A read that is done when it is called, on a thread that may block.
pub type BlockingRead = Box<dyn FnOnce() -> Result<Bytes> + Send>;

/// A place for finished packs.
pub trait Backend: Send + Sync + Debug {
    /// Stores a pack as a whole and returns its length. It is durable when this returns, and not there at all where
    /// this fails. A name that is taken is [`Kind::AlreadyExists`], and what is there stays.
    fn put<'a>(&'a self, name: PackName, source: &'a mut dyn Source) -> BoxFuture<'a, Result<u64>>;

    /// The bytes of a range. A pack that is shorter than the range is [`Kind::Corrupt`], one that is not there
    /// [`Kind::NotFound`].
    fn read(&self, name: PackName, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>>;

    /// The same read for a caller that goes on with the bytes on the thread that read them: one thread switch less.
    /// None where reading does not block a thread, but waits for a network.
    fn blocking_read(&self, _name: PackName, _range: Range<u64>) -> Option<BlockingRead> {
        None
    }

    /// The length of a pack, or [`Kind::NotFound`].
    fn length(&self, name: PackName) -> BoxFuture<'_, Result<u64>>;

    /// Deletes a pack, durably. One that is not there is deleted already.
    fn delete(&self, name: PackName) -> BoxFuture<'_, Result<()>>;

    /// All packs and their lengths, sorted by name.
    fn list(&self) -> BoxFuture<'_, Result<Vec<(PackName, u64)>>>;
}

/// A backend whose packs can also grow.
pub trait LogBackend: Backend {
    /// An empty pack to append to. Its name is durable when this returns; a name that is taken is
    /// [`Kind::AlreadyExists`].
    fn create_log(&self, name: PackName) -> BoxFuture<'_, Result<Box<dyn LogFile>>>;

    /// A pack that is there already, durably cut to `bytes`, to append after them. One that is shorter is
    /// [`Kind::Corrupt`]. Nobody else may hold its log.
    fn open_log(&self, name: PackName, bytes: u64) -> BoxFuture<'_, Result<Box<dyn LogFile>>>;
}

/// A pack that grows. Its bytes are read through [`Backend::read`], also before they are durable. After a failure,
/// and after a future that was dropped before it was done, every further call is [`Kind::Unavailable`].
pub trait LogFile: Send + Sync + Debug {
    /// Appends the parts one after the other and returns the offset of the first byte. They are not durable yet.
    fn append(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>>;

    /// The same; they are durable when this returns, and so is everything before them.
    fn append_sync(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>>;

    /// Makes durable what was appended.
    fn sync(&mut self) -> BoxFuture<'_, Result<()>>;

    /// Bytes appended so far.
    fn length(&self) -> u64;
}

fn not_found(name: PackName) -> Error {
    Error::not_found(format!("there is no pack {name}"))
}

fn already_exists(name: PackName) -> Error {
    Error::new(Kind::AlreadyExists, format!("there is a pack {name} already: packs are never written twice"))
}

fn too_short(name: PackName, bytes: u64, wanted: u64) -> Error {
    Error::corrupt(format!("pack {name} has {bytes} bytes where {wanted} are expected"))
}

fn latched(name: PackName) -> Error {
    Error::new(
        Kind::Unavailable,
        format!("pack {name} is shut for writes after a failed one: reopen the store"),
    )
}

fn backwards(range: &Range<u64>) -> Error {
    Error::internal(format!("a range ends at {} before it begins at {}", range.end, range.start))
}

fn sum(parts: &[Bytes]) -> u64 {
    parts.iter().map(|part| u64::try_from(part.len()).unwrap_or(u64::MAX)).sum()
}
