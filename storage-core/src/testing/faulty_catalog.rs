//! The catalog's door, wrapped: every call follows the plan of [`crate::testing::faults`]. Every method is forwarded by
//! name, so that none is answered by something else than the catalog itself.

use std::sync::Arc;

use futures::FutureExt;
use uuid::Uuid;

use crate::catalog::Answer;
use crate::catalog::Catalog;
use crate::catalog::erasure::Erasures;
use crate::catalog::integrity::CheckedItem;
use crate::catalog::integrity::Integrity;
use crate::catalog::integrity::Restored;
use crate::catalog::rows::AccessRow;
use crate::catalog::rows::CandidatePage;
use crate::catalog::rows::CopyChange;
use crate::catalog::rows::DictionaryMove;
use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::ErasureRow;
use crate::catalog::rows::FrameUse;
use crate::catalog::rows::GoneId;
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
use crate::clock::Timestamp;
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
use crate::testing::faults::Call;
use crate::testing::faults::Effect;
use crate::testing::faults::Faults;
use crate::testing::faults::Lie;

/// A catalog whose calls follow a plan.
#[derive(Debug)]
pub(super) struct FaultyCatalog {
    pub(super) inner: Arc<dyn Catalog>,
    faults: Faults,
}

impl FaultyCatalog {
    pub(super) fn new(inner: Arc<dyn Catalog>, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// A call that looks.
    pub(super) fn read<'a, T: Send + 'a>(&'a self, name: &'static str, call: Answer<'a, T>) -> Answer<'a, T> {
        self.faults.pass(Call { name, effect: Effect::Read }, call, async {}).boxed()
    }

    /// A call that changes something: one transaction, so never a part of it.
    pub(super) fn write<'a, T: Send + 'a>(
        &'a self,
        name: &'static str,
        call: Answer<'a, T>,
    ) -> Answer<'a, T> {
        self.faults.pass(Call { name, effect: Effect::Whole }, call, async {}).boxed()
    }

    /// The call, or nothing where the plan wants this lie.
    fn unless<'a>(&'a self, lie: Lie, call: Answer<'a, ()>) -> Answer<'a, ()> {
        if self.faults.lies(lie) { std::future::ready(Ok(())).boxed() } else { call }
    }
}

impl Integrity for FaultyCatalog {
    fn self_check(&self) -> Answer<'_, Vec<String>> {
        self.read("self_check", self.inner.self_check())
    }

    fn items_by_uuid<'a>(&'a self, tenant: TenantKey, ids: &'a [Uuid]) -> Answer<'a, Vec<CheckedItem>> {
        self.read("items_by_uuid", self.inner.items_by_uuid(tenant, ids))
    }

    fn item_page(&self, tenant: TenantKey, after: ItemKey, limit: u32) -> Answer<'_, Vec<CheckedItem>> {
        self.read("item_page", self.inner.item_page(tenant, after, limit))
    }

    fn object_page(&self, tenant: TenantKey, after: ObjectKey, limit: u32) -> Answer<'_, Vec<ObjectRow>> {
        self.read("object_page", self.inner.object_page(tenant, after, limit))
    }

    fn items_of_object(&self, object: ObjectKey, limit: u32) -> Answer<'_, Vec<Uuid>> {
        self.read("items_of_object", self.inner.items_of_object(object, limit))
    }

    fn objects_inside<'a>(&'a self, objects: &'a [ObjectKey]) -> Answer<'a, Vec<ObjectKey>> {
        self.read("objects_inside", self.inner.objects_inside(objects))
    }

    fn dictionaries_of_pack(&self, pack: PackKey) -> Answer<'_, Vec<DictionaryKey>> {
        self.read("dictionaries_of_pack", self.inner.dictionaries_of_pack(pack))
    }

    fn checked_packs(&self) -> Answer<'_, Vec<(PackKey, Timestamp)>> {
        self.read("checked_packs", self.inner.checked_packs())
    }

    fn mark_checked(&self, pack: PackKey, at: Timestamp) -> Answer<'_, ()> {
        self.write("mark_checked", self.inner.mark_checked(pack, at))
    }

    fn statistics_drift(&self) -> Answer<'_, Vec<StatisticsRow>> {
        self.read("statistics_drift", self.inner.statistics_drift())
    }

    fn recount(&self, day: i64) -> Answer<'_, u64> {
        self.write("recount", self.inner.recount(day))
    }

    fn quarantine<'a>(&'a self, objects: &'a [ObjectKey], at: Timestamp) -> Answer<'a, ()> {
        self.write("quarantine", self.inner.quarantine(objects, at))
    }

    fn restore<'a>(&'a self, restored: &'a Restored) -> Answer<'a, ()> {
        self.write("restore", self.inner.restore(restored))
    }

    fn sequence(&self) -> Answer<'_, u64> {
        self.read("sequence", self.inner.sequence())
    }
}

impl Erasures for FaultyCatalog {
    fn pending_erasures(&self) -> Answer<'_, Vec<ErasureRow>> {
        self.read("pending_erasures", self.inner.pending_erasures())
    }

    fn erasure(&self, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Answer<'_, Option<ErasureRow>> {
        self.read("erasure", self.inner.erasure(tenant, kind, id))
    }

    fn end_erasures<'a>(&'a self, items: &'a [(TenantKey, ItemKind, Uuid)], at: Timestamp) -> Answer<'a, ()> {
        self.write("end_erasures", self.inner.end_erasures(items, at))
    }

    fn hide_gone_ids<'a>(&'a self, ids: &'a [GoneId]) -> Answer<'a, ()> {
        self.write("hide_gone_ids", self.inner.hide_gone_ids(ids))
    }

    fn retire_dictionaries<'a>(&'a self, dictionaries: &'a [DictionaryKey]) -> Answer<'a, ()> {
        self.write("retire_dictionaries", self.inner.retire_dictionaries(dictionaries))
    }

    fn expunge(&self) -> Answer<'_, u64> {
        self.write("expunge", self.inner.expunge())
    }
}

impl Catalog for FaultyCatalog {
    fn tenants(&self) -> Answer<'_, Vec<TenantRow>> {
        self.read("tenants", self.inner.tenants())
    }

    fn commit<'a>(&'a self, group: &'a LogCommit) -> Answer<'a, ()> {
        self.write("commit", self.inner.commit(group))
    }

    fn objects_by_hash<'a>(&'a self, tenant: TenantKey, hashes: &'a [Sha256]) -> Answer<'a, Vec<ObjectRow>> {
        self.read("objects_by_hash", self.inner.objects_by_hash(tenant, hashes))
    }

    fn items_by_caller_id<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        ids: &'a [String],
    ) -> Answer<'a, Vec<ItemRow>> {
        self.read("items_by_caller_id", self.inner.items_by_caller_id(tenant, kind, ids))
    }

    fn deleted_caller_ids<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        ids: &'a [String],
        since: Timestamp,
    ) -> Answer<'a, Vec<String>> {
        self.read("deleted_caller_ids", self.inner.deleted_caller_ids(tenant, kind, ids, since))
    }

    fn item_by_uuid(&self, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Answer<'_, Option<ItemRow>> {
        self.read("item_by_uuid", self.inner.item_by_uuid(tenant, kind, id))
    }

    fn parts(&self, item: ItemKey) -> Answer<'_, Vec<PartRow>> {
        self.read("parts", self.inner.parts(item))
    }

    fn list<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        query: &'a ListQuery,
    ) -> Answer<'a, Vec<ItemRow>> {
        self.read("list", self.inner.list(tenant, kind, query))
    }

    fn references(&self, object: ObjectKey) -> Answer<'_, u64> {
        self.read("references", self.inner.references(object))
    }

    fn packs(&self) -> Answer<'_, Vec<PackRow>> {
        self.read("packs", self.inner.packs())
    }

    fn add_pack<'a>(&'a self, pack: &'a NewPack) -> Answer<'a, PackKey> {
        self.write("add_pack", self.inner.add_pack(pack))
    }

    fn seal_pack(&self, pack: PackKey, progress: PackProgress) -> Answer<'_, ()> {
        self.write("seal_pack", self.inner.seal_pack(pack, progress))
    }

    fn add_pack_recoding<'a>(&'a self, pack: PackKey, sums: &'a [(Uuid, RecodedBytes)]) -> Answer<'a, ()> {
        self.write("add_pack_recoding", self.inner.add_pack_recoding(pack, sums))
    }

    fn recoding(&self, tenant: Option<TenantKey>) -> Answer<'_, RecodedBytes> {
        self.read("recoding", self.inner.recoding(tenant))
    }

    fn recoding_by_pack(&self) -> Answer<'_, Vec<(PackKey, RecodedBytes)>> {
        self.read("recoding_by_pack", self.inner.recoding_by_pack())
    }

    fn remove_pack(&self, pack: PackKey) -> Answer<'_, ()> {
        self.write("remove_pack", self.inner.remove_pack(pack))
    }

    fn skeleton_candidates(
        &self,
        tenant: TenantKey,
        after: ItemKey,
        limit: u32,
    ) -> Answer<'_, CandidatePage<ItemKey>> {
        self.read("skeleton_candidates", self.inner.skeleton_candidates(tenant, after, limit))
    }

    fn object_candidates(
        &self,
        tenant: TenantKey,
        after: ObjectKey,
        limit: u32,
    ) -> Answer<'_, CandidatePage<ObjectKey>> {
        self.read("object_candidates", self.inner.object_candidates(tenant, after, limit))
    }

    fn relocate<'a>(&'a self, tenant: TenantKey, moves: &'a [Relocation], day: i64) -> Answer<'a, u64> {
        self.write("relocate", self.inner.relocate(tenant, moves, day))
    }

    fn change_copies<'a>(
        &'a self,
        tenant: TenantKey,
        changes: &'a [CopyChange],
        day: i64,
    ) -> Answer<'a, u64> {
        self.write("change_copies", self.inner.change_copies(tenant, changes, day))
    }

    fn frames_in_use(&self) -> Answer<'_, Vec<FrameUse>> {
        self.read("frames_in_use", self.inner.frames_in_use())
    }

    fn units_in<'a>(&'a self, tenant: TenantKey, packs: &'a [PackKey]) -> Answer<'a, Vec<LocatedUnit>> {
        self.read("units_in", self.inner.units_in(tenant, packs))
    }

    fn move_dictionary<'a>(&'a self, change: &'a DictionaryMove) -> Answer<'a, bool> {
        self.write("move_dictionary", self.inner.move_dictionary(change))
    }

    fn add_reads<'a>(&'a self, reads: &'a [AccessRow]) -> Answer<'a, ()> {
        self.write("add_reads", self.inner.add_reads(reads))
    }

    fn access(&self, item: ItemKey) -> Answer<'_, Option<AccessRow>> {
        self.read("access", self.inner.access(item))
    }

    fn forget_reads_before(&self, day: i64) -> Answer<'_, ()> {
        self.write("forget_reads_before", self.inner.forget_reads_before(day))
    }

    fn dictionary(&self, id: Uuid) -> Answer<'_, Option<DictionaryRow>> {
        self.read("dictionary", self.inner.dictionary(id))
    }

    fn dictionaries(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<DictionaryRow>> {
        self.read("dictionaries", self.inner.dictionaries(tenant))
    }

    fn add_dictionary<'a>(&'a self, dictionary: &'a NewDictionary) -> Answer<'a, DictionaryKey> {
        self.write("add_dictionary", self.inner.add_dictionary(dictionary))
    }

    fn add_pack_dictionaries<'a>(
        &'a self,
        pack: PackKey,
        dictionaries: &'a [DictionaryKey],
    ) -> Answer<'a, ()> {
        self.write("add_pack_dictionaries", self.inner.add_pack_dictionaries(pack, dictionaries))
    }

    fn remove_unreferenced(&self, limit: u32, day: i64, dry_run: bool) -> Answer<'_, u64> {
        self.write("remove_unreferenced", self.inner.remove_unreferenced(limit, day, dry_run))
    }

    fn dead_packs(&self) -> Answer<'_, Vec<PackRow>> {
        self.read("dead_packs", self.inner.dead_packs())
    }

    fn condemn<'a>(&'a self, packs: &'a [PackKey], at: Timestamp) -> Answer<'a, ()> {
        self.write("condemn", self.inner.condemn(packs, at))
    }

    fn prune(&self, before: Timestamp) -> Answer<'_, ()> {
        self.write("prune", self.inner.prune(before))
    }

    fn shrink(&self) -> Answer<'_, ()> {
        self.write("shrink", self.inner.shrink())
    }

    fn statistics(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<StatisticsRow>> {
        self.read("statistics", self.inner.statistics(tenant))
    }

    fn counted(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<StatisticsRow>> {
        self.read("counted", self.inner.counted(tenant))
    }

    fn objects_by_class(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<(u8, u64, u64)>> {
        self.read("objects_by_class", self.inner.objects_by_class(tenant))
    }

    fn start_job<'a>(&'a self, kind: &'a str, at: Timestamp) -> Answer<'a, JobKey> {
        self.write("start_job", self.inner.start_job(kind, at))
    }

    fn end_job<'a>(&'a self, job: JobKey, state: &'a str, detail: &'a str, at: Timestamp) -> Answer<'a, ()> {
        self.write("end_job", self.inner.end_job(job, state, detail, at))
    }

    fn stop_orphaned_jobs(&self, at: Timestamp) -> Answer<'_, ()> {
        self.write("stop_orphaned_jobs", self.inner.stop_orphaned_jobs(at))
    }

    fn jobs(&self) -> Answer<'_, Vec<JobRow>> {
        self.read("jobs", self.inner.jobs())
    }

    fn bytes(&self) -> Answer<'_, u64> {
        self.read("bytes", self.inner.bytes())
    }

    fn barrier(&self) -> Answer<'_, ()> {
        self.write("barrier", self.unless(Lie::BarrierDoesNothing, self.inner.barrier()))
    }

    fn close(&self) -> Answer<'_, ()> {
        self.write("close", self.unless(Lie::BarrierDoesNothing, self.inner.close()))
    }
}
