//! The door itself: every method of the catalog, forwarded to the rows in memory.

use futures::FutureExt;
use uuid::Uuid;

use crate::catalog::Answer;
use crate::catalog::Catalog;
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
use crate::testing::memory_catalog::MemoryCatalog;
use crate::testing::memory_catalog::state::State;

/// What the rows of a table take, about: for [`Catalog::bytes`], which only has to tell a size.
const ROW_BYTES: u64 = 256;

/// A future that does its work when it is awaited, as a database's does.
macro_rules! answer {
    ($work:expr) => {
        async move { $work }.boxed()
    };
}

impl Catalog for MemoryCatalog {
    fn tenants(&self) -> Answer<'_, Vec<TenantRow>> {
        answer!(self.read(|state| Ok(state.tenants.values().cloned().collect())))
    }

    fn commit<'a>(&'a self, group: &'a LogCommit) -> Answer<'a, ()> {
        answer!(self.write(|state, keys| state.commit(keys, group)))
    }

    fn objects_by_hash<'a>(&'a self, tenant: TenantKey, hashes: &'a [Sha256]) -> Answer<'a, Vec<ObjectRow>> {
        answer!(self.read(|state| state.objects_by_hash(tenant, hashes)))
    }

    fn items_by_caller_id<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        ids: &'a [String],
    ) -> Answer<'a, Vec<ItemRow>> {
        answer!(self.read(|state| state.items_by_caller_id(tenant, kind, ids)))
    }

    fn deleted_caller_ids<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        ids: &'a [String],
        since: Timestamp,
    ) -> Answer<'a, Vec<String>> {
        answer!(self.read(|state| Ok(state.deleted_caller_ids(tenant, kind, (ids, since)))))
    }

    fn item_by_uuid(&self, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Answer<'_, Option<ItemRow>> {
        answer!(self.read(|state| state.item_by_uuid(tenant, kind, id)))
    }

    fn parts(&self, item: ItemKey) -> Answer<'_, Vec<PartRow>> {
        answer!(self.read(|state| state.parts(item)))
    }

    fn list<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        query: &'a ListQuery,
    ) -> Answer<'a, Vec<ItemRow>> {
        answer!(self.read(|state| state.list(tenant, kind, query)))
    }

    fn references(&self, object: ObjectKey) -> Answer<'_, u64> {
        answer!(self.read(|state| Ok(state.references(object))))
    }

    fn packs(&self) -> Answer<'_, Vec<PackRow>> {
        answer!(self.read(|state| Ok(state.packs.values().cloned().collect())))
    }

    fn add_pack<'a>(&'a self, pack: &'a NewPack) -> Answer<'a, PackKey> {
        answer!(self.write(|state, _| state.add_pack(pack)))
    }

    fn seal_pack(&self, pack: PackKey, progress: PackProgress) -> Answer<'_, ()> {
        answer!(self.write(|state, _| state.seal_pack(pack, progress)))
    }

    fn remove_pack(&self, pack: PackKey) -> Answer<'_, ()> {
        answer!(self.write(|state, _| state.remove_pack(pack)))
    }

    fn skeleton_candidates(
        &self,
        tenant: TenantKey,
        after: ItemKey,
        limit: u32,
    ) -> Answer<'_, CandidatePage<ItemKey>> {
        answer!(self.read(|state| state.skeleton_candidates(tenant, after, limit)))
    }

    fn object_candidates(
        &self,
        tenant: TenantKey,
        after: ObjectKey,
        limit: u32,
    ) -> Answer<'_, CandidatePage<ObjectKey>> {
        answer!(self.read(|state| state.object_candidates(tenant, after, limit)))
    }

    fn relocate<'a>(&'a self, tenant: TenantKey, moves: &'a [Relocation], day: i64) -> Answer<'a, u64> {
        answer!(self.write(|state, _| state.relocate(tenant, moves, day)))
    }

    fn change_copies<'a>(
        &'a self,
        tenant: TenantKey,
        changes: &'a [CopyChange],
        day: i64,
    ) -> Answer<'a, u64> {
        answer!(self.write(|state, _| state.change_copies(tenant, changes, day)))
    }

    fn frames_in_use(&self) -> Answer<'_, Vec<FrameUse>> {
        answer!(self.read(State::frames_in_use))
    }

    fn units_in<'a>(&'a self, tenant: TenantKey, packs: &'a [PackKey]) -> Answer<'a, Vec<LocatedUnit>> {
        answer!(self.read(|state| state.units_in(tenant, packs)))
    }

    fn move_dictionary<'a>(&'a self, change: &'a DictionaryMove) -> Answer<'a, bool> {
        answer!(self.write(|state, _| state.move_dictionary(change)))
    }

    fn add_reads<'a>(&'a self, reads: &'a [AccessRow]) -> Answer<'a, ()> {
        answer!(self.write(|state, _| {
            state.add_reads(reads);
            Ok(())
        }))
    }

    fn access(&self, item: ItemKey) -> Answer<'_, Option<AccessRow>> {
        let row = move |(day, reads)| AccessRow { item, day, reads };
        answer!(self.read(|state| Ok(state.access(item).map(row))))
    }

    fn forget_reads_before(&self, day: i64) -> Answer<'_, ()> {
        answer!(self.write(|state, _| {
            state.reads.retain(|(_, read), _| *read >= day);
            Ok(())
        }))
    }

    fn dictionary(&self, id: Uuid) -> Answer<'_, Option<DictionaryRow>> {
        answer!(self.read(|state| {
            let rows = state.dictionary_rows(None)?;
            Ok(rows.into_iter().find(|row| row.dictionary.id == id))
        }))
    }

    fn dictionaries(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<DictionaryRow>> {
        answer!(self.read(|state| state.dictionary_rows(tenant)))
    }

    fn add_dictionary<'a>(&'a self, dictionary: &'a NewDictionary) -> Answer<'a, DictionaryKey> {
        answer!(self.write(|state, _| state.add_dictionary(dictionary)))
    }

    fn add_pack_dictionaries<'a>(
        &'a self,
        pack: PackKey,
        dictionaries: &'a [DictionaryKey],
    ) -> Answer<'a, ()> {
        answer!(self.write(|state, _| state.add_pack_dictionaries(pack, dictionaries)))
    }

    fn add_pack_recoding<'a>(&'a self, pack: PackKey, sums: &'a [(Uuid, RecodedBytes)]) -> Answer<'a, ()> {
        answer!(self.write(|state, _| state.add_pack_recoding(pack, sums)))
    }

    fn recoding(&self, tenant: Option<TenantKey>) -> Answer<'_, RecodedBytes> {
        answer!(self.read(|state| Ok(state.recoding(tenant))))
    }

    fn recoding_by_pack(&self) -> Answer<'_, Vec<(PackKey, RecodedBytes)>> {
        answer!(self.read(|state| Ok(state.recoding_by_pack())))
    }

    fn remove_unreferenced(&self, limit: u32, day: i64, dry_run: bool) -> Answer<'_, u64> {
        answer!(if dry_run {
            self.read(|state| Ok(u64::try_from(state.unreferenced().len()).unwrap_or(u64::MAX)))
        } else {
            self.write(|state, _| state.remove_unreferenced(limit, day))
        })
    }

    fn dead_packs(&self) -> Answer<'_, Vec<PackRow>> {
        answer!(self.read(|state| Ok(state.dead_packs())))
    }

    fn condemn<'a>(&'a self, packs: &'a [PackKey], at: Timestamp) -> Answer<'a, ()> {
        answer!(self.write(|state, _| {
            state.condemn(packs, at);
            Ok(())
        }))
    }

    fn prune(&self, before: Timestamp) -> Answer<'_, ()> {
        answer!(self.write(|state, _| {
            state.prune(before);
            Ok(())
        }))
    }

    fn shrink(&self) -> Answer<'_, ()> {
        answer!(self.read(|_| Ok(())))
    }

    fn statistics(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<StatisticsRow>> {
        answer!(self.read(|state| Ok(state.statistics_rows(tenant))))
    }

    fn counted(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<StatisticsRow>> {
        answer!(self.read(|state| state.counted(tenant)))
    }

    fn objects_by_class(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<(u8, u64, u64)>> {
        answer!(self.read(|state| Ok(state.objects_by_class(tenant))))
    }

    fn start_job<'a>(&'a self, kind: &'a str, at: Timestamp) -> Answer<'a, JobKey> {
        answer!(self.write(|state, _| state.start_job(kind, at)))
    }

    fn end_job<'a>(&'a self, job: JobKey, state: &'a str, detail: &'a str, at: Timestamp) -> Answer<'a, ()> {
        answer!(self.write(|rows, _| rows.end_job(job, (state, detail), at)))
    }

    fn stop_orphaned_jobs(&self, at: Timestamp) -> Answer<'_, ()> {
        answer!(self.write(|state, _| {
            state.stop_orphaned_jobs(at);
            Ok(())
        }))
    }

    fn jobs(&self) -> Answer<'_, Vec<JobRow>> {
        answer!(self.read(|state| Ok(state.job_rows())))
    }

    fn bytes(&self) -> Answer<'_, u64> {
        answer!(self.make_durable(false).and_then(|()| self.read(|state| {
            let rows = state.tenants.len() + state.packs.len() + state.items.len() + state.objects.len();
            Ok(u64::try_from(rows).unwrap_or(u64::MAX).saturating_mul(ROW_BYTES))
        })))
    }

    fn barrier(&self) -> Answer<'_, ()> {
        answer!(self.make_durable(false))
    }

    fn close(&self) -> Answer<'_, ()> {
        answer!(self.make_durable(true))
    }
}
