//! Dictionaries.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::DictionaryKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;

/// A dictionary to add.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDictionary {
    /// Its tenant.
    pub tenant: TenantKey,
    /// Its permanent id.
    pub id: Uuid,
    /// The content class it was made for.
    pub class: u8,
    /// Trained (true) or sampled.
    pub trained: bool,
    /// Which one of its tenant and class it is, from 1; 0 where that was not noted.
    pub version: u32,
    /// The pack that holds it.
    pub pack: PackKey,
    /// Its frame.
    pub frame: u32,
    /// Its bytes.
    pub bytes: u64,
    /// Bytes of its frame.
    pub stored_bytes: u64,
    /// What it saved on a held-out sample.
    pub gain: f64,
    /// When it was made.
    pub created: Timestamp,
}

/// A dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct DictionaryRow {
    /// Its key.
    pub key: DictionaryKey,
    /// What was added.
    pub dictionary: NewDictionary,
    /// The name of the pack that holds it.
    pub pack_name: Uuid,
    /// Whether new blocks may use it.
    pub active: bool,
    /// Packs that need it.
    pub packs: u64,
}

/// A dictionary's frame in another pack, conditional on the old place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DictionaryMove {
    /// What moves.
    pub dictionary: DictionaryKey,
    /// The pack and frame where it must still be.
    pub from: (PackKey, u32),
    /// Where it is now.
    pub to: (PackKey, u32),
}
