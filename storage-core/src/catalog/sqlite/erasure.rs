//! Erasures, as SQLite does them.

use futures::FutureExt;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::catalog::Answer;
use crate::catalog::erasure::Erasures;
use crate::catalog::rows::ErasureRow;
use crate::catalog::rows::GoneId;
use crate::catalog::rows::ItemErase;
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::sqlite::commit::blob;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::corrupt;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_uuid;
use crate::catalog::sqlite::fields::kind_code;
use crate::catalog::sqlite::fields::kind_of;
use crate::catalog::sqlite::sweep::vacuum;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::ids::TenantKey;
use crate::model::ItemKind;
use crate::model::Sha256;

impl Erasures for SqliteCatalog {
    fn pending_erasures(&self) -> Answer<'_, Vec<ErasureRow>> {
        pending(&self.readers).boxed()
    }

    fn erasure(&self, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Answer<'_, Option<ErasureRow>> {
        find(&self.readers, tenant, kind, id).boxed()
    }

    fn end_erasures<'a>(&'a self, items: &'a [(TenantKey, ItemKind, Uuid)], at: Timestamp) -> Answer<'a, ()> {
        end(&self.writer, items, at).boxed()
    }

    fn hide_gone_ids<'a>(&'a self, ids: &'a [GoneId]) -> Answer<'a, ()> {
        hide(&self.writer, ids).boxed()
    }

    fn retire_dictionaries<'a>(&'a self, dictionaries: &'a [DictionaryKey]) -> Answer<'a, ()> {
        retire(&self.writer, dictionaries).boxed()
    }

    fn expunge(&self) -> Answer<'_, u64> {
        async {
            rewrite(&self.writer).await?;
            self.measure().await
        }
        .boxed()
    }
}

fn erasure(row: &SqliteRow) -> Result<ErasureRow> {
    let hashes: Vec<u8> = get(row, "hashes")?;
    let (hashes, rest) = hashes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(corrupt("hashes"));
    }
    Ok(ErasureRow {
        tenant: TenantKey(get(row, "tenant_id")?),
        kind: kind_of(get(row, "kind")?)?,
        id: get_uuid(row, "uuid")?,
        requested: Timestamp(get(row, "requested")?),
        erased: get::<Option<i64>, _>(row, "erased")?.map(Timestamp),
        hashes: hashes.iter().map(|hash| Sha256(*hash)).collect(),
    })
}

async fn pending(pool: &SqlitePool) -> Result<Vec<ErasureRow>> {
    let rows = sqlx::query("SELECT * FROM email_erasures WHERE erased IS NULL ORDER BY id")
        .fetch_all(pool)
        .await
        .map_err(failed("looking up erasures"))?;
    rows.iter().map(erasure).collect()
}

async fn find(pool: &SqlitePool, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Result<Option<ErasureRow>> {
    let row = sqlx::query("SELECT * FROM email_erasures WHERE tenant_id = ? AND kind = ? AND uuid = ?")
        .bind(tenant.0)
        .bind(kind_code(kind))
        .bind(blob(id))
        .fetch_optional(pool)
        .await
        .map_err(failed("looking up an erasure"))?;
    row.as_ref().map(erasure).transpose()
}

/// Notes that an item is to be erased. One that is noted already stays as it is.
pub(super) async fn add(tx: &mut SqliteConnection, erase: &ItemErase) -> Result<()> {
    let delete = &erase.delete;
    let hashes: Vec<u8> = erase.hashes.iter().flat_map(|hash| hash.0).collect();
    let _ = sqlx::query(
        "INSERT INTO email_erasures (tenant_id, kind, uuid, requested, hashes) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT DO NOTHING",
    )
    .bind(delete.tenant.0)
    .bind(kind_code(delete.kind))
    .bind(blob(delete.id))
    .bind(delete.deleted.0)
    .bind(hashes)
    .execute(tx)
    .await
    .map_err(failed("noting an erasure"))?;
    Ok(())
}

async fn end(pool: &SqlitePool, items: &[(TenantKey, ItemKind, Uuid)], at: Timestamp) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("ending erasures"))?;
    for (tenant, kind, id) in items {
        let _ = sqlx::query(
            "UPDATE email_erasures SET erased = ?, hashes = x'' \
             WHERE tenant_id = ? AND kind = ? AND uuid = ? AND erased IS NULL",
        )
        .bind(at.0)
        .bind(tenant.0)
        .bind(kind_code(*kind))
        .bind(blob(*id))
        .execute(&mut *tx)
        .await
        .map_err(failed("ending erasures"))?;
    }
    tx.commit().await.map_err(failed("ending erasures"))
}

async fn hide(pool: &SqlitePool, ids: &[GoneId]) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("hiding ids"))?;
    for id in ids {
        let _ = sqlx::query(
            "INSERT INTO email_tombstones (tenant_id, kind, caller_id, deleted) \
             SELECT tenant_id, kind, ?, deleted FROM email_tombstones \
             WHERE tenant_id = ? AND kind = ? AND caller_id = ? \
             ON CONFLICT DO UPDATE SET deleted = max(deleted, excluded.deleted)",
        )
        .bind(&id.to)
        .bind(id.tenant.0)
        .bind(kind_code(id.kind))
        .bind(&id.from)
        .execute(&mut *tx)
        .await
        .map_err(failed("hiding ids"))?;
        let _ =
            sqlx::query("DELETE FROM email_tombstones WHERE tenant_id = ? AND kind = ? AND caller_id = ?")
                .bind(id.tenant.0)
                .bind(kind_code(id.kind))
                .bind(&id.from)
                .execute(&mut *tx)
                .await
                .map_err(failed("hiding ids"))?;
    }
    tx.commit().await.map_err(failed("hiding ids"))
}

async fn retire(pool: &SqlitePool, dictionaries: &[DictionaryKey]) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("retiring dictionaries"))?;
    for dictionary in dictionaries {
        let _ = sqlx::query("UPDATE content_dictionaries SET state = 1 WHERE id = ?")
            .bind(dictionary.0)
            .execute(&mut *tx)
            .await
            .map_err(failed("retiring dictionaries"))?;
    }
    tx.commit().await.map_err(failed("retiring dictionaries"))
}

/// Builds the file anew from the rows that are there. The planner's samples of values are made anew, too. Pages are
/// zeroed before they are filled, so that nothing comes in through memory that was used before.
async fn rewrite(pool: &SqlitePool) -> Result<()> {
    let sampled =
        sqlx::query("SELECT name FROM sqlite_schema WHERE name IN ('sqlite_stat3', 'sqlite_stat4')")
            .fetch_all(pool)
            .await
            .map_err(failed("expunging"))?;
    if !sampled.is_empty() {
        let _ = sqlx::query("ANALYZE").execute(pool).await.map_err(failed("expunging"))?;
    }
    let _ = sqlx::query("PRAGMA secure_delete = ON").execute(pool).await.map_err(failed("expunging"))?;
    vacuum(pool).await?;
    let _ = sqlx::query("PRAGMA secure_delete = OFF").execute(pool).await.map_err(failed("expunging"))?;
    Ok(())
}
