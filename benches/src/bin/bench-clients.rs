//! Measures what many idle and slow clients cost a running server: its memory, and the time that a proper client's reads
//! take, with and without them.
//!
//! Both programs need so many open files: `ulimit -n`.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use clap::Parser;
use storage_benches::memory::Sample;
use storage_benches::print;
use storage_benches::stopwatch::Stopwatch;
use storage_benches::summary::Latencies;
use storage_fixtures::mailbox::Mailbox;
use storage_fixtures::rng::Rng;
use storage_server::client;
use storage_server::client::Client;
use storage_server::proto;
use storage_server::proto::PutStreamRequest;
use storage_server::proto::ingest_request;
use storage_server::proto::put_stream_request::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_stream::wrappers::ReceiverStream;

/// Messages that are put first, to be read.
const MESSAGES: usize = 500;

/// Time between two frames of a slow client.
const PAUSE: Duration = Duration::from_secs(1);

/// What every tenth slow client brings before it becomes slow: enough to hold memory for a put.
const BROUGHT_BYTES: usize = 100_000;

/// Measures what idle and slow clients cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server's address.
    #[arg(long, default_value = "http://127.0.0.1:7401")]
    server: String,
    /// The server's process.
    #[arg(long)]
    pid: u32,
    /// Clients that connect and ask nothing.
    #[arg(long, default_value_t = 1000)]
    idle: usize,
    /// Clients in the middle of a put that send a byte now and then.
    #[arg(long, default_value_t = 200)]
    slow: usize,
    /// Reads that are measured, each time.
    #[arg(long, default_value_t = 5000)]
    reads: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut proper = Client::new(client::connect(&arguments.server).await?, Some("default"))?;
    let ids = store(&mut proper).await?;
    // Once unmeasured, so that caches and pools are the same in both runs.
    let _warm = read(&mut proper, &ids, arguments.reads).await?;
    let alone = read(&mut proper, &ids, arguments.reads).await?;
    let before = Sample::first(arguments.pid)?;

    let mut idle = Vec::with_capacity(arguments.idle);
    for number in 0..arguments.idle {
        idle.push(client::connect(&arguments.server).await.with_context(|| format!("idle client {number}"))?);
    }
    let mut slow = JoinSet::new();
    for number in 0..arguments.slow {
        let client = Client::new(client::connect(&arguments.server).await?, Some("default"))?;
        let _handle = slow.spawn(go_slowly(client, number));
    }
    let among = read(&mut proper, &ids, arguments.reads).await?;
    let after = Sample::first(arguments.pid)?;
    if let Some(ended) = slow.try_join_next() {
        bail!("a slow client was ended early: {}", ended?);
    }
    report(&arguments, (&alone, &among), (before, after))
}

fn report(
    arguments: &Arguments,
    (alone, among): (&Latencies, &Latencies),
    (before, after): (Sample, Sample),
) -> Result<()> {
    print::line(&format!("alone              {alone}"))?;
    print::line(&format!("among the others   {among}"))?;
    let (first, second) = (alone.percentile(99).max(1), among.percentile(99));
    print::line(&format!("p99                {} % of the one alone", second * 100 / first))?;
    print::line(&format!(
        "memory             {} KiB before, {} KiB with {} idle and {} slow clients: {} KiB more",
        before.resident,
        after.resident,
        arguments.idle,
        arguments.slow,
        after.resident.saturating_sub(before.resident)
    ))?;
    Ok(())
}

/// Puts the messages that are read; ids of one seed, so that a second run finds them there.
async fn store(client: &mut Client) -> Result<Vec<String>> {
    let mut ids = Vec::with_capacity(MESSAGES);
    for (number, message) in Mailbox::new(77, MESSAGES).enumerate() {
        let id = format!("bench-clients-{number}");
        let options = proto::PutOptions { id: id.clone(), ..Default::default() };
        let put = proto::PutMessageRequest { options: Some(options), data: message.bytes.into() };
        if put.data.len() < 1 << 20 {
            let _receipt = client.messages.put_message(put).await.context("cannot put")?;
            ids.push(id);
        }
    }
    Ok(ids)
}

async fn read(client: &mut Client, ids: &[String], count: usize) -> Result<Latencies> {
    let mut rng = Rng::new(5);
    let mut latencies = Latencies::default();
    for _ in 0..count {
        let id = rng.pick(ids).clone();
        let stopwatch = Stopwatch::start();
        let request = proto::GetRequest { id, touch: Some(false), ..Default::default() };
        let mut answer = client.messages.get_message(request).await.context("cannot read")?.into_inner();
        while answer.message().await?.is_some() {}
        latencies.add(stopwatch.elapsed());
    }
    Ok(latencies)
}

/// A put that goes on byte by byte, alone or on an ingest stream; tells why it ended.
async fn go_slowly(client: Client, number: usize) -> String {
    if number.is_multiple_of(2) {
        upload_slowly(client, number).await
    } else {
        ingest_slowly(client, number).await
    }
}

async fn upload_slowly(mut client: Client, number: usize) -> String {
    let (frames, receiver) = mpsc::channel(4);
    let _dripping = tokio::spawn(async move {
        let frame = |frame| PutStreamRequest { frame: Some(frame) };
        let options = proto::PutOptions { id: format!("slow-{number}"), ..Default::default() };
        let mut going = frames.send(frame(Frame::Begin(options))).await;
        if number.is_multiple_of(10) {
            going = frames.send(frame(Frame::Data(vec![b'x'; BROUGHT_BYTES].into()))).await;
        }
        let mut ticks = interval(PAUSE);
        while going.is_ok() {
            let _at = ticks.tick().await;
            going = frames.send(frame(Frame::Data("x".into()))).await;
        }
    });
    match client.messages.put_message_stream(ReceiverStream::new(receiver)).await {
        Ok(_) => "it was stored".to_owned(),
        Err(status) => status.to_string(),
    }
}

async fn ingest_slowly(mut client: Client, number: usize) -> String {
    let (frames, receiver) = mpsc::channel(4);
    let _dripping = tokio::spawn(async move {
        let frame = |frame| proto::IngestRequest { correlation_id: 1, frame: Some(frame) };
        let options = proto::PutOptions { id: format!("slow-{number}"), ..Default::default() };
        let mut going = frames.send(frame(ingest_request::Frame::Begin(options))).await;
        let mut ticks = interval(PAUSE);
        while going.is_ok() {
            let _at = ticks.tick().await;
            going = frames.send(frame(ingest_request::Frame::Data("x".into()))).await;
        }
    });
    match client.messages.ingest_messages(ReceiverStream::new(receiver)).await {
        Ok(answers) => match answers.into_inner().message().await {
            Ok(answer) => format!("{answer:?}"),
            Err(status) => status.to_string(),
        },
        Err(status) => status.to_string(),
    }
}
