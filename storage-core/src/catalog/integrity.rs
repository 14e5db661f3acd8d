//! What scrub, repair and rebuild ask of a catalog besides what the ordinary operations do. The same contract: a method
//! that writes is one transaction, and a row that cannot be understood is `Corrupt`.

use std::fmt;

use uuid::Uuid;

use crate::catalog::Answer;
use crate::catalog::rows::ItemDelete;
use crate::catalog::rows::ItemErase;
use crate::catalog::rows::ItemRow;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::StatisticsRow;
use crate::clock::Timestamp;
use crate::ids::DictionaryKey;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;

/// An item with everything that a pack's record says of it, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedItem {
    /// The item.
    pub row: ItemRow,
    /// The short hash of its Message-ID.
    pub message_id_hash: Option<i64>,
    /// Whether its caller's id, if it has one, is found: kept in the one form of it, with its hash.
    pub is_found: bool,
}

/// What a rebuilt catalog is told that no other commit says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Tenants' own policies as JSON.
    pub policies: Vec<(TenantKey, String)>,
    /// Callers' ids that stay gone. The items need not have existed here.
    pub deleted: Vec<ItemDelete>,
    /// Items that were to be erased. Whether they were is looked at anew.
    pub erased: Vec<ItemErase>,
    /// The highest sequence of a policy record.
    pub sequence: u64,
}

/// Checking, mending and rebuilding a catalog.
pub trait Integrity: Send + Sync + fmt::Debug {
    /// What the database says against itself: damaged pages and indexes, rows that refer to rows that are not there.
    fn self_check(&self) -> Answer<'_, Vec<String>>;
    /// The items with these server ids, messages and contents, in any order.
    fn items_by_uuid<'a>(&'a self, tenant: TenantKey, ids: &'a [Uuid]) -> Answer<'a, Vec<CheckedItem>>;
    /// A tenant's items by key, `limit` at most.
    fn item_page(&self, tenant: TenantKey, after: ItemKey, limit: u32) -> Answer<'_, Vec<CheckedItem>>;
    /// A tenant's objects by key, `limit` at most.
    fn object_page(&self, tenant: TenantKey, after: ObjectKey, limit: u32) -> Answer<'_, Vec<ObjectRow>>;
    /// The items that refer to an object, `limit` at most.
    fn items_of_object(&self, object: ObjectKey, limit: u32) -> Answer<'_, Vec<Uuid>>;
    /// Those of these objects that stand in something larger: an item that refers to them has other bytes, too. In any
    /// order.
    fn objects_inside<'a>(&'a self, objects: &'a [ObjectKey]) -> Answer<'a, Vec<ObjectKey>>;
    /// The dictionaries that a pack is known to need.
    fn dictionaries_of_pack(&self, pack: PackKey) -> Answer<'_, Vec<DictionaryKey>>;
    /// When packs were checked last, where they were.
    fn checked_packs(&self) -> Answer<'_, Vec<(PackKey, Timestamp)>>;
    /// Notes that all of a pack was checked and is in order.
    fn mark_checked(&self, pack: PackKey, at: Timestamp) -> Answer<'_, ()>;
    /// What the statistics lack to be what the rows count to, by tenant and tier; nothing where they agree. Moved and
    /// deleted bytes are not compared.
    fn statistics_drift(&self) -> Answer<'_, Vec<StatisticsRow>>;
    /// Adds that difference on `day` and returns how many sums changed.
    fn recount(&self, day: i64) -> Answer<'_, u64>;
    /// Objects that can be read nowhere are not known to puts any more.
    fn quarantine<'a>(&'a self, objects: &'a [ObjectKey], at: Timestamp) -> Answer<'a, ()>;
    /// Writes what a rebuild found besides items and objects.
    fn restore<'a>(&'a self, restored: &'a Restored) -> Answer<'a, ()>;
    /// The highest sequence of a policy record; 0 before the first one.
    fn sequence(&self) -> Answer<'_, u64>;
}
