//! Deleted items that packs still know: their records, or their tombstones alone.

use std::collections::BTreeMap;
use std::collections::HashSet;

use uuid::Uuid;

use crate::catalog::rows::PackState;
use crate::catalog::rows::TenantRow;
use crate::error::Kind;
use crate::error::Result;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::ops::log::Remains;
use crate::ops::read::moved_away;
use crate::ops::read::sha256;
use crate::ops::survey::is_unreadable;
use crate::pack::EntryBody;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::pack::MessageRecord;
use crate::pack::Tombstone;
use crate::store::Store;

/// Which deleted items are wanted.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Those of a kind with one of these ids: the server's as a UUID, or the caller's.
    Ids(ItemKind, HashSet<String>),
    /// Those that were put with this lead.
    Lead(Uuid),
    /// All.
    All,
}

impl Wanted {
    fn has(&self, kind: ItemKind, id: Uuid, caller_id: Option<&String>) -> bool {
        match self {
            Self::Ids(wanted, ids) => {
                let named = |id: &String| ids.contains(id);
                *wanted == kind && (named(&id.to_string()) || caller_id.is_some_and(named))
            }
            Self::Lead(_) => false,
            Self::All => true,
        }
    }

    fn record(&self, record: &MessageRecord) -> bool {
        match self {
            Self::Lead(lead) => record.external.lead == Some(*lead),
            _ => self.has(record.kind, record.id, record.caller_id.as_ref()),
        }
    }

    fn tombstone(&self, tombstone: &Tombstone) -> bool {
        self.has(tombstone.kind, tombstone.item, tombstone.caller_id.as_ref())
    }
}

/// Deleted items and what is known of them.
pub(super) type Deleted = BTreeMap<(ItemKind, Uuid), Remains>;

/// Searches all packs of the tenant for deleted items.
pub(super) async fn deleted(store: &Store, tenant: &TenantRow, wanted: &Wanted) -> Result<Deleted> {
    let mut found = Deleted::new();
    for pack in store.catalog.packs().await? {
        if pack.state == PackState::Open && store.caches.open_entries(pack.name).is_none() {
            continue;
        }
        for entry in store.entries_of(pack.name).await?.iter().filter(|entry| entry.tenant == tenant.id) {
            let looked = match entry.kind {
                FrameKind::Block => records(store, tenant, (pack.name, entry), wanted, &mut found).await,
                FrameKind::Tombstone => tombstones(store, (pack.name, entry), wanted, &mut found).await,
                _ => Ok(()),
            };
            match looked {
                Err(error) if error.kind() == Kind::NotFound || moved_away(&error) => break,
                // The erasure looks at it again, and tells.
                Err(error) if is_unreadable(&error) => {}
                done => done?,
            }
        }
    }
    Ok(found)
}

async fn records(
    store: &Store,
    tenant: &TenantRow,
    (pack, entry): (Uuid, &IndexEntry),
    wanted: &Wanted,
    found: &mut Deleted,
) -> Result<()> {
    let table = store.head_at(pack, entry).await?.block_table()?;
    let mut ids = Vec::new();
    for entry in &table.entries {
        if let EntryBody::Message(message) = &entry.body
            && wanted.record(&message.record)
        {
            ids.push(message.record.id);
        }
    }
    let living = store.catalog.items_by_uuid(tenant.key, &ids).await?;
    ids.retain(|id| !living.iter().any(|item| item.row.id == *id));
    if ids.is_empty() {
        return Ok(());
    }
    let block = store.decoded(store.frame_at(pack, entry).await?).await?;
    for entry in &block.table.entries {
        let EntryBody::Message(message) = &entry.body else {
            continue;
        };
        let record = &message.record;
        if ids.contains(&record.id) {
            let mut hashes: Vec<Sha256> = record.parts.iter().map(|part| part.object).collect();
            hashes.push(sha256(&entry.cut(&block.stream)?));
            let remains = Remains { hashes, caller_id: record.caller_id.clone() };
            let _ = found.insert((record.kind, record.id), remains);
        }
    }
    Ok(())
}

async fn tombstones(
    store: &Store,
    (pack, entry): (Uuid, &IndexEntry),
    wanted: &Wanted,
    found: &mut Deleted,
) -> Result<()> {
    for tombstone in store.head_at(pack, entry).await?.tombstones()? {
        if tombstone.erase.is_none() && wanted.tombstone(&tombstone) {
            let known = found.entry((tombstone.kind, tombstone.item)).or_default();
            known.caller_id = known.caller_id.take().or(tombstone.caller_id);
        }
    }
    Ok(())
}
