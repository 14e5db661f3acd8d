//! The rows that the engine and a catalog exchange. Plain data.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::catalog::similar::Form;
use crate::clock::Timestamp;
use crate::ids::DictionaryKey;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::ExternalIds;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::model::Tier;

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

/// Byte counters of a pack: `stream + record + dictionary + index` is its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackBytes {
    /// Decoded bytes of all block and segment streams.
    pub decoded: u64,
    /// The same as stored.
    pub stream: u64,
    /// Frame headers, tables, tombstones and the like.
    pub record: u64,
    /// Dictionary frames.
    pub dictionary: u64,
    /// Pack header, index and footer.
    pub index: u64,
}

impl PackBytes {
    /// The pack's length.
    pub fn total(self) -> u64 {
        self.stream + self.record + self.dictionary + self.index
    }
}

/// How far a pack is: the watermark and its counters up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackProgress {
    /// Everything before this offset is in the catalog. Equals `bytes.total()`.
    pub committed_bytes: u64,
    /// Counters up to there.
    pub bytes: PackBytes,
}

impl PackProgress {
    /// The progress of a pack with these counters.
    pub fn of(bytes: PackBytes) -> Self {
        Self { committed_bytes: bytes.total(), bytes }
    }
}

/// What a pack was written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackOrigin {
    /// Puts; replayed by recovery.
    Log,
    /// A migration or compaction, from other packs.
    Rewrite,
    /// One large put; replayed by recovery.
    Large,
}

/// The states of a pack: open -> sealed -> condemned -> gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackState {
    /// Being written.
    Open,
    /// Immutable.
    Sealed,
    /// Nothing in it is needed; the grace period runs.
    Condemned(Timestamp),
}

/// A pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRow {
    /// Its key.
    pub key: PackKey,
    /// Its name.
    pub name: Uuid,
    /// What wrote it.
    pub origin: PackOrigin,
    /// Its tier.
    pub tier: Tier,
    /// Its state.
    pub state: PackState,
    /// Watermark and counters.
    pub progress: PackProgress,
    /// When it was created.
    pub created: Timestamp,
}

/// A pack to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPack {
    /// Its name.
    pub name: Uuid,
    /// What writes it.
    pub origin: PackOrigin,
    /// Its tier.
    pub tier: Tier,
    /// False while it can still grow.
    pub sealed: bool,
    /// Watermark and counters.
    pub progress: PackProgress,
    /// When it was created.
    pub created: Timestamp,
}

/// An object that a group brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// Its tenant.
    pub tenant: TenantKey,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its length.
    pub bytes: u64,
    /// Its media class.
    pub class: u8,
    /// Where its bytes are.
    pub place: Place,
}

/// Which object a new item refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectRef {
    /// One that was committed before.
    Known(ObjectKey),
    /// One of the same group, by its index in [`LogCommit::objects`].
    New(usize),
}

/// A reference that a new item brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPart {
    /// The part's index.
    pub part: u32,
    /// Its role.
    pub role: u8,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its file name.
    pub file_name: Option<String>,
    /// The object.
    pub object: ObjectRef,
}

/// An item that a group brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    /// Its tenant.
    pub tenant: TenantKey,
    /// Message or content.
    pub kind: ItemKind,
    /// The server's id.
    pub id: Uuid,
    /// The caller's id.
    pub caller_id: Option<String>,
    /// Ids in the caller's database.
    pub external: ExternalIds,
    /// A short hash of the Message-ID.
    pub message_id_hash: Option<i64>,
    /// Bytes as received.
    pub bytes: u64,
    /// SHA-256 of them.
    pub sha256: Sha256,
    /// Bytes of the skeleton.
    pub skeleton_bytes: u64,
    /// Skeleton and all referenced objects, decoded.
    pub referenced_bytes: u64,
    /// Where the skeleton is.
    pub place: Place,
    /// Retention end.
    pub expires: Option<Timestamp>,
    /// Deletes are refused while set.
    pub hold: bool,
    /// The tier it is kept in.
    pub pin: Option<Tier>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// References.
    pub parts: Vec<NewPart>,
}

/// A deleted item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemDelete {
    /// Its tenant.
    pub tenant: TenantKey,
    /// Message or content.
    pub kind: ItemKind,
    /// The server's id.
    pub id: Uuid,
    /// The caller's id, which stays gone for a while.
    pub caller_id: Option<String>,
    /// When.
    pub deleted: Timestamp,
}

/// A deleted item whose bytes must not stay in any pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemErase {
    /// The delete. The caller's id is what stands for it, not the id itself. The item may be gone already.
    pub delete: ItemDelete,
    /// The hashes of its skeleton and its objects; none where they are not known.
    pub hashes: Vec<Sha256>,
}

/// An erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureRow {
    /// Its tenant.
    pub tenant: TenantKey,
    /// Message or content.
    pub kind: ItemKind,
    /// The server's id.
    pub id: Uuid,
    /// When it was asked for.
    pub requested: Timestamp,
    /// When nothing of it was left; none before that.
    pub erased: Option<Timestamp>,
    /// The hashes of its skeleton and its objects, until it is erased; none where they are not known.
    pub hashes: Vec<Sha256>,
}

/// A deleted id of a caller's, and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneId {
    /// Its tenant.
    pub tenant: TenantKey,
    /// Message or content.
    pub kind: ItemKind,
    /// The id.
    pub from: String,
    /// What stands for it.
    pub to: String,
}

/// The new values of an item's changeable fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemChange {
    /// Its tenant.
    pub tenant: TenantKey,
    /// Message or content.
    pub kind: ItemKind,
    /// The server's id.
    pub id: Uuid,
    /// Retention end.
    pub expires: Option<Timestamp>,
    /// Deletes are refused while set.
    pub hold: bool,
    /// The tier it is kept in.
    pub pin: Option<Tier>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One step of the log besides puts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChange {
    /// A tenant came to be.
    Tenant {
        /// Its permanent id.
        id: Uuid,
        /// Its name.
        name: String,
        /// When.
        created: Timestamp,
    },
    /// A tenant's own policy changed.
    Policy {
        /// The tenant.
        tenant: TenantKey,
        /// JSON, or none to remove it.
        policy: Option<String>,
    },
    /// An item was deleted.
    Delete(ItemDelete),
    /// An item, perhaps a deleted one, is to be erased.
    Erase(ItemErase),
    /// An item's fields changed.
    Update(ItemChange),
}

/// One group of the log: what one transaction applies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogCommit {
    /// Objects that are new.
    pub objects: Vec<NewObject>,
    /// Items that are new.
    pub items: Vec<NewItem>,
    /// Other changes, in order, after the items.
    pub changes: Vec<LogChange>,
    /// The progress of the packs that carry this group.
    pub packs: Vec<(PackKey, PackProgress)>,
    /// When this group is committed: what audits say and the day statistics count for.
    pub at: Timestamp,
    /// The highest sequence of its policy records; 0 without any.
    pub sequence: u64,
}

/// A unit that may move: everything that policy and planning need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<K> {
    /// Its key.
    pub key: K,
    /// The item's id for a skeleton.
    pub id: Option<Uuid>,
    /// The object's hash.
    pub sha256: Option<Sha256>,
    /// Decoded bytes.
    pub bytes: u64,
    /// Media class; 0 for a skeleton.
    pub class: u8,
    /// Where it is.
    pub location: Location,
    /// Its second location.
    pub copy: Option<Location>,
    /// The newest creation of its references.
    pub created: Timestamp,
    /// The last day it was read.
    pub read_day: Option<i64>,
    /// The most reads of one day.
    pub reads: u32,
    /// The warmest pin among its references.
    pub pin: Option<Tier>,
    /// False for an object without a reference: it is left to sweep.
    pub referenced: bool,
}

/// A page of candidates and the key to continue after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidatePage<K> {
    /// The candidates.
    pub candidates: Vec<Candidate<K>>,
    /// The last key seen; none when there are no more.
    pub next: Option<K>,
}

/// What moves: a skeleton or an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnitKey {
    /// A skeleton.
    Skeleton(ItemKey),
    /// An object.
    Object(ObjectKey),
}

/// A move, conditional on the old place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocation {
    /// What moves.
    pub unit: UnitKey,
    /// Whether it is its second location that moves.
    pub copy: bool,
    /// Decoded bytes, for the statistics.
    pub bytes: u64,
    /// Where it must still be.
    pub from: Place,
    /// The tier of that.
    pub from_tier: Tier,
    /// Where it is now.
    pub to: Place,
    /// The tier of that.
    pub to_tier: Tier,
    /// How it is stored there.
    pub form: Form,
}

/// A second location added (`Some`) or dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyChange {
    /// Of what.
    pub unit: UnitKey,
    /// Decoded bytes, for the statistics.
    pub bytes: u64,
    /// The new second location.
    pub copy: Option<Place>,
    /// The tier of the copy that is added or dropped.
    pub tier: Tier,
}

/// What is located in a frame, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameUse {
    /// Whose it is.
    pub tenant: TenantKey,
    /// The pack.
    pub pack: PackKey,
    /// The frame; none for a pack of the hot tier, whose frames are summed up together.
    pub frame: Option<u32>,
    /// The media class of the units; 0 for skeletons.
    pub class: u8,
    /// Skeletons or objects located there, second locations included.
    pub units: u64,
    /// Their decoded bytes.
    pub bytes: u64,
    /// The smallest of their keys: where the frame stands in the order of arrival.
    pub first: i64,
}

/// A unit at one of its locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedUnit {
    /// Its key.
    pub unit: UnitKey,
    /// The item's id for a skeleton.
    pub id: Option<Uuid>,
    /// The object's hash.
    pub sha256: Option<Sha256>,
    /// Decoded bytes.
    pub bytes: u64,
    /// Media class; 0 for a skeleton.
    pub class: u8,
    /// Where it is.
    pub location: Location,
    /// Whether that is its second location.
    pub copy: bool,
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

/// Reads of an item on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRow {
    /// The item.
    pub item: ItemKey,
    /// The day.
    pub day: i64,
    /// Reads.
    pub reads: u32,
}

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

/// Sums of statistics. See the table's comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Messages.
    pub messages: i64,
    /// Contents.
    pub contents: i64,
    /// Bytes as received.
    pub logical_bytes: i64,
    /// Skeletons and the objects they refer to, once per reference.
    pub referenced_bytes: i64,
    /// Objects.
    pub objects: i64,
    /// Their bytes.
    pub object_bytes: i64,
    /// Skeletons.
    pub skeletons: i64,
    /// Their bytes.
    pub skeleton_bytes: i64,
    /// Second locations, decoded.
    pub copy_bytes: i64,
    /// Decoded bytes moved into the tier.
    pub moved_bytes: i64,
    /// Bytes as received of what was deleted.
    pub deleted_bytes: i64,
}

/// Statistics of a tenant, day and tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatisticsRow {
    /// The tenant.
    pub tenant: TenantKey,
    /// The day; 0 in counted rows.
    pub day: i64,
    /// The tier.
    pub tier: Tier,
    /// The sums.
    pub sums: Statistics,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Its id.
    pub id: i64,
    /// Its kind.
    pub kind: String,
    /// Its state.
    pub state: String,
    /// When it began.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Report or error.
    pub detail: String,
}
