//! The catalog in one SQLite file, for the embedded default. Knows SQL; knows nothing of packs' bytes.
//!
//! One connection writes, a few read; the log is SQLite's WAL. `synchronous = NORMAL` means that a commit may be
//! lost by a power failure but never torn: the packs' tail replays it (see `ops/recover.rs`). `barrier` checkpoints
//! the WAL with a sync, after which everything committed is in the database file.

mod callers;
mod commit;
mod compact;
mod dictionaries;
mod erasure;
mod external;
mod failure;
mod fields;
mod insight;
mod integrity;
mod items;
mod mend;
mod open;
mod packs;
mod recoding;
mod similar;
mod sweep;
#[cfg(test)]
mod tests;
mod tiering;

use std::path::Path;
use std::path::PathBuf;

use futures::FutureExt;
use sqlx::Row;
use sqlx::SqlitePool;
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
use crate::catalog::sqlite::failure::failed;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Kind;
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

/// The catalog in a SQLite file.
#[derive(Debug)]
pub struct SqliteCatalog {
    writer: SqlitePool,
    readers: SqlitePool,
    file: PathBuf,
    keys: commit::Keys,
}

impl SqliteCatalog {
    /// Opens or creates the catalog in `file` and brings its schema up to date.
    pub async fn open(file: &Path) -> Result<Self> {
        let (writer, readers) = open::pools(file).await?;
        callers::hash_older(&writer).await?;
        Ok(Self { writer, readers, file: file.to_owned(), keys: commit::Keys::default() })
    }

    async fn checkpoint(&self) -> Result<()> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&self.writer)
            .await
            .map_err(failed("checkpointing"))?;
        let busy: i64 = row.try_get(0).map_err(failed("checkpointing"))?;
        if busy != 0 {
            return Err(Error::new(
                Kind::Unavailable,
                "Another process reads the catalog and keeps it from being made durable. Try again.",
            ));
        }
        Ok(())
    }

    async fn measure(&self) -> Result<u64> {
        self.checkpoint().await?;
        let length = tokio::fs::metadata(&self.file)
            .await
            .map_err(|e| Error::io("The catalog's file cannot be read.", e))?;
        Ok(length.len())
    }

    async fn shut(&self) -> Result<()> {
        let durable = self.checkpoint().await;
        self.readers.close().await;
        self.writer.close().await;
        durable
    }
}

impl Catalog for SqliteCatalog {
    fn tenants(&self) -> Answer<'_, Vec<TenantRow>> {
        items::tenants(&self.readers).boxed()
    }

    fn commit<'a>(&'a self, group: &'a LogCommit) -> Answer<'a, ()> {
        commit::commit(&self.writer, &self.keys, group).boxed()
    }

    fn objects_by_hash<'a>(&'a self, tenant: TenantKey, hashes: &'a [Sha256]) -> Answer<'a, Vec<ObjectRow>> {
        items::objects_by_hash(&self.readers, tenant, hashes).boxed()
    }

    fn items_by_caller_id<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        ids: &'a [String],
    ) -> Answer<'a, Vec<ItemRow>> {
        items::by_caller_id(&self.readers, tenant, kind, ids).boxed()
    }

    fn deleted_caller_ids<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        ids: &'a [String],
        since: Timestamp,
    ) -> Answer<'a, Vec<String>> {
        items::deleted_caller_ids(&self.readers, tenant, kind, (ids, since)).boxed()
    }

    fn item_by_uuid(&self, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Answer<'_, Option<ItemRow>> {
        items::by_uuid(&self.readers, tenant, kind, id).boxed()
    }

    fn parts(&self, item: ItemKey) -> Answer<'_, Vec<PartRow>> {
        items::parts(&self.readers, item).boxed()
    }

    fn list<'a>(
        &'a self,
        tenant: TenantKey,
        kind: ItemKind,
        query: &'a ListQuery,
    ) -> Answer<'a, Vec<ItemRow>> {
        items::list(&self.readers, tenant, kind, query).boxed()
    }

    fn references(&self, object: ObjectKey) -> Answer<'_, u64> {
        items::references(&self.readers, object).boxed()
    }

    fn packs(&self) -> Answer<'_, Vec<PackRow>> {
        packs::all(&self.readers).boxed()
    }

    fn add_pack<'a>(&'a self, pack: &'a NewPack) -> Answer<'a, PackKey> {
        packs::add(&self.writer, pack).boxed()
    }

    fn seal_pack(&self, pack: PackKey, progress: PackProgress) -> Answer<'_, ()> {
        packs::seal(&self.writer, pack, progress).boxed()
    }

    fn remove_pack(&self, pack: PackKey) -> Answer<'_, ()> {
        packs::remove(&self.writer, pack).boxed()
    }

    fn skeleton_candidates(
        &self,
        tenant: TenantKey,
        after: ItemKey,
        limit: u32,
    ) -> Answer<'_, CandidatePage<ItemKey>> {
        tiering::skeletons(&self.readers, tenant, after, limit).boxed()
    }

    fn object_candidates(
        &self,
        tenant: TenantKey,
        after: ObjectKey,
        limit: u32,
    ) -> Answer<'_, CandidatePage<ObjectKey>> {
        tiering::objects(&self.readers, tenant, after, limit).boxed()
    }

    fn relocate<'a>(&'a self, tenant: TenantKey, moves: &'a [Relocation], day: i64) -> Answer<'a, u64> {
        tiering::relocate(&self.writer, tenant, moves, day).boxed()
    }

    fn change_copies<'a>(
        &'a self,
        tenant: TenantKey,
        changes: &'a [CopyChange],
        day: i64,
    ) -> Answer<'a, u64> {
        tiering::change_copies(&self.writer, tenant, changes, day).boxed()
    }

    fn frames_in_use(&self) -> Answer<'_, Vec<FrameUse>> {
        compact::frames_in_use(&self.readers).boxed()
    }

    fn units_in<'a>(&'a self, tenant: TenantKey, packs: &'a [PackKey]) -> Answer<'a, Vec<LocatedUnit>> {
        compact::units_in(&self.readers, tenant, packs).boxed()
    }

    fn add_reads<'a>(&'a self, reads: &'a [AccessRow]) -> Answer<'a, ()> {
        tiering::add_reads(&self.writer, reads).boxed()
    }

    fn access(&self, item: ItemKey) -> Answer<'_, Option<AccessRow>> {
        tiering::access(&self.readers, item).boxed()
    }

    fn forget_reads_before(&self, day: i64) -> Answer<'_, ()> {
        tiering::forget_reads_before(&self.writer, day).boxed()
    }

    fn dictionary(&self, id: Uuid) -> Answer<'_, Option<DictionaryRow>> {
        dictionaries::by_uuid(&self.readers, id).boxed()
    }

    fn dictionaries(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<DictionaryRow>> {
        dictionaries::all(&self.readers, tenant).boxed()
    }

    fn add_dictionary<'a>(&'a self, dictionary: &'a NewDictionary) -> Answer<'a, DictionaryKey> {
        dictionaries::add(&self.writer, dictionary).boxed()
    }

    fn move_dictionary<'a>(&'a self, change: &'a DictionaryMove) -> Answer<'a, bool> {
        compact::move_dictionary(&self.writer, change).boxed()
    }

    fn add_pack_dictionaries<'a>(
        &'a self,
        pack: PackKey,
        dictionaries: &'a [DictionaryKey],
    ) -> Answer<'a, ()> {
        dictionaries::add_needed(&self.writer, pack, dictionaries).boxed()
    }

    fn add_pack_recoding<'a>(&'a self, pack: PackKey, sums: &'a [(Uuid, RecodedBytes)]) -> Answer<'a, ()> {
        recoding::add(&self.writer, pack, sums).boxed()
    }

    fn recoding(&self, tenant: Option<TenantKey>) -> Answer<'_, RecodedBytes> {
        recoding::sum(&self.readers, tenant).boxed()
    }

    fn recoding_by_pack(&self) -> Answer<'_, Vec<(PackKey, RecodedBytes)>> {
        recoding::by_pack(&self.readers).boxed()
    }

    fn remove_unreferenced(&self, limit: u32, day: i64, dry_run: bool) -> Answer<'_, u64> {
        sweep::remove_unreferenced(&self.writer, limit, day, dry_run).boxed()
    }

    fn dead_packs(&self) -> Answer<'_, Vec<PackRow>> {
        sweep::dead_packs(&self.writer).boxed()
    }

    fn condemn<'a>(&'a self, packs: &'a [PackKey], at: Timestamp) -> Answer<'a, ()> {
        sweep::condemn(&self.writer, packs, at).boxed()
    }

    fn prune(&self, before: Timestamp) -> Answer<'_, ()> {
        sweep::prune(&self.writer, before).boxed()
    }

    fn shrink(&self) -> Answer<'_, ()> {
        sweep::shrink(&self.writer).boxed()
    }

    fn statistics(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<StatisticsRow>> {
        insight::statistics(&self.readers, tenant).boxed()
    }

    fn counted(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<StatisticsRow>> {
        insight::counted(&self.readers, tenant).boxed()
    }

    fn objects_by_class(&self, tenant: Option<TenantKey>) -> Answer<'_, Vec<(u8, u64, u64)>> {
        insight::objects_by_class(&self.readers, tenant).boxed()
    }

    fn start_job<'a>(&'a self, kind: &'a str, at: Timestamp) -> Answer<'a, JobKey> {
        insight::start_job(&self.writer, kind, at).boxed()
    }

    fn end_job<'a>(&'a self, job: JobKey, state: &'a str, detail: &'a str, at: Timestamp) -> Answer<'a, ()> {
        insight::end_job(&self.writer, job, (state, detail), at).boxed()
    }

    fn stop_orphaned_jobs(&self, at: Timestamp) -> Answer<'_, ()> {
        insight::stop_orphaned_jobs(&self.writer, at).boxed()
    }

    fn jobs(&self) -> Answer<'_, Vec<JobRow>> {
        insight::jobs(&self.readers).boxed()
    }

    fn bytes(&self) -> Answer<'_, u64> {
        self.measure().boxed()
    }

    fn barrier(&self) -> Answer<'_, ()> {
        self.checkpoint().boxed()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.shut().boxed()
    }
}
