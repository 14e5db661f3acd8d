//! Measures reads of random messages and checks every byte that comes back. Exits 1 when any read fails or does not match.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use clap::Parser;
use sha2::Digest;
use sha2::Sha256;
use storage_benches::print;
use storage_benches::stopwatch::Stopwatch;
use storage_benches::summary::Latencies;
use storage_fixtures::rng::Rng;
use storage_server::client;
use storage_server::client::Client;
use storage_server::proto::GetRequest;
use storage_server::proto::ListRequest;
use storage_server::proto::Tier;
use storage_server::proto::get_response::Frame;
use tokio::task::JoinSet;

const PAGE_SIZE: u32 = 1000;

/// Measures reads of random messages and checks them.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server's address.
    #[arg(long, default_value = "http://127.0.0.1:7401")]
    server: String,
    /// The tenant to read from.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// How many reads.
    #[arg(long, default_value_t = 2000)]
    count: usize,
    /// Chooses the messages.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Readers at the same time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Let the reads count as accesses, which may move messages to warmer tiers.
    #[arg(long)]
    touch: bool,
    /// Name so many of the slowest reads.
    #[arg(long, default_value_t = 0)]
    slowest: usize,
    /// Read contents that are stored by themselves instead of messages.
    #[arg(long)]
    contents: bool,
}

/// A message or content that may be read.
#[derive(Debug)]
struct Listed {
    id: String,
    sha256: Vec<u8>,
    bytes: u64,
    tier: Tier,
}

#[derive(Debug, Default)]
struct Reads {
    tiers: BTreeMap<&'static str, Latencies>,
    failures: Vec<String>,
    /// How long each read took, in the order of reading: the message and its bytes with it.
    each: Vec<(Duration, String, u64)>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.jobs == 0 {
        bail!("--jobs must be at least 1");
    }
    let channel = client::connect(&arguments.server).await?;
    let client = Client::new(channel, Some(&arguments.tenant))?;
    let listed = Arc::new(list(client.clone(), arguments.contents).await?);
    print::line(&format!("{} items listed", listed.len()))?;
    if listed.is_empty() {
        bail!("there is nothing to read");
    }
    let mut running = JoinSet::new();
    for job in 0..arguments.jobs {
        let count = arguments.count / arguments.jobs + usize::from(job < arguments.count % arguments.jobs);
        let seed = arguments.seed.wrapping_add(u64::try_from(job)?.wrapping_mul(0x9e37_79b9));
        let draw = Draw { rng: Rng::new(seed), count, touch: arguments.touch, contents: arguments.contents };
        let _handle = running.spawn(read_some(client.clone(), Arc::clone(&listed), draw));
    }
    let mut all = Reads::default();
    while let Some(finished) = running.join_next().await {
        let reads = finished.context("a reader panicked")?;
        for (tier, latencies) in reads.tiers {
            all.tiers.entry(tier).or_default().merge(latencies);
        }
        all.failures.extend(reads.failures);
        all.each.extend(reads.each);
    }
    name_slowest(&mut all.each, arguments.slowest)?;
    report(&all)
}

/// One line for each of the slowest reads, the slowest first.
fn name_slowest(each: &mut [(Duration, String, u64)], count: usize) -> Result<()> {
    each.sort_by(|one, other| other.cmp(one));
    for (elapsed, id, bytes) in each.iter().take(count) {
        print::line(&format!("{:>8.3} ms  {bytes:>10} bytes  {id}", elapsed.as_secs_f64() * 1e3))?;
    }
    Ok(())
}

fn report(reads: &Reads) -> Result<ExitCode> {
    let mut overall = Latencies::default();
    for latencies in reads.tiers.values() {
        overall.merge(latencies.clone());
    }
    print::line(&format!("all      {overall}"))?;
    for (tier, latencies) in &reads.tiers {
        print::line(&format!("{tier:<8} {latencies}"))?;
    }
    for failure in &reads.failures {
        print::line(&format!("WRONG    {failure}"))?;
    }
    Ok(if reads.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every message or content of the tenant, page by page.
async fn list(mut client: Client, contents: bool) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request =
            ListRequest { page_size: PAGE_SIZE, page_token: page_token.clone(), ..ListRequest::default() };
        let answer = if contents {
            client.contents.list_content(request).await
        } else {
            client.messages.list_messages(request).await
        };
        let page = answer.context("cannot list what there is to read")?.into_inner();
        listed.extend(page.items.into_iter().map(|item| Listed {
            tier: item.tier(),
            id: item.id,
            sha256: item.sha256.to_vec(),
            bytes: item.bytes,
        }));
        if page.next_page_token.is_empty() {
            return Ok(listed);
        }
        if page.next_page_token == page_token {
            bail!("the server answers the same page again and again");
        }
        page_token = page.next_page_token;
    }
}

/// Which messages a reader takes.
struct Draw {
    rng: Rng,
    count: usize,
    touch: bool,
    contents: bool,
}

async fn read_some(mut client: Client, listed: Arc<Vec<Listed>>, mut draw: Draw) -> Reads {
    let mut reads = Reads::default();
    for _ in 0..draw.count {
        let message = draw.rng.pick(&listed);
        let stopwatch = Stopwatch::start();
        let read = read(&mut client, message, &draw).await;
        let elapsed = stopwatch.elapsed();
        match read {
            Ok(bytes) if matches(message, &bytes) => {
                reads.tiers.entry(tier_name(message.tier)).or_default().add(elapsed);
                reads.each.push((elapsed, message.id.clone(), message.bytes));
            }
            Ok(bytes) => {
                let length = bytes.len();
                reads.failures.push(format!("{}: other bytes came back ({length})", message.id));
            }
            Err(error) => reads.failures.push(format!("{}: {error:#}", message.id)),
        }
    }
    reads
}

fn matches(message: &Listed, bytes: &[u8]) -> bool {
    u64::try_from(bytes.len()).is_ok_and(|length| length == message.bytes)
        && Sha256::digest(bytes)[..] == message.sha256[..]
}

async fn read(client: &mut Client, message: &Listed, draw: &Draw) -> Result<Vec<u8>> {
    let request = GetRequest { id: message.id.clone(), touch: Some(draw.touch), ..GetRequest::default() };
    let answers = if draw.contents {
        client.contents.get_content(request).await?
    } else {
        client.messages.get_message(request).await?
    };
    let mut answers = answers.into_inner();
    let mut bytes = Vec::new();
    while let Some(answer) = answers.message().await? {
        match answer.frame {
            Some(Frame::Data(piece)) => bytes.extend_from_slice(&piece),
            Some(Frame::Item(item)) if item.sha256 == message.sha256 => {}
            Some(Frame::Item(_)) => bail!("the read names another hash than the list"),
            None => bail!("an answer without a frame"),
        }
    }
    Ok(bytes)
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Unspecified => "unknown",
        Tier::Hot => "hot",
        Tier::Warm => "warm",
        Tier::Cold => "cold",
        Tier::Archive => "archive",
    }
}
