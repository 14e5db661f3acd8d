//! Storing an item. Order: split -> prove that the recipes rebuild the exact bytes -> hash -> hand to the log, which
//! looks up what is known, appends, syncs, commits and acknowledges (`ops/log`).
//!
//! An item of up to 4 MiB is whole in memory meanwhile. A larger one is split as it comes in, by
//! `ops/put_large.rs`, and its objects go straight into a pack of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;

use crate::budget::Held;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::ItemKind;
use crate::model::PutOptions;
use crate::model::PutReceipt;
use crate::ops::log::LogHandle;
use crate::ops::log::Request;
use crate::ops::prepared::PutTarget;
use crate::ops::prepared::prepare;
use crate::ops::put_large::LargeWriter;
use crate::store::Store;

/// Items up to this many bytes are handled in memory.
pub(crate) const BUFFERED_BYTES_MAX: usize = 4 << 20;

/// What a put of unknown size reserves: the buffer, or the windows of a large put.
const STREAM_MEMORY_BYTES: usize = 2 * BUFFERED_BYTES_MAX;

/// What a put of unknown size may bring before it reserves: an upload that has hardly begun, or goes on byte by byte,
/// keeps nobody from the memory.
const UNRESERVED_BYTES_MAX: usize = 64 << 10;

/// How long a put waits for memory.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(30);

/// Stores an item that is in memory.
pub(crate) async fn put(
    store: &Arc<Store>,
    log: &LogHandle,
    (tenant, kind): (&str, ItemKind),
    options: PutOptions,
    bytes: Bytes,
) -> Result<PutReceipt> {
    if bytes.len() > BUFFERED_BYTES_MAX {
        let mut stream = begin(store, log, (tenant, kind), options).await?;
        stream.push(bytes).await?;
        return stream.finish().await;
    }
    let target = begin_target(store, tenant, kind, options).await?;
    // The bytes themselves and, decoded, once more.
    let memory = reserve(store, target.tenant.key, bytes.len() * 2).await?;
    store_buffered(store, log, (target, memory), bytes).await
}

async fn begin_target(
    store: &Arc<Store>,
    tenant: &str,
    kind: ItemKind,
    options: PutOptions,
) -> Result<PutTarget> {
    store.check_writable()?;
    let tenant = store.tenant(tenant).await?;
    PutTarget::new(store, tenant, kind, options)
}

async fn store_buffered(
    store: &Arc<Store>,
    log: &LogHandle,
    (target, memory): (PutTarget, Held),
    bytes: Bytes,
) -> Result<PutReceipt> {
    let (length, kind) = (bytes.len(), target.kind);
    let mut prepared = store.foreground.run_sized(length, move || prepare(target, &bytes)).await?;
    prepared.memory = Some(memory);
    let receipt = log.ask(|reply| Request::Put(Box::new(prepared), reply)).await?;
    store.counters.put(kind, &receipt);
    Ok(receipt)
}

/// Waits until that much memory for puts is free for the tenant.
async fn reserve(store: &Store, tenant: TenantKey, bytes: usize) -> Result<Held> {
    store.put_memory.hold(&tenant, bytes, MEMORY_WAIT_MAX).await.ok_or_else(|| {
        Error::new(
            Kind::ResourceExhausted,
            "The server has no memory left for puts. Send it again later, or with fewer puts at once.",
        )
    })
}

/// Begins a put of unknown size. It reserves its memory once it has brought [`UNRESERVED_BYTES_MAX`].
pub(crate) async fn begin(
    store: &Arc<Store>,
    log: &LogHandle,
    (tenant, kind): (&str, ItemKind),
    options: PutOptions,
) -> Result<PutStream> {
    let target = begin_target(store, tenant, kind, options).await?;
    let body = Body::Buffered(BytesMut::new());
    Ok(PutStream { store: Arc::clone(store), log: log.clone(), target, bytes: 0, body, memory: None })
}

/// A put in progress. Dropping it without [`PutStream::finish`] leaves nothing behind.
#[derive(Debug)]
pub struct PutStream {
    store: Arc<Store>,
    log: LogHandle,
    target: PutTarget,
    bytes: u64,
    body: Body,
    /// The memory it may use, once it brought more than a little; given back when the put is over, not when its
    /// caller is.
    memory: Option<Held>,
}

#[derive(Debug)]
enum Body {
    Buffered(BytesMut),
    Large(Box<LargeWriter>),
    /// An error or a caller that gave up has left it incomplete.
    Broken,
}

impl PutStream {
    /// Adds bytes; waits while put memory is short. `ResourceExhausted` above [`crate::settings::Settings::item_bytes_max`].
    pub async fn push(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.store.settings.item_bytes_max {
            self.body = Body::Broken;
            return Err(Error::new(
                Kind::ResourceExhausted,
                format!(
                    "An item may have at most {} bytes on this server.",
                    self.store.settings.item_bytes_max
                ),
            ));
        }
        let body = std::mem::replace(&mut self.body, Body::Broken);
        self.body = self.add(body, bytes).await?;
        Ok(())
    }

    /// Adds bytes to what came so far. Until this returns the put is broken: a caller that gives up half-way, or goes
    /// on after an error, must not end with an item that lacks some of its bytes.
    async fn add(&mut self, body: Body, bytes: Bytes) -> Result<Body> {
        let brought = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        if self.memory.is_none() && brought > UNRESERVED_BYTES_MAX {
            self.memory = Some(reserve(&self.store, self.target.tenant.key, STREAM_MEMORY_BYTES).await?);
        }
        let mut large = match body {
            Body::Buffered(mut buffer) if buffer.len() + bytes.len() <= BUFFERED_BYTES_MAX => {
                buffer.extend_from_slice(&bytes);
                return Ok(Body::Buffered(buffer));
            }
            Body::Buffered(buffer) => {
                let mut large =
                    Box::new(LargeWriter::begin(Arc::clone(&self.store), self.target.clone()).await?);
                large.push(buffer.freeze()).await?;
                large
            }
            Body::Large(large) => large,
            Body::Broken => return Err(broken()),
        };
        large.push(bytes).await?;
        Ok(Body::Large(large))
    }

    /// Whether it has reserved memory that others could use.
    pub fn holds_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Stores the item durably.
    pub async fn finish(self) -> Result<PutReceipt> {
        match (self.body, self.memory) {
            (Body::Buffered(buffer), memory) => {
                let memory = match memory {
                    Some(memory) => memory,
                    None => reserve(&self.store, self.target.tenant.key, buffer.len() * 2).await?,
                };
                store_buffered(&self.store, &self.log, (self.target, memory), buffer.freeze()).await
            }
            (Body::Large(large), Some(memory)) => {
                let receipt = large.finish(&self.log, memory).await?;
                self.store.counters.put(self.target.kind, &receipt);
                Ok(receipt)
            }
            (Body::Large(_) | Body::Broken, _) => Err(broken()),
        }
    }
}

fn broken() -> Error {
    Error::precondition("This put failed before. Begin it again.")
}
