//! Measures durable puts: messages and bytes a second, and how long acknowledgements take. With `--compare-files` the
//! same messages are also written as synced files, and the two rates are compared.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use anyhow::bail;
use clap::Parser;
use clap::ValueEnum;
use storage_benches::files;
use storage_benches::ingest;
use storage_benches::ingest::Mode;
use storage_benches::ingest::UNARY_BYTES_MAX;
use storage_benches::mail;
use storage_benches::mail::Mail;
use storage_benches::print;
use storage_benches::summary::Rate;
use storage_benches::summary::ratio;
use storage_server::client;
use storage_server::client::Client;

/// Measures durable puts. Use a server with an empty data directory.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server's address.
    #[arg(long, default_value = "http://127.0.0.1:7401")]
    server: String,
    /// The tenant to put to.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Streams, or unary callers, at the same time.
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Which call to measure; with `both`, half of the messages go each way.
    #[arg(long, value_enum, default_value_t = Calls::Both)]
    mode: Calls,
    /// Messages in flight on each stream.
    #[arg(long, default_value_t = 128)]
    in_flight: usize,
    /// How many messages; all of a directory's files if left out, else 10,000.
    #[arg(long)]
    messages: Option<usize>,
    /// Seed of the generated messages.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Send the files below this directory instead of generated messages.
    #[arg(long, conflicts_with = "seed")]
    dir: Option<PathBuf>,
    /// Also write the messages as synced files to new folders in this one, on the disk that the server uses.
    #[arg(long)]
    compare_files: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Calls {
    Stream,
    Unary,
    Both,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.jobs == 0 || arguments.in_flight == 0 {
        bail!("--jobs and --in-flight must be at least 1");
    }
    let mails = match &arguments.dir {
        Some(folder) => mail::from_files(folder, arguments.messages)?,
        None => mail::generated(arguments.seed, arguments.messages.unwrap_or(10_000)),
    };
    let stream = Mode::Stream { in_flight: arguments.in_flight };
    match arguments.mode {
        Calls::Stream => measure(&arguments, "stream", stream, mails).await,
        Calls::Unary => measure(&arguments, "unary", Mode::Unary, mails).await,
        Calls::Both => {
            let (first, second): (Vec<_>, Vec<_>) =
                mails.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
            let bare = |half: Vec<(usize, Mail)>| half.into_iter().map(|(_, mail)| mail).collect();
            measure(&arguments, "stream", stream, bare(first)).await?;
            measure(&arguments, "unary", Mode::Unary, bare(second)).await
        }
    }
}

async fn measure(arguments: &Arguments, name: &str, mode: Mode, mut mails: Vec<Mail>) -> Result<()> {
    if matches!(mode, Mode::Unary) {
        let before = mails.len();
        mails.retain(|mail| mail.bytes.len() <= UNARY_BYTES_MAX);
        if mails.len() < before {
            print::line(&format!(
                "{name}: {} messages are too large for it and left out",
                before - mails.len()
            ))?;
        }
    }
    if mails.is_empty() {
        bail!("there are no messages to send");
    }
    let mails = Arc::new(mails);
    let channel = client::connect(&arguments.server).await?;
    let client = Client::new(channel, Some(&arguments.tenant))?;
    let outcomes = ingest::run(&client, Arc::clone(&mails), arguments.jobs, mode).await?;
    print::line(&format!("{name}: {}", outcomes.rate))?;
    print::line(&format!("{name}: acknowledgement {}", outcomes.latencies))?;
    if let Some(folder) = &arguments.compare_files {
        let rate = files::write(&folder.join(name), &mails, arguments.jobs)?;
        compare(name, &outcomes.rate, &rate)?;
    }
    Ok(())
}

fn compare(name: &str, store: &Rate, files: &Rate) -> Result<()> {
    print::line(&format!("{name}: as synced files {files}"))?;
    let times = ratio(store.messages_per_second(), files.messages_per_second());
    Ok(print::line(&format!("{name}: the store takes {times} times the messages a second of synced files"))?)
}
