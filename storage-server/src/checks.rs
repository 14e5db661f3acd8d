//! Scrub and repair as streams of answers. What is found is never left out: a caller that reads slowly makes the work
//! wait. When the caller goes away or the server stops, the work ends at its next safe step.

use futures::StreamExt;
use futures::stream;
use futures::stream::BoxStream;
use storage_core::engine::Engine;
use storage_core::error::Result as EngineResult;
use storage_core::report::Finding;
use storage_core::report::RepairAction;
use storage_core::report::RepairOptions;
use storage_core::report::RepairReport;
use storage_core::report::ScrubEvent;
use storage_core::report::ScrubOptions;
use storage_core::report::ScrubReport;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;
use tonic::Status;

use crate::convert::failed;
use crate::convert::integrity::wire_action;
use crate::convert::integrity::wire_repair;
use crate::convert::integrity::wire_scrub;
use crate::jobs::Jobs;
use crate::proto;

/// Events taken at once, and waiting at most.
const EVENTS_MAX: usize = 100;

/// Work whose events become answers.
struct Running<E, R> {
    events: mpsc::Receiver<E>,
    task: JoinHandle<EngineResult<R>>,
    /// Stops the work when the caller drops the stream.
    _stop_when_dropped: DropGuard,
}

impl<E, R> Running<E, R> {
    /// The next events; none when the work has ended.
    async fn next(&mut self) -> Vec<E> {
        let mut events = Vec::new();
        let _ = self.events.recv_many(&mut events, EVENTS_MAX).await;
        events
    }

    async fn ended(self, operation: &'static str) -> Result<R, Status> {
        match self.task.await {
            Ok(done) => done.map_err(failed(operation)),
            Err(error) => {
                tracing::error!(%error, operation, "work did not end by itself");
                Err(Status::internal(
                    "It ended because of a failure of the server's own; its log has the details.",
                ))
            }
        }
    }
}

type ScrubAnswer = Result<proto::ScrubProgress, Status>;

/// Starts a scrub.
pub(crate) fn scrub(engine: &Engine, jobs: &Jobs, options: ScrubOptions) -> BoxStream<'static, ScrubAnswer> {
    let stop = jobs.stop().child_token();
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let (engine, token) = (engine.clone(), stop.clone());
    let task = jobs.tasks().spawn(async move { engine.scrub(options, sender, token).await });
    let running = Running { events, task, _stop_when_dropped: stop.drop_guard() };
    stream::unfold(Some((running, ScrubReport::default())), scrub_step).boxed()
}

type Scrubbing = (Running<ScrubEvent, ScrubReport>, ScrubReport);

async fn scrub_step(state: Option<Scrubbing>) -> Option<(ScrubAnswer, Option<Scrubbing>)> {
    let (mut running, mut latest) = state?;
    let events = running.next().await;
    if events.is_empty() {
        let report = running.ended("scrub").await;
        return Some((report.map(|report| wire_scrub(&report, Vec::new(), true)), None));
    }
    let mut findings: Vec<Finding> = Vec::new();
    for event in events {
        match event {
            ScrubEvent::Finding(finding) => findings.push(finding),
            ScrubEvent::Progress(report) => latest = report,
        }
    }
    Some((Ok(wire_scrub(&latest, findings, false)), Some((running, latest))))
}

type RepairAnswer = Result<proto::RepairProgress, Status>;

/// Starts a repair.
pub(crate) fn repair(
    engine: &Engine,
    jobs: &Jobs,
    options: RepairOptions,
) -> BoxStream<'static, RepairAnswer> {
    let stop = jobs.stop().child_token();
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let (engine, token) = (engine.clone(), stop.clone());
    let task = jobs.tasks().spawn(async move { engine.repair(options, sender, token).await });
    let running = Running { events, task, _stop_when_dropped: stop.drop_guard() };
    stream::unfold(Some(running), repair_step).boxed()
}

type Repairing = Running<RepairAction, RepairReport>;

async fn repair_step(state: Option<Repairing>) -> Option<(RepairAnswer, Option<Repairing>)> {
    let mut running = state?;
    let actions = running.next().await;
    if actions.is_empty() {
        let report = running.ended("repair").await;
        return Some((report.map(|report| wire_repair(&report, Vec::new())), None));
    }
    let actions = actions.into_iter().map(wire_action).collect();
    Some((Ok(proto::RepairProgress { actions, ..Default::default() }), Some(running)))
}
