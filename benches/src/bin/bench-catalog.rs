//! What the catalog takes for each message: short generated messages with a Message-ID, an id of the caller's and three
//! external ids each, half of them with an object of their own that is long enough for the index of similar objects, put into
//! a store of its own, archived and swept. Needs no server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use clap::Parser;
use storage_benches::print;
use storage_benches::stopwatch::Stopwatch;
use storage_core::clock::SystemClock;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::engine::Engine;
use storage_core::model::ExternalIds;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use storage_core::settings::Settings;
use storage_fixtures::rng::Rng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Puts at a time.
const IN_FLIGHT: usize = 256;

/// Bytes of an object: just enough to be looked up among similar ones.
const OBJECT_BYTES: usize = 4_200;

/// Stores short messages and tells the catalog's bytes for each.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the store is made. Must not exist.
    store: PathBuf,
    /// How many messages.
    #[arg(long, default_value_t = 100_000)]
    messages: usize,
    /// Messages of one campaign.
    #[arg(long, default_value_t = 1_000)]
    campaign: usize,
    /// Messages of one account.
    #[arg(long, default_value_t = 10_000)]
    account: usize,
    /// Messages of one lead.
    #[arg(long, default_value_t = 3)]
    lead: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(!arguments.store.exists(), "{} is there already", arguments.store.display());
    tokio::runtime::Runtime::new()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let engine = Engine::open(Settings::new(&arguments.store), Arc::new(SystemClock)).await?;
    let mut rng = Rng::new(1);
    let mut puts = JoinSet::new();
    let stopwatch = Stopwatch::start();
    for number in 0..arguments.messages {
        if puts.len() >= IN_FLIGHT
            && let Some(put) = puts.join_next().await
        {
            put??;
        }
        let (options, bytes) = message(arguments, number, &mut rng);
        let engine = engine.clone();
        let _handle = puts.spawn(async move {
            engine.put(DEFAULT_TENANT, ItemKind::Message, options, bytes.into()).await.map(drop)
        });
    }
    while let Some(put) = puts.join_next().await {
        put??;
    }
    tell(&engine, arguments, "imported", &stopwatch).await?;
    let (progress, _told) = mpsc::channel(1);
    let options = MigrateOptions { to: Some(Tier::Archive), ..MigrateOptions::default() };
    let report = engine.migrate(options, progress, CancellationToken::new()).await?;
    ensure!(report.damaged == 0 && report.overtaken == 0, "{report:?}");
    tell(&engine, arguments, "archived", &stopwatch).await?;
    let _swept = engine.sweep(SweepOptions { grace: Duration::ZERO, dry_run: false }).await?;
    tell(&engine, arguments, "swept", &stopwatch).await?;
    Ok(engine.close().await?)
}

async fn tell(engine: &Engine, arguments: &Arguments, when: &str, stopwatch: &Stopwatch) -> Result<()> {
    let stats = engine.stats(None).await?;
    print::line(&format!(
        "{when} after {} s: {} messages, {} objects, stored {} bytes, catalog {} bytes = {} a message",
        stopwatch.elapsed().as_secs(),
        stats.messages,
        stats.objects,
        stats.stored_bytes,
        stats.catalog_bytes,
        stats.catalog_bytes / arguments.messages.max(1) as u64
    ))?;
    Ok(())
}

fn message(arguments: &Arguments, number: usize, rng: &mut Rng) -> (PutOptions, Vec<u8>) {
    let external = ExternalIds {
        campaign: Some(id(1, number / arguments.campaign.max(1))),
        account: Some(id(2, number / arguments.account.max(1))),
        // Mail of one lead is not in one place.
        lead: Some(id(3, number % arguments.messages.div_ceil(arguments.lead.max(1)))),
    };
    let options = PutOptions { caller_id: Some(rng.base64_url(22)), external, ..PutOptions::default() };
    let mut text = format!(
        "Message-ID: <{}@mail.example>\r\nSubject: {}\r\nMIME-Version: 1.0\r\n",
        rng.hex(24),
        rng.hex(8)
    );
    if number.is_multiple_of(2) {
        text.push_str("Content-Type: text/plain\r\n\r\nOn our call.\r\n");
        return (options, text.into_bytes());
    }
    text.push_str(
        "Content-Type: image/x-portable-pixmap\r\nContent-Transfer-Encoding: 8bit\r\n\
         Content-Disposition: attachment; filename=\"plan.ppm\"\r\n\r\n",
    );
    // Different from byte to byte, so that each is an object of its own; few letters, so that it compresses quickly.
    let line = rng.hex(64);
    while text.len() < OBJECT_BYTES + 300 {
        text.push_str(&line);
        text.push_str(&rng.hex(8));
        text.push_str("\r\n");
    }
    (options, text.into_bytes())
}

/// The id number `number` of a kind: spread like any random one.
fn id(kind: u64, number: usize) -> Uuid {
    Rng::new((kind << 56) ^ number as u64).uuid()
}
