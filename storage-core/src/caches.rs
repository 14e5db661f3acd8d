//! Caches of the read path: pack indexes, decoded blocks, dictionaries, each with a budget in bytes; and the indexes of
//! packs that are still open. Knows how to keep, not how to read.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use bytes::Bytes;
use moka::sync::Cache;
use uuid::Uuid;

use crate::codec::Dictionary;
use crate::error::Result;
use crate::model::Sha256;
use crate::pack::BlockTable;
use crate::pack::IndexEntry;
use crate::pack::PackIndex;
use crate::settings::Settings;

/// Memory for pack indexes, in bytes.
const INDEX_CACHE_BYTES: u64 = 16 << 20;

/// Memory for bases of deltas, in bytes.
const BASE_CACHE_BYTES: u64 = 8 << 20;

/// What an index entry takes in memory, about.
const INDEX_ENTRY_BYTES: usize = 96;

/// What a table entry takes in memory, about.
const TABLE_ENTRY_BYTES: usize = 400;

/// A decoded block.
#[derive(Debug)]
pub(crate) struct Block {
    /// Whose it is.
    pub(crate) tenant: Uuid,
    pub(crate) table: BlockTable,
    pub(crate) stream: Bytes,
}

/// Caches of the read path, each with a budget in bytes.
#[derive(Debug)]
pub(crate) struct ReadCaches {
    pub(crate) indexes: Cache<Uuid, Arc<PackIndex>>,
    pub(crate) blocks: Cache<(Uuid, u32), Arc<Block>>,
    pub(crate) dictionaries: Cache<Uuid, Arc<Dictionary>>,
    /// Objects that deltas were read from, by tenant.
    pub(crate) bases: Cache<(Uuid, Sha256), Bytes>,
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
            bases: Cache::builder()
                .max_capacity(BASE_CACHE_BYTES)
                .weigher(|_, bytes: &Bytes| weight(bytes.len()))
                .build(),
            open: RwLock::default(),
        }
    }

    /// A dictionary that is in memory.
    pub(crate) fn dictionary(&self, id: Uuid) -> Result<Option<Arc<Dictionary>>> {
        match self.dictionaries.get(&id) {
            Some(dictionary) => Ok(Some(dictionary)),
            None => crate::codec::builtin::dictionary(id),
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

    /// No pack is open any more.
    pub(crate) fn sealed_packs(&self) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets what is known of a pack that was deleted.
    pub(crate) fn forget_pack(&self, pack: Uuid) {
        self.indexes.invalidate(&pack);
    }

    /// Forgets all content.
    pub(crate) fn forget_content(&self) {
        self.blocks.invalidate_all();
        self.dictionaries.invalidate_all();
    }

    /// The frames of a pack, if it is open.
    pub(crate) fn open_entries(&self, pack: Uuid) -> Option<OpenEntries> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(&pack).cloned().map(OpenEntries)
    }
}

/// The frames of an open pack, so far.
#[derive(Debug, Clone)]
pub(crate) struct OpenEntries(Arc<RwLock<Vec<IndexEntry>>>);

impl OpenEntries {
    /// The frame of that ordinal.
    pub(crate) fn get(&self, frame: u32) -> Option<IndexEntry> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(frame).ok().and_then(|ordinal| entries.get(ordinal)).copied()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<IndexEntry> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
