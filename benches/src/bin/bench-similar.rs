//! What a store saves of near-duplicates: documents in versions, or the files of a directory, put into a store of its own,
//! moved to the archive and read back, against each file compressed by itself. Needs no server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use clap::Parser;
use storage_benches::mail::from_files;
use storage_benches::print;
use storage_core::clock::SystemClock;
use storage_core::codec::Codec;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::engine::Engine;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use storage_core::settings::Settings;
use storage_fixtures::documents::Kind;
use storage_fixtures::documents::family;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Stores near-duplicates and tells what they came to.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the store is made. Must not exist.
    store: PathBuf,
    /// Files to store instead of generated documents.
    #[arg(long)]
    files: Option<PathBuf>,
    /// Generated documents.
    #[arg(long, default_value_t = 50)]
    documents: u64,
    /// Edits of each.
    #[arg(long, default_value_t = 20)]
    edits: usize,
    /// Migrations among which they are spread, first edits first.
    #[arg(long, default_value_t = 1)]
    nights: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(!arguments.store.exists(), "{} is there already", arguments.store.display());
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let files = match &arguments.files {
        Some(directory) => {
            let mails = from_files(directory, None)?.into_iter().enumerate();
            mails.map(|(number, mail)| (number.to_string(), mail.bytes)).collect()
        }
        None => generated(arguments),
    };
    let engine = Engine::open(Settings::new(&arguments.store), Arc::new(SystemClock)).await?;
    for night in files.chunks(files.len().div_ceil(arguments.nights.max(1)).max(1)) {
        for (id, bytes) in night {
            let options = PutOptions { caller_id: Some(id.clone()), ..PutOptions::default() };
            let _receipt =
                engine.put(DEFAULT_TENANT, ItemKind::Content, options, bytes.clone().into()).await?;
        }
        let (progress, _told) = mpsc::channel(1);
        let options = MigrateOptions { to: Some(Tier::Archive), ..MigrateOptions::default() };
        let report = engine.migrate(options, progress, CancellationToken::new()).await?;
        ensure!(report.damaged == 0 && report.overtaken == 0, "{report:?}");
    }
    let _swept = engine.sweep(SweepOptions { grace: Duration::ZERO, dry_run: false }).await?;
    let mut deltas = 0_u64;
    for (id, bytes) in &files {
        ensure!(read(&engine, id).await? == *bytes, "{id} came back as other bytes");
        let explained = engine.explain(DEFAULT_TENANT, ItemKind::Content, id).await?;
        deltas += u64::from(explained.parts.iter().any(|part| part.codec.starts_with("delta+")));
    }
    let codec = Codec::Zstd { level: 19 };
    let mut alone = 0;
    for (_, bytes) in &files {
        alone += codec.encode(bytes)?.len().min(bytes.len()) as u64;
    }
    let stats = engine.stats(None).await?;
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    print::line(&format!(
        "{} files, {bytes} bytes; each by itself at zstd-19 {alone}; stored {} ({}.{} % less) and a catalog of {}",
        files.len(),
        stats.stored_bytes,
        1_000_u64.saturating_sub(stats.stored_bytes * 1_000 / alone.max(1)) / 10,
        1_000_u64.saturating_sub(stats.stored_bytes * 1_000 / alone.max(1)) % 10,
        stats.catalog_bytes,
    ))?;
    let archive = stats.tiers.iter().find(|tier| tier.tier == "archive");
    let latency = archive.map_or((0.0, 0.0), |tier| (tier.read_latency_ms.p50, tier.read_latency_ms.p99));
    print::line(&format!(
        "{deltas} deltas; saved by similar dedup {}, recoding {}, compression {}; archive reads ms p50 {:.2}, p99 {:.2}",
        stats.saved.similar_dedup, stats.saved.recoding, stats.saved.compression, latency.0, latency.1,
    ))?;
    Ok(engine.close().await?)
}

/// Versions of documents, all first ones first: nothing lies beside what it resembles.
fn generated(arguments: &Arguments) -> Vec<(String, Vec<u8>)> {
    let kinds = [Kind::Docx, Kind::Xlsx, Kind::Pdf];
    let families: Vec<Vec<Vec<u8>>> = (0..arguments.documents)
        .zip(kinds.into_iter().cycle())
        .map(|(seed, kind)| family(1_000 + seed, kind, arguments.edits))
        .collect();
    let version = |number: usize| {
        let of = families.iter().enumerate();
        of.filter_map(move |(document, versions)| {
            Some((format!("{document}.{number}"), versions.get(number)?.clone()))
        })
    };
    (0..=arguments.edits).flat_map(version).collect()
}

async fn read(engine: &Engine, id: &str) -> Result<Vec<u8>> {
    let untouched = GetOptions { touch: false, ..GetOptions::default() };
    let (_, mut stream) = engine.get(DEFAULT_TENANT, ItemKind::Content, id, untouched).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}
