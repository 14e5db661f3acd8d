//! What many tenants cost: the messages of some directories are dealt out to them by turns or in runs, archived and swept; then
//! packs and bytes are counted, and messages are read in random order, each once, by a store that was just opened. Needs no
//! server; the memory told is that of this process, which holds one message at a time beside the store.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use clap::Parser;
use sha2::Digest;
use sha2::Sha256;
use storage_benches::mail::paths_below;
use storage_benches::memory::Sample;
use storage_benches::print;
use storage_benches::stopwatch::Stopwatch;
use storage_benches::summary::Latencies;
use storage_core::clock::SystemClock;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::engine::Engine;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::CompactOptions;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use storage_core::settings::Settings;
use storage_fixtures::rng::Rng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Puts at a time.
const IN_FLIGHT: usize = 32;

/// Deals messages out to tenants, archives them and reads some.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the store is made. Must not exist.
    store: PathBuf,
    /// A directory of messages; may be repeated.
    #[arg(long = "dir", required = true)]
    directories: Vec<PathBuf>,
    /// How many tenants.
    #[arg(long, default_value_t = 1_000)]
    tenants: usize,
    /// Deal out runs of neighbours instead of one message after the other: a tenant's mail is alike then, as mailboxes are.
    #[arg(long)]
    runs: bool,
    /// How many messages are read at the end.
    #[arg(long, default_value_t = 2_000)]
    reads: usize,
}

/// A message that was put.
struct Put {
    tenant: String,
    id: String,
    sha256: [u8; 32],
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(!arguments.store.exists(), "{} is there already", arguments.store.display());
    tokio::runtime::Runtime::new()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let stopwatch = Stopwatch::start();
    let engine = open(&arguments.store).await?;
    let tenants = tenants(&engine, arguments.tenants).await?;
    let mut paths = Vec::new();
    for directory in &arguments.directories {
        paths.extend(paths_below(directory)?);
    }
    let (puts, bytes) = put_all(&engine, &tenants, dealt(paths, tenants.len(), arguments.runs)).await?;
    print::line(&format!(
        "{} messages, {bytes} bytes, put for {} tenants in {} s",
        puts.len(),
        tenants.len(),
        stopwatch.elapsed().as_secs()
    ))?;
    let (progress, _told) = mpsc::channel(1);
    let options = MigrateOptions { to: Some(Tier::Archive), ..MigrateOptions::default() };
    let report = engine.migrate(options, progress, CancellationToken::new()).await?;
    ensure!(report.damaged == 0 && report.overtaken == 0, "{report:?}");
    let (progress, _told) = mpsc::channel(1);
    let compacted = engine.compact(CompactOptions::default(), progress, CancellationToken::new()).await?;
    ensure!(compacted.damaged == 0 && compacted.overtaken == 0, "{compacted:?}");
    let _swept = engine.sweep(SweepOptions { grace: Duration::ZERO, dry_run: false }).await?;
    let stats = engine.stats(None).await?;
    let packs = fs::read_dir(arguments.store.join("packs"))?.count();
    print::line(&format!(
        "archived after {} s: stored {} bytes in {packs} packs, catalog {} bytes",
        stopwatch.elapsed().as_secs(),
        stats.stored_bytes,
        stats.catalog_bytes
    ))?;
    engine.close().await?;
    drop(engine);
    let latencies = read_some(&open(&arguments.store).await?, puts, arguments.reads).await?;
    print::line(&format!("reads    {latencies}"))?;
    let memory = Sample::first(std::process::id())?;
    Ok(print::line(&format!("memory   {} kB resident, {} kB at most", memory.resident, memory.peak))?)
}

async fn open(store: &Path) -> Result<Engine> {
    Ok(Engine::open(Settings::new(store), Arc::new(SystemClock)).await?)
}

async fn tenants(engine: &Engine, count: usize) -> Result<Vec<String>> {
    let mut names = vec![DEFAULT_TENANT.to_owned()];
    for number in 1..count {
        let name = format!("tenant-{number}");
        let _made = engine.create_tenant(&name).await?;
        names.push(name);
    }
    Ok(names)
}

/// Each path with the number of its tenant.
fn dealt(paths: Vec<PathBuf>, tenants: usize, runs: bool) -> Vec<(usize, PathBuf)> {
    let each = paths.len().div_ceil(tenants.max(1)).max(1);
    let whose = |number: usize| if runs { number / each } else { number % tenants.max(1) };
    paths.into_iter().enumerate().map(|(number, path)| (whose(number), path)).collect()
}

async fn put_all(
    engine: &Engine,
    tenants: &[String],
    dealt: Vec<(usize, PathBuf)>,
) -> Result<(Vec<Put>, u64)> {
    let (mut puts, mut bytes, mut running) = (Vec::with_capacity(dealt.len()), 0, JoinSet::new());
    for (number, (tenant, path)) in dealt.into_iter().enumerate() {
        let tenant = tenants.get(tenant).context("there is no tenant to put to")?;
        if running.len() >= IN_FLIGHT
            && let Some(put) = running.join_next().await
        {
            put??;
        }
        let message = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        bytes += message.len() as u64;
        let id = number.to_string();
        puts.push(Put { tenant: tenant.clone(), id: id.clone(), sha256: Sha256::digest(&message).into() });
        let (engine, tenant) = (engine.clone(), tenant.clone());
        let _handle = running.spawn(async move {
            let options = PutOptions { caller_id: Some(id), ..PutOptions::default() };
            engine.put(&tenant, ItemKind::Message, options, message.into()).await.map(drop)
        });
    }
    while let Some(put) = running.join_next().await {
        put??;
    }
    Ok((puts, bytes))
}

/// Reads some of the messages, each once.
async fn read_some(engine: &Engine, mut puts: Vec<Put>, count: usize) -> Result<Latencies> {
    let (mut rng, mut latencies) = (Rng::new(1), Latencies::default());
    for _ in 0..count.min(puts.len()) {
        let chosen = rng.below(puts.len());
        let put = puts.swap_remove(chosen);
        let untouched = GetOptions { touch: false, ..GetOptions::default() };
        let stopwatch = Stopwatch::start();
        let (_, mut stream) = engine.get(&put.tenant, ItemKind::Message, &put.id, untouched).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
        }
        latencies.add(stopwatch.elapsed());
        let same = Sha256::digest(&bytes)[..] == put.sha256;
        ensure!(same, "{} of {} came back as other bytes", put.id, put.tenant);
    }
    Ok(latencies)
}
