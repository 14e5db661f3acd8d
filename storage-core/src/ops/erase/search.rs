//! Searching all packs for what is left of items: in tables alone, no stream is read. What cannot be read may hold
//! anything, and is told.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;

use uuid::Uuid;

use crate::catalog::rows::GoneId;
use crate::catalog::rows::PackState;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::model::Sha256;
use crate::ops::erase::targets::Targets;
use crate::ops::erase::targets::known_hashes;
use crate::ops::hidden_id::hidden_id;
use crate::ops::survey::is_unreadable;
use crate::pack::BlockTable;
use crate::pack::EntryBody;
use crate::pack::FrameHead;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::pack::ObjectEntry;
use crate::pack::PolicyRecord;
use crate::pack::TransformId;
use crate::similarity;
use crate::store::Store;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Packs that must go, by name.
    pub(crate) packs: BTreeSet<Uuid>,
    /// Dictionaries that must go.
    pub(crate) dictionaries: BTreeSet<Uuid>,
    /// Callers' ids that tombstones name.
    pub(crate) gone_ids: Vec<GoneId>,
    /// Packs with frames of a tenant concerned whose table cannot be read, and how many frames.
    pub(crate) unreadable: BTreeMap<Uuid, u64>,
}

impl Held {
    /// Whether nothing is left, as far as can be told.
    pub(crate) fn is_nothing(&self) -> bool {
        self.packs.is_empty() && self.unreadable.is_empty()
    }
}

/// Searches every pack that is not being written; with `log`, the one that the log writes, too.
pub(crate) async fn search(store: &Store, targets: &Targets, log: bool) -> Result<Held> {
    let mut search = Search { store, targets, held: Held::default(), needs: BTreeMap::new() };
    for pack in store.catalog.packs().await? {
        let open = log && store.caches.open_entries(pack.name).is_some();
        if open || pack.state != PackState::Open {
            search.pack(pack.name).await?;
        }
    }
    let Search { mut held, needs, .. } = search;
    for (pack, dictionaries) in needs {
        if !dictionaries.is_disjoint(&held.dictionaries) {
            let _ = held.packs.insert(pack);
        }
    }
    Ok(held)
}

struct Search<'a> {
    store: &'a Store,
    targets: &'a Targets,
    held: Held,
    /// The dictionaries that packs need.
    needs: BTreeMap<Uuid, BTreeSet<Uuid>>,
}

/// The segments of a pack, and those that manifests in it name.
#[derive(Debug, Default)]
struct Segments {
    there: BTreeSet<u32>,
    named: BTreeSet<u32>,
}

impl Search<'_> {
    async fn pack(&mut self, pack: Uuid) -> Result<()> {
        let mut segments = Segments::default();
        for entry in self.store.entries_of(pack).await? {
            if let Some(dictionary) = entry.dictionary {
                let _ = self.needs.entry(pack).or_default().insert(dictionary);
            }
            if !self.targets.tenants.contains_key(&entry.tenant) {
                continue;
            }
            let looked = match entry.kind {
                FrameKind::Tenant => Ok(()),
                FrameKind::Segment => {
                    let _ = segments.there.insert(entry.ordinal);
                    Ok(())
                }
                _ => self.frame(pack, &entry, &mut segments).await,
            };
            match looked {
                Err(error) if error.kind() == Kind::NotFound => return Ok(()),
                Err(error) if is_unreadable(&error) => self.note_unreadable(pack, &entry, &error),
                done => done?,
            }
        }
        // A put whose record was torn off leaves segments that nothing names: nobody can tell whose they are.
        if !segments.there.is_subset(&segments.named) {
            let _ = self.held.packs.insert(pack);
        }
        Ok(())
    }

    fn note_unreadable(&mut self, pack: Uuid, entry: &IndexEntry, error: &Error) {
        tracing::warn!(%error, %pack, frame = entry.ordinal, "what a frame holds cannot be told");
        *self.held.unreadable.entry(pack).or_default() += 1;
    }

    async fn frame(&mut self, pack: Uuid, entry: &IndexEntry, segments: &mut Segments) -> Result<()> {
        let head = self.store.head_at(pack, entry).await?;
        let tenant = entry.tenant;
        let found = match entry.kind {
            FrameKind::Block => self.block(tenant, &head.block_table()?, segments).await?,
            FrameKind::Policy => {
                let about = |record: &PolicyRecord| match record {
                    PolicyRecord::Item(record) => self.targets.items.contains(&(tenant, record.item)),
                    PolicyRecord::Tier(_) => false,
                };
                head.policies()?.iter().any(about)
            }
            FrameKind::Tombstone => self.tombstones(tenant, &head)?,
            FrameKind::Dictionary => self.dictionary(tenant, &head).await?,
            FrameKind::Segment | FrameKind::Tenant => false,
        };
        if found {
            let _ = self.held.packs.insert(pack);
        }
        Ok(())
    }

    async fn block(&mut self, tenant: Uuid, table: &BlockTable, segments: &mut Segments) -> Result<bool> {
        let mut found = false;
        let mut others = HashSet::new();
        for entry in &table.entries {
            let sha256 = match &entry.body {
                EntryBody::Message(message) => {
                    found |= self.targets.items.contains(&(tenant, message.record.id));
                    continue;
                }
                EntryBody::Object(object) => {
                    found |= self.depends(tenant, object);
                    object.sha256
                }
                EntryBody::Segmented(object) => {
                    segments.named.extend(object.segments.iter().map(|segment| segment.ordinal));
                    object.sha256
                }
            };
            found |= self.targets.hashes.contains(&(tenant, sha256));
            let _ = others.insert(sha256);
        }
        Ok(found || self.is_unknown(tenant, &others).await?)
    }

    /// Whether this is a difference from an object that goes. It is dead: what is alive was written whole before.
    fn depends(&self, tenant: Uuid, object: &ObjectEntry) -> bool {
        object.transform == TransformId::DELTA
            && similarity::base_of(&object.params)
                .is_ok_and(|base| self.targets.hashes.contains(&(tenant, base)))
    }

    /// Whether one of these may be of an item of which nothing is known.
    async fn is_unknown(&self, tenant: Uuid, hashes: &HashSet<Sha256>) -> Result<bool> {
        let Some(key) =
            self.targets.tenants.get(&tenant).filter(|_| self.targets.unknown.contains_key(&tenant))
        else {
            return Ok(false);
        };
        let known = known_hashes(self.store, *key, hashes).await?;
        Ok(!hashes.is_subset(&known))
    }

    /// Tombstones of before the erasure: they name the caller's id.
    fn tombstones(&mut self, tenant: Uuid, head: &FrameHead) -> Result<bool> {
        let mut found = false;
        for tombstone in head.tombstones()? {
            let ours = tombstone.erase.is_none() && self.targets.items.contains(&(tenant, tombstone.item));
            let (true, Some(id), Some(key)) = (ours, tombstone.caller_id, self.targets.tenants.get(&tenant))
            else {
                continue;
            };
            found = true;
            let to = hidden_id(tenant, tombstone.kind, &id);
            self.held.gone_ids.push(GoneId { tenant: *key, kind: tombstone.kind, from: id, to });
        }
        Ok(found)
    }

    async fn dictionary(&mut self, tenant: Uuid, head: &FrameHead) -> Result<bool> {
        let record = head.dictionary()?;
        let sampled: HashSet<Sha256> = record.sampled.into_iter().collect();
        let ours = sampled.iter().any(|hash| self.targets.hashes.contains(&(tenant, *hash)));
        // Skeletons have no rows of their own, so what was sampled since then would look unknown, too.
        let before = self.targets.unknown.get(&tenant).is_some_and(|asked| record.created <= *asked);
        let found = ours || (before && self.is_unknown(tenant, &sampled).await?);
        if found {
            let _ = self.held.dictionaries.insert(record.id);
        }
        Ok(found)
    }
}
