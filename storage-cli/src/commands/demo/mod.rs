//! `demo`: a tour that needs nothing but this program. It generates a mailbox, stores it in a directory of its own, lets
//! it age through all four tiers, checks that every byte comes back, and tells what it does and what it came to.

mod mailbox;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use futures::stream;
use serde::Serialize;
use storage_core::clock::Clock;
use storage_core::clock::SystemClock;
use storage_core::clock::Timestamp;
use storage_server::proto;

use crate::args::KindFlag;
use crate::args::Target;
use crate::commands::migrate::migrate_and_sweep;
use crate::failure::Failure;
use crate::failure::Result;
use crate::ingest;
use crate::ingest::Event;
use crate::output::Output;
use crate::output::human;
use crate::progress;
use crate::store::Store;
use crate::wire;

/// Messages in flight, when storing and when reading back.
const IN_FLIGHT: usize = 32;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the demo's store in this directory, which must be new or empty.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Messages in the mailbox.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub messages: u32,
    /// Another seed makes another mailbox.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
}

/// What a stay in the store does to the mailbox.
#[derive(Debug, Clone, Copy)]
struct Aging {
    /// The tier it ends in.
    stage: &'static str,
    /// How long it is.
    later: Duration,
    sentence: &'static str,
}

const DAY: Duration = Duration::from_hours(24);

/// The ages at which the usual policy moves everything down.
const AGING: [Aging; 3] = [
    Aging {
        stage: "warm",
        later: DAY.saturating_mul(8),
        sentence: "Eight days later: a migration moves what is older than 7 days to the warm tier (LZ4)",
    },
    Aging {
        stage: "cold",
        later: DAY.saturating_mul(31),
        sentence: "A month later: what is older than 30 days moves to the cold tier (Zstd)",
    },
    Aging {
        stage: "archive",
        later: DAY.saturating_mul(181),
        sentence: "Half a year later: what is older than 180 days moves to the archive tier (Zstd with a dictionary)",
    },
];

#[derive(Debug, Serialize)]
struct Tour {
    messages: u64,
    bytes: u64,
    verified: u64,
    stages: Vec<report::Stage>,
}

/// Takes the tour, and closes the store whatever happened.
pub async fn run(args: &DemoArgs, output: &mut Output) -> Result<()> {
    // A directory that is not kept vanishes with this value.
    let temporary = match &args.keep {
        Some(keep) => {
            check_empty(keep)?;
            None
        }
        None => Some(tempfile::Builder::new().prefix("storage-demo-").tempdir().map_err(|error| {
            Failure::new(format!(
                "Creating a directory for the demo failed: {error}. Name one with --keep DIR."
            ))
        })?),
    };
    let data_dir = match (&args.keep, &temporary) {
        (Some(keep), _) => keep.clone(),
        (None, Some(temporary)) => temporary.path().join("data"),
        (None, None) => return Err(Failure::new("There is no directory for the demo.")),
    };
    let store = Store::open(&Target { data_dir: Some(data_dir), ..Target::default() }).await?;
    let done = tokio::select! {
        done = tour(args, &store, output) => done,
        _ = tokio::signal::ctrl_c() => Err(Failure::new("Stopped.")),
    };
    done.and(store.close().await)?;
    report::farewell(args.keep.as_deref(), output)
}

fn check_empty(keep: &std::path::Path) -> Result<()> {
    match std::fs::read_dir(keep) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Failure::Usage(format!("{} is not empty: name a new directory.", keep.display()))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::file("Opening", keep, &error)),
    }
}

async fn tour(args: &DemoArgs, store: &Store, output: &mut Output) -> Result<()> {
    output.say(&format!(
        "1. A mailbox of {} invented messages (seed {}) is generated and stored; each is acknowledged only when it \
         would survive a power loss.",
        args.messages, args.seed
    ))?;
    let began = SystemClock.now();
    let (messages, bytes) = import(args, store).await?;
    output.say(&format!("{messages} messages, {}, in {}.\n", human(bytes), since(began)))?;
    output.say("Everything is in the hot tier, as it came:")?;
    let mut stages = vec![report::stage("hot", store, output).await?];

    let mut verified =
        verify(args, store, output, "2. Every message is read back and compared, byte by byte.").await?;

    for (step, Aging { stage, later, sentence }) in (3..).zip(AGING) {
        output.say(&format!("{step}. {sentence}, and a sweep deletes what it left behind."))?;
        let began = SystemClock.now();
        age(later, store).await?;
        output.say(&format!("Done in {}.\n", since(began)))?;
        stages.push(report::stage(stage, store, output).await?);
    }

    verified +=
        verify(args, store, output, "6. Every message is read back from the archive and compared again.")
            .await?;
    report::summary(&stages, output)?;
    output.document(&Tour { messages, bytes, verified, stages })
}

/// Stores the mailbox. Returns how many messages and bytes that were.
async fn import(args: &DemoArgs, store: &Store) -> Result<(u64, u64)> {
    let bar = progress::counter("messages stored");
    let (mut messages, mut bytes) = (0, 0);
    let (seed, count) = (args.seed, args.messages);
    let produce = move |feed: &ingest::Feed| {
        for message in mailbox::messages(seed, count) {
            let options = proto::PutOptions {
                id: message.path.clone(),
                external: Some(message.external),
                ..proto::PutOptions::default()
            };
            if !feed.send(message.path, options, message.bytes) {
                return;
            }
        }
    };
    ingest::ingest(store, IN_FLIGHT, produce, |event| match event {
        Event::Stored { receipt, .. } => {
            bar.inc(1);
            messages += 1;
            bytes += receipt.bytes;
            Ok(())
        }
        Event::Failed { source, reason } => Err(Failure::new(format!("{source}: {reason}"))),
        Event::Skipped => Ok(()),
    })
    .await?;
    bar.finish_and_clear();
    Ok((messages, bytes))
}

/// Generates the mailbox once more and compares every message with what the store gives back.
async fn verify(args: &DemoArgs, store: &Store, output: &mut Output, sentence: &str) -> Result<u64> {
    output.say(sentence)?;
    let began = SystemClock.now();
    let bar = progress::counter("messages compared");
    let mut verified = 0;
    let messages = mailbox::messages(args.seed, args.messages);
    let mut compared =
        stream::iter(messages).map(|message| compare(message, store)).buffer_unordered(IN_FLIGHT);
    while let Some(same) = compared.next().await {
        same?;
        verified += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    output.say(&format!("All {verified} are identical, checked in {}.\n", since(began)))?;
    Ok(verified)
}

async fn compare(message: mailbox::Message, store: &Store) -> Result<()> {
    let request = proto::GetRequest { id: message.path.clone(), offset: 0, length: None, touch: Some(false) };
    let (_, mut stored) = store.get(KindFlag { content: false }, request).await?;
    let mut rest = message.bytes.as_slice();
    let different = || Failure::new(format!("{} came back with other bytes than were stored.", message.path));
    while let Some(data) = stored.next().await? {
        rest = rest.strip_prefix(&*data).ok_or_else(different)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(different()) }
}

/// Migrates as if it were that much later, then sweeps without a grace period.
async fn age(later: Duration, store: &Store) -> Result<()> {
    let as_of = wire::timestamp(SystemClock.now().plus(later));
    let request = proto::MigrateRequest { as_of: Some(as_of), ..proto::MigrateRequest::default() };
    migrate_and_sweep(store, request).await
}

fn since(began: Timestamp) -> String {
    let millis = SystemClock.now().0.saturating_sub(began.0).max(0);
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}
