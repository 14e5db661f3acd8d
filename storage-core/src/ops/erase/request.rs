//! Asking for an erasure: which items are meant, whether anything forbids it, and what they leave behind. Nothing is asked
//! for where one of them is refused.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;

use futures::future::try_join_all;
use uuid::Uuid;

use crate::catalog::rows::ItemRow;
use crate::catalog::rows::TenantRow;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::model::ExternalIds;
use crate::model::ItemKind;
use crate::model::ListQuery;
use crate::model::Sha256;
use crate::ops::erase::found::Deleted;
use crate::ops::erase::found::Wanted;
use crate::ops::erase::found::deleted;
use crate::ops::hidden_id::hidden_id;
use crate::ops::items;
use crate::ops::log::Change;
use crate::ops::log::LogHandle;
use crate::ops::log::Remains;
use crate::ops::log::Request;
use crate::ops::log::changes::check_deletable;
use crate::ops::read::moved_away;
use crate::ops::read::sha256;
use crate::ops::survey::is_unreadable;
use crate::report::EraseReport;
use crate::report::EraseWhat;
use crate::store::Store;

/// Items of a page.
const PAGE_ITEMS: u32 = 1_000;

/// Requests that share a group of the log.
const GROUP: usize = 256;

/// What is meant.
#[derive(Debug, Default)]
pub(super) struct Meant {
    pub(super) living: BTreeMap<(ItemKind, Uuid), ItemRow>,
    pub(super) deleted: Deleted,
    /// How many were asked for before.
    pub(super) known: u64,
}

/// Makes the request durable: the items are not found from here on.
pub(crate) async fn request(
    store: &Arc<Store>,
    log: &LogHandle,
    (tenant, what): (&str, &EraseWhat),
) -> Result<EraseReport> {
    store.check_writable()?;
    let tenant = store.tenant(tenant).await?;
    let meant = meant(store, &tenant, what).await?;
    let report = EraseReport {
        requested: (meant.living.len() + meant.deleted.len()) as u64 + meant.known,
        known: meant.known,
        ..EraseReport::default()
    };
    let mut requests: Vec<(ItemKind, Uuid, Remains)> = Vec::new();
    for ((kind, id), row) in &meant.living {
        requests.push((*kind, *id, remains(store, &tenant, row).await?));
    }
    requests.extend(meant.deleted.into_iter().map(|((kind, id), remains)| (kind, id, remains)));
    for group in requests.chunks(GROUP) {
        let ask = |(kind, id, remains): &(ItemKind, Uuid, Remains)| {
            let (tenant, kind, id) = (Arc::clone(&tenant), *kind, *id);
            let change = Change::Erase { tenant, kind, id, remains: remains.clone() };
            log.ask(|reply| Request::Change(change, reply))
        };
        let _done = try_join_all(group.iter().map(ask)).await?;
    }
    Ok(report)
}

/// The items that are meant. `FailedPrecondition` where one of them may not be deleted, `NotFound` where nothing knows one.
pub(super) async fn meant(store: &Store, tenant: &TenantRow, what: &EraseWhat) -> Result<Meant> {
    let mut meant = Meant::default();
    let wanted = match what {
        EraseWhat::Items(kind, ids) => {
            let missing = living_by_id(store, tenant, (*kind, ids), &mut meant).await?;
            Wanted::Ids(*kind, missing)
        }
        EraseWhat::Lead(lead) => {
            let external = ExternalIds { lead: Some(*lead), ..ExternalIds::default() };
            all_living(store, tenant, external, &mut meant).await?;
            Wanted::Lead(*lead)
        }
        EraseWhat::Tenant => {
            all_living(store, tenant, ExternalIds::default(), &mut meant).await?;
            Wanted::All
        }
    };
    let now = store.now();
    for row in meant.living.values() {
        check_deletable(row, now).map_err(|error| {
            let what = format!("The {} {} cannot be erased.", row.kind.name(), row.id);
            Error::precondition(format!("{what} {}", error.message()))
        })?;
    }
    if matches!(&wanted, Wanted::Ids(_, missing) if missing.is_empty()) {
        return Ok(meant);
    }
    meant.deleted = deleted(store, tenant, &wanted).await?;
    settle(store, tenant, &wanted, &mut meant).await?;
    Ok(meant)
}

/// Items that are there; the ids of which there is none.
async fn living_by_id(
    store: &Store,
    tenant: &TenantRow,
    (kind, ids): (ItemKind, &[String]),
    meant: &mut Meant,
) -> Result<HashSet<String>> {
    if ids.is_empty() {
        return Err(Error::invalid("Name what to erase."));
    }
    let mut missing = HashSet::new();
    for id in ids {
        match items::find(store, tenant, kind, id).await {
            Ok(row) => drop(meant.living.insert((kind, row.id), row)),
            Err(error) if error.kind() == Kind::NotFound => {
                let canonical = Uuid::try_parse(id).map(|id| id.to_string());
                let _ = missing.insert(canonical.unwrap_or_else(|_| id.clone()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(missing)
}

async fn all_living(
    store: &Store,
    tenant: &TenantRow,
    external: ExternalIds,
    meant: &mut Meant,
) -> Result<()> {
    for kind in [ItemKind::Message, ItemKind::Content] {
        let mut after = None;
        loop {
            let query = ListQuery { after, external, limit: PAGE_ITEMS, ..ListQuery::default() };
            let rows = store.catalog.list(tenant.key, kind, &query).await?;
            after = rows.last().map(|row| row.id);
            meant.living.extend(rows.into_iter().map(|row| ((kind, row.id), row)));
            if after.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Leaves out what was asked for before, and refuses ids that nothing knows.
async fn settle(store: &Store, tenant: &TenantRow, wanted: &Wanted, meant: &mut Meant) -> Result<()> {
    let mut asked = Vec::new();
    for (kind, id) in meant.deleted.keys() {
        if store.catalog.erasure(tenant.key, *kind, *id).await?.is_some() {
            asked.push((*kind, *id));
        }
    }
    let Wanted::Ids(kind, missing) = wanted else {
        meant.deleted.retain(|key, _| !asked.contains(key));
        return Ok(());
    };
    for id in missing {
        let named = |(key, remains): (&(ItemKind, Uuid), &Remains)| {
            key.1.to_string() == *id || remains.caller_id.as_ref() == Some(id)
        };
        if !meant.deleted.iter().any(named) && !was_asked(store, tenant, *kind, id).await? {
            return Err(Error::not_found(format!(
                "There is no {} {id:?} in tenant {:?}, and no pack remembers a deleted one. Check the id and the tenant.",
                kind.name(),
                tenant.name
            )));
        }
    }
    meant.deleted.retain(|key, _| !asked.contains(key));
    meant.known = missing.len().saturating_sub(meant.deleted.len()) as u64;
    Ok(())
}

/// Whether an id is that of an item whose erasure was asked for.
async fn was_asked(store: &Store, tenant: &TenantRow, kind: ItemKind, id: &str) -> Result<bool> {
    if let Ok(uuid) = Uuid::try_parse(id)
        && store.catalog.erasure(tenant.key, kind, uuid).await?.is_some()
    {
        return Ok(true);
    }
    let hidden = [hidden_id(tenant.id, kind, id)];
    let gone = store.catalog.deleted_caller_ids(tenant.key, kind, &hidden, Timestamp(i64::MIN)).await?;
    Ok(!gone.is_empty())
}

/// What an item leaves behind. Nothing is known of it where its skeleton cannot be read.
async fn remains(store: &Store, tenant: &TenantRow, row: &ItemRow) -> Result<Remains> {
    let parts = store.catalog.parts(row.key).await?;
    let mut skeleton = store.skeleton(&row.location, row.id).await;
    if skeleton.as_ref().is_err_and(moved_away) {
        let found = store.catalog.item_by_uuid(tenant.key, row.kind, row.id).await?;
        let found =
            found.ok_or_else(|| Error::not_found(format!("There is no {} {}.", row.kind.name(), row.id)))?;
        skeleton = store.skeleton(&found.location, row.id).await;
    }
    match skeleton {
        Ok(skeleton) => {
            let mut hashes: Vec<Sha256> = parts.iter().map(|part| part.object.sha256).collect();
            hashes.push(sha256(&skeleton));
            Ok(Remains { hashes, caller_id: None })
        }
        Err(error) if is_unreadable(&error) => {
            tracing::warn!(%error, item = %row.id, "it is erased without its skeleton being read");
            Ok(Remains::default())
        }
        Err(error) => Err(error),
    }
}
