//! Checking, mending and rebuilding, as SQLite does it.

use std::collections::BTreeMap;

use futures::FutureExt;
use sqlx::QueryBuilder;
use sqlx::Sqlite;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::catalog::Answer;
use crate::catalog::integrity::CheckedItem;
use crate::catalog::integrity::Integrity;
use crate::catalog::integrity::Restored;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::Statistics;
use crate::catalog::rows::StatisticsRow;
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::sqlite::callers;
use crate::catalog::sqlite::commit::blob;
use crate::catalog::sqlite::commit::keep_gone;
use crate::catalog::sqlite::commit::raise_sequence;
use crate::catalog::sqlite::erasure;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_uuid;
use crate::catalog::sqlite::fields::key_lists;
use crate::catalog::sqlite::insight::COUNTED;
use crate::catalog::sqlite::insight::add_statistics;
use crate::catalog::sqlite::insight::statistics_row;
use crate::catalog::sqlite::items::ITEM;
use crate::catalog::sqlite::items::OBJECT;
use crate::catalog::sqlite::items::item;
use crate::catalog::sqlite::items::object;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Tier;

/// Complaints of the database that are told at most.
const COMPLAINTS_MAX: usize = 100;

impl Integrity for SqliteCatalog {
    fn self_check(&self) -> Answer<'_, Vec<String>> {
        self_check(&self.readers).boxed()
    }

    fn items_by_uuid<'a>(&'a self, tenant: TenantKey, ids: &'a [Uuid]) -> Answer<'a, Vec<CheckedItem>> {
        items_by_uuid(&self.readers, tenant, ids).boxed()
    }

    fn item_page(&self, tenant: TenantKey, after: ItemKey, limit: u32) -> Answer<'_, Vec<CheckedItem>> {
        item_page(&self.readers, tenant, after, limit).boxed()
    }

    fn object_page(&self, tenant: TenantKey, after: ObjectKey, limit: u32) -> Answer<'_, Vec<ObjectRow>> {
        object_page(&self.readers, tenant, after, limit).boxed()
    }

    fn items_of_object(&self, object: ObjectKey, limit: u32) -> Answer<'_, Vec<Uuid>> {
        items_of_object(&self.readers, object, limit).boxed()
    }

    fn objects_inside<'a>(&'a self, objects: &'a [ObjectKey]) -> Answer<'a, Vec<ObjectKey>> {
        objects_inside(&self.readers, objects).boxed()
    }

    fn dictionaries_of_pack(&self, pack: PackKey) -> Answer<'_, Vec<DictionaryKey>> {
        dictionaries_of_pack(&self.readers, pack).boxed()
    }

    fn checked_packs(&self) -> Answer<'_, Vec<(PackKey, Timestamp)>> {
        checked_packs(&self.readers).boxed()
    }

    fn mark_checked(&self, pack: PackKey, at: Timestamp) -> Answer<'_, ()> {
        mark_checked(&self.writer, pack, at).boxed()
    }

    fn statistics_drift(&self) -> Answer<'_, Vec<StatisticsRow>> {
        statistics_drift(&self.readers).boxed()
    }

    fn recount(&self, day: i64) -> Answer<'_, u64> {
        recount(&self.writer, day).boxed()
    }

    fn quarantine<'a>(&'a self, objects: &'a [ObjectKey], at: Timestamp) -> Answer<'a, ()> {
        quarantine(&self.writer, objects, at).boxed()
    }

    fn restore<'a>(&'a self, restored: &'a Restored) -> Answer<'a, ()> {
        restore(&self.writer, restored).boxed()
    }

    fn sequence(&self) -> Answer<'_, u64> {
        sequence(&self.readers).boxed()
    }
}

async fn self_check(pool: &SqlitePool) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let checked = sqlx::query("PRAGMA quick_check").fetch_all(pool).await;
    for row in checked.map_err(failed("checking itself"))? {
        let line: String = get(&row, 0)?;
        if line != "ok" {
            complaints.push(line);
        }
    }
    let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(pool).await;
    for row in dangling.map_err(failed("checking itself"))?.iter().take(COMPLAINTS_MAX) {
        let (table, parent): (String, String) = (get(row, 0)?, get(row, 2)?);
        let number: Option<i64> = get(row, 1)?;
        let which = number.map_or_else(String::new, |number| format!(" {number}"));
        complaints.push(format!("Row{which} of {table} refers to a row of {parent} that is not there."));
    }
    complaints.truncate(COMPLAINTS_MAX);
    Ok(complaints)
}

fn checked_item(row: &SqliteRow) -> Result<CheckedItem> {
    let (message_id_hash, checked) = (get(row, "message_id_hash")?, item(row)?);
    let is_found = callers::is_kept(row, checked.caller_id.as_deref())?;
    Ok(CheckedItem { row: checked, message_id_hash, is_found })
}

async fn items_by_uuid(pool: &SqlitePool, tenant: TenantKey, ids: &[Uuid]) -> Result<Vec<CheckedItem>> {
    let mut found = Vec::new();
    for keys in key_lists(ids) {
        let mut sql = QueryBuilder::<Sqlite>::new(ITEM);
        let _ = sql.push("WHERE m.tenant_id = ").push_bind(tenant.0);
        let _ = sql.push(" AND m.kind IN (0, 1) AND m.uuid IN (");
        let mut list = sql.separated(", ");
        for id in keys {
            let _ = list.push_bind(blob(*id));
        }
        let _ = sql.push(")");
        let rows = sql.build().fetch_all(pool).await.map_err(failed("looking up ids"))?;
        for row in &rows {
            found.push(checked_item(row)?);
        }
    }
    Ok(found)
}

async fn item_page(
    pool: &SqlitePool,
    tenant: TenantKey,
    after: ItemKey,
    limit: u32,
) -> Result<Vec<CheckedItem>> {
    let mut sql = QueryBuilder::<Sqlite>::new(ITEM);
    let _ = sql.push("WHERE m.tenant_id = ").push_bind(tenant.0).push(" AND m.id > ").push_bind(after.0);
    let _ = sql.push(" ORDER BY m.id LIMIT ").push_bind(i64::from(limit));
    let rows = sql.build().fetch_all(pool).await.map_err(failed("reading items"))?;
    rows.iter().map(checked_item).collect()
}

async fn object_page(
    pool: &SqlitePool,
    tenant: TenantKey,
    after: ObjectKey,
    limit: u32,
) -> Result<Vec<ObjectRow>> {
    let mut sql = QueryBuilder::<Sqlite>::new(OBJECT);
    let _ = sql.push("WHERE o.tenant_id = ").push_bind(tenant.0).push(" AND o.id > ").push_bind(after.0);
    let _ = sql.push(" ORDER BY o.id LIMIT ").push_bind(i64::from(limit));
    let rows = sql.build().fetch_all(pool).await.map_err(failed("reading objects"))?;
    rows.iter().map(|row| object(row, "id")).collect()
}

async fn items_of_object(pool: &SqlitePool, object: ObjectKey, limit: u32) -> Result<Vec<Uuid>> {
    let rows = sqlx::query(
        "SELECT DISTINCT m.uuid FROM email_content c JOIN email_messages m ON m.id = c.message_id \
         WHERE c.object_id = ? ORDER BY m.uuid LIMIT ?",
    )
    .bind(object.0)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed("looking up references"))?;
    rows.iter().map(|row| get_uuid(row, "uuid")).collect()
}

async fn objects_inside(pool: &SqlitePool, objects: &[ObjectKey]) -> Result<Vec<ObjectKey>> {
    let mut found = Vec::new();
    for keys in key_lists(objects) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT DISTINCT c.object_id FROM email_content c JOIN email_messages m ON m.id = c.message_id \
             JOIN content_objects o ON o.id = c.object_id WHERE m.bytes > o.bytes AND c.object_id IN (",
        );
        let mut list = sql.separated(", ");
        for key in keys {
            let _ = list.push_bind(key.0);
        }
        let _ = sql.push(")");
        let rows = sql.build().fetch_all(pool).await.map_err(failed("looking up references"))?;
        for row in &rows {
            found.push(ObjectKey(get(row, 0)?));
        }
    }
    Ok(found)
}

async fn dictionaries_of_pack(pool: &SqlitePool, pack: PackKey) -> Result<Vec<DictionaryKey>> {
    let rows = sqlx::query("SELECT dictionary_id FROM content_pack_dictionaries WHERE pack_id = ?")
        .bind(pack.0)
        .fetch_all(pool)
        .await
        .map_err(failed("looking up dictionaries"))?;
    rows.iter().map(|row| Ok(DictionaryKey(get(row, 0)?))).collect()
}

async fn checked_packs(pool: &SqlitePool) -> Result<Vec<(PackKey, Timestamp)>> {
    let rows = sqlx::query("SELECT id, checked FROM content_packs WHERE checked IS NOT NULL")
        .fetch_all(pool)
        .await
        .map_err(failed("listing packs"))?;
    rows.iter().map(|row| Ok((PackKey(get(row, "id")?), Timestamp(get(row, "checked")?)))).collect()
}

async fn mark_checked(pool: &SqlitePool, pack: PackKey, at: Timestamp) -> Result<()> {
    let _ = sqlx::query("UPDATE content_packs SET checked = ? WHERE id = ?")
        .bind(at.0)
        .bind(pack.0)
        .execute(pool)
        .await
        .map_err(failed("marking a pack"))?;
    Ok(())
}

type Sums = BTreeMap<(TenantKey, Tier), Statistics>;

async fn statistics_drift(pool: &SqlitePool) -> Result<Vec<StatisticsRow>> {
    let mut tx = pool.begin().await.map_err(failed("counting"))?;
    let drift = drift(&mut tx).await?;
    tx.rollback().await.map_err(failed("counting"))?;
    Ok(drift.into_iter().map(|((tenant, tier), sums)| StatisticsRow { tenant, day: 0, tier, sums }).collect())
}

/// Counted rows less increments, of one moment.
async fn drift(tx: &mut SqliteConnection) -> Result<Sums> {
    let counted =
        sqlx::query(COUNTED).bind(None::<i64>).fetch_all(&mut *tx).await.map_err(failed("counting"))?;
    let added = sqlx::query("SELECT * FROM content_retention_statistics")
        .fetch_all(&mut *tx)
        .await
        .map_err(failed("counting"))?;
    let mut sums = Sums::new();
    for (rows, sign) in [(counted, 1), (added, -1)] {
        for row in &rows {
            let row = statistics_row(row)?;
            add(sums.entry((row.tenant, row.tier)).or_default(), &row.sums, sign);
        }
    }
    sums.retain(|_, sum| *sum != Statistics::default());
    Ok(sums)
}

/// Adds what describes the present state.
fn add(sum: &mut Statistics, other: &Statistics, sign: i64) {
    sum.messages += sign * other.messages;
    sum.contents += sign * other.contents;
    sum.logical_bytes += sign * other.logical_bytes;
    sum.referenced_bytes += sign * other.referenced_bytes;
    sum.objects += sign * other.objects;
    sum.object_bytes += sign * other.object_bytes;
    sum.skeletons += sign * other.skeletons;
    sum.skeleton_bytes += sign * other.skeleton_bytes;
    sum.copy_bytes += sign * other.copy_bytes;
}

async fn recount(pool: &SqlitePool, day: i64) -> Result<u64> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("counting"))?;
    let sums = drift(&mut tx).await?;
    add_statistics(&mut tx, &sums, day).await?;
    tx.commit().await.map_err(failed("counting"))?;
    Ok(sums.len() as u64)
}

async fn quarantine(pool: &SqlitePool, objects: &[ObjectKey], at: Timestamp) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("quarantining"))?;
    for object in objects {
        let sql = "UPDATE content_objects SET quarantined = ? WHERE id = ? AND quarantined IS NULL";
        let _ = sqlx::query(sql)
            .bind(at.0)
            .bind(object.0)
            .execute(&mut *tx)
            .await
            .map_err(failed("quarantining"))?;
    }
    tx.commit().await.map_err(failed("quarantining"))
}

async fn restore(pool: &SqlitePool, restored: &Restored) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("restoring"))?;
    for (tenant, policy) in &restored.policies {
        let _ = sqlx::query("UPDATE tenants SET policy = ? WHERE id = ?")
            .bind(policy)
            .bind(tenant.0)
            .execute(&mut *tx)
            .await
            .map_err(failed("restoring"))?;
    }
    for delete in &restored.deleted {
        keep_gone(&mut tx, delete).await?;
    }
    for erase in &restored.erased {
        keep_gone(&mut tx, &erase.delete).await?;
        erasure::add(&mut tx, erase).await?;
    }
    raise_sequence(&mut tx, restored.sequence).await?;
    tx.commit().await.map_err(failed("restoring"))
}

async fn sequence(pool: &SqlitePool) -> Result<u64> {
    let row = sqlx::query("SELECT value FROM catalog_marks WHERE name = 'sequence'")
        .fetch_optional(pool)
        .await
        .map_err(failed("reading marks"))?;
    let value = row.map(|row| get::<i64, _>(&row, 0)).transpose()?;
    Ok(value.map_or(0, |value| u64::try_from(value).unwrap_or(0)))
}
