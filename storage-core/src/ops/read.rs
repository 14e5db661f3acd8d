//! From a location to verified bytes: pack index -> frame -> decoded block -> entry. What every reading operation
//! shares. Nothing leaves here whose hash was not checked.
//!
//! Sealed packs are read through their index, open log packs through the index that the log keeps in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use bytes::Bytes;
use moka::sync::Cache;
use sha2::Digest;
use uuid::Uuid;

use crate::catalog::rows::Location;
use crate::codec::CodecId;
use crate::codec::Dictionary;
use crate::error::Error;
use crate::error::Result;
use crate::model::Sha256;
use crate::pack::BlockTable;
use crate::pack::Entry;
use crate::pack::EntryBody;
use crate::pack::Footer;
use crate::pack::Frame;
use crate::pack::IndexEntry;
use crate::pack::MessageRecord;
use crate::pack::PackIndex;
use crate::pack::PackName;
use crate::pack::SegmentPlace;
use crate::pack::SegmentedEntry;
use crate::settings::Settings;
use crate::store::Store;

/// Memory for pack indexes, in bytes.
const INDEX_CACHE_BYTES: u64 = 16 << 20;

/// What an index entry takes in memory, about.
const INDEX_ENTRY_BYTES: usize = 96;

/// What a table entry takes in memory, about.
const TABLE_ENTRY_BYTES: usize = 400;

/// A decoded block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) table: BlockTable,
    pub(crate) stream: Bytes,
    pub(crate) codec: CodecId,
}

/// An object as found in a block.
#[derive(Debug, Clone)]
pub(crate) enum StoredObject {
    /// Its verified bytes.
    Whole(Bytes),
    /// Its segments, in that pack.
    Segmented(Uuid, Box<SegmentedEntry>),
}

/// Caches of the read path, each with a budget in bytes.
#[derive(Debug)]
pub(crate) struct ReadCaches {
    indexes: Cache<Uuid, Arc<PackIndex>>,
    blocks: Cache<(Uuid, u32), Arc<Block>>,
    dictionaries: Cache<Uuid, Arc<Dictionary>>,
    open: RwLock<HashMap<Uuid, Arc<RwLock<Vec<IndexEntry>>>>>,
}

fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl ReadCaches {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            indexes: Cache::builder()
                .max_capacity(INDEX_CACHE_BYTES)
                .weigher(|_, index: &Arc<PackIndex>| weight(index.entries().len() * INDEX_ENTRY_BYTES))
                .build(),
            blocks: Cache::builder()
                .max_capacity(settings.block_cache_bytes)
                .weigher(|_, block: &Arc<Block>| {
                    weight(block.stream.len() + block.table.entries.len() * TABLE_ENTRY_BYTES)
                })
                .build(),
            dictionaries: Cache::builder()
                .max_capacity(settings.dictionary_cache_bytes)
                .weigher(|_, dictionary: &Arc<Dictionary>| weight(dictionary.bytes().len()))
                .build(),
            open: RwLock::default(),
        }
    }

    /// Registers an open pack whose frames are `index`, which its writer keeps adding to.
    pub(crate) fn open_pack(&self, pack: Uuid, index: Arc<RwLock<Vec<IndexEntry>>>) {
        let _ = self.open.write().unwrap_or_else(PoisonError::into_inner).insert(pack, index);
    }

    /// The pack has an index of its own now.
    pub(crate) fn sealed_pack(&self, pack: Uuid) {
        let _ = self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&pack);
    }

    /// Forgets what is known of a pack that was deleted.
    pub(crate) fn forget_pack(&self, pack: Uuid) {
        self.indexes.invalidate(&pack);
    }

    /// The frames of an open pack, if it is one.
    pub(crate) fn open_entries(&self, pack: Uuid) -> Option<Vec<IndexEntry>> {
        let index = Arc::clone(self.open.read().unwrap_or_else(PoisonError::into_inner).get(&pack)?);
        let entries = index.read().unwrap_or_else(PoisonError::into_inner);
        Some(entries.clone())
    }

    fn open_entry(&self, pack: Uuid, frame: u32) -> Option<Result<IndexEntry>> {
        let index = Arc::clone(self.open.read().unwrap_or_else(PoisonError::into_inner).get(&pack)?);
        let entries = index.read().unwrap_or_else(PoisonError::into_inner);
        let entry = usize::try_from(frame).ok().and_then(|ordinal| entries.get(ordinal)).cloned();
        Some(entry.ok_or_else(|| missing_frame(pack, frame)))
    }
}

fn missing_frame(pack: Uuid, frame: u32) -> Error {
    Error::corrupt(format!("Pack {pack} has no frame {frame}, which the catalog refers to. Run a scrub."))
}

fn wrong_entry(pack: Uuid, frame: u32) -> Error {
    Error::corrupt(format!("Frame {frame} of pack {pack} does not hold what the catalog expects there. Run a scrub."))
}

/// The SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

impl Store {
    /// A pack's index, from the cache or from its end.
    pub(crate) async fn pack_index(&self, pack: Uuid) -> Result<Arc<PackIndex>> {
        if let Some(index) = self.caches.indexes.get(&pack) {
            return Ok(index);
        }
        let name = PackName(pack);
        let length = self.backend.length(name).await?;
        let footer_offset = length.saturating_sub(Footer::BYTES as u64);
        let footer = self.backend.read(name, footer_offset..length).await?;
        let footer = Footer::parse(name, &footer, length)?;
        let end = footer.index_offset.saturating_add(u64::from(footer.index_bytes));
        let bytes = self.backend.read(name, footer.index_offset..end).await?;
        let index = Arc::new(PackIndex::parse(&footer, &bytes)?);
        self.caches.indexes.insert(pack, Arc::clone(&index));
        Ok(index)
    }

    pub(crate) async fn index_entry(&self, pack: Uuid, frame: u32) -> Result<IndexEntry> {
        if let Some(entry) = self.caches.open_entry(pack, frame) {
            return entry;
        }
        let index = self.pack_index(pack).await?;
        index.get(frame).cloned().ok_or_else(|| missing_frame(pack, frame))
    }

    /// A frame, its checksums verified.
    pub(crate) async fn frame(&self, pack: Uuid, frame: u32) -> Result<Frame> {
        let entry = self.index_entry(pack, frame).await?;
        let end = entry.offset.saturating_add(u64::from(entry.bytes()));
        let bytes = self.backend.read(PackName(pack), entry.offset..end).await?;
        Frame::parse(PackName(pack), frame, bytes)
    }

    /// The dictionary of that id, from the cache or from its pack.
    pub(crate) async fn dictionary(&self, id: Uuid) -> Result<Arc<Dictionary>> {
        if let Some(dictionary) = self.caches.dictionaries.get(&id) {
            return Ok(dictionary);
        }
        if let Some(dictionary) = crate::codec::builtin::dictionary(id)? {
            return Ok(dictionary);
        }
        let rows = self.catalog.dictionaries(None).await?;
        let row = rows.into_iter().find(|row| row.dictionary.id == id).ok_or_else(|| {
            Error::corrupt(format!("Dictionary {id} is needed and the catalog does not know it. Run a scrub."))
        })?;
        let frame = self.frame(row.pack_name, row.dictionary.frame).await?;
        let record = frame.head().dictionary()?;
        if record.id != id {
            return Err(wrong_entry(row.pack_name, row.dictionary.frame));
        }
        let bytes = self.foreground.run(move || frame.stream(None)).await?;
        let dictionary = Arc::new(Dictionary::new(id, record.kind, Arc::from(&*bytes))?);
        self.caches.dictionaries.insert(id, Arc::clone(&dictionary));
        Ok(dictionary)
    }

    async fn dictionary_of(&self, frame: &Frame) -> Result<Option<Arc<Dictionary>>> {
        match frame.header().dictionary() {
            Some(id) => Ok(Some(self.dictionary(id).await?)),
            None => Ok(None),
        }
    }

    /// A decoded block. Blocks that had to be decoded are kept for a while; plain ones are cheap to read again.
    pub(crate) async fn block(&self, pack: Uuid, ordinal: u32) -> Result<Arc<Block>> {
        if let Some(block) = self.caches.blocks.get(&(pack, ordinal)) {
            return Ok(block);
        }
        let block = Arc::new(self.block_once(pack, ordinal).await?);
        if block.codec != CodecId::NONE {
            self.caches.blocks.insert((pack, ordinal), Arc::clone(&block));
        }
        Ok(block)
    }

    /// A decoded block that is not kept.
    pub(crate) async fn block_once(&self, pack: Uuid, ordinal: u32) -> Result<Block> {
        let frame = self.frame(pack, ordinal).await?;
        let dictionary = self.dictionary_of(&frame).await?;
        let bytes = frame.header().stream_stored as usize;
        self
            .foreground
            .run_sized(bytes, move || {
                Ok(Block {
                    table: frame.head().block_table()?,
                    stream: frame.stream(dictionary.as_deref())?,
                    codec: frame.header().stream_codec,
                })
            })
            .await
    }

    /// A skeleton, verified by its digest and by the item it belongs to.
    pub(crate) async fn skeleton(&self, location: &Location, item: Uuid) -> Result<Bytes> {
        let block = self.block(location.pack, location.place.frame).await?;
        skeleton_in(&block, location, item)
    }

    /// An object, verified by its SHA-256; a large one as the list of its segments.
    pub(crate) async fn object(&self, location: &Location, expected: Sha256) -> Result<StoredObject> {
        let block = self.block(location.pack, location.place.frame).await?;
        if block.stream.len() <= crate::workers::INLINE_BYTES_MAX {
            return object_in(&block, location, expected);
        }
        let location = *location;
        self.foreground.run_sized(block.stream.len(), move || object_in(&block, &location, expected)).await
    }

    /// One segment of a large object, verified by its SHA-256.
    pub(crate) async fn segment(&self, pack: Uuid, segment: &SegmentPlace) -> Result<Bytes> {
        let frame = self.frame(pack, segment.ordinal).await?;
        let dictionary = self.dictionary_of(&frame).await?;
        let expected = segment.sha256;
        let ordinal = segment.ordinal;
        self.foreground
            .run(move || {
                let bytes = frame.stream(dictionary.as_deref())?;
                if sha256(&bytes) == expected { Ok(bytes) } else { Err(wrong_entry(pack, ordinal)) }
            })
            .await
    }
}

/// The entry at a location.
pub(crate) fn entry_in<'a>(block: &'a Block, location: &Location) -> Result<&'a Entry> {
    usize::try_from(location.place.entry)
        .ok()
        .and_then(|index| block.table.entries.get(index))
        .ok_or_else(|| wrong_entry(location.pack, location.place.frame))
}

/// A skeleton inside a decoded block.
pub(crate) fn skeleton_in(block: &Block, location: &Location, item: Uuid) -> Result<Bytes> {
    message_in(block, location, item).map(|(_, skeleton)| skeleton)
}

/// A message's record and skeleton inside a decoded block.
pub(crate) fn message_in<'a>(
    block: &'a Block,
    location: &Location,
    item: Uuid,
) -> Result<(&'a MessageRecord, Bytes)> {
    let entry = entry_in(block, location)?;
    let bytes = entry.cut(&block.stream)?;
    match &entry.body {
        EntryBody::Message(message)
            if message.record.id == item && sha256(&bytes).0.starts_with(&message.skeleton_digest) =>
        {
            Ok((&message.record, bytes))
        }
        _ => Err(wrong_entry(location.pack, location.place.frame)),
    }
}

/// An object inside a decoded block.
pub(crate) fn object_in(block: &Block, location: &Location, expected: Sha256) -> Result<StoredObject> {
    let entry = entry_in(block, location)?;
    match &entry.body {
        EntryBody::Object(object) if object.sha256 == expected => {
            if object.transform != crate::pack::TransformId::NONE {
                return Err(Error::new(
                    crate::error::Kind::Unimplemented,
                    "This object was written by a newer version. Update the server to read it.",
                ));
            }
            let bytes = entry.cut(&block.stream)?;
            if sha256(&bytes) == expected {
                return Ok(StoredObject::Whole(bytes));
            }
        }
        EntryBody::Segmented(object) if object.sha256 == expected => {
            return Ok(StoredObject::Segmented(location.pack, Box::new(object.clone())));
        }
        _ => {}
    }
    Err(wrong_entry(location.pack, location.place.frame))
}
