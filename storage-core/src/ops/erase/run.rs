//! Finishing what was asked for: rounds of searching, rewriting and deleting, then the catalog. See the order in the module
//! above.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::catalog::rows::ErasureRow;
use crate::catalog::rows::PackRow;
use crate::catalog::rows::PackState;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::ops::compact::Forced;
use crate::ops::compact::empty;
use crate::ops::compact::free_bases;
use crate::ops::erase::request::Meant;
use crate::ops::erase::request::meant;
use crate::ops::erase::search::Held;
use crate::ops::erase::search::search;
use crate::ops::erase::targets::Targets;
use crate::ops::log::LogHandle;
use crate::ops::log::Request;
use crate::ops::log::group::GONE_MILLIS;
use crate::ops::sweep::remove;
use crate::report::CompactReport;
use crate::report::EraseReport;
use crate::report::EraseWhat;
use crate::store::Store;

/// Rounds of searching and rewriting. The first one does the work; the next one finds nothing, if nothing is damaged.
const ROUNDS_MAX: usize = 4;

/// Erases everything that was asked for. Goes on where an earlier call ended.
pub(crate) async fn finish(
    store: &Arc<Store>,
    log: &LogHandle,
    report: EraseReport,
    progress: mpsc::Sender<EraseReport>,
    stop: CancellationToken,
) -> Result<EraseReport> {
    store.check_writable()?;
    let mut run = Run { store, log, report, progress, stop };
    run.everything().await?;
    Ok(run.report)
}

struct Run<'a> {
    store: &'a Arc<Store>,
    log: &'a LogHandle,
    report: EraseReport,
    progress: mpsc::Sender<EraseReport>,
    stop: CancellationToken,
}

impl Run<'_> {
    async fn everything(&mut self) -> Result<()> {
        let pending = self.store.catalog.pending_erasures().await?;
        self.report.pending = pending.len() as u64;
        if pending.is_empty() {
            return Ok(());
        }
        if !self.rounds(&pending).await? {
            return Ok(());
        }
        self.store.caches.forget_content();
        let _ = self.store.catalog.forget_features().await?;
        self.report.catalog_bytes = self.store.catalog.expunge().await?;
        let now = self.store.now();
        let items: Vec<_> = pending.iter().map(|row| (row.tenant, row.kind, row.id)).collect();
        self.store.catalog.end_erasures(&items, now).await?;
        self.store.catalog.barrier().await?;
        self.report.erased = pending.len() as u64;
        self.report.erased_at = Some(now.0);
        self.report.pending = self.store.catalog.pending_erasures().await?.len() as u64;
        Ok(())
    }

    /// Whether nothing is left in any pack.
    async fn rounds(&mut self, pending: &[ErasureRow]) -> Result<bool> {
        for _ in 0..ROUNDS_MAX {
            self.log.ask(Request::Seal).await?;
            self.free_bases(pending).await?;
            if self.report.stopped {
                return Ok(false);
            }
            let _ = self.log.ask(|reply| Request::RemoveUnreferenced { dry_run: false, reply }).await?;
            let targets = Targets::of(self.store, pending).await?;
            if self.bases_are_left(pending).await? {
                return Ok(false);
            }
            let held = search(self.store, &targets, false).await?;
            self.report.left.clear();
            if held.is_nothing() {
                return Ok(true);
            }
            if self.stop.is_cancelled() {
                self.report.stopped = true;
                return Ok(false);
            }
            let before = self.report.packs_deleted;
            self.round(&targets, &held).await?;
            if self.report.stopped {
                return Ok(false);
            }
            if self.report.packs_deleted == before {
                self.tell_what_is_left(&held).await?;
                return Ok(false);
            }
        }
        Ok(false)
    }

    async fn round(&mut self, targets: &Targets, held: &Held) -> Result<()> {
        self.store.catalog.hide_gone_ids(&held.gone_ids).await?;
        self.retire(held).await?;
        let packs = self.store.catalog.packs().await?;
        let sealed = |row: &&PackRow| row.state == PackState::Sealed && held.packs.contains(&row.name);
        let forced = Forced {
            packs: packs.iter().filter(sealed).map(|row| row.key).collect(),
            barred: held.dictionaries.clone(),
        };
        let affected = packs.iter().filter(|row| held.packs.contains(&row.name));
        self.report.planned_packs += affected.clone().count() as u64;
        self.report.planned_pack_bytes += affected.map(|row| row.progress.bytes.total()).sum::<u64>();
        let moved = self.empty(&forced).await?;
        self.note(&moved);
        self.report.damaged = moved.damaged + held.unreadable.values().sum::<u64>();
        self.report.stopped |= moved.stopped;
        if self.report.stopped {
            return Ok(());
        }
        self.remove(&targets.items, &held.packs).await?;
        // Dictionaries that nothing needs any more go, and then the packs that held them.
        self.store.catalog.prune(Timestamp(self.store.now().0.saturating_sub(GONE_MILLIS))).await?;
        self.remove(&targets.items, &held.packs).await
    }

    /// Writes whole what is stored as a difference from an object that no item refers to any more.
    async fn free_bases(&mut self, pending: &[ErasureRow]) -> Result<()> {
        let tenants: BTreeSet<TenantKey> = pending.iter().map(|row| row.tenant).collect();
        let (store, stop) = (self.store, self.stop.clone());
        let freed = self.follow(|sender| free_bases(store, &tenants, sender, stop)).await?;
        self.note(&freed);
        self.report.stopped |= freed.stopped;
        Ok(())
    }

    /// Whether deltas that could not be read keep what is to be erased. Repair quarantines them.
    async fn bases_are_left(&mut self, pending: &[ErasureRow]) -> Result<bool> {
        let tenants: BTreeSet<TenantKey> = pending.iter().map(|row| row.tenant).collect();
        let mut left = 0;
        for tenant in tenants {
            let bases = self.store.catalog.unreferenced_bases(tenant).await?;
            let ours: Vec<&ErasureRow> = pending.iter().filter(|row| row.tenant == tenant).collect();
            // Where it is not known what an item had, it may be any of them.
            let unknown = ours.iter().any(|row| row.hashes.is_empty());
            let hashes: HashSet<Sha256> = ours.iter().flat_map(|row| row.hashes.clone()).collect();
            let rows = self.store.catalog.objects_by_key(tenant, &bases).await?;
            let keeps = rows.iter().filter(|row| unknown || hashes.contains(&row.sha256));
            left += keeps.count() as u64;
        }
        if left > 0 {
            self.report.damaged = left;
            tracing::error!(
                left,
                "an erasure is not done: damaged objects are differences from what is to be erased"
            );
        }
        Ok(left > 0)
    }

    async fn retire(&mut self, held: &Held) -> Result<()> {
        let rows = self.store.catalog.dictionaries(None).await?;
        let barred: Vec<_> = rows
            .iter()
            .filter(|row| held.dictionaries.contains(&row.dictionary.id))
            .map(|row| row.key)
            .collect();
        self.report.dictionaries_retired += barred.len() as u64;
        self.store.catalog.retire_dictionaries(&barred).await
    }

    /// Moves what is alive out of the packs.
    async fn empty(&self, forced: &Forced) -> Result<CompactReport> {
        self.follow(|sender| empty(self.store, forced, sender, self.stop.clone())).await
    }

    /// Does it, and passes its progress on.
    async fn follow<F: Future<Output = Result<CompactReport>>>(
        &self,
        begin: impl FnOnce(mpsc::Sender<CompactReport>) -> F,
    ) -> Result<CompactReport> {
        let (sender, mut steps) = mpsc::channel(1);
        let work = begin(sender);
        let tell = async {
            while let Some(step) = steps.recv().await {
                let mut report = self.report.clone();
                add(&mut report, &step);
                drop(self.progress.try_send(report));
            }
        };
        let (moved, ()) = tokio::join!(work, tell);
        moved
    }

    fn note(&mut self, moved: &CompactReport) {
        add(&mut self.report, moved);
        drop(self.progress.try_send(self.report.clone()));
    }

    /// Deletes those of these packs in which nothing is located.
    async fn remove(&mut self, items: &HashSet<(Uuid, Uuid)>, names: &BTreeSet<Uuid>) -> Result<()> {
        let mut dead = self.store.catalog.dead_packs().await?;
        dead.retain(|row| names.contains(&row.name));
        let fresh: Vec<PackKey> =
            dead.iter().filter(|row| row.state == PackState::Sealed).map(|row| row.key).collect();
        // What is condemned is expected to be gone after a crash.
        self.store.catalog.condemn(&fresh, self.store.now()).await?;
        let removed = remove(self.store, self.log, dead, items).await?;
        self.report.packs_deleted += removed.packs;
        self.report.bytes_deleted += removed.bytes;
        Ok(())
    }

    /// Names the packs that keep the erasure from being done.
    async fn tell_what_is_left(&mut self, held: &Held) -> Result<()> {
        let standing: BTreeSet<Uuid> = self.store.catalog.packs().await?.iter().map(|row| row.name).collect();
        let kept = held.packs.iter().chain(held.unreadable.keys()).filter(|name| standing.contains(name));
        self.report.left = kept.copied().collect::<BTreeSet<Uuid>>().into_iter().collect();
        tracing::error!(packs = ?self.report.left, "an erasure is not done: these packs could not be emptied");
        Ok(())
    }
}

fn add(report: &mut EraseReport, moved: &CompactReport) {
    report.planned_bytes += moved.planned_bytes;
    report.decoded_bytes += moved.decoded_bytes;
    report.rewritten_bytes += moved.stored_bytes;
    report.packs_written += moved.packs;
    report.dictionaries_made += moved.dictionaries_made;
}

/// What an erasure would take. Changes nothing.
pub(crate) async fn plan(store: &Store, what: Option<(&str, &EraseWhat)>) -> Result<EraseReport> {
    let mut report = EraseReport::default();
    let pending = store.catalog.pending_erasures().await?;
    report.pending = pending.len() as u64;
    let mut targets = Targets::of(store, &pending).await?;
    if let Some((tenant, what)) = what {
        let tenant = store.tenant(tenant).await?;
        let meant = meant(store, &tenant, what).await?;
        report.requested = (meant.living.len() + meant.deleted.len()) as u64 + meant.known;
        report.known = meant.known;
        report.pending += report.requested - report.known;
        would_go(store, (tenant.id, &meant), &mut targets).await?;
        let _ = targets.tenants.insert(tenant.id, tenant.key);
    }
    let held = search(store, &targets, true).await?;
    let mut keys = BTreeMap::new();
    for row in store.catalog.packs().await?.into_iter().filter(|row| held.packs.contains(&row.name)) {
        report.planned_packs += 1;
        report.planned_pack_bytes += row.progress.bytes.total();
        let _ = keys.insert(row.key, row.name);
    }
    let uses = store.catalog.frames_in_use().await?;
    report.planned_bytes =
        uses.iter().filter(|used| keys.contains_key(&used.pack)).map(|used| used.bytes).sum();
    report.dictionaries_retired = held.dictionaries.len() as u64;
    report.damaged = held.unreadable.values().sum();
    Ok(report)
}

/// Adds what only these items have to the targets.
async fn would_go(store: &Store, (tenant, meant): (Uuid, &Meant), targets: &mut Targets) -> Result<()> {
    let ids: HashSet<Uuid> = meant.living.keys().map(|(_, id)| *id).collect();
    let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX).saturating_add(1);
    for row in meant.living.values() {
        let _ = targets.items.insert((tenant, row.id));
        for part in store.catalog.parts(row.key).await? {
            let needing = store.catalog.items_of_object(part.object.key, limit).await?;
            if needing.iter().all(|id| ids.contains(id)) {
                let _ = targets.hashes.insert((tenant, part.object.sha256));
            }
        }
        if let Ok(skeleton) = store.skeleton(&row.location, row.id).await {
            let _ = targets.hashes.insert((tenant, crate::ops::read::sha256(&skeleton)));
        }
    }
    for ((_, id), remains) in &meant.deleted {
        let _ = targets.items.insert((tenant, *id));
        targets.hashes.extend(remains.hashes.iter().map(|hash| (tenant, *hash)));
    }
    Ok(())
}
