//! Storing an item. Order: split -> prove that the recipes rebuild the exact bytes -> hash -> hand to the log, which
//! looks up what is known, appends, syncs, commits and acknowledges (`ops/log`).
//!
//! An item of up to [`BUFFERED_BYTES_MAX`] is whole in memory meanwhile. A larger one is split as it comes in, by
//! `ops/put_large.rs`, and its objects go straight into a pack of its own.

use std::sync::Arc;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::sync::OwnedSemaphorePermit;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
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
    let _memory = reserve(store, bytes.len() * 2).await?;
    store_buffered(store, log, target, bytes).await
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
    target: PutTarget,
    bytes: Bytes,
) -> Result<PutReceipt> {
    let length = bytes.len();
    let prepared = store.foreground.run_sized(length, move || prepare(target, &bytes)).await?;
    log.ask(|reply| Request::Put(Box::new(prepared), reply)).await
}

/// Waits until that much memory for puts is free.
async fn reserve(store: &Store, bytes: usize) -> Result<OwnedSemaphorePermit> {
    let all = usize::try_from(store.settings.put_memory_bytes).unwrap_or(usize::MAX);
    let wanted = u32::try_from(bytes.min(all)).unwrap_or(u32::MAX);
    let closed = |_| Error::new(Kind::Unavailable, "The store is closing.");
    Arc::clone(&store.put_memory).acquire_many_owned(wanted).await.map_err(closed)
}

/// Begins a put of unknown size.
pub(crate) async fn begin(
    store: &Arc<Store>,
    log: &LogHandle,
    (tenant, kind): (&str, ItemKind),
    options: PutOptions,
) -> Result<PutStream> {
    let target = begin_target(store, tenant, kind, options).await?;
    let memory = reserve(store, STREAM_MEMORY_BYTES).await?;
    let body = Body::Buffered(BytesMut::new());
    Ok(PutStream { store: Arc::clone(store), log: log.clone(), target: Some(target), bytes: 0, body, memory })
}

/// A put in progress. Dropping it without [`PutStream::finish`] leaves nothing behind.
#[derive(Debug)]
pub struct PutStream {
    store: Arc<Store>,
    log: LogHandle,
    target: Option<PutTarget>,
    bytes: u64,
    body: Body,
    #[expect(dead_code, reason = "held until the put is over: the memory it may use")]
    memory: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Body {
    Buffered(BytesMut),
    Large(Box<LargeWriter>),
}

impl PutStream {
    /// Adds bytes. `ResourceExhausted` above [`crate::settings::Settings::item_bytes_max`].
    pub async fn push(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.store.settings.item_bytes_max {
            return Err(Error::new(
                Kind::ResourceExhausted,
                format!(
                    "An item may have at most {} bytes on this server.",
                    self.store.settings.item_bytes_max
                ),
            ));
        }
        if let Body::Buffered(buffer) = &mut self.body {
            if buffer.len() + bytes.len() <= BUFFERED_BYTES_MAX {
                buffer.extend_from_slice(&bytes);
                return Ok(());
            }
            let begun = std::mem::take(buffer).freeze();
            let target =
                self.target.clone().ok_or_else(|| Error::internal("A put was used after its end."))?;
            let mut large = Box::new(LargeWriter::begin(Arc::clone(&self.store), target).await?);
            large.push(begun).await?;
            self.body = Body::Large(large);
        }
        match &mut self.body {
            Body::Large(large) => large.push(bytes).await,
            Body::Buffered(_) => Err(Error::internal("A large put lost its pack.")),
        }
    }

    /// Stores the item durably.
    pub async fn finish(mut self) -> Result<PutReceipt> {
        let target = self.target.take().ok_or_else(|| Error::internal("A put was used after its end."))?;
        match self.body {
            Body::Buffered(buffer) => store_buffered(&self.store, &self.log, target, buffer.freeze()).await,
            Body::Large(large) => large.finish(&self.log).await,
        }
    }
}
