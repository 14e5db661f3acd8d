//! What may move, moving it, and the reads that decide.

use std::collections::BTreeMap;

use sqlx::QueryBuilder;
use sqlx::Sqlite;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::catalog::rows::AccessRow;
use crate::catalog::rows::Candidate;
use crate::catalog::rows::CandidatePage;
use crate::catalog::rows::CopyChange;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::Statistics;
use crate::catalog::rows::UnitKey;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::chunks;
use crate::catalog::sqlite::fields::copy_location;
use crate::catalog::sqlite::fields::corrupt;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_sha;
use crate::catalog::sqlite::fields::get_u8;
use crate::catalog::sqlite::fields::get_u32;
use crate::catalog::sqlite::fields::get_u64;
use crate::catalog::sqlite::fields::get_uuid;
use crate::catalog::sqlite::fields::int;
use crate::catalog::sqlite::fields::location;
use crate::catalog::sqlite::fields::tier_of;
use crate::catalog::sqlite::insight::add_statistics;
use crate::catalog::sqlite::similar;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::ids::uuid_v7_time;
use crate::model::Tier;

pub(super) async fn skeletons(
    pool: &SqlitePool,
    tenant: TenantKey,
    after: ItemKey,
    limit: u32,
) -> Result<CandidatePage<ItemKey>> {
    let rows = sqlx::query(
        "SELECT m.id, m.uuid, m.skeleton_bytes, m.pin, m.pack_id, m.frame, m.entry, p.uuid AS pack_uuid, \
         p.tier AS pack_tier, m.copy_pack_id, m.copy_frame, m.copy_entry, cp.uuid AS copy_pack_uuid, \
         cp.tier AS copy_pack_tier, a.day AS read_day, a.reads AS reads \
         FROM email_messages m JOIN content_packs p ON p.id = m.pack_id \
         LEFT JOIN content_packs cp ON cp.id = m.copy_pack_id \
         LEFT JOIN (SELECT message_id, max(day) AS day, max(reads) AS reads FROM content_access_logs \
                    GROUP BY message_id) a ON a.message_id = m.id \
         WHERE m.tenant_id = ? AND m.id > ? AND (p.tier < 3 OR m.copy_pack_id IS NOT NULL OR a.day IS NOT NULL) \
         ORDER BY m.id LIMIT ?",
    )
    .bind(tenant.0)
    .bind(after.0)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed("planning"))?;
    let candidates = rows
        .iter()
        .map(|row| {
            let id = get_uuid(row, "uuid")?;
            Ok(Candidate {
                key: ItemKey(get(row, "id")?),
                id: Some(id),
                sha256: None,
                bytes: get_u64(row, "skeleton_bytes")?,
                class: 0,
                location: location(row)?,
                copy: copy_location(row)?,
                created: uuid_v7_time(id),
                read_day: get(row, "read_day")?,
                reads: reads(row)?,
                pin: pin(row)?,
                referenced: true,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(page(candidates, limit))
}

pub(super) async fn objects(
    pool: &SqlitePool,
    tenant: TenantKey,
    after: ObjectKey,
    limit: u32,
) -> Result<CandidatePage<ObjectKey>> {
    let rows = sqlx::query(
        "SELECT o.id, o.sha256, o.bytes, o.class, o.pack_id, o.frame, o.entry, p.uuid AS pack_uuid, \
         p.tier AS pack_tier, o.copy_pack_id, o.copy_frame, o.copy_entry, cp.uuid AS copy_pack_uuid, \
         cp.tier AS copy_pack_tier, max(m.uuid) AS newest, min(m.pin) AS pin, max(a.day) AS read_day, \
         max(a.reads) AS reads \
         FROM content_objects o JOIN content_packs p ON p.id = o.pack_id \
         LEFT JOIN content_packs cp ON cp.id = o.copy_pack_id \
         LEFT JOIN email_content c ON c.object_id = o.id LEFT JOIN email_messages m ON m.id = c.message_id \
         LEFT JOIN (SELECT message_id, max(day) AS day, max(reads) AS reads FROM content_access_logs \
                    GROUP BY message_id) a ON a.message_id = m.id \
         WHERE o.tenant_id = ? AND o.id > ? AND (p.tier < 3 OR o.copy_pack_id IS NOT NULL OR a.day IS NOT NULL) \
         GROUP BY o.id ORDER BY o.id LIMIT ?",
    )
    .bind(tenant.0)
    .bind(after.0)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed("planning"))?;
    let candidates = rows
        .iter()
        .map(|row| {
            let newest: Option<&[u8]> = get(row, "newest")?;
            let newest = newest.map(Uuid::from_slice).transpose().map_err(|_| corrupt("uuid"))?;
            Ok(Candidate {
                key: ObjectKey(get(row, "id")?),
                id: None,
                sha256: Some(get_sha(row, "sha256")?),
                bytes: get_u64(row, "bytes")?,
                class: get_u8(row, "class")?,
                location: location(row)?,
                copy: copy_location(row)?,
                created: newest.map_or(Timestamp(0), uuid_v7_time),
                read_day: get(row, "read_day")?,
                reads: reads(row)?,
                pin: pin(row)?,
                referenced: newest.is_some(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(page(candidates, limit))
}

fn reads(row: &SqliteRow) -> Result<u32> {
    Ok(get::<Option<i64>, _>(row, "reads")?.map_or(0, |reads| u32::try_from(reads).unwrap_or(u32::MAX)))
}

fn pin(row: &SqliteRow) -> Result<Option<Tier>> {
    get::<Option<i64>, _>(row, "pin")?.map(tier_of).transpose()
}

fn page<K: Copy>(candidates: Vec<Candidate<K>>, limit: u32) -> CandidatePage<K> {
    let full = candidates.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = if full { candidates.last().map(|last| last.key) } else { None };
    CandidatePage { candidates, next }
}

/// Counts of one tenant's tiers that a move changes.
type Increments = BTreeMap<(TenantKey, Tier), Statistics>;

pub(super) async fn relocate(
    pool: &SqlitePool,
    tenant: TenantKey,
    moves: &[Relocation],
    day: i64,
) -> Result<u64> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("moving"))?;
    let mut sums = Increments::new();
    let mut rows_changed = 0;
    for relocation in moves {
        let rows = relocate_one(&mut tx, tenant, relocation).await?;
        if rows > 0 {
            rows_changed += rows;
            count_move(&mut sums, tenant, relocation);
        }
    }
    add_statistics(&mut tx, &sums, day).await?;
    tx.commit().await.map_err(failed("moving"))?;
    Ok(rows_changed)
}

async fn relocate_one(tx: &mut SqliteConnection, tenant: TenantKey, change: &Relocation) -> Result<u64> {
    let object = match change.unit {
        UnitKey::Object(key) if !change.copy => Some(key),
        UnitKey::Object(_) | UnitKey::Skeleton(_) => None,
    };
    if let Some(key) = object
        && !similar::may_take(tx, tenant, key, change.form).await?
    {
        return Ok(0);
    }
    let rows = replace(tx, tenant, change).await?;
    if let (Some(key), 1..) = (object, rows) {
        similar::take_form(tx, key, change.form).await?;
    }
    Ok(rows)
}

async fn replace(tx: &mut SqliteConnection, tenant: TenantKey, change: &Relocation) -> Result<u64> {
    let (sql, key) = match (change.unit, change.copy) {
        (UnitKey::Skeleton(key), false) => (
            "UPDATE email_messages SET pack_id = ?, frame = ?, entry = ? \
             WHERE id = ? AND tenant_id = ? AND pack_id = ? AND frame = ? AND entry = ?",
            key.0,
        ),
        (UnitKey::Skeleton(key), true) => (
            "UPDATE email_messages SET copy_pack_id = ?, copy_frame = ?, copy_entry = ? \
             WHERE id = ? AND tenant_id = ? AND copy_pack_id = ? AND copy_frame = ? AND copy_entry = ?",
            key.0,
        ),
        (UnitKey::Object(key), false) => (
            "UPDATE content_objects SET pack_id = ?, frame = ?, entry = ?, quarantined = NULL \
             WHERE id = ? AND tenant_id = ? AND pack_id = ? AND frame = ? AND entry = ?",
            key.0,
        ),
        (UnitKey::Object(key), true) => (
            "UPDATE content_objects SET copy_pack_id = ?, copy_frame = ?, copy_entry = ? \
             WHERE id = ? AND tenant_id = ? AND copy_pack_id = ? AND copy_frame = ? AND copy_entry = ?",
            key.0,
        ),
    };
    let done = sqlx::query(sql)
        .bind(change.to.pack.0)
        .bind(i64::from(change.to.frame))
        .bind(i64::from(change.to.entry))
        .bind(key)
        .bind(tenant.0)
        .bind(change.from.pack.0)
        .bind(i64::from(change.from.frame))
        .bind(i64::from(change.from.entry))
        .execute(tx)
        .await
        .map_err(failed("moving"))?;
    Ok(done.rows_affected())
}

fn count_move(sums: &mut Increments, tenant: TenantKey, change: &Relocation) {
    let bytes = int(change.bytes);
    // A rewrite within a tier changes no sum.
    if change.from_tier == change.to_tier {
        return;
    }
    if change.copy {
        sums.entry((tenant, change.from_tier)).or_default().copy_bytes -= bytes;
        sums.entry((tenant, change.to_tier)).or_default().copy_bytes += bytes;
        return;
    }
    for (tier, sign) in [(change.from_tier, -1), (change.to_tier, 1)] {
        let sum = sums.entry((tenant, tier)).or_default();
        match change.unit {
            UnitKey::Skeleton(_) => {
                sum.skeletons += sign;
                sum.skeleton_bytes += sign * bytes;
            }
            UnitKey::Object(_) => {
                sum.objects += sign;
                sum.object_bytes += sign * bytes;
            }
        }
    }
    sums.entry((tenant, change.to_tier)).or_default().moved_bytes += bytes;
}

pub(super) async fn change_copies(
    pool: &SqlitePool,
    tenant: TenantKey,
    changes: &[CopyChange],
    day: i64,
) -> Result<u64> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("copying"))?;
    let mut sums = Increments::new();
    let mut rows_changed = 0;
    for change in changes {
        let rows = change_copy(&mut tx, tenant, change).await?;
        if rows > 0 {
            rows_changed += rows;
            let sign = if change.copy.is_some() { 1 } else { -1 };
            sums.entry((tenant, change.tier)).or_default().copy_bytes += sign * int(change.bytes);
        }
    }
    add_statistics(&mut tx, &sums, day).await?;
    tx.commit().await.map_err(failed("copying"))?;
    Ok(rows_changed)
}

/// Adds where there is none, drops where there is one: both conditions keep the statistics right.
async fn change_copy(tx: &mut SqliteConnection, tenant: TenantKey, change: &CopyChange) -> Result<u64> {
    let (add, drop) = match change.unit {
        UnitKey::Skeleton(_) => (
            "UPDATE email_messages SET copy_pack_id = ?, copy_frame = ?, copy_entry = ? \
             WHERE id = ? AND tenant_id = ? AND copy_pack_id IS NULL",
            "UPDATE email_messages SET copy_pack_id = NULL, copy_frame = NULL, copy_entry = NULL \
             WHERE id = ? AND tenant_id = ? AND copy_pack_id IS NOT NULL",
        ),
        UnitKey::Object(_) => (
            "UPDATE content_objects SET copy_pack_id = ?, copy_frame = ?, copy_entry = ? \
             WHERE id = ? AND tenant_id = ? AND copy_pack_id IS NULL",
            "UPDATE content_objects SET copy_pack_id = NULL, copy_frame = NULL, copy_entry = NULL \
             WHERE id = ? AND tenant_id = ? AND copy_pack_id IS NOT NULL",
        ),
    };
    let key = match change.unit {
        UnitKey::Skeleton(key) => key.0,
        UnitKey::Object(key) => key.0,
    };
    let query = match change.copy {
        Some(place) => sqlx::query(add)
            .bind(place.pack.0)
            .bind(i64::from(place.frame))
            .bind(i64::from(place.entry))
            .bind(key)
            .bind(tenant.0),
        None => sqlx::query(drop).bind(key).bind(tenant.0),
    };
    Ok(query.execute(tx).await.map_err(failed("copying"))?.rows_affected())
}

pub(super) async fn add_reads(pool: &SqlitePool, reads: &[AccessRow]) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("noting reads"))?;
    for chunk in chunks(reads) {
        // An item may have been deleted since it was read: the join leaves it out.
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO content_access_logs (message_id, day, reads) SELECT v.column1, v.column2, v.column3 FROM (",
        );
        let _ = sql.push_values(chunk, |mut row, read| {
            let _ = row.push_bind(read.item.0).push_bind(read.day).push_bind(i64::from(read.reads));
        });
        let _ = sql.push(
            ") v JOIN email_messages m ON m.id = v.column1 WHERE true \
             ON CONFLICT DO UPDATE SET reads = reads + excluded.reads",
        );
        let _ = sql.build().execute(&mut *tx).await.map_err(failed("noting reads"))?;
    }
    tx.commit().await.map_err(failed("noting reads"))
}

pub(super) async fn access(pool: &SqlitePool, item: ItemKey) -> Result<Option<AccessRow>> {
    let row = sqlx::query(
        "SELECT max(day) AS day, max(reads) AS reads FROM content_access_logs WHERE message_id = ? \
         HAVING count(*) > 0",
    )
    .bind(item.0)
    .fetch_optional(pool)
    .await
    .map_err(failed("looking up reads"))?;
    row.map(|row| Ok(AccessRow { item, day: get(&row, "day")?, reads: get_u32(&row, "reads")? })).transpose()
}

pub(super) async fn forget_reads_before(pool: &SqlitePool, day: i64) -> Result<()> {
    let _ = sqlx::query("DELETE FROM content_access_logs WHERE day < ?")
        .bind(day)
        .execute(pool)
        .await
        .map_err(failed("forgetting reads"))?;
    Ok(())
}
