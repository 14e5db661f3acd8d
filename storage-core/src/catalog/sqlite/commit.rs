//! One group of the log in one transaction: objects, items, references, changes, statistics, watermark.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use sqlx::QueryBuilder;
use sqlx::Row;
use sqlx::Sqlite;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use uuid::Uuid;

use crate::catalog::rows::ItemChange;
use crate::catalog::rows::ItemDelete;
use crate::catalog::rows::LogChange;
use crate::catalog::rows::LogCommit;
use crate::catalog::rows::NewItem;
use crate::catalog::rows::NewObject;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::Statistics;
use crate::catalog::sqlite::callers;
use crate::catalog::sqlite::erasure;
use crate::catalog::sqlite::external;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::chunks;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::int;
use crate::catalog::sqlite::fields::kind_code;
use crate::catalog::sqlite::fields::labels_text;
use crate::catalog::sqlite::fields::tier_code;
use crate::catalog::sqlite::insight::add_statistics;
use crate::catalog::sqlite::mend::mend;
use crate::catalog::sqlite::packs::set_progress;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::model::ItemKind;
use crate::model::Tier;

pub(super) type Increments = BTreeMap<(TenantKey, Tier), Statistics>;

/// Applies a group. See [`crate::catalog::Catalog::commit`].
pub(super) async fn commit(pool: &SqlitePool, keys: &Keys, group: &LogCommit) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("starting a commit"))?;
    let mut sums = Increments::new();
    let first_object =
        next_id(&mut tx, &keys.objects, "SELECT coalesce(max(id), 0) + 1 FROM content_objects").await?;
    let objects = insert_objects(&mut tx, &group.objects, first_object, &mut sums).await?;
    let first_item =
        next_id(&mut tx, &keys.items, "SELECT coalesce(max(id), 0) + 1 FROM email_messages").await?;
    insert_items(&mut tx, &group.items, first_item, &mut sums).await?;
    insert_parts(&mut tx, group, first_item, &objects).await?;
    for change in &group.changes {
        apply(&mut tx, change, group.at, &mut sums).await?;
    }
    add_statistics(&mut tx, &sums, group.at.day()).await?;
    if group.sequence > 0 {
        raise_sequence(&mut tx, group.sequence).await?;
    }
    for (pack, progress) in &group.packs {
        set_progress(&mut tx, *pack, *progress).await?;
    }
    give(&keys.objects, offset(first_object, group.objects.len()));
    give(&keys.items, offset(first_item, group.items.len()));
    tx.commit().await.map_err(failed("committing"))
}

/// The first keys not given yet. A key is not given twice while the catalog is open: a migration may hold the key of
/// an item that was deleted meanwhile, and must not find another one under it.
#[derive(Debug, Default)]
pub(super) struct Keys {
    items: AtomicI64,
    objects: AtomicI64,
}

/// The next free key. Keys are given in order, so rows append and indexes by key stay dense. Only the first commit after
/// the opening has to ask: nobody else adds rows.
async fn next_id(tx: &mut SqliteConnection, given: &AtomicI64, sql: &'static str) -> Result<i64> {
    let known = given.load(Ordering::SeqCst);
    if known > 0 {
        return Ok(known);
    }
    let row = sqlx::query(sql).fetch_one(tx).await.map_err(failed("numbering rows"))?;
    let free: i64 = get(&row, 0)?;
    Ok(given.fetch_max(free, Ordering::SeqCst).max(free))
}

/// Notes that the keys before `next` are given.
fn give(given: &AtomicI64, next: i64) {
    let _ = given.fetch_max(next, Ordering::SeqCst);
}

fn offset(first: i64, index: usize) -> i64 {
    first + int(index as u64)
}

/// Adds the new objects and returns the keys of all of them, in their order.
async fn insert_objects(
    tx: &mut SqliteConnection,
    objects: &[NewObject],
    first: i64,
    sums: &mut Increments,
) -> Result<Vec<i64>> {
    let mended = mend(tx, objects, sums).await?;
    let key = |index: usize| mended.get(&index).copied().unwrap_or_else(|| offset(first, index));
    let numbered: Vec<(i64, &NewObject)> = objects
        .iter()
        .enumerate()
        .filter(|(index, _)| !mended.contains_key(index))
        .map(|(index, object)| (key(index), object))
        .collect();
    for chunk in chunks(&numbered) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO content_objects (id, tenant_id, sha256, bytes, class, pack_id, frame, entry) ",
        );
        let _ = sql.push_values(chunk, |mut row, (id, object)| {
            let _ = row
                .push_bind(*id)
                .push_bind(object.tenant.0)
                .push_bind(object.sha256.0.to_vec())
                .push_bind(int(object.bytes))
                .push_bind(i64::from(object.class))
                .push_bind(object.place.pack.0)
                .push_bind(i64::from(object.place.frame))
                .push_bind(i64::from(object.place.entry));
        });
        let _ = sql.build().execute(&mut *tx).await.map_err(failed("adding objects"))?;
    }
    for (_, object) in &numbered {
        let sum = sums.entry((object.tenant, Tier::Hot)).or_default();
        sum.objects += 1;
        sum.object_bytes += int(object.bytes);
    }
    Ok((0..objects.len()).map(key).collect())
}

const INSERT_ITEMS: &str = "INSERT INTO email_messages (id, tenant_id, kind, uuid, caller_id, campaign, account, \
     lead, message_id_hash, bytes, sha256, skeleton_bytes, pack_id, frame, entry, expires, hold, pin, labels, \
     caller_key, caller_hash) ";

async fn insert_items(
    tx: &mut SqliteConnection,
    items: &[NewItem],
    first: i64,
    sums: &mut Increments,
) -> Result<()> {
    let external = external::number(&mut *tx, items).await?;
    let numbered: Vec<(i64, &NewItem)> =
        items.iter().enumerate().map(|(i, item)| (offset(first, i), item)).collect();
    for chunk in chunks(&numbered) {
        let mut sql = QueryBuilder::<Sqlite>::new(INSERT_ITEMS);
        let _ = sql.push_values(chunk, |mut row, (id, item)| {
            let caller = callers::Kept::of(item.caller_id.as_deref());
            let _ = row
                .push_bind(*id)
                .push_bind(item.tenant.0)
                .push_bind(kind_code(item.kind))
                .push_bind(blob(item.id))
                .push_bind(caller.text)
                .push_bind(external.of(item.tenant, item.external.campaign))
                .push_bind(external.of(item.tenant, item.external.account))
                .push_bind(external.of(item.tenant, item.external.lead))
                .push_bind(item.message_id_hash)
                .push_bind(int(item.bytes))
                .push_bind(item.sha256.0.to_vec())
                .push_bind(int(item.skeleton_bytes))
                .push_bind(item.place.pack.0)
                .push_bind(i64::from(item.place.frame))
                .push_bind(i64::from(item.place.entry))
                .push_bind(item.expires.map(|at| at.0))
                .push_bind(i64::from(item.hold))
                .push_bind(item.pin.map(tier_code))
                .push_bind(labels_text(&item.labels))
                .push_bind(caller.key)
                .push_bind(caller.hash);
        });
        let _ = sql.build().execute(&mut *tx).await.map_err(failed("adding items"))?;
    }
    for item in items {
        let sum = sums.entry((item.tenant, Tier::Hot)).or_default();
        *by_kind(sum, item.kind) += 1;
        sum.logical_bytes += int(item.bytes);
        sum.referenced_bytes += int(item.referenced_bytes);
        sum.skeletons += 1;
        sum.skeleton_bytes += int(item.skeleton_bytes);
    }
    Ok(())
}

fn by_kind(sum: &mut Statistics, kind: ItemKind) -> &mut i64 {
    match kind {
        ItemKind::Message => &mut sum.messages,
        ItemKind::Content => &mut sum.contents,
    }
}

async fn insert_parts(
    tx: &mut SqliteConnection,
    group: &LogCommit,
    first_item: i64,
    objects: &[i64],
) -> Result<()> {
    let mut rows = Vec::new();
    for (index, item) in group.items.iter().enumerate() {
        for part in &item.parts {
            let object = match part.object {
                ObjectRef::Known(ObjectKey(key)) => key,
                ObjectRef::New(index) => *objects
                    .get(index)
                    .ok_or_else(|| Error::internal("A part refers to an object outside its group."))?,
            };
            rows.push((offset(first_item, index), part, object));
        }
    }
    for chunk in chunks(&rows) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO email_content (message_id, part, object_id, role, media_type, file_name) ",
        );
        let _ = sql.push_values(chunk, |mut row, (item, part, object)| {
            let _ = row
                .push_bind(*item)
                .push_bind(i64::from(part.part))
                .push_bind(*object)
                .push_bind(i64::from(part.role))
                .push_bind(part.media_type.clone())
                .push_bind(part.file_name.clone());
        });
        let _ = sql.build().execute(&mut *tx).await.map_err(failed("adding references"))?;
    }
    Ok(())
}

async fn apply(
    tx: &mut SqliteConnection,
    change: &LogChange,
    at: Timestamp,
    sums: &mut Increments,
) -> Result<()> {
    match change {
        LogChange::Tenant { id, name, created } => {
            let _ = sqlx::query(
                "INSERT INTO tenants (uuid, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            )
            .bind(blob(*id))
            .bind(name)
            .bind(created.0)
            .execute(tx)
            .await
            .map_err(failed("adding a tenant"))?;
            Ok(())
        }
        LogChange::Policy { tenant, policy } => {
            let _ = sqlx::query("UPDATE tenants SET policy = ? WHERE id = ?")
                .bind(policy)
                .bind(tenant.0)
                .execute(&mut *tx)
                .await
                .map_err(failed("changing a policy"))?;
            audit(tx, *tenant, ("policy", None, policy.clone()), at).await
        }
        LogChange::Delete(delete) => delete_item(tx, delete, at, sums).await,
        LogChange::Erase(erase) => {
            delete_item(&mut *tx, &erase.delete, at, sums).await?;
            keep_gone(&mut *tx, &erase.delete).await?;
            erasure::add(tx, erase).await
        }
        LogChange::Update(update) => update_item(tx, update, at).await,
    }
}

/// Removes the item (its references go with it), counts it out and keeps the caller's id gone.
async fn delete_item(
    tx: &mut SqliteConnection,
    delete: &ItemDelete,
    at: Timestamp,
    sums: &mut Increments,
) -> Result<()> {
    let found = sqlx::query(
        "SELECT m.id, m.campaign, m.account, m.lead, m.bytes, m.skeleton_bytes, p.tier, cp.tier AS copy_tier, \
         (SELECT coalesce(sum(o.bytes), 0) FROM email_content c JOIN content_objects o ON o.id = c.object_id \
          WHERE c.message_id = m.id) AS object_bytes \
         FROM email_messages m JOIN content_packs p ON p.id = m.pack_id \
         LEFT JOIN content_packs cp ON cp.id = m.copy_pack_id \
         WHERE m.tenant_id = ? AND m.kind = ? AND m.uuid = ?",
    )
    .bind(delete.tenant.0)
    .bind(kind_code(delete.kind))
    .bind(blob(delete.id))
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed("deleting"))?;
    let Some(row) = found else {
        return Ok(());
    };
    let skeleton_bytes: i64 = get(&row, "skeleton_bytes")?;
    let bytes: i64 = get(&row, "bytes")?;
    let tier = crate::catalog::sqlite::fields::tier_of(get(&row, "tier")?)?;
    let copy_tier: Option<i64> = row.try_get("copy_tier").map_err(failed("deleting"))?;
    let arrived = sums.entry((delete.tenant, Tier::Hot)).or_default();
    *by_kind(arrived, delete.kind) -= 1;
    arrived.logical_bytes -= bytes;
    arrived.deleted_bytes += bytes;
    arrived.referenced_bytes -= skeleton_bytes + get::<i64, _>(&row, "object_bytes")?;
    let placed = sums.entry((delete.tenant, tier)).or_default();
    placed.skeletons -= 1;
    placed.skeleton_bytes -= skeleton_bytes;
    if let Some(code) = copy_tier {
        let tier = crate::catalog::sqlite::fields::tier_of(code)?;
        sums.entry((delete.tenant, tier)).or_default().copy_bytes -= skeleton_bytes;
    }
    let _ = sqlx::query("DELETE FROM email_messages WHERE id = ?")
        .bind(get::<i64, _>(&row, "id")?)
        .execute(&mut *tx)
        .await
        .map_err(failed("deleting"))?;
    external::forget(&mut *tx, &row).await?;
    keep_gone(tx, delete).await?;
    audit(tx, delete.tenant, ("delete", Some(delete.id), None), at).await
}

/// Keeps a deleted item's caller's id gone.
pub(super) async fn keep_gone(tx: &mut SqliteConnection, delete: &ItemDelete) -> Result<()> {
    let Some(caller_id) = &delete.caller_id else {
        return Ok(());
    };
    let _ = sqlx::query(
        "INSERT INTO email_tombstones (tenant_id, kind, caller_id, deleted) VALUES (?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET deleted = max(deleted, excluded.deleted)",
    )
    .bind(delete.tenant.0)
    .bind(kind_code(delete.kind))
    .bind(caller_id)
    .bind(delete.deleted.0)
    .execute(tx)
    .await
    .map_err(failed("deleting"))?;
    Ok(())
}

/// Notes the sequence of a policy record, so that later ones are higher whatever the clock says.
pub(super) async fn raise_sequence(tx: &mut SqliteConnection, sequence: u64) -> Result<()> {
    let _ = sqlx::query(
        "INSERT INTO catalog_marks (name, value) VALUES ('sequence', ?) \
         ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
    )
    .bind(int(sequence))
    .execute(tx)
    .await
    .map_err(failed("noting a sequence"))?;
    Ok(())
}

async fn update_item(tx: &mut SqliteConnection, update: &ItemChange, at: Timestamp) -> Result<()> {
    let labels = labels_text(&update.labels);
    let _ = sqlx::query(
        "UPDATE email_messages SET expires = ?, hold = ?, pin = ?, labels = ? \
         WHERE tenant_id = ? AND kind = ? AND uuid = ?",
    )
    .bind(update.expires.map(|at| at.0))
    .bind(i64::from(update.hold))
    .bind(update.pin.map(tier_code))
    .bind(labels.as_deref())
    .bind(update.tenant.0)
    .bind(kind_code(update.kind))
    .bind(blob(update.id))
    .execute(&mut *tx)
    .await
    .map_err(failed("updating"))?;
    let detail = format!("hold {}, pin {:?}, expires {:?}", update.hold, update.pin, update.expires);
    audit(tx, update.tenant, ("update", Some(update.id), Some(detail)), at).await
}

async fn audit(
    tx: &mut SqliteConnection,
    tenant: TenantKey,
    (action, item, detail): (&'static str, Option<Uuid>, Option<String>),
    at: Timestamp,
) -> Result<()> {
    let _ = sqlx::query(
        "INSERT INTO content_access_audits (tenant_id, action, uuid, detail, created) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(tenant.0)
    .bind(action)
    .bind(item.map(blob))
    .bind(detail)
    .bind(at.0)
    .execute(tx)
    .await
    .map_err(failed("writing the audit"))?;
    Ok(())
}

/// A UUID as a column keeps it.
pub(super) fn blob(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}
