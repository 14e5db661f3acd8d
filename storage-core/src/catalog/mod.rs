//! The catalog: the truth about what exists and where. One trait; SQLite implements it for the embedded default.
//!
//! Contract, for every implementation:
//! - A method that writes is one transaction: all of it or nothing. It returns when readers see it; it need not be
//!   durable then, because packs carry the same facts. [`Catalog::barrier`] makes everything before it durable.
//! - A row that cannot be understood is `Corrupt`, never a panic and never "not found".
//! - Nothing is looked up across tenants except where a method has no tenant argument.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod erasure;
pub mod integrity;
pub mod rows;
pub mod similar;
pub mod sqlite;

use futures::future::BoxFuture;
use uuid::Uuid;

use crate::catalog::erasure::Erasures;
use crate::catalog::integrity::Integrity;
use crate::catalog::rows::AccessRow;
use crate::catalog::rows::CandidatePage;
use crate::catalog::rows::CopyChange;
use crate::catalog::rows::DictionaryMove;
use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::FrameUse;
use crate::catalog::rows::ItemRow;
use crate::catalog::rows::JobRow;
use crate::catalog::rows::LocatedUnit;
use crate::catalog::rows::LogCommit;
use crate::catalog::rows::NewDictionary;
use crate::catalog::rows::NewPack;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::PackRow;
use crate::catalog::rows::PartRow;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::StatisticsRow;
use crate::catalog::rows::TenantRow;
use crate::catalog::similar::Similarity;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::ids::ItemKey;
use crate::ids::JobKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::ItemKind;
use crate::model::ListQuery;
use crate::model::Sha256;
use crate::pack::RecodedBytes;

/// What a catalog method returns.
pub type Answer<'a, T> = BoxFuture<'a, Result<T>>;

/// The catalog.
pub trait Catalog: Integrity + Erasures + Similarity {
    // Tenants

    /// All tenants, by key.
    fn tenants(&self) -> Answer<'_, Vec<TenantRow>>;

    // The log: everything that puts, deletes and updates change, together with the log pack's watermark.

    /// Applies one group of the log. Objects that are `New` get rows; items refer to known or new ones. Where a new one
    /// is there and quarantined, its row gets the new place instead.
    fn commit<'a>(&'a self, group: &'a LogCommit) -> Answer<'a, ()>;

    // Look-ups

    /// The objects among `hashes` that exist, in any order, quarantined ones included.
    fn objects_by_hash<'a>(&'a self, tenant: TenantKey, hashes: &'a [Sha256]) -> Answer<'a, Vec<ObjectRow>>;
    /// The items with these ids of the caller's, in any order.
    fn items_by_caller_id<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        ids: &'a [String],
    ) -> Answer<'a, Vec<ItemRow>>;
    /// Which of these ids of the caller's were deleted after `since`, in any order.
    fn deleted_caller_ids<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        ids: &'a [String],
        since: Timestamp,
    ) -> Answer<'a, Vec<String>>;
    /// The item with that server id.
    fn item_by_uuid(&self, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Answer<'_, Option<ItemRow>>;
    /// The objects an item refers to, by part.
    fn parts(&self, item: ItemKey) -> Answer<'_, Vec<PartRow>>;
    /// A page of items, ordered by server id.
    fn list<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        query: &'a ListQuery,
    ) -> Answer<'a, Vec<ItemRow>>;
    /// How many items refer to an object.
    fn references(&self, object: ObjectKey) -> Answer<'_, u64>;

    // Packs

    /// All packs.
    fn packs(&self) -> Answer<'_, Vec<PackRow>>;
    /// Adds a pack that is about to be written (open) or was written (sealed).
    fn add_pack<'a>(&'a self, pack: &'a NewPack) -> Answer<'a, PackKey>;
    /// An open pack has its index now and will not change any more.
    fn seal_pack(&self, pack: PackKey, progress: PackProgress) -> Answer<'_, ()>;
    /// Notes what recoding did to the objects in a pack, by tenant's id. It goes with the pack.
    fn add_pack_recoding<'a>(&'a self, pack: PackKey, sums: &'a [(Uuid, RecodedBytes)]) -> Answer<'a, ()>;
    /// What recoding did to the objects in all packs, or to a tenant's.
    fn recoding(&self, tenant: Option<TenantKey>) -> Answer<'_, RecodedBytes>;
    /// The same for each pack that holds recoded objects, of all tenants.
    fn recoding_by_pack(&self) -> Answer<'_, Vec<(PackKey, RecodedBytes)>>;
    /// Forgets a pack that nothing refers to.
    fn remove_pack(&self, pack: PackKey) -> Answer<'_, ()>;

    // Tiers

    /// What is not in the coldest tier or has copies: skeletons and objects of a tenant, by key, `limit` at most.
    fn skeleton_candidates(
        &self,
        tenant: TenantKey,
        after: ItemKey,
        limit: u32,
    ) -> Answer<'_, CandidatePage<ItemKey>>;
    /// See [`Catalog::skeleton_candidates`].
    fn object_candidates(
        &self,
        tenant: TenantKey,
        after: ObjectKey,
        limit: u32,
    ) -> Answer<'_, CandidatePage<ObjectKey>>;
    /// Moves what still stands at its old location and returns how many rows that were. Counts the moves on `day`.
    fn relocate<'a>(&'a self, tenant: TenantKey, moves: &'a [Relocation], day: i64) -> Answer<'a, u64>;
    /// Adds or drops second locations.
    fn change_copies<'a>(&'a self, tenant: TenantKey, changes: &'a [CopyChange], day: i64)
    -> Answer<'a, u64>;
    /// What is located where, by tenant, pack, frame and media class, in any order.
    fn frames_in_use(&self) -> Answer<'_, Vec<FrameUse>>;
    /// A tenant's units that have a location in one of these packs, by key; one with two, twice.
    fn units_in<'a>(&'a self, tenant: TenantKey, packs: &'a [PackKey]) -> Answer<'a, Vec<LocatedUnit>>;
    /// Adds reads to the access log.
    fn add_reads<'a>(&'a self, reads: &'a [AccessRow]) -> Answer<'a, ()>;
    /// The last day an item was read and the most reads of one day.
    fn access(&self, item: ItemKey) -> Answer<'_, Option<AccessRow>>;
    /// Drops access rows of days before `day`.
    fn forget_reads_before(&self, day: i64) -> Answer<'_, ()>;

    // Dictionaries

    /// The dictionary that frames name by this id.
    fn dictionary(&self, id: Uuid) -> Answer<'_, Option<DictionaryRow>>;

    /// All dictionaries, or a tenant's.
    fn dictionaries(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<DictionaryRow>>;
    /// Adds a dictionary whose frame is durable; the older ones of that tenant and class retire.
    fn add_dictionary<'a>(&'a self, dictionary: &'a NewDictionary) -> Answer<'a, DictionaryKey>;
    /// Moves a dictionary that still stands at its old place; false where it does not.
    fn move_dictionary<'a>(&'a self, change: &'a DictionaryMove) -> Answer<'a, bool>;
    /// Notes that a pack holds blocks that need these dictionaries.
    fn add_pack_dictionaries<'a>(
        &'a self,
        pack: PackKey,
        dictionaries: &'a [DictionaryKey],
    ) -> Answer<'a, ()>;

    // Sweep

    /// Forgets up to `limit` objects that neither an item nor a delta of an item needs (with `dry_run`, only counts them).
    fn remove_unreferenced(&self, limit: u32, day: i64, dry_run: bool) -> Answer<'_, u64>;
    /// Sealed packs that nothing is located in (primary, copy or dictionary in use).
    fn dead_packs(&self) -> Answer<'_, Vec<PackRow>>;
    /// Starts the grace period of these packs.
    fn condemn<'a>(&'a self, packs: &'a [PackKey], at: Timestamp) -> Answer<'a, ()>;
    /// Drops deleted callers' ids and done erasures older than `before`, and retired dictionaries that no pack needs.
    fn prune(&self, before: Timestamp) -> Answer<'_, ()>;
    /// Gives unused space of the database files back.
    fn shrink(&self) -> Answer<'_, ()>;

    // Insight

    /// Sums of the statistics increments by tenant, day and tier.
    fn statistics(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<StatisticsRow>>;
    /// The same, counted from the rows: what the increments must add up to.
    fn counted(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<StatisticsRow>>;
    /// Objects by media class: class, objects, bytes.
    fn objects_by_class(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<(u8, u64, u64)>>;
    /// Starts a job row.
    fn start_job<'a>(&'a self, kind: &'a str, at: Timestamp) -> Answer<'a, JobKey>;
    /// Ends it.
    fn end_job<'a>(&'a self, job: JobKey, state: &'a str, detail: &'a str, at: Timestamp) -> Answer<'a, ()>;
    /// Marks jobs that a previous process left running as stopped.
    fn stop_orphaned_jobs(&self, at: Timestamp) -> Answer<'_, ()>;
    /// The newest 100 jobs, newest first.
    fn jobs(&self) -> Answer<'_, Vec<JobRow>>;
    /// Bytes of the database files after a checkpoint.
    fn bytes(&self) -> Answer<'_, u64>;

    // Durability

    /// Returns when everything committed before is durable.
    fn barrier(&self) -> Answer<'_, ()>;
    /// Makes everything durable and closes the database.
    fn close(&self) -> Answer<'_, ()>;
}
