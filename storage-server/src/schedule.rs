//! The nightly migration: at the times of a cron expression (UTC), apply the tier policy, compact, erase what is still to
//! be erased, and sweep. It waits for full blocks, which compaction would have to merge otherwise. A run that finds another
//! migration going on is skipped.

use std::time::Duration;

use chrono::DateTime;
use chrono::Utc;
use croner::Cron;
use storage_core::clock::Clock;
use storage_core::clock::Timestamp;
use storage_core::engine::Engine;
use storage_core::error::Result;
use storage_core::report::CompactOptions;
use storage_core::report::EraseOptions;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::jobs::Jobs;

/// The clock is asked at least this often, so that a clock that is set does not shift the next run by much.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// Runs until the server stops.
pub(crate) async fn run(cron: &Cron, engine: &Engine, clock: &dyn Clock, jobs: &Jobs) {
    while let Some(next) = next_after(cron, clock.now()) {
        while let Some(wait) = until(next, clock.now()) {
            tokio::select! {
                () = jobs.stop().cancelled() => return,
                () = sleep(wait) => {}
            }
        }
        if let Some(_permit) = jobs.try_migration() {
            once(engine, jobs).await;
        } else {
            tracing::warn!("another migration is running; this run is skipped");
        }
        if jobs.stop().is_cancelled() {
            return;
        }
    }
    tracing::warn!("the migration schedule has no further run");
}

/// The first run after `now`.
fn next_after(cron: &Cron, Timestamp(now): Timestamp) -> Option<Timestamp> {
    let now: DateTime<Utc> = DateTime::from_timestamp_millis(now)?;
    let next = cron.find_next_occurrence(&now, false).ok()?;
    Some(Timestamp(next.timestamp_millis()))
}

/// How long to sleep before looking at the clock again; none once `next` is reached.
fn until(next: Timestamp, now: Timestamp) -> Option<Duration> {
    let millis = u64::try_from(next.0.saturating_sub(now.0)).ok().filter(|millis| *millis > 0)?;
    Some(Duration::from_millis(millis).min(WAIT_MAX))
}

async fn once(engine: &Engine, jobs: &Jobs) {
    match migrate_compact_sweep(engine, jobs).await {
        Ok(()) => {}
        Err(error) => tracing::error!(?error, "the scheduled migration failed"),
    }
}

async fn migrate_compact_sweep(engine: &Engine, jobs: &Jobs) -> Result<()> {
    // Nobody listens: the engine drops reports that find no room.
    let (sender, _reports) = mpsc::channel(1);
    let options = MigrateOptions { wait: true, ..MigrateOptions::default() };
    let report = engine.migrate(options, sender, jobs.stop().child_token()).await?;
    tracing::info!(
        packs = report.packs,
        planned_objects = report.planned_objects,
        waiting_objects = report.waiting_objects,
        damaged = report.damaged,
        "migrated"
    );
    if jobs.stop().is_cancelled() {
        return Ok(());
    }
    let (sender, _reports) = mpsc::channel(1);
    let report = engine.compact(CompactOptions::default(), sender, jobs.stop().child_token()).await?;
    tracing::info!(
        packs = report.packs,
        objects = report.objects,
        replaced_bytes = report.replaced_bytes,
        stored_bytes = report.stored_bytes,
        damaged = report.damaged,
        "compacted"
    );
    if jobs.stop().is_cancelled() {
        return Ok(());
    }
    erase_pending(engine, jobs).await;
    if jobs.stop().is_cancelled() {
        return Ok(());
    }
    let swept = engine.sweep(SweepOptions::default()).await?;
    tracing::info!(packs_deleted = swept.packs_deleted, bytes_deleted = swept.bytes_deleted, "swept");
    Ok(())
}

/// Erases what was left for later; nothing is rewritten where nothing was. A failure does not keep the sweep from its work.
async fn erase_pending(engine: &Engine, jobs: &Jobs) {
    let (sender, _reports) = mpsc::channel(1);
    match engine.erase(EraseOptions::default(), sender, jobs.stop().child_token()).await {
        Ok(done) if done.erased + done.pending == 0 => {}
        Ok(done) => tracing::info!(
            erased = done.erased,
            pending = done.pending,
            rewritten_bytes = done.rewritten_bytes,
            packs_deleted = done.packs_deleted,
            "erased"
        ),
        Err(error) => tracing::error!(?error, "what is to be erased is still there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn the_next_run_is_after_now_in_utc() {
        let cron = Cron::from_str("30 3 * * *").unwrap();
        let half_past_three = Timestamp(12_600_000);
        assert_eq!(next_after(&cron, Timestamp(0)), Some(half_past_three));
        assert_eq!(next_after(&cron, half_past_three), Some(Timestamp(half_past_three.0 + 86_400_000)));
        assert_eq!(next_after(&cron, Timestamp(i64::MAX)), None);
    }

    #[test]
    fn waiting_is_bounded_and_ends() {
        assert_eq!(until(Timestamp(5), Timestamp(5)), None);
        assert_eq!(until(Timestamp(5), Timestamp(9)), None);
        assert_eq!(until(Timestamp(9), Timestamp(5)), Some(Duration::from_millis(4)));
        assert_eq!(until(Timestamp(i64::MAX), Timestamp(-5)), Some(WAIT_MAX));
    }
}
