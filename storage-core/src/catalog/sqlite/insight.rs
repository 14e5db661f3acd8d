//! Statistics and jobs.

use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use sqlx::Sqlite;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use crate::catalog::rows::JobRow;
use crate::catalog::rows::Statistics;
use crate::catalog::rows::StatisticsRow;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_u8;
use crate::catalog::sqlite::fields::get_u64;
use crate::catalog::sqlite::fields::tier_code;
use crate::catalog::sqlite::fields::tier_of;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::JobKey;
use crate::ids::TenantKey;
use crate::model::Tier;

/// Adds increments within a transaction.
pub(super) async fn add_statistics(
    tx: &mut SqliteConnection,
    sums: &BTreeMap<(TenantKey, Tier), Statistics>,
    day: i64,
) -> Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::<Sqlite>::new(
        "INSERT INTO content_retention_statistics (tenant_id, day, tier, messages, contents, logical_bytes, \
         referenced_bytes, objects, object_bytes, skeletons, skeleton_bytes, copy_bytes, moved_bytes, deleted_bytes) ",
    );
    let _ = sql.push_values(sums, |mut row, ((tenant, tier), sum)| {
        let _ = row.push_bind(tenant.0).push_bind(day).push_bind(tier_code(*tier));
        for value in columns(sum) {
            let _ = row.push_bind(value);
        }
    });
    let _ = sql.push(
        " ON CONFLICT DO UPDATE SET messages = messages + excluded.messages, contents = contents + excluded.contents, \
         logical_bytes = logical_bytes + excluded.logical_bytes, \
         referenced_bytes = referenced_bytes + excluded.referenced_bytes, objects = objects + excluded.objects, \
         object_bytes = object_bytes + excluded.object_bytes, skeletons = skeletons + excluded.skeletons, \
         skeleton_bytes = skeleton_bytes + excluded.skeleton_bytes, copy_bytes = copy_bytes + excluded.copy_bytes, \
         moved_bytes = moved_bytes + excluded.moved_bytes, deleted_bytes = deleted_bytes + excluded.deleted_bytes",
    );
    let _ = sql.build().execute(tx).await.map_err(failed("counting"))?;
    Ok(())
}

fn columns(sum: &Statistics) -> [i64; 11] {
    [
        sum.messages,
        sum.contents,
        sum.logical_bytes,
        sum.referenced_bytes,
        sum.objects,
        sum.object_bytes,
        sum.skeletons,
        sum.skeleton_bytes,
        sum.copy_bytes,
        sum.moved_bytes,
        sum.deleted_bytes,
    ]
}

pub(super) fn statistics_row(row: &SqliteRow) -> Result<StatisticsRow> {
    Ok(StatisticsRow {
        tenant: TenantKey(get(row, "tenant_id")?),
        day: get(row, "day")?,
        tier: tier_of(get(row, "tier")?)?,
        sums: Statistics {
            messages: get(row, "messages")?,
            contents: get(row, "contents")?,
            logical_bytes: get(row, "logical_bytes")?,
            referenced_bytes: get(row, "referenced_bytes")?,
            objects: get(row, "objects")?,
            object_bytes: get(row, "object_bytes")?,
            skeletons: get(row, "skeletons")?,
            skeleton_bytes: get(row, "skeleton_bytes")?,
            copy_bytes: get(row, "copy_bytes")?,
            moved_bytes: get(row, "moved_bytes")?,
            deleted_bytes: get(row, "deleted_bytes")?,
        },
    })
}

pub(super) async fn statistics(pool: &SqlitePool, tenant: Option<TenantKey>) -> Result<Vec<StatisticsRow>> {
    let rows = sqlx::query(
        "SELECT * FROM content_retention_statistics WHERE ?1 IS NULL OR tenant_id = ?1 ORDER BY tenant_id, day, tier",
    )
    .bind(tenant.map(|tenant| tenant.0))
    .fetch_all(pool)
    .await
    .map_err(failed("reading statistics"))?;
    rows.iter().map(statistics_row).collect()
}

/// What the increments must add up to, counted from the rows of a tenant or of all.
pub(super) const COUNTED: &str = "WITH units AS ( \
       SELECT tenant_id, 0 AS tier, kind = 0 AS messages, kind = 1 AS contents, bytes AS logical_bytes, \
         skeleton_bytes + (SELECT coalesce(sum(o.bytes), 0) FROM email_content c \
           JOIN content_objects o ON o.id = c.object_id WHERE c.message_id = m.id) AS referenced_bytes, \
         0 AS objects, 0 AS object_bytes, 0 AS skeletons, 0 AS skeleton_bytes, 0 AS copy_bytes \
         FROM email_messages m \
       UNION ALL SELECT m.tenant_id, p.tier, 0, 0, 0, 0, 0, 0, 1, m.skeleton_bytes, 0 \
         FROM email_messages m JOIN content_packs p ON p.id = m.pack_id \
       UNION ALL SELECT o.tenant_id, p.tier, 0, 0, 0, 0, 1, o.bytes, 0, 0, 0 \
         FROM content_objects o JOIN content_packs p ON p.id = o.pack_id \
       UNION ALL SELECT m.tenant_id, p.tier, 0, 0, 0, 0, 0, 0, 0, 0, m.skeleton_bytes \
         FROM email_messages m JOIN content_packs p ON p.id = m.copy_pack_id \
       UNION ALL SELECT o.tenant_id, p.tier, 0, 0, 0, 0, 0, 0, 0, 0, o.bytes \
         FROM content_objects o JOIN content_packs p ON p.id = o.copy_pack_id) \
     SELECT tenant_id, 0 AS day, tier, sum(messages) AS messages, sum(contents) AS contents, \
       sum(logical_bytes) AS logical_bytes, sum(referenced_bytes) AS referenced_bytes, sum(objects) AS objects, \
       sum(object_bytes) AS object_bytes, sum(skeletons) AS skeletons, sum(skeleton_bytes) AS skeleton_bytes, \
       sum(copy_bytes) AS copy_bytes, 0 AS moved_bytes, 0 AS deleted_bytes \
     FROM units WHERE ?1 IS NULL OR tenant_id = ?1 GROUP BY tenant_id, tier";

pub(super) async fn counted(pool: &SqlitePool, tenant: Option<TenantKey>) -> Result<Vec<StatisticsRow>> {
    let rows = sqlx::query(COUNTED)
        .bind(tenant.map(|tenant| tenant.0))
        .fetch_all(pool)
        .await
        .map_err(failed("counting"))?;
    rows.iter().map(statistics_row).collect()
}

pub(super) async fn objects_by_class(
    pool: &SqlitePool,
    tenant: Option<TenantKey>,
) -> Result<Vec<(u8, u64, u64)>> {
    let rows = sqlx::query(
        "SELECT class, count(*) AS n, sum(bytes) AS bytes FROM content_objects \
         WHERE ?1 IS NULL OR tenant_id = ?1 GROUP BY class ORDER BY class",
    )
    .bind(tenant.map(|tenant| tenant.0))
    .fetch_all(pool)
    .await
    .map_err(failed("counting classes"))?;
    rows.iter().map(|row| Ok((get_u8(row, "class")?, get_u64(row, "n")?, get_u64(row, "bytes")?))).collect()
}

pub(super) async fn start_job(pool: &SqlitePool, kind: &str, at: Timestamp) -> Result<JobKey> {
    let row = sqlx::query(
        "INSERT INTO jobs (kind, state, created, detail) VALUES (?, 'running', ?, '') RETURNING id",
    )
    .bind(kind)
    .bind(at.0)
    .fetch_one(pool)
    .await
    .map_err(failed("starting a job"))?;
    Ok(JobKey(get(&row, 0)?))
}

pub(super) async fn end_job(
    pool: &SqlitePool,
    job: JobKey,
    (state, detail): (&str, &str),
    at: Timestamp,
) -> Result<()> {
    let _ = sqlx::query("UPDATE jobs SET state = ?, detail = ?, ended = ? WHERE id = ?")
        .bind(state)
        .bind(detail)
        .bind(at.0)
        .bind(job.0)
        .execute(pool)
        .await
        .map_err(failed("ending a job"))?;
    Ok(())
}

pub(super) async fn stop_orphaned_jobs(pool: &SqlitePool, at: Timestamp) -> Result<()> {
    let _ = sqlx::query(
        "UPDATE jobs SET state = 'stopped', ended = ?, detail = 'The process ended before the job did.' \
         WHERE state = 'running'",
    )
    .bind(at.0)
    .execute(pool)
    .await
    .map_err(failed("stopping jobs"))?;
    Ok(())
}

pub(super) async fn jobs(pool: &SqlitePool) -> Result<Vec<JobRow>> {
    let rows = sqlx::query("SELECT * FROM jobs ORDER BY id DESC LIMIT 100")
        .fetch_all(pool)
        .await
        .map_err(failed("listing jobs"))?;
    rows.iter()
        .map(|row| {
            Ok(JobRow {
                id: get(row, "id")?,
                kind: get(row, "kind")?,
                state: get(row, "state")?,
                created: Timestamp(get(row, "created")?),
                ended: get::<Option<i64>, _>(row, "ended")?.map(Timestamp),
                detail: get(row, "detail")?,
            })
        })
        .collect()
}
