//! Rows of what recoding did, by pack and tenant.

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::catalog::sqlite::commit::blob;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_u64;
use crate::catalog::sqlite::fields::int;
use crate::error::Result;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::pack::RecodedBytes;

pub(super) async fn add(pool: &SqlitePool, pack: PackKey, sums: &[(Uuid, RecodedBytes)]) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("noting what was recoded"))?;
    for (tenant, sum) in sums {
        let _ = sqlx::query(
            "INSERT INTO content_pack_recoding (pack_id, tenant_id, hidden_bytes, gain_bytes, similar_bytes) \
             SELECT ?, id, ?, ?, ? FROM tenants WHERE uuid = ? ON CONFLICT DO UPDATE SET \
             hidden_bytes = excluded.hidden_bytes, gain_bytes = excluded.gain_bytes, \
             similar_bytes = excluded.similar_bytes",
        )
        .bind(pack.0)
        .bind(sum.hidden)
        .bind(int(sum.gain))
        .bind(int(sum.similar))
        .bind(blob(*tenant))
        .execute(&mut *tx)
        .await
        .map_err(failed("noting what was recoded"))?;
    }
    tx.commit().await.map_err(failed("noting what was recoded"))
}

pub(super) async fn sum(pool: &SqlitePool, tenant: Option<TenantKey>) -> Result<RecodedBytes> {
    let row = sqlx::query(
        "SELECT coalesce(sum(hidden_bytes), 0) AS hidden, coalesce(sum(gain_bytes), 0) AS gain, \
         coalesce(sum(similar_bytes), 0) AS similar \
         FROM content_pack_recoding WHERE ?1 IS NULL OR tenant_id = ?1",
    )
    .bind(tenant.map(|tenant| tenant.0))
    .fetch_one(pool)
    .await
    .map_err(failed("adding up what was recoded"))?;
    recoded(&row)
}

pub(super) async fn by_pack(pool: &SqlitePool) -> Result<Vec<(PackKey, RecodedBytes)>> {
    let rows = sqlx::query(
        "SELECT pack_id, sum(hidden_bytes) AS hidden, sum(gain_bytes) AS gain, \
         sum(similar_bytes) AS similar FROM content_pack_recoding \
         GROUP BY pack_id ORDER BY pack_id",
    )
    .fetch_all(pool)
    .await
    .map_err(failed("adding up what was recoded"))?;
    rows.iter().map(|row| Ok((PackKey(get(row, "pack_id")?), recoded(row)?))).collect()
}

fn recoded(row: &SqliteRow) -> Result<RecodedBytes> {
    Ok(RecodedBytes {
        hidden: get(row, "hidden")?,
        gain: get_u64(row, "gain")?,
        similar: get_u64(row, "similar")?,
    })
}
