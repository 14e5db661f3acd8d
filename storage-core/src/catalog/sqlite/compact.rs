//! What a compaction needs to know of locations, and moving dictionaries.

use sqlx::QueryBuilder;
use sqlx::Sqlite;
use sqlx::SqlitePool;

use crate::catalog::rows::DictionaryMove;
use crate::catalog::rows::FrameUse;
use crate::catalog::rows::LocatedUnit;
use crate::catalog::rows::UnitKey;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::copy_location;
use crate::catalog::sqlite::fields::corrupt;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_sha;
use crate::catalog::sqlite::fields::get_u8;
use crate::catalog::sqlite::fields::get_u64;
use crate::catalog::sqlite::fields::get_uuid;
use crate::catalog::sqlite::fields::location;
use crate::error::Result;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;

/// Packs named in one statement: below SQLite's bound of parameters.
const PACKS_MAX: usize = 10_000;

pub(super) async fn frames_in_use(pool: &SqlitePool) -> Result<Vec<FrameUse>> {
    let rows = sqlx::query(
        "SELECT u.tenant_id, u.pack_id, CASE WHEN p.tier = 0 THEN NULL ELSE u.frame END AS in_frame, u.class, \
         sum(u.units) AS units, sum(u.bytes) AS bytes, min(u.first) AS first FROM ( \
           SELECT tenant_id, pack_id, frame, 0 AS class, count(*) AS units, sum(skeleton_bytes) AS bytes, \
             min(id) AS first FROM email_messages GROUP BY tenant_id, pack_id, frame \
           UNION ALL SELECT tenant_id, pack_id, frame, class, count(*), sum(bytes), min(id) \
             FROM content_objects GROUP BY tenant_id, pack_id, frame, class \
           UNION ALL SELECT tenant_id, copy_pack_id, copy_frame, 0, count(*), sum(skeleton_bytes), min(id) \
             FROM email_messages WHERE copy_pack_id IS NOT NULL GROUP BY tenant_id, copy_pack_id, copy_frame \
           UNION ALL SELECT tenant_id, copy_pack_id, copy_frame, class, count(*), sum(bytes), min(id) \
             FROM content_objects WHERE copy_pack_id IS NOT NULL \
             GROUP BY tenant_id, copy_pack_id, copy_frame, class) u \
         JOIN content_packs p ON p.id = u.pack_id \
         GROUP BY u.tenant_id, u.pack_id, in_frame, u.class",
    )
    .fetch_all(pool)
    .await
    .map_err(failed("planning"))?;
    rows.iter()
        .map(|row| {
            let frame: Option<i64> = get(row, "in_frame")?;
            Ok(FrameUse {
                tenant: TenantKey(get(row, "tenant_id")?),
                pack: PackKey(get(row, "pack_id")?),
                frame: frame.map(u32::try_from).transpose().map_err(|_| corrupt("frame"))?,
                class: get_u8(row, "class")?,
                units: get_u64(row, "units")?,
                bytes: get_u64(row, "bytes")?,
                first: get(row, "first")?,
            })
        })
        .collect()
}

/// The two columns of a location that a unit may have in a pack.
#[derive(Debug, Clone, Copy)]
enum Which {
    Primary,
    Second,
}

pub(super) async fn units_in(
    pool: &SqlitePool,
    tenant: TenantKey,
    packs: &[PackKey],
) -> Result<Vec<LocatedUnit>> {
    let mut units = Vec::new();
    for packs in packs.chunks(PACKS_MAX) {
        for which in [Which::Primary, Which::Second] {
            skeletons_in(pool, (tenant, packs), which, &mut units).await?;
            objects_in(pool, (tenant, packs), which, &mut units).await?;
        }
    }
    units.sort_by_key(|unit| match unit.unit {
        UnitKey::Skeleton(key) => (0, key.0, unit.copy),
        UnitKey::Object(key) => (1, key.0, unit.copy),
    });
    Ok(units)
}

fn located(
    columns: &'static str,
    (tenant, packs): (TenantKey, &[PackKey]),
    which: Which,
) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(columns);
    let _ = sql.push(match which {
        Which::Primary => " JOIN content_packs p ON p.id = u.pack_id WHERE u.tenant_id = ",
        Which::Second => " JOIN content_packs p ON p.id = u.copy_pack_id WHERE u.tenant_id = ",
    });
    let _ = sql.push_bind(tenant.0).push(" AND p.id IN (");
    let mut list = sql.separated(", ");
    for pack in packs {
        let _ = list.push_bind(pack.0);
    }
    let _ = sql.push(")");
    sql
}

async fn skeletons_in(
    pool: &SqlitePool,
    wanted: (TenantKey, &[PackKey]),
    which: Which,
    units: &mut Vec<LocatedUnit>,
) -> Result<()> {
    let columns = match which {
        Which::Primary => {
            "SELECT u.id, u.uuid, u.skeleton_bytes, u.pack_id, u.frame, u.entry, p.uuid AS pack_uuid, \
             p.tier AS pack_tier FROM email_messages u"
        }
        Which::Second => {
            "SELECT u.id, u.uuid, u.skeleton_bytes, u.copy_pack_id, u.copy_frame, u.copy_entry, \
             p.uuid AS copy_pack_uuid, p.tier AS copy_pack_tier FROM email_messages u"
        }
    };
    let mut sql = located(columns, wanted, which);
    let rows = sql.build().persistent(false).fetch_all(pool).await.map_err(failed("planning"))?;
    for row in &rows {
        units.push(LocatedUnit {
            unit: UnitKey::Skeleton(ItemKey(get(row, "id")?)),
            id: Some(get_uuid(row, "uuid")?),
            sha256: None,
            bytes: get_u64(row, "skeleton_bytes")?,
            class: 0,
            location: location_of(row, which)?,
            copy: matches!(which, Which::Second),
        });
    }
    Ok(())
}

async fn objects_in(
    pool: &SqlitePool,
    wanted: (TenantKey, &[PackKey]),
    which: Which,
    units: &mut Vec<LocatedUnit>,
) -> Result<()> {
    let columns = match which {
        Which::Primary => {
            "SELECT u.id, u.sha256, u.bytes, u.class, u.pack_id, u.frame, u.entry, p.uuid AS pack_uuid, \
             p.tier AS pack_tier FROM content_objects u"
        }
        Which::Second => {
            "SELECT u.id, u.sha256, u.bytes, u.class, u.copy_pack_id, u.copy_frame, u.copy_entry, \
             p.uuid AS copy_pack_uuid, p.tier AS copy_pack_tier FROM content_objects u"
        }
    };
    let mut sql = located(columns, wanted, which);
    let rows = sql.build().persistent(false).fetch_all(pool).await.map_err(failed("planning"))?;
    for row in &rows {
        units.push(LocatedUnit {
            unit: UnitKey::Object(ObjectKey(get(row, "id")?)),
            id: None,
            sha256: Some(get_sha(row, "sha256")?),
            bytes: get_u64(row, "bytes")?,
            class: get_u8(row, "class")?,
            location: location_of(row, which)?,
            copy: matches!(which, Which::Second),
        });
    }
    Ok(())
}

fn location_of(row: &sqlx::sqlite::SqliteRow, which: Which) -> Result<crate::catalog::rows::Location> {
    match which {
        Which::Primary => location(row),
        Which::Second => copy_location(row)?.ok_or_else(|| corrupt("copy_pack_id")),
    }
}

pub(super) async fn move_dictionary(pool: &SqlitePool, change: &DictionaryMove) -> Result<bool> {
    let ((from_pack, from_frame), (to_pack, to_frame)) = (change.from, change.to);
    let done = sqlx::query(
        "UPDATE content_dictionaries SET pack_id = ?, frame = ? WHERE id = ? AND pack_id = ? AND frame = ?",
    )
    .bind(to_pack.0)
    .bind(i64::from(to_frame))
    .bind(change.dictionary.0)
    .bind(from_pack.0)
    .bind(i64::from(from_frame))
    .execute(pool)
    .await
    .map_err(failed("moving a dictionary"))?;
    Ok(done.rows_affected() > 0)
}
