//! `analyze`: what the engine would make of a mailbox. It runs the engine itself on a store of its own that vanishes
//! afterwards, so that what it tells is what would be stored and not an estimate. The mailbox is only read.

mod compare;
mod report;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use storage_core::report::Stats;
use storage_server::proto;

use crate::args::Target;
use crate::commands::import::Producer;
use crate::commands::migrate::migrate_and_sweep;
use crate::commands::stats;
use crate::failure::Failure;
use crate::failure::Result;
use crate::ingest;
use crate::ingest::Event;
use crate::output::Output;
use crate::output::note;
use crate::progress;
use crate::store::Store;
use crate::wire::TierName;

/// Messages in flight between the mailbox and the engine.
const IN_FLIGHT: usize = 256;

/// Arguments of `analyze`.
#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// An mbox, a Maildir, a directory with .eml and .mbox files, or a single message.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Compress the same messages in the usual ways, too: each by itself with lz4, gzip and zstd, and all in one stream.
    #[arg(long)]
    pub compare: bool,
    /// Where the store is while it is needed; it takes about as much room as the mail [default: the system's directory for
    /// temporary files].
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

/// The store when everything is in one tier.
#[derive(Debug, Serialize)]
struct Stage {
    tier: &'static str,
    stats: Stats,
    media: Vec<Media>,
}

#[derive(Debug, Serialize)]
struct Media {
    class: String,
    objects: u64,
    unique_bytes: u64,
    stored_bytes: u64,
}

/// What was found, as JSON tells it.
#[derive(Debug, Serialize)]
struct Analysis {
    messages: u64,
    logical_bytes: u64,
    failed: u64,
    skipped: u64,
    tiers: Vec<Stage>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    compared: Vec<compare::Compared>,
}

#[derive(Debug, Default)]
struct Counts {
    failed: u64,
    skipped: u64,
}

/// Analyzes, and closes and removes the store whatever happened.
pub async fn run(args: &AnalyzeArgs, output: &mut Output) -> Result<()> {
    // It vanishes with this value.
    let scratch = scratch(args)?;
    let target = Target { data_dir: Some(scratch.path().join("data")), ..Target::default() };
    let store = Store::open(&target).await?;
    let done = tokio::select! {
        done = analyze(args, &store) => done,
        _ = tokio::signal::ctrl_c() => Err(Failure::new("Stopped. Nothing was kept.")),
    };
    let closed = store.close().await;
    let mut analysis = done?;
    closed?;
    if args.compare {
        analysis.compared = tokio::select! {
            compared = compare::compare(&args.paths) => compared?,
            _ = tokio::signal::ctrl_c() => return Err(Failure::new("Stopped. Nothing was kept.")),
        };
    }
    output.document(&analysis)?;
    report::print(&analysis, output)?;
    if analysis.failed > 0 { Err(Failure::Reported) } else { Ok(()) }
}

fn scratch(args: &AnalyzeArgs) -> Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("storage-analyze-");
    match &args.scratch {
        Some(dir) => {
            builder.tempdir_in(dir).map_err(|error| Failure::file("Creating a directory in", dir, &error))
        }
        None => builder.tempdir().map_err(|error| {
            Failure::new(format!(
                "Creating a temporary directory failed: {error}. Name one with --scratch DIR."
            ))
        }),
    }
}

async fn analyze(args: &AnalyzeArgs, store: &Store) -> Result<Analysis> {
    let counts = import(args, store).await?;
    let mut tiers = vec![stage("hot", store).await?];
    for (name, tier) in [("warm", TierName::Warm), ("cold", TierName::Cold), ("archive", TierName::Archive)] {
        let request = proto::MigrateRequest { to: tier.number(), ..proto::MigrateRequest::default() };
        migrate_and_sweep(store, request).await?;
        tiers.push(stage(name, store).await?);
    }
    let (messages, logical_bytes) =
        tiers.first().map_or((0, 0), |hot| (hot.stats.messages, hot.stats.logical_bytes));
    if messages == 0 {
        return Err(Failure::new("No mail was found there."));
    }
    let Counts { failed, skipped } = counts;
    Ok(Analysis { messages, logical_bytes, failed, skipped, tiers, compared: Vec::new() })
}

async fn import(args: &AnalyzeArgs, store: &Store) -> Result<Counts> {
    let bar = progress::counter("messages read");
    let producer =
        Producer { paths: args.paths.clone(), source: None, options: proto::PutOptions::default() };
    let mut counts = Counts::default();
    let tell = |event| {
        match event {
            Event::Stored { .. } => bar.inc(1),
            Event::Failed { source, reason } => {
                counts.failed += 1;
                bar.suspend(|| note(&format!("failed: {source}: {reason}")));
            }
            Event::Skipped => counts.skipped += 1,
        }
        Ok(())
    };
    ingest::ingest(store, IN_FLIGHT, move |feed| producer.run(feed), tell).await?;
    bar.finish_and_clear();
    Ok(counts)
}

async fn stage(tier: &'static str, store: &Store) -> Result<Stage> {
    let mut admin = store.all().admin;
    let request = proto::StatsRequest { by: "media".to_owned() };
    let answer = admin.stats(request).await?.into_inner();
    let media = answer.rows.iter().map(|row| Media {
        class: row.key.clone(),
        objects: row.objects,
        unique_bytes: row.unique_bytes,
        stored_bytes: row.stored_bytes,
    });
    let media = media.collect();
    Ok(Stage { tier, stats: stats::stats(answer), media })
}
