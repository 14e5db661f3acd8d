//! A new catalog from packs alone. Order: every pack is surveyed -> what packs say besides items (tombstones, changes,
//! tenants) is read from all of them -> tenants -> rows of packs -> dictionaries -> objects, each at its coldest place (one
//! that others are differences from at its coldest whole place) -> items without a tombstone, with their newest change ->
//! ids that stay gone, policies -> statistics, counted -> barrier.
//!
//! Only headers and tables are read, no streams: scrub checks those afterwards. What a newer version wrote ends it with
//! an error. Packs that were not ended are left to
//! the recovery at the next start, which replays or deletes them as after any crash.
//!
//! Copies in warmer tiers are not taken up: without the reads that made them they would go at the next migration. Reads,
//! audits and jobs are in no pack.
//!
//! Memory: 16 bytes for every tombstone, a hundred or two for every item that was changed and every object that is a
//! difference from another, the places of the frames of one pack.

mod deltas;
mod items;
mod packs;

pub(crate) use items::with_change;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::integrity::Restored;
use crate::catalog::rows::LogChange;
use crate::catalog::rows::LogCommit;
use crate::catalog::rows::TenantRow;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::ops::log::group::GONE_MILLIS;
use crate::ops::rebuild::deltas::Differences;
use crate::ops::rebuild::packs::Found;
use crate::ops::replay::deletion;
use crate::ops::replay_checks;
use crate::ops::words::About;
use crate::ops::words::Speaker;
use crate::ops::words::Words;
use crate::ops::words::listen;
use crate::report::RebuildReport;
use crate::store::Store;

/// A rebuild under way.
struct Rebuild<'a> {
    store: &'a Arc<Store>,
    words: Words,
    tenants: HashMap<Uuid, TenantRow>,
    differences: Differences,
    /// Differences that cannot be made into their objects any more.
    lost: HashSet<(TenantKey, Sha256)>,
    report: RebuildReport,
}

/// Fills an empty catalog.
pub(crate) async fn rebuild(store: &Arc<Store>) -> Result<RebuildReport> {
    let files = store.backend.list().await?;
    let speakers: Vec<Speaker> =
        files.iter().map(|(name, _)| Speaker { name: name.0, end: u64::MAX }).collect();
    let words = listen(store, &speakers, About::Everything).await?;
    let mut rebuild = Rebuild {
        store,
        words,
        tenants: HashMap::new(),
        differences: Differences::default(),
        lost: HashSet::new(),
        report: RebuildReport::default(),
    };
    rebuild.report.frames_damaged = rebuild.words.damaged;
    let mut found = rebuild.survey(&files).await?;
    rebuild.make_tenants(&found).await?;
    rebuild.make_packs(&mut found).await?;
    rebuild.make_dictionaries(&found).await?;
    found.sort_by_key(Found::rank);
    for pack in &found {
        rebuild.objects(pack).await?;
    }
    rebuild.settle_differences().await?;
    for pack in &found {
        rebuild.items(pack).await?;
    }
    rebuild.finish().await?;
    Ok(rebuild.report)
}

impl Rebuild<'_> {
    /// All tenants, oldest first. One whose record is in no whole frame gets its id as its name.
    async fn make_tenants(&mut self, found: &[Found]) -> Result<()> {
        let mut tenants: BTreeMap<(Timestamp, Uuid), String> = BTreeMap::new();
        self.words.tenants.retain(|_, record| replay_checks::name(&record.name).is_ok());
        for record in self.words.tenants.values() {
            let _ = tenants.insert((record.created, record.id), record.name.clone());
        }
        for entry in found.iter().flat_map(|pack| &pack.entries) {
            if !self.words.tenants.contains_key(&entry.tenant) {
                let created = crate::ids::uuid_v7_time(entry.tenant);
                let _ = tenants.insert((created, entry.tenant), entry.tenant.to_string());
            }
        }
        let changes =
            tenants.into_iter().map(|((created, id), name)| LogChange::Tenant { id, name, created });
        let commit = LogCommit { changes: changes.collect(), at: self.store.now(), ..LogCommit::default() };
        self.store.catalog.commit(&commit).await?;
        let rows = self.store.catalog.tenants().await?;
        self.tenants = rows.into_iter().map(|row| (row.id, row)).collect();
        self.report.tenants = self.tenants.len() as u64;
        Ok(())
    }

    fn tenant(&self, id: Uuid) -> Result<TenantRow> {
        let lost = || Error::internal("A tenant that was just made is not there.");
        self.tenants.get(&id).cloned().ok_or_else(lost)
    }

    /// What no item and no object says; then the statistics.
    async fn finish(&mut self) -> Result<()> {
        let since = self.store.now().0.saturating_sub(GONE_MILLIS);
        let mut restored = Restored { sequence: self.words.sequence, ..Restored::default() };
        for (tenant, record) in &self.words.policies {
            if let (Some(row), Some(json)) = (self.tenants.get(tenant), &record.json) {
                restored.policies.push((row.key, json.clone()));
            }
        }
        for (tenant, mut tombstone) in std::mem::take(&mut self.words.deletes) {
            let named = tombstone.caller_id.as_deref().is_some_and(|id| replay_checks::name(id).is_ok());
            let recent = named && tombstone.deleted.0 > since;
            if !recent {
                tombstone.caller_id = None;
            }
            let Some(row) = self.tenants.get(&tenant) else {
                continue;
            };
            match deletion(row.key, tombstone) {
                LogChange::Erase(erase) => restored.erased.push(erase),
                LogChange::Delete(delete) if recent => restored.deleted.push(delete),
                _ => {}
            }
        }
        self.store.catalog.restore(&restored).await?;
        let day = self.store.now().day();
        // A pack that is replayed later may refer to any object; then the next sweep forgets what nothing refers to.
        while self.report.packs_left == 0 {
            const BATCH: u32 = 1_000;
            let forgotten = self.store.catalog.remove_unreferenced(BATCH, day, false).await?;
            self.report.objects = self.report.objects.saturating_sub(forgotten);
            if forgotten < u64::from(BATCH) {
                break;
            }
        }
        // Its caller closes the catalog, which makes it durable.
        self.store.catalog.recount(day).await.map(drop)
    }
}
