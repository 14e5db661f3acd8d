//! Long upkeep as a stream of progress. Reports go out at most every [`limits::PROGRESS_INTERVAL`]; the last one has
//! `done` set. When the caller goes away or the server stops, the work ends at its next safe step, and what it committed
//! until then stays.

use futures::StreamExt;
use futures::stream;
use futures::stream::BoxStream;
use storage_core::engine::Engine;
use storage_core::error::Result as EngineResult;
use storage_core::report::CompactOptions;
use storage_core::report::EraseOptions;
use storage_core::report::MigrateOptions;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::task::JoinHandle;
use tokio::time::Interval;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;
use tonic::Status;

use crate::convert::admin::wire_compact;
use crate::convert::admin::wire_progress;
use crate::convert::erasing::wire_erase;
use crate::convert::failed;
use crate::jobs::Jobs;
use crate::jobs::MigrationPermit;
use crate::limits;
use crate::proto;

/// How a report becomes an answer: the last one has `done` set.
type Wire<R, P> = fn(&R, bool) -> P;

struct Running<R, P> {
    task: JoinHandle<EngineResult<R>>,
    reports: mpsc::Receiver<R>,
    latest: Option<R>,
    ticks: Interval,
    /// What runs, for the log.
    what: &'static str,
    wire: Wire<R, P>,
    /// Stops the work when the caller drops the stream.
    _stop_when_dropped: DropGuard,
}

/// Starts a migration; the permit, if any, is held until it has ended.
pub(crate) fn migrate(
    engine: &Engine,
    jobs: &Jobs,
    options: MigrateOptions,
    permit: Option<MigrationPermit>,
) -> BoxStream<'static, Result<proto::MigrateProgress, Status>> {
    let engine = engine.clone();
    let work = async move |sender, stop| {
        let report = engine.migrate(options, sender, stop).await;
        drop(permit);
        report
    };
    run(jobs, ("migrate", wire_progress), work)
}

/// Starts a compaction.
pub(crate) fn compact(
    engine: &Engine,
    jobs: &Jobs,
    options: CompactOptions,
) -> BoxStream<'static, Result<proto::CompactProgress, Status>> {
    let engine = engine.clone();
    let work = async move |sender, stop| engine.compact(options, sender, stop).await;
    run(jobs, ("compact", wire_compact), work)
}

/// Starts an erasure.
pub(crate) fn erase(
    engine: &Engine,
    jobs: &Jobs,
    options: EraseOptions,
) -> BoxStream<'static, Result<proto::EraseProgress, Status>> {
    let engine = engine.clone();
    let work = async move |sender, stop| engine.erase(options, sender, stop).await;
    run(jobs, ("erase", wire_erase), work)
}

fn run<R: Send + 'static, P: 'static, F: Future<Output = EngineResult<R>> + Send + 'static>(
    jobs: &Jobs,
    (what, wire): (&'static str, Wire<R, P>),
    work: impl FnOnce(mpsc::Sender<R>, CancellationToken) -> F,
) -> BoxStream<'static, Result<P, Status>> {
    let stop = jobs.stop().child_token();
    let (sender, reports) = mpsc::channel(1);
    let task = jobs.tasks().spawn(work(sender, stop.clone()));
    let mut ticks = interval(limits::PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let running =
        Running { task, reports, latest: None, ticks, what, wire, _stop_when_dropped: stop.drop_guard() };
    stream::unfold(Some(running), step).boxed()
}

async fn step<R, P>(running: Option<Running<R, P>>) -> Option<(Result<P, Status>, Option<Running<R, P>>)> {
    let mut running = running?;
    loop {
        tokio::select! {
            biased;
            ended = &mut running.task => return Some((last(ended, &running), None)),
            _ = running.ticks.tick(), if running.latest.is_some() => {
                if let Some(report) = running.latest.take() {
                    return Some((Ok((running.wire)(&report, false)), Some(running)));
                }
            }
            Some(report) = running.reports.recv() => running.latest = Some(report),
        }
    }
}

fn last<R, P>(ended: Result<EngineResult<R>, JoinError>, running: &Running<R, P>) -> Result<P, Status> {
    match ended {
        Ok(Ok(report)) => Ok((running.wire)(&report, true)),
        Ok(Err(error)) => Err(failed(running.what)(error)),
        Err(error) => {
            tracing::error!(%error, what = running.what, "work did not end by itself");
            Err(Status::internal(
                "The work ended because of a failure of the server's own; its log has the details.",
            ))
        }
    }
}
