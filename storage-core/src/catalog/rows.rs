//! The rows that the engine and a catalog exchange. Plain data; here are those of tenants, items and objects.

mod dictionaries;
mod log;
mod moves;
mod packs;
mod sums;

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::ExternalIds;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::model::Tier;

pub use dictionaries::DictionaryMove;
pub use dictionaries::DictionaryRow;
pub use dictionaries::NewDictionary;
pub use log::ErasureRow;
pub use log::GoneId;
pub use log::ItemChange;
pub use log::ItemDelete;
pub use log::ItemErase;
pub use log::LogChange;
pub use log::LogCommit;
pub use log::NewItem;
pub use log::NewObject;
pub use log::NewPart;
pub use log::ObjectRef;
pub use moves::Candidate;
pub use moves::CandidatePage;
pub use moves::CopyChange;
pub use moves::FrameUse;
pub use moves::LocatedUnit;
pub use moves::Relocation;
pub use moves::UnitKey;
pub use packs::NewPack;
pub use packs::PackBytes;
pub use packs::PackOrigin;
pub use packs::PackProgress;
pub use packs::PackRow;
pub use packs::PackState;
pub use sums::AccessRow;
pub use sums::JobRow;
pub use sums::Statistics;
pub use sums::StatisticsRow;

/// Where an entry of a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The pack.
    pub pack: PackKey,
    /// The frame's ordinal in the pack.
    pub frame: u32,
    /// The entry's position in the block's table.
    pub entry: u32,
}

/// A place together with what is needed to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The place.
    pub place: Place,
    /// The pack's name.
    pub pack: Uuid,
    /// The pack's tier.
    pub tier: Tier,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    /// Its key.
    pub key: TenantKey,
    /// Its permanent id.
    pub id: Uuid,
    /// The name that callers use.
    pub name: String,
    /// Its own tier policy as JSON.
    pub policy: Option<String>,
    /// When it was created.
    pub created: Timestamp,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRow {
    /// Its key.
    pub key: ItemKey,
    /// Message or content.
    pub kind: ItemKind,
    /// The server's id; its time is the item's creation.
    pub id: Uuid,
    /// The caller's id.
    pub caller_id: Option<String>,
    /// Ids in the caller's database.
    pub external: ExternalIds,
    /// Bytes as received.
    pub bytes: u64,
    /// SHA-256 of the bytes as received.
    pub sha256: Sha256,
    /// Bytes of its skeleton.
    pub skeleton_bytes: u64,
    /// Where the skeleton is.
    pub location: Location,
    /// Its second location in a warmer tier.
    pub copy: Option<Location>,
    /// Retention end.
    pub expires: Option<Timestamp>,
    /// Deletes are refused while set.
    pub hold: bool,
    /// The tier it is kept in.
    pub pin: Option<Tier>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRow {
    /// Its key.
    pub key: ObjectKey,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its length.
    pub bytes: u64,
    /// Its media class.
    pub class: u8,
    /// Where it is.
    pub location: Location,
    /// Its second location in a warmer tier.
    pub copy: Option<Location>,
    /// It can be read nowhere. A put of the same bytes must write them.
    pub quarantined: bool,
}

/// A reference from an item to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRow {
    /// The part's index in the message.
    pub part: u32,
    /// Its role, as in the skeleton.
    pub role: u8,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its file name.
    pub file_name: Option<String>,
    /// The object.
    pub object: ObjectRow,
}
