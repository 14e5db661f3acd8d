//! Rows of dictionaries.

use sqlx::AssertSqlSafe;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::NewDictionary;
use crate::catalog::sqlite::commit::blob;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_flag;
use crate::catalog::sqlite::fields::get_u8;
use crate::catalog::sqlite::fields::get_u32;
use crate::catalog::sqlite::fields::get_u64;
use crate::catalog::sqlite::fields::get_uuid;
use crate::catalog::sqlite::fields::int;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;

fn dictionary(row: &SqliteRow) -> Result<DictionaryRow> {
    Ok(DictionaryRow {
        key: DictionaryKey(get(row, "id")?),
        dictionary: NewDictionary {
            tenant: TenantKey(get(row, "tenant_id")?),
            id: get_uuid(row, "uuid")?,
            class: get_u8(row, "class")?,
            trained: !get_flag(row, "origin")?,
            version: get_u32(row, "version")?,
            pack: PackKey(get(row, "pack_id")?),
            frame: get_u32(row, "frame")?,
            bytes: get_u64(row, "bytes")?,
            stored_bytes: get_u64(row, "stored_bytes")?,
            gain: get(row, "gain")?,
            created: Timestamp(get(row, "created")?),
        },
        pack_name: get_uuid(row, "pack_uuid")?,
        active: !get_flag(row, "state")?,
        packs: get_u64(row, "packs")?,
    })
}

const ROWS: &str = "SELECT d.*, p.uuid AS pack_uuid, \
    (SELECT count(*) FROM content_pack_dictionaries n WHERE n.dictionary_id = d.id) AS packs \
    FROM content_dictionaries d JOIN content_packs p ON p.id = d.pack_id ";

pub(super) async fn by_uuid(pool: &SqlitePool, id: Uuid) -> Result<Option<DictionaryRow>> {
    let row = sqlx::query(AssertSqlSafe(format!("{ROWS} WHERE d.uuid = ?")))
        .bind(blob(id))
        .fetch_optional(pool)
        .await
        .map_err(failed("looking up a dictionary"))?;
    row.as_ref().map(dictionary).transpose()
}

pub(super) async fn all(pool: &SqlitePool, tenant: Option<TenantKey>) -> Result<Vec<DictionaryRow>> {
    let rows =
        sqlx::query(AssertSqlSafe(format!("{ROWS} WHERE ?1 IS NULL OR d.tenant_id = ?1 ORDER BY d.id")))
            .bind(tenant.map(|tenant| tenant.0))
            .fetch_all(pool)
            .await
            .map_err(failed("listing dictionaries"))?;
    rows.iter().map(dictionary).collect()
}

pub(super) async fn add(pool: &SqlitePool, new: &NewDictionary) -> Result<DictionaryKey> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("adding a dictionary"))?;
    let _ = sqlx::query("UPDATE content_dictionaries SET state = 1 WHERE tenant_id = ? AND class = ?")
        .bind(new.tenant.0)
        .bind(i64::from(new.class))
        .execute(&mut *tx)
        .await
        .map_err(failed("adding a dictionary"))?;
    let row = sqlx::query(
        "INSERT INTO content_dictionaries (tenant_id, uuid, class, origin, state, pack_id, frame, bytes, \
         stored_bytes, gain, created, version) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(new.tenant.0)
    .bind(blob(new.id))
    .bind(i64::from(new.class))
    .bind(i64::from(!new.trained))
    .bind(new.pack.0)
    .bind(i64::from(new.frame))
    .bind(int(new.bytes))
    .bind(int(new.stored_bytes))
    .bind(new.gain)
    .bind(new.created.0)
    .bind(i64::from(new.version))
    .fetch_one(&mut *tx)
    .await
    .map_err(failed("adding a dictionary"))?;
    tx.commit().await.map_err(failed("adding a dictionary"))?;
    Ok(DictionaryKey(get(&row, 0)?))
}

pub(super) async fn add_needed(pool: &SqlitePool, pack: PackKey, needed: &[DictionaryKey]) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("noting dictionaries"))?;
    for dictionary in needed {
        let _ = sqlx::query(
            "INSERT INTO content_pack_dictionaries (pack_id, dictionary_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(pack.0)
        .bind(dictionary.0)
        .execute(&mut *tx)
        .await
        .map_err(failed("noting dictionaries"))?;
    }
    tx.commit().await.map_err(failed("noting dictionaries"))
}
