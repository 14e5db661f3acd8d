//! Health checks: every service and the server as a whole (the empty name) serve while the engine takes writes and
//! no shutdown has begun.

use storage_core::engine::Engine;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthReporter;

use crate::jobs::Jobs;
use crate::limits;
use crate::proto::admin_service_server::AdminServiceServer;
use crate::proto::content_service_server::ContentServiceServer;
use crate::proto::message_service_server::MessageServiceServer;
use crate::services::admin::Admin;
use crate::services::content::Contents;
use crate::services::message::Messages;

const NAMES: [&str; 4] = [
    "",
    <MessageServiceServer<Messages> as NamedService>::NAME,
    <ContentServiceServer<Contents> as NamedService>::NAME,
    <AdminServiceServer<Admin> as NamedService>::NAME,
];

/// The health service, kept up to date by a task of `jobs`.
pub(crate) async fn start(engine: &Engine, jobs: &Jobs) -> HealthServer<impl Health + use<>> {
    let (mut reporter, service) = tonic_health::server::health_reporter();
    report(&reporter, engine.writable()).await;
    let (engine, stop) = (engine.clone(), jobs.stop().clone());
    drop(jobs.tasks().spawn(async move {
        watch(&engine, &reporter, stop.cancelled()).await;
        report(&reporter, false).await;
        // Ends the streams of those who watch, which would keep their connections open.
        for name in NAMES {
            reporter.clear_service_status(name).await;
        }
    }));
    service
}

async fn watch(engine: &Engine, reporter: &HealthReporter, stopped: impl Future<Output = ()>) {
    let mut ticks = interval(limits::HEALTH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    let mut stopped = std::pin::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => return,
            _ = ticks.tick() => {}
        }
        let writable = engine.writable();
        if last != Some(writable) {
            report(reporter, writable).await;
            last = Some(writable);
        }
    }
}

async fn report(reporter: &HealthReporter, serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in NAMES {
        reporter.set_service_status(name, status).await;
    }
}
