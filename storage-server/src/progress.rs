//! A migration as a stream of progress. Reports go out at most every [`limits::PROGRESS_INTERVAL`]; the last one has
//! `done` set. When the caller goes away or the server stops, the migration ends at its next safe step, and what it
//! committed until then stays.

use futures::StreamExt;
use futures::stream;
use futures::stream::BoxStream;
use storage_core::engine::Engine;
use storage_core::error::Result as EngineResult;
use storage_core::report::MigrateOptions;
use storage_core::report::MigrateReport;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Interval;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio_util::sync::DropGuard;
use tonic::Status;

use crate::convert::admin::wire_progress;
use crate::convert::failed;
use crate::jobs::Jobs;
use crate::jobs::MigrationPermit;
use crate::limits;
use crate::proto;

type Progress = Result<proto::MigrateProgress, Status>;

struct Running {
    task: JoinHandle<EngineResult<MigrateReport>>,
    reports: mpsc::Receiver<MigrateReport>,
    latest: Option<MigrateReport>,
    ticks: Interval,
    /// Stops the migration when the caller drops the stream.
    _stop_when_dropped: DropGuard,
}

/// Starts a migration; the permit, if any, is held until it has ended.
pub(crate) fn migrate(
    engine: &Engine,
    jobs: &Jobs,
    options: MigrateOptions,
    permit: Option<MigrationPermit>,
) -> BoxStream<'static, Progress> {
    let stop = jobs.stop().child_token();
    let (sender, reports) = mpsc::channel(1);
    let (engine, token) = (engine.clone(), stop.clone());
    let task = jobs.tasks().spawn(async move {
        let report = engine.migrate(options, sender, token).await;
        drop(permit);
        report
    });
    let mut ticks = interval(limits::PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let running = Running { task, reports, latest: None, ticks, _stop_when_dropped: stop.drop_guard() };
    stream::unfold(Some(running), step).boxed()
}

async fn step(running: Option<Running>) -> Option<(Progress, Option<Running>)> {
    let mut running = running?;
    loop {
        tokio::select! {
            biased;
            ended = &mut running.task => return Some((last(ended), None)),
            _ = running.ticks.tick(), if running.latest.is_some() => {
                if let Some(report) = running.latest.take() {
                    return Some((Ok(wire_progress(&report, false)), Some(running)));
                }
            }
            Some(report) = running.reports.recv() => running.latest = Some(report),
        }
    }
}

fn last(ended: Result<EngineResult<MigrateReport>, tokio::task::JoinError>) -> Progress {
    match ended {
        Ok(Ok(report)) => Ok(wire_progress(&report, true)),
        Ok(Err(error)) => Err(failed("migrate")(error)),
        Err(error) => {
            tracing::error!(%error, "a migration did not end by itself");
            Err(Status::internal(
                "The migration ended because of a failure of the server's own; its log has the details.",
            ))
        }
    }
}
