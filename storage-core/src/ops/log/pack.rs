//! The open log pack: frames are appended and synced here; its index is kept in memory until it is sealed.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use bytes::Bytes;
use bytes::BytesMut;
use uuid::Uuid;

use crate::backend::LogFile;
use crate::catalog::rows::NewPack;
use crate::catalog::rows::PackBytes;
use crate::catalog::rows::PackOrigin;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::Place;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::PackKey;
use crate::model::Tier;
use crate::pack::EncodedFrame;
use crate::pack::FrameHeader;
use crate::pack::IndexEntry;
use crate::pack::Origin;
use crate::pack::PackCounters;
use crate::pack::PackHeader;
use crate::pack::PackName;
use crate::pack::PackWriter;
use crate::store::Store;

/// A log pack beyond this length is sealed and another one begun.
const LOG_PACK_BYTES: u64 = 64 << 20;

/// Memory for frames that an open pack keeps between two groups at most.
const WAITING_BYTES_KEPT: usize = 4 << 20;

/// The byte counters of a pack as the catalog keeps them.
pub(crate) fn pack_bytes(counters: &PackCounters) -> PackBytes {
    PackBytes {
        decoded: counters.decoded_bytes,
        stream: counters.stream_bytes,
        record: counters.record_bytes,
        dictionary: counters.dictionary_bytes,
        index: counters.index_bytes,
    }
}

/// A pack that this process appends to.
#[derive(Debug)]
pub(crate) struct OpenPack {
    pub(crate) key: PackKey,
    pub(crate) name: Uuid,
    writer: PackWriter,
    file: Box<dyn LogFile>,
    index: Arc<RwLock<Vec<IndexEntry>>>,
    /// Placed frames, one after the other. The memory is used again for the next group.
    waiting: BytesMut,
}

impl OpenPack {
    /// Makes a pack for puts: its name is durable and the catalog knows it before the first frame.
    pub(crate) async fn create(store: &Store, now: Timestamp) -> Result<Self> {
        Self::create_as(store, now, Origin::Log).await
    }

    /// The same, for one large put.
    pub(crate) async fn create_large(store: &Store, now: Timestamp) -> Result<Self> {
        Self::create_as(store, now, Origin::Large).await
    }

    async fn create_as(store: &Store, now: Timestamp, origin: Origin) -> Result<Self> {
        let name = store.pack_name(now)?;
        let header = PackHeader { name: PackName(name), origin, tier: Tier::Hot, created: now };
        let writer = PackWriter::new(header);
        let mut file = store.backend.create_log(PackName(name)).await?;
        let _ = file.append_sync(vec![Bytes::from(writer.header_bytes())]).await?;
        let catalog_origin = if origin == Origin::Large { PackOrigin::Large } else { PackOrigin::Log };
        let new = NewPack {
            name,
            origin: catalog_origin,
            tier: Tier::Hot,
            sealed: false,
            progress: PackProgress::of(header_only(&writer)),
            created: now,
        };
        let key = store.catalog.add_pack(&new).await?;
        let index = Arc::new(RwLock::new(Vec::new()));
        store.caches.open_pack(name, Arc::clone(&index));
        Ok(Self { key, name, writer, file, index, waiting: BytesMut::new() })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.writer.len() >= LOG_PACK_BYTES
    }

    /// Gives a frame its place. It is written with the next append.
    pub(crate) fn place(&mut self, mut frame: EncodedFrame) -> Result<u32> {
        let place = self.writer.place(&mut frame)?;
        let entry =
            FrameHeader::parse(PackName(self.name), place.ordinal, frame.bytes())?.index_entry(place.offset);
        self.index.write().unwrap_or_else(PoisonError::into_inner).push(entry);
        self.waiting.extend_from_slice(frame.bytes());
        Ok(place.ordinal)
    }

    /// The place of an entry of a frame of this pack.
    pub(crate) fn entry_place(&self, frame: u32, entry: u32) -> Place {
        Place { pack: self.key, frame, entry }
    }

    /// Writes the placed frames, not durably yet.
    pub(crate) async fn append(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting).freeze();
        let _ = self.file.append(vec![waiting.clone()]).await?;
        self.reuse(waiting);
        Ok(())
    }

    /// Writes the placed frames and makes all of the pack durable.
    pub(crate) async fn append_sync(&mut self) -> Result<PackProgress> {
        let waiting = std::mem::take(&mut self.waiting).freeze();
        let _ = self.file.append_sync(vec![waiting.clone()]).await?;
        self.reuse(waiting);
        Ok(PackProgress::of(pack_bytes(self.writer.counters())))
    }

    /// Takes the memory of what was written back, unless the backend keeps it or it is more than most groups need.
    fn reuse(&mut self, written: Bytes) {
        if let Ok(mut buffer) = written.try_into_mut()
            && buffer.capacity() <= WAITING_BYTES_KEPT
        {
            buffer.clear();
            self.waiting = buffer;
        }
    }

    /// Ends the pack with its index and says so in the catalog.
    pub(crate) async fn seal(self, store: &Store) -> Result<()> {
        let (key, name) = (self.key, self.name);
        let progress = self.finish().await?;
        store.catalog.seal_pack(key, progress).await?;
        store.caches.sealed_pack(name);
        Ok(())
    }

    /// Ends the pack with its index, durably, without a word to the catalog.
    pub(crate) async fn finish(mut self) -> Result<PackProgress> {
        let finished = self.writer.finish()?;
        self.waiting.extend_from_slice(&finished.tail);
        let _ = self.file.append_sync(vec![self.waiting.freeze()]).await?;
        Ok(PackProgress::of(pack_bytes(&finished.counters)))
    }
}

/// Counters of a pack that holds nothing but its header.
fn header_only(writer: &PackWriter) -> PackBytes {
    pack_bytes(writer.counters())
}
