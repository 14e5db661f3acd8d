//! What one group of the log brings.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::catalog::rows::PackProgress;
use crate::catalog::rows::Place;
use crate::clock::Timestamp;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::ExternalIds;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::model::Tier;

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
