//! Many messages into a store, pipelined. A blocking thread produces messages ahead; a few streams keep a bounded number
//! of them, and of bytes, in flight; every outcome is told as it is acknowledged. Every message has an id of the
//! caller's, so sending one again after a broken connection is safe. It knows no mailbox format.

mod lane;

use std::sync::Arc;

use bytes::Bytes;
use sha2::Digest;
use sha2::Sha256;
use storage_server::proto;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::failure::Result;
use crate::store::Store;

/// Bytes of messages held in memory at once, in KiB. One larger message is let through alone.
const MEMORY_KIB_MAX: u32 = 64 * 1024;

/// Messages read ahead, within the memory above. A reader that is far ahead does not wait for each message that leaves.
const QUEUED_MAX: usize = 4096;

/// Messages in flight that are worth a stream of their own.
const MESSAGES_PER_LANE: usize = 4;
const LANES_MAX: usize = 4;

/// A message on its way.
#[derive(Debug)]
pub struct Outgoing {
    /// Where it comes from, for reports.
    pub source: String,
    /// What the put says; it names an id.
    pub options: proto::PutOptions,
    /// The message.
    pub bytes: Bytes,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Its share of the memory.
    _memory: OwnedSemaphorePermit,
}

/// What became of one message, or of one file.
#[derive(Debug)]
pub enum Event {
    /// It is durable.
    Stored {
        /// Where it came from.
        source: String,
        /// The server's answer.
        receipt: proto::PutReceipt,
    },
    /// It was not stored.
    Failed {
        /// Where it came from.
        source: String,
        /// Why.
        reason: String,
    },
    /// A file that is no mail.
    Skipped,
}

/// Takes messages from the producing thread.
#[derive(Debug)]
pub struct Feed {
    runtime: Handle,
    memory: Arc<Semaphore>,
    queue: mpsc::Sender<Outgoing>,
    events: mpsc::Sender<Event>,
}

impl Feed {
    /// Sends a message, waiting while too much is in flight. False when nobody takes messages any more.
    pub fn send(&self, source: String, options: proto::PutOptions, bytes: Vec<u8>) -> bool {
        let kib =
            u32::try_from(bytes.len().div_ceil(1024)).unwrap_or(MEMORY_KIB_MAX).clamp(1, MEMORY_KIB_MAX);
        let free = Arc::clone(&self.memory).try_acquire_many_owned(kib).ok();
        let waited = || self.runtime.block_on(Arc::clone(&self.memory).acquire_many_owned(kib)).ok();
        let Some(memory) = free.or_else(waited) else {
            return false;
        };
        let sha256 = Sha256::digest(&bytes).into();
        let outgoing = Outgoing { source, options, bytes: bytes.into(), sha256, _memory: memory };
        self.queue.blocking_send(outgoing).is_ok()
    }

    /// Tells that something could not be read.
    pub fn failed(&self, source: String, reason: String) -> bool {
        self.events.blocking_send(Event::Failed { source, reason }).is_ok()
    }

    /// Tells that a file is no mail.
    pub fn skipped(&self) -> bool {
        self.events.blocking_send(Event::Skipped).is_ok()
    }
}

/// Stores everything that `produce` feeds, with `in_flight` messages unacknowledged at most, and tells each outcome.
pub async fn ingest(
    store: &Store,
    in_flight: usize,
    produce: impl FnOnce(&Feed) + Send + 'static,
    mut tell: impl FnMut(Event) -> Result<()>,
) -> Result<()> {
    let in_flight = in_flight.max(1);
    let lanes = in_flight.div_ceil(MESSAGES_PER_LANE).min(LANES_MAX);
    let (queue, queued) = mpsc::channel(QUEUED_MAX);
    let (events, mut outcomes) = mpsc::channel(QUEUED_MAX);
    let queued = Arc::new(Mutex::new(queued));
    let mut tasks = JoinSet::new();
    for number in 0..lanes {
        // The windows of all lanes add up to what may be in flight.
        let window = (in_flight + number) / lanes;
        let lane = lane::Lane::new(store.clone(), window, Arc::clone(&queued), events.clone());
        let _ = tasks.spawn(lane.run());
    }
    drop(queued);
    let memory = Arc::new(Semaphore::new(MEMORY_KIB_MAX as usize));
    let feed = Feed { runtime: Handle::current(), memory, queue, events };
    let producer = tokio::task::spawn_blocking(move || produce(&feed));

    while let Some(event) = outcomes.recv().await {
        tell(event)?;
    }
    producer.await.map_err(|error| Failure::new(format!("Reading the mail failed: {error}.")))?;
    while let Some(lane) = tasks.join_next().await {
        lane.map_err(|error| Failure::new(format!("Sending the mail failed: {error}.")))??;
    }
    Ok(())
}
