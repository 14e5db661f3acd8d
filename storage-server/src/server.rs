//! The server as a function of listener, engine, settings and shutdown. It reads no globals and closes no engine.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use futures::Stream;
use futures::StreamExt;
use storage_core::clock::SystemClock;
use storage_core::engine::Engine;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::transport::server::TcpIncoming;

use crate::admission::Admission;
use crate::connection::Limited;
use crate::connection::Places;
use crate::gate::Gate;
use crate::health;
use crate::jobs::Jobs;
use crate::limits;
use crate::metrics::Metrics;
use crate::metrics::ServerParts;
use crate::patience::Patience;
use crate::proto;
use crate::proto::admin_service_server::AdminServiceServer;
use crate::proto::content_service_server::ContentServiceServer;
use crate::proto::message_service_server::MessageServiceServer;
use crate::schedule;
use crate::services::admin::Admin;
use crate::services::content::Contents;
use crate::services::message::Messages;
use crate::stalls::Stalls;

/// What a server is run with, apart from its engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests in flight over all connections; more are refused with `RESOURCE_EXHAUSTED`. Default 512.
    pub requests_max: usize,
    /// Connections; more are closed at once. Default 2048.
    pub connections_max: usize,
    /// Memory for requests being received and not handed on yet, in bytes. Default 64 MiB.
    pub receive_memory_bytes: usize,
    /// How long clients are waited for.
    pub patience: Patience,
    /// What is measured. A new one counts for itself; keep a clone to read it.
    pub metrics: Metrics,
    /// How long a shutdown waits for requests in flight. Default 30 s.
    pub drain: Duration,
    /// When to migrate and sweep, in UTC. Default never.
    pub migrate_schedule: Option<Cron>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            requests_max: 512,
            connections_max: 2048,
            receive_memory_bytes: 64 << 20,
            patience: Patience::default(),
            metrics: Metrics::new(),
            drain: Duration::from_secs(30),
            migrate_schedule: None,
        }
    }
}

/// Why serving ended before its shutdown.
pub type ServeError = Box<dyn std::error::Error + Send + Sync>;

/// Serves until `shutdown` is cancelled. Then: no new connection, no new request, ingest streams and migrations are
/// asked to stop, and what is in flight gets up to `settings.drain` to finish. The engine stays open.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    settings: Settings,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let jobs = Jobs::new(shutdown.child_token());
    let gate = gate(&engine, &settings);
    let routes = routes(engine.clone(), &jobs, &gate, settings.patience)
        .add_service(health::start(&engine, &jobs).await)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    if let Some(cron) = settings.migrate_schedule {
        let (engine, jobs) = (engine.clone(), jobs.clone());
        let tasks = jobs.tasks().clone();
        drop(tasks.spawn(async move { schedule::run(&cron, &engine, &SystemClock, &jobs).await }));
    }
    let patience = settings.patience;
    let places = Arc::new(Places::new(settings.connections_max));
    let stalls = Arc::new(Stalls::default());
    settings.metrics.watch(ServerParts {
        gate: Arc::clone(&gate),
        places: Arc::clone(&places),
        stalls: Arc::clone(&stalls),
    });
    let doors = Arc::clone(&places);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).filter_map(move |accepted| {
        let limited = accepted.map(|stream| Limited::admit(stream, &doors, patience)).transpose();
        std::future::ready(limited)
    });
    let admission =
        Admission { gate, stalls: Arc::clone(&stalls), calls: settings.metrics.calls(), patience };
    let served = builder()
        .layer(admission)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
    let drained = async {
        shutdown.cancelled().await;
        timeout(settings.drain, std::future::pending::<()>()).await
    };
    tokio::select! {
        served = served => served?,
        _ = drained => tracing::warn!("requests were still in flight when the time to drain was over"),
        () = stalls.run(patience.answer) => {}
    }
    places.close();
    jobs.stop().cancel();
    if timeout(settings.drain, jobs.finished()).await.is_err() {
        tracing::warn!("a job was still running when the time to drain was over");
    }
    Ok(())
}

/// Serves connections made inside the process until `incoming` ends: the same services, without the bounds that
/// protect a server from its clients.
pub(crate) fn serve_incoming<I, C>(
    incoming: I,
    engine: Engine,
) -> impl Future<Output = Result<(), tonic::transport::Error>> + use<I, C>
where
    I: Stream<Item = io::Result<C>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let jobs = Jobs::new(CancellationToken::new());
    let settings = Settings::default();
    let gate = gate(&engine, &settings);
    builder().add_routes(routes(engine, &jobs, &gate, settings.patience)).serve_with_incoming(incoming)
}

fn builder() -> Server {
    Server::builder()
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(limits::HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(limits::PING_INTERVAL))
        .http2_keepalive_timeout(Some(limits::PING_TIMEOUT))
}

/// The bounds that all requests share.
fn gate(engine: &Engine, settings: &Settings) -> Arc<Gate> {
    let known = engine.clone();
    Arc::new(Gate::new(
        settings.requests_max,
        settings.receive_memory_bytes,
        engine.settings().tenant_share_percent,
        move |name| known.knows_tenant(name),
    ))
}

fn routes(engine: Engine, jobs: &Jobs, gate: &Arc<Gate>, patience: Patience) -> Routes {
    let messages = Messages::new(engine.clone(), jobs.clone(), Arc::clone(gate), patience);
    let messages = MessageServiceServer::new(messages);
    let contents = ContentServiceServer::new(Contents::new(engine.clone(), patience));
    let admin = AdminServiceServer::new(Admin::new(engine, jobs.clone()));
    Routes::new(messages.max_decoding_message_size(limits::REQUEST_BYTES_MAX))
        .add_service(contents.max_decoding_message_size(limits::REQUEST_BYTES_MAX))
        .add_service(admin.max_decoding_message_size(limits::REQUEST_BYTES_MAX))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
