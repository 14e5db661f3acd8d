//! Stat, list, update, delete, tenants and policies: what needs no bytes.

use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::rows::ItemRow;
use crate::catalog::rows::PartRow;
use crate::catalog::rows::TenantRow;
use crate::clock::DAY_MILLIS;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::ids::uuid_v7_time;
use crate::mime::Skeleton;
use crate::mime::SkeletonPart;
use crate::model::ItemKind;
use crate::model::ItemStat;
use crate::model::ListQuery;
use crate::model::Page;
use crate::model::PartStat;
use crate::model::TenantStat;
use crate::model::Tier;
use crate::ops::get::skeleton_of;
use crate::store::Store;

/// Items of a page at most.
const PAGE_ITEMS_MAX: u32 = 1_000;

/// Finds an item by the server's id (a UUID in text) or else by the caller's.
pub(crate) async fn find(store: &Store, tenant: &TenantRow, kind: ItemKind, id: &str) -> Result<ItemRow> {
    if let Ok(uuid) = Uuid::try_parse(id)
        && let Some(row) = store.catalog.item_by_uuid(tenant.key, kind, uuid).await?
    {
        return Ok(row);
    }
    let ids = [id.to_owned()];
    let found = store.catalog.items_by_caller_id(tenant.key, kind, &ids).await?;
    found.into_iter().next().ok_or_else(|| {
        Error::not_found(format!(
            "There is no {} {id:?} in tenant {:?}. Check the id and the tenant.",
            kind.name(),
            tenant.name
        ))
    })
}

/// What the catalog alone tells about an item.
pub(crate) fn outline(row: &ItemRow) -> ItemStat {
    ItemStat {
        id: row.id,
        kind: row.kind,
        caller_id: row.caller_id.clone(),
        external: row.external,
        message_id: None,
        media_type: None,
        file_name: None,
        bytes: row.bytes,
        sha256: row.sha256,
        created: uuid_v7_time(row.id),
        accessed: None,
        retention_end: row.expires,
        hold: row.hold,
        pin: row.pin,
        labels: row.labels.clone(),
        tier: row.location.tier,
        parts: Vec::new(),
    }
}

/// The same, with what a content says about its one part.
pub(crate) fn outline_with(row: &ItemRow, parts: &[PartRow]) -> ItemStat {
    let mut stat = outline(row);
    add_content(&mut stat, parts);
    stat
}

/// Adds what a content says about its one part.
fn add_content(stat: &mut ItemStat, parts: &[PartRow]) {
    if let (ItemKind::Content, Some(part)) = (stat.kind, parts.first()) {
        stat.media_type.clone_from(&part.media_type);
        stat.file_name.clone_from(&part.file_name);
        stat.tier = part.object.location.tier;
    }
}

/// Everything about an item, its parts and Message-ID included: reads the skeleton.
pub(crate) async fn stat(store: &Store, row: &ItemRow) -> Result<ItemStat> {
    let (skeleton, parts, access) = futures::try_join!(
        skeleton_of(store, row),
        store.catalog.parts(row.key),
        store.catalog.access(row.key)
    )?;
    let parsed = Skeleton::parse(&skeleton)?;
    let mut stat = outline(row);
    stat.accessed = access.map(|access| Timestamp(access.day.saturating_mul(DAY_MILLIS)));
    if row.kind == ItemKind::Message {
        stat.message_id = crate::mime::message_id(&skeleton, &parsed);
    }
    stat.parts = parsed
        .parts()
        .iter()
        .map(|part| {
            part_stat(part, parts.iter().find(|row| row.part == part.summary.index), row.location.tier)
        })
        .collect();
    add_content(&mut stat, &parts);
    Ok(stat)
}

/// What is told about a part.
pub(crate) fn part_stat(part: &SkeletonPart, row: Option<&PartRow>, skeleton_tier: Tier) -> PartStat {
    let summary = &part.summary;
    PartStat {
        index: summary.index,
        role: summary.info.role.name(),
        media_type: summary.info.media_type.clone(),
        file_name: summary.info.file_name.clone(),
        decoded_bytes: summary.decoded_bytes,
        encoded_bytes: summary.encoded_bytes,
        encoding: summary.info.encoding.name(),
        sha256: row.map(|row| row.object.sha256),
        tier: row.map_or(skeleton_tier, |row| row.object.location.tier),
    }
}

/// A page of items.
pub(crate) async fn list(
    store: &Store,
    tenant: &TenantRow,
    kind: ItemKind,
    mut query: ListQuery,
) -> Result<Page> {
    if !(1..=PAGE_ITEMS_MAX).contains(&query.limit) {
        return Err(Error::invalid("A page has 1 to 1,000 items."));
    }
    if kind == ItemKind::Content && query.message_id.is_some() {
        return Err(Error::invalid("Only messages have a Message-ID."));
    }
    let limit = query.limit;
    query.limit += 1;
    let mut rows = store.catalog.list(tenant.key, kind, &query).await?;
    let full = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = if full { rows.last().map(|row| row.id) } else { None };
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        items.push(match kind {
            ItemKind::Message => outline(row),
            ItemKind::Content => outline_with(row, &store.catalog.parts(row.key).await?),
        });
    }
    Ok(Page { items, next })
}

/// What is told about a tenant.
pub(crate) fn tenant_stat(row: &TenantRow) -> TenantStat {
    TenantStat { name: row.name.clone(), id: row.id, created: row.created, own_policy: row.policy.is_some() }
}

/// Checks a new tenant's name.
pub(crate) fn check_tenant_name(name: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=128).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(Error::invalid("A tenant's name has 1 to 128 of the characters a-z, A-Z, 0-9, '.', '_' and '-'."))
}

/// Writes the reads counted so far to the catalog.
pub(crate) async fn flush_reads(store: &Arc<Store>) -> Result<()> {
    let reads = store.reads.take();
    if reads.is_empty() {
        return Ok(());
    }
    store.catalog.add_reads(&reads).await
}
