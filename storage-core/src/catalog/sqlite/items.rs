//! Look-ups of tenants, items, references and objects.

use std::collections::HashSet;

use sqlx::QueryBuilder;
use sqlx::Sqlite;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::catalog::rows::ItemRow;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::PartRow;
use crate::catalog::rows::TenantRow;
use crate::catalog::sqlite::callers;
use crate::catalog::sqlite::commit::blob;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::copy_location;
use crate::catalog::sqlite::fields::corrupt;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_flag;
use crate::catalog::sqlite::fields::get_sha;
use crate::catalog::sqlite::fields::get_u8;
use crate::catalog::sqlite::fields::get_u32;
use crate::catalog::sqlite::fields::get_u64;
use crate::catalog::sqlite::fields::get_uuid;
use crate::catalog::sqlite::fields::get_uuid_opt;
use crate::catalog::sqlite::fields::key_lists;
use crate::catalog::sqlite::fields::kind_code;
use crate::catalog::sqlite::fields::kind_of;
use crate::catalog::sqlite::fields::labels_of;
use crate::catalog::sqlite::fields::location;
use crate::catalog::sqlite::fields::tier_of;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::ids::uuid_v7_floor;
use crate::mime::Role;
use crate::model::ExternalIds;
use crate::model::ItemKind;
use crate::model::ListQuery;
use crate::model::Sha256;

/// Bytes of a hash in the index of objects.
const HASH_PREFIX_BYTES: usize = 16;

/// An item with its locations and external ids resolved.
pub(super) const ITEM: &str = "SELECT m.*, p.uuid AS pack_uuid, p.tier AS pack_tier, \
     cp.uuid AS copy_pack_uuid, cp.tier AS copy_pack_tier, \
     xc.uuid AS campaign_id, xa.uuid AS account_id, xl.uuid AS lead_id \
     FROM email_messages m JOIN content_packs p ON p.id = m.pack_id \
     LEFT JOIN content_packs cp ON cp.id = m.copy_pack_id \
     LEFT JOIN external_ids xc ON xc.id = m.campaign LEFT JOIN external_ids xa ON xa.id = m.account \
     LEFT JOIN external_ids xl ON xl.id = m.lead ";

/// An object with its locations resolved.
pub(super) const OBJECT: &str = "SELECT o.*, p.uuid AS pack_uuid, p.tier AS pack_tier, \
     cp.uuid AS copy_pack_uuid, cp.tier AS copy_pack_tier \
     FROM content_objects o JOIN content_packs p ON p.id = o.pack_id \
     LEFT JOIN content_packs cp ON cp.id = o.copy_pack_id ";

pub(super) async fn tenants(pool: &SqlitePool) -> Result<Vec<TenantRow>> {
    let rows = sqlx::query("SELECT id, uuid, name, policy, created FROM tenants ORDER BY id")
        .fetch_all(pool)
        .await
        .map_err(failed("listing tenants"))?;
    rows.iter().map(tenant).collect()
}

fn tenant(row: &SqliteRow) -> Result<TenantRow> {
    Ok(TenantRow {
        key: TenantKey(get(row, "id")?),
        id: get_uuid(row, "uuid")?,
        name: get(row, "name")?,
        policy: get(row, "policy")?,
        created: Timestamp(get(row, "created")?),
    })
}

pub(super) fn item(row: &SqliteRow) -> Result<ItemRow> {
    Ok(ItemRow {
        key: ItemKey(get(row, "id")?),
        kind: kind_of(get(row, "kind")?)?,
        id: get_uuid(row, "uuid")?,
        caller_id: callers::caller_id(row)?,
        external: ExternalIds {
            campaign: external_id(row, "campaign", "campaign_id")?,
            account: external_id(row, "account", "account_id")?,
            lead: external_id(row, "lead", "lead_id")?,
        },
        bytes: get_u64(row, "bytes")?,
        sha256: get_sha(row, "sha256")?,
        skeleton_bytes: get_u64(row, "skeleton_bytes")?,
        location: location(row)?,
        copy: copy_location(row)?,
        expires: get::<Option<i64>, _>(row, "expires")?.map(Timestamp),
        hold: get_flag(row, "hold")?,
        pin: get::<Option<i64>, _>(row, "pin")?.map(tier_of).transpose()?,
        labels: labels_of(get(row, "labels")?)?,
    })
}

/// The external id of a number, which must be there.
fn external_id(row: &SqliteRow, number: &str, id: &str) -> Result<Option<Uuid>> {
    match (get::<Option<i64>, _>(row, number)?, get_uuid_opt(row, id)?) {
        (Some(_), None) => Err(corrupt(number)),
        (_, id) => Ok(id),
    }
}

pub(super) fn object(row: &SqliteRow, key: &str) -> Result<ObjectRow> {
    Ok(ObjectRow {
        key: ObjectKey(get(row, key)?),
        sha256: get_sha(row, "sha256")?,
        bytes: get_u64(row, "bytes")?,
        class: get_u8(row, "class")?,
        location: location(row)?,
        copy: copy_location(row)?,
        quarantined: get::<Option<i64>, _>(row, "quarantined")?.is_some(),
    })
}

pub(super) async fn objects_by_hash(
    pool: &SqlitePool,
    tenant: TenantKey,
    hashes: &[Sha256],
) -> Result<Vec<ObjectRow>> {
    let wanted: HashSet<&Sha256> = hashes.iter().collect();
    let mut found = Vec::new();
    for list in key_lists(hashes) {
        let mut sql = QueryBuilder::<Sqlite>::new(OBJECT);
        let _ =
            sql.push("WHERE o.tenant_id = ").push_bind(tenant.0).push(" AND substr(o.sha256, 1, 16) IN (");
        let mut prefixes = sql.separated(", ");
        for hash in list {
            let prefix = hash.0.first_chunk::<HASH_PREFIX_BYTES>().map(|prefix| prefix.to_vec());
            let _ = prefixes.push_bind(prefix);
        }
        let _ = sql.push(")");
        let rows = sql.build().fetch_all(pool).await.map_err(failed("looking up objects"))?;
        for row in &rows {
            let object = object(row, "id")?;
            if wanted.contains(&object.sha256) {
                found.push(object);
            }
        }
    }
    Ok(found)
}

pub(super) async fn by_caller_id(
    pool: &SqlitePool,
    tenant: TenantKey,
    kind: ItemKind,
    ids: &[String],
) -> Result<Vec<ItemRow>> {
    let mut found = Vec::new();
    for list in key_lists(ids) {
        let list: Vec<&String> = list.collect();
        let wanted: HashSet<&str> = list.iter().map(|id| id.as_str()).collect();
        let mut sql = QueryBuilder::<Sqlite>::new(ITEM);
        let _ = sql.push("WHERE m.tenant_id = ").push_bind(tenant.0);
        let _ = sql.push(" AND m.kind = ").push_bind(kind_code(kind)).push(" AND m.caller_hash IN (");
        let mut hashes = sql.separated(", ");
        for id in &list {
            let _ = hashes.push_bind(callers::hash(id));
        }
        let _ = sql.push(")");
        let rows = sql.build().fetch_all(pool).await.map_err(failed("looking up ids"))?;
        for row in &rows {
            let item = item(row)?;
            if item.caller_id.as_deref().is_some_and(|id| wanted.contains(id)) {
                found.push(item);
            }
        }
    }
    Ok(found)
}

pub(super) async fn deleted_caller_ids(
    pool: &SqlitePool,
    tenant: TenantKey,
    kind: ItemKind,
    (ids, since): (&[String], Timestamp),
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for list in key_lists(ids) {
        let mut sql =
            QueryBuilder::<Sqlite>::new("SELECT caller_id FROM email_tombstones WHERE tenant_id = ");
        let _ = sql.push_bind(tenant.0).push(" AND kind = ").push_bind(kind_code(kind));
        let _ = sql.push(" AND deleted > ").push_bind(since.0).push(" AND caller_id IN (");
        push_texts(&mut sql, list);
        let rows = sql.build().fetch_all(pool).await.map_err(failed("looking up deleted ids"))?;
        for row in &rows {
            found.push(get(row, 0)?);
        }
    }
    Ok(found)
}

/// The rest of an `IN (` list.
fn push_texts<'t>(sql: &mut QueryBuilder<Sqlite>, texts: impl Iterator<Item = &'t String>) {
    let mut list = sql.separated(", ");
    for text in texts {
        let _ = list.push_bind(text.clone());
    }
    let _ = sql.push(")");
}

pub(super) async fn by_uuid(
    pool: &SqlitePool,
    tenant: TenantKey,
    kind: ItemKind,
    id: Uuid,
) -> Result<Option<ItemRow>> {
    let mut sql = QueryBuilder::<Sqlite>::new(ITEM);
    let _ = sql
        .push("WHERE m.tenant_id = ")
        .push_bind(tenant.0)
        .push(" AND m.kind = ")
        .push_bind(kind_code(kind));
    let _ = sql.push(" AND m.uuid = ").push_bind(blob(id));
    let row = sql.build().fetch_optional(pool).await.map_err(failed("looking up an id"))?;
    row.as_ref().map(item).transpose()
}

pub(super) async fn parts(pool: &SqlitePool, item: ItemKey) -> Result<Vec<PartRow>> {
    let rows = sqlx::query(
        "SELECT c.part, c.object_id, c.role, c.media_type, c.file_name, o.sha256, o.bytes, o.class, o.quarantined, \
         o.pack_id, o.frame, o.entry, p.uuid AS pack_uuid, p.tier AS pack_tier, \
         o.copy_pack_id, o.copy_frame, o.copy_entry, cp.uuid AS copy_pack_uuid, cp.tier AS copy_pack_tier \
         FROM email_content c JOIN content_objects o ON o.id = c.object_id \
         JOIN content_packs p ON p.id = o.pack_id LEFT JOIN content_packs cp ON cp.id = o.copy_pack_id \
         WHERE c.message_id = ? ORDER BY c.part",
    )
    .bind(item.0)
    .fetch_all(pool)
    .await
    .map_err(failed("looking up parts"))?;
    rows.iter()
        .map(|row| {
            Ok(PartRow {
                part: get_u32(row, "part")?,
                role: Role::from_id(get_u8(row, "role")?).ok_or_else(|| corrupt("role"))?.id(),
                media_type: get(row, "media_type")?,
                file_name: get(row, "file_name")?,
                object: object(row, "object_id")?,
            })
        })
        .collect()
}

pub(super) async fn list(
    pool: &SqlitePool,
    tenant: TenantKey,
    kind: ItemKind,
    query: &ListQuery,
) -> Result<Vec<ItemRow>> {
    let mut sql = QueryBuilder::<Sqlite>::new(ITEM);
    let _ = sql
        .push("WHERE m.tenant_id = ")
        .push_bind(tenant.0)
        .push(" AND m.kind = ")
        .push_bind(kind_code(kind));
    if let Some(after) = query.after {
        let _ = sql.push(" AND m.uuid > ").push_bind(blob(after));
    }
    if let Some(from) = query.created_from {
        let _ = sql.push(" AND m.uuid >= ").push_bind(blob(uuid_v7_floor(from)));
    }
    if let Some(until) = query.created_until {
        let _ = sql.push(" AND m.uuid < ").push_bind(blob(uuid_v7_floor(until)));
    }
    for (column, value) in [
        (" AND m.campaign = ", query.external.campaign),
        (" AND m.account = ", query.external.account),
        (" AND m.lead = ", query.external.lead),
    ] {
        if let Some(id) = value {
            let _ =
                sql.push(column).push("(SELECT id FROM external_ids WHERE tenant_id = ").push_bind(tenant.0);
            let _ = sql.push(" AND uuid = ").push_bind(blob(id)).push(")");
        }
    }
    if let Some(message_id) = &query.message_id {
        let hash = crate::ids::message_id_hash(message_id);
        let _ = sql.push(" AND m.message_id_hash >> 32 = ").push_bind(hash >> 32);
        let _ = sql.push(" AND m.message_id_hash = ").push_bind(hash);
    }
    let _ = sql.push(" ORDER BY m.uuid LIMIT ").push_bind(i64::from(query.limit));
    let rows = sql.build().fetch_all(pool).await.map_err(failed("listing"))?;
    rows.iter().map(item).collect()
}

pub(super) async fn references(pool: &SqlitePool, object: ObjectKey) -> Result<u64> {
    let row = sqlx::query("SELECT count(*) AS n FROM email_content WHERE object_id = ?")
        .bind(object.0)
        .fetch_one(pool)
        .await
        .map_err(failed("counting references"))?;
    get_u64(&row, "n")
}
