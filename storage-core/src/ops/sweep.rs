//! Giving space back. Order: forget objects without a reference -> condemn packs that nothing is located in -> after the
//! grace period: carry records that outlive the pack (tombstones, policies, tenants) into the log, durable -> make the
//! catalog durable (the barrier) -> delete the file -> forget the row.
//!
//! A crash between the steps leaves a pack condemned, or its row without a file: recovery and the next sweep finish it.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::rows::PackRow;
use crate::catalog::rows::PackState;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ops::log::LogHandle;
use crate::ops::log::Request;
use crate::ops::log::group::GONE_MILLIS;
use crate::ops::read::moved_away;
use crate::pack::FrameKind;
use crate::pack::PackName;
use crate::report::SweepOptions;
use crate::report::SweepReport;
use crate::store::Store;

/// Sweeps.
pub(crate) async fn sweep(store: &Arc<Store>, log: &LogHandle, options: SweepOptions) -> Result<SweepReport> {
    let mut report = SweepReport::default();
    if !options.dry_run {
        // What was written so far may be dead already; only sealed packs can go.
        log.ask(Request::Seal).await?;
    }
    let dry_run = options.dry_run;
    report.objects_removed = log.ask(|reply| Request::RemoveUnreferenced { dry_run, reply }).await?;
    let now = store.now();
    if !dry_run {
        store.catalog.prune(Timestamp(now.0.saturating_sub(GONE_MILLIS))).await?;
    }
    condemn(store, now, &options, &mut report).await?;
    let due = due(store, now, options.grace, &mut report).await?;
    if dry_run {
        let fresh = if options.grace.is_zero() { report.packs_condemned } else { 0 };
        report.packs_deleted = due.len() as u64 + fresh;
        report.bytes_deleted = due.iter().map(|pack| pack.progress.bytes.total()).sum();
        return Ok(report);
    }
    for pack in &due {
        carry(store, log, pack, &due).await?;
    }
    if !due.is_empty() {
        store.catalog.barrier().await?;
        for pack in &due {
            delete(store, pack).await?;
            report.packs_deleted += 1;
            report.bytes_deleted += pack.progress.bytes.total();
        }
    }
    store.catalog.shrink().await?;
    store.catalog.barrier().await?;
    Ok(report)
}

/// Starts the grace period of packs that are not needed any more.
async fn condemn(
    store: &Store,
    now: Timestamp,
    options: &SweepOptions,
    report: &mut SweepReport,
) -> Result<()> {
    let dead = store.catalog.dead_packs().await?;
    let fresh: Vec<_> =
        dead.iter().filter(|pack| pack.state == PackState::Sealed).map(|pack| pack.key).collect();
    report.packs_condemned = fresh.len() as u64;
    if options.dry_run || fresh.is_empty() {
        return Ok(());
    }
    store.catalog.condemn(&fresh, now).await
}

/// Condemned packs whose grace period is over.
async fn due(
    store: &Store,
    now: Timestamp,
    grace: Duration,
    report: &mut SweepReport,
) -> Result<Vec<PackRow>> {
    let mut due = Vec::new();
    for pack in store.catalog.dead_packs().await? {
        let PackState::Condemned(since) = pack.state else {
            continue;
        };
        if since.plus(grace) <= now {
            due.push(pack);
        } else {
            report.packs_waiting += 1;
        }
    }
    Ok(due)
}

/// Copies what outlives the pack into the log: tombstones as long as a pack may hold the record they speak of (an older
/// one, or one that a migration was writing when the item was deleted), tenants, and policies that are still the newest
/// word.
async fn carry(store: &Arc<Store>, log: &LogHandle, pack: &PackRow, due: &[PackRow]) -> Result<()> {
    let index = match store.pack_index(pack.name).await {
        Ok(index) => index,
        // The file was deleted before a crash; what it held was carried then.
        Err(error) if moved_away(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let packs = store.catalog.packs().await?;
    let older =
        packs.iter().any(|other| other.key < pack.key && !due.iter().any(|gone| gone.key == other.key));
    let recent = store.now().0.saturating_sub(pack.created.0) < GONE_MILLIS;
    let mut frames = Vec::new();
    for entry in index.entries() {
        let wanted = match entry.kind {
            FrameKind::Tombstone => older || recent,
            // The log leaves out policies that are not the newest word any more.
            FrameKind::Tenant | FrameKind::Policy => true,
            FrameKind::Block | FrameKind::Segment | FrameKind::Dictionary => false,
        };
        if wanted {
            frames.push(store.frame(pack.name, entry.ordinal).await?);
        }
    }
    if frames.is_empty() {
        return Ok(());
    }
    log.ask(|reply| Request::Carry(frames, reply)).await
}

async fn delete(store: &Store, pack: &PackRow) -> Result<()> {
    store.backend.delete(PackName(pack.name)).await?;
    store.caches.forget_pack(pack.name);
    store.catalog.remove_pack(pack.key).await
}
