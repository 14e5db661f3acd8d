//! The program: settings, engine, server, signals. Everything it does, the library can do without a process.

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use storage_core::clock::SystemClock;
use storage_core::engine::Engine;
use storage_server::config;
use storage_server::config::Flags;
use storage_server::config::LogFormat;
use storage_server::config::Settings;
use storage_server::descriptors;
use storage_server::metrics::endpoint;
use storage_server::server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A tiered, deduplicating, byte-exact content store for mail.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Configuration file (TOML); see storage-server.example.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of packs and catalog [default: ./data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:7401]; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Log format: text or json [default: text].
    #[arg(long, value_name = "FORMAT")]
    log: Option<LogFormat>,
}

/// Threads for file access and CPU-heavy work at most. The allocator keeps memory per thread, so a burst of reads must
/// not make hundreds of them.
const BLOCKING_THREADS_MAX: usize = 12;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .context("cannot start the runtime");
    match runtime.and_then(|runtime| runtime.block_on(run(args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The one line that says why the process ends; nothing is left to do where stderr is closed.
            let _written = writeln!(io::stderr(), "storage-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let file = args.config.as_deref().map(config::read).transpose()?.unwrap_or_default();
    let settings =
        config::resolve(Flags { data_dir: args.data_dir, listen: args.listen, log: args.log }, file)?;
    start_log(settings.log)?;
    let shutdown = CancellationToken::new();
    watch_signals(&shutdown)?;
    serve(settings, shutdown).await
}

/// Opens, serves until `shutdown`, closes.
async fn serve(mut settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    settings.server.connections_max = descriptors::connections(settings.server.connections_max);
    let data_dir = settings.engine.data_dir.clone();
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let metrics_listener = match settings.metrics_listen {
        Some(at) => Some(TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at}"))?),
        None => None,
    };
    let engine = Engine::open(settings.engine, Arc::new(SystemClock))
        .await
        .with_context(|| format!("cannot open the store in {}", data_dir.display()))?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    if let Some(listener) = metrics_listener {
        tracing::info!(address = %listener.local_addr()?, "metrics are read here");
        let metrics = settings.server.metrics.clone();
        drop(tokio::spawn(endpoint::serve(listener, metrics, engine.clone(), shutdown.clone())));
    }
    let served = server::serve(listener, engine.clone(), settings.server, shutdown).await;
    let closed = engine.close().await.context("cannot close the store");
    served.map_err(|error| anyhow::anyhow!(error)).context("cannot serve")?;
    closed?;
    tracing::info!("stopped cleanly");
    Ok(())
}

fn start_log(format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new("info"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!(error)).context("cannot start the log")
}

/// The first SIGTERM or SIGINT asks for a clean stop; a second one ends the process at once, which loses nothing that
/// was acknowledged.
fn watch_signals(shutdown: &CancellationToken) -> io::Result<()> {
    use tokio::signal::unix::SignalKind;
    use tokio::signal::unix::signal;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = shutdown.clone();
    drop(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if shutdown.is_cancelled() {
                std::process::exit(1);
            }
            tracing::info!("stopping: finishing what is in flight; signal again to end at once");
            shutdown.cancel();
        }
    }));
    Ok(())
}
