//! Giving space back. Order: forget objects without a reference -> condemn packs that nothing is located in -> after the
//! grace period: carry records that outlive the pack (tombstones, policies, tenants) into the log, durable -> make the
//! catalog durable (the barrier) -> delete the file -> forget the row.
//!
//! A crash between the steps leaves a pack condemned, or its row without a file: recovery and the next sweep finish it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::rows::PackRow;
use crate::catalog::rows::PackState;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ops::holders::Holders;
use crate::ops::log::LogHandle;
use crate::ops::log::Request;
use crate::ops::log::group::GONE_MILLIS;
use crate::ops::read::moved_away;
use crate::ops::survey::is_damage;
use crate::ops::words::ItemName;
use crate::pack::Frame;
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
        if report.objects_removed > 0 {
            let _ = store.catalog.forget_features().await?;
        }
    }
    condemn(store, now, &options, &mut report).await?;
    let due = due(store, now, options.grace, &mut report).await?;
    if dry_run {
        let fresh = if options.grace.is_zero() { report.packs_condemned } else { 0 };
        report.packs_deleted = due.len() as u64 + fresh;
        report.bytes_deleted = due.iter().map(|pack| pack.progress.bytes.total()).sum();
        return Ok(report);
    }
    let removed = remove(store, log, due, &HashSet::new()).await?;
    (report.packs_deleted, report.bytes_deleted) = (removed.packs, removed.bytes);
    store.catalog.shrink().await?;
    store.catalog.barrier().await?;
    Ok(report)
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Removed {
    pub(crate) packs: u64,
    pub(crate) bytes: u64,
}

/// Removes packs that nothing is located in, whatever their grace: what outlives them is carried into the log, the catalog
/// is made durable, the files go, then their rows. What is said of `erased` items besides that they are erased is not
/// carried.
pub(crate) async fn remove(
    store: &Arc<Store>,
    log: &LogHandle,
    packs: Vec<PackRow>,
    erased: &HashSet<ItemName>,
) -> Result<Removed> {
    let packs = tombstones_last(store, packs).await?;
    let holders = Holders::of(store, &packs).await?;
    for (position, pack) in packs.iter().enumerate() {
        let gone_before = packs.get(..position).unwrap_or_default();
        carry(store, log, pack, (&holders, gone_before, erased)).await?;
    }
    let mut removed = Removed::default();
    if !packs.is_empty() {
        store.catalog.barrier().await?;
    }
    for pack in &packs {
        delete(store, pack).await?;
        removed.packs += 1;
        removed.bytes += pack.progress.bytes.total();
    }
    Ok(removed)
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

/// Packs in the order in which they are deleted: those that hold tombstones last, so that a tombstone is never gone
/// while a pack that is to be deleted with it still stands. One whose index cannot be read is left out.
async fn tombstones_last(store: &Store, due: Vec<PackRow>) -> Result<Vec<PackRow>> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for pack in due {
        let speaks = match store.pack_index(pack.name).await {
            Ok(index) => index.entries().iter().any(|entry| entry.kind == FrameKind::Tombstone),
            Err(error) if moved_away(&error) => false,
            Err(error) if is_damage(&error) => {
                tracing::error!(%error, pack = %pack.name, "a dead pack is kept: what it says cannot be read");
                continue;
            }
            Err(error) => return Err(error),
        };
        if speaks { last.push(pack) } else { first.push(pack) }
    }
    first.append(&mut last);
    Ok(first)
}

/// Copies what outlives the pack into the log: tombstones as long as another pack may hold the record they speak of, or
/// the deleted id must stay gone; tenants; and policies that are still the newest word. Packs of `gone_before` are
/// deleted before this one.
async fn carry(
    store: &Arc<Store>,
    log: &LogHandle,
    pack: &PackRow,
    (holders, gone_before, erased): (&Holders, &[PackRow], &HashSet<ItemName>),
) -> Result<()> {
    let index = match store.pack_index(pack.name).await {
        Ok(index) => index,
        // The file was deleted before a crash; what it held was carried then.
        Err(error) if moved_away(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut frames = Vec::new();
    for entry in index.entries() {
        let speaks = matches!(entry.kind, FrameKind::Tombstone | FrameKind::Tenant | FrameKind::Policy);
        if !speaks {
            continue;
        }
        let frame = store.frame(pack.name, entry.ordinal).await?;
        let wanted = match entry.kind {
            FrameKind::Tombstone => {
                let needed = holders.may_hold(entry.tenant, pack, gone_before) || is_recent(store, &frame)?;
                needed && !is_about_erased(&frame, erased)?
            }
            // The log leaves out policies that are not the newest word any more.
            _ => true,
        };
        if wanted {
            frames.push(frame);
        }
    }
    if frames.is_empty() {
        return Ok(());
    }
    log.ask(|reply| Request::Carry(frames, reply)).await
}

/// Whether a deleted id of the frame must still stay gone.
fn is_recent(store: &Store, frame: &Frame) -> Result<bool> {
    let since = store.now().0.saturating_sub(GONE_MILLIS);
    Ok(frame.head().tombstones()?.iter().any(|tombstone| tombstone.deleted.0 > since))
}

/// Whether all that a frame of tombstones says is that erased items were deleted.
fn is_about_erased(frame: &Frame, erased: &HashSet<ItemName>) -> Result<bool> {
    let tenant = frame.header().tenant;
    let mut tombstones = frame.head().tombstones()?.into_iter();
    Ok(!erased.is_empty()
        && tombstones.all(|record| record.erase.is_none() && erased.contains(&(tenant, record.item))))
}

async fn delete(store: &Store, pack: &PackRow) -> Result<()> {
    store.backend.delete(PackName(pack.name)).await?;
    store.caches.forget_pack(pack.name);
    store.catalog.remove_pack(pack.key).await
}
