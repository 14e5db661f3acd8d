//! Durable puts and how long each acknowledgement took: many in flight on streams, or one call each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use storage_server::client::Client;
use storage_server::proto::IngestEnd;
use storage_server::proto::IngestRequest;
use storage_server::proto::PutMessageRequest;
use storage_server::proto::ingest_request::Frame;
use storage_server::proto::ingest_response::Outcome;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use crate::mail::Mail;
use crate::stopwatch::Stopwatch;
use crate::summary::Latencies;
use crate::summary::Rate;

/// Unary calls take no more.
pub const UNARY_BYTES_MAX: usize = 4 << 20;
const FRAME_BYTES: usize = 256 << 10;
const FRAMES_QUEUED: usize = 64;

/// What a run came to.
#[derive(Debug)]
pub struct Outcomes {
    /// Messages acknowledged, and the time for all of them.
    pub rate: Rate,
    /// From the first byte sent to the acknowledgement.
    pub latencies: Latencies,
}

/// How to put.
#[derive(Debug, Clone, Copy)]
pub enum Mode {
    /// `IngestMessages`: one stream a job, so many messages in flight on each.
    Stream {
        /// Messages sent and not yet acknowledged, at most.
        in_flight: usize,
    },
    /// `PutMessage`: one call at a time in each job.
    Unary,
}

/// Puts all of `mails` through `jobs` jobs.
pub async fn run(client: &Client, mails: Arc<Vec<Mail>>, jobs: usize, mode: Mode) -> Result<Outcomes> {
    let bytes = mails.iter().map(|mail| u64::try_from(mail.bytes.len()).unwrap_or(0)).sum();
    let messages = u64::try_from(mails.len())?;
    let stopwatch = Stopwatch::start();
    let mut running = JoinSet::new();
    for job in 0..jobs {
        let share = Share { mails: Arc::clone(&mails), job, jobs };
        let client = client.clone();
        let _handle = match mode {
            Mode::Stream { in_flight } => running.spawn(stream(client, share, in_flight)),
            Mode::Unary => running.spawn(unary(client, share)),
        };
    }
    let mut latencies = Latencies::default();
    while let Some(finished) = running.join_next().await {
        latencies.merge(finished.context("a job panicked")??);
    }
    Ok(Outcomes { rate: Rate { messages, bytes, elapsed: stopwatch.elapsed() }, latencies })
}

/// Every `jobs`-th message, starting with the `job`-th.
#[derive(Debug, Clone)]
struct Share {
    mails: Arc<Vec<Mail>>,
    job: usize,
    jobs: usize,
}

impl Share {
    fn iter(&self) -> impl Iterator<Item = &Mail> {
        self.mails.iter().skip(self.job).step_by(self.jobs)
    }
}

async fn unary(mut client: Client, share: Share) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    for mail in share.iter() {
        let request =
            PutMessageRequest { options: Some(mail.options.clone()), data: mail.bytes.clone().into() };
        let stopwatch = Stopwatch::start();
        let _receipt = client.messages.put_message(request).await.context("a put was refused")?;
        latencies.add(stopwatch.elapsed());
    }
    Ok(latencies)
}

/// The messages in flight on one stream.
#[derive(Debug)]
struct Window {
    room: Semaphore,
    started: Mutex<HashMap<u64, Stopwatch>>,
}

impl Window {
    fn start(&self, id: u64) {
        let _none =
            self.started.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Stopwatch::start());
    }

    fn finish(&self, id: u64) -> Option<Stopwatch> {
        let started = self.started.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.room.add_permits(usize::from(started.is_some()));
        started
    }
}

async fn stream(mut client: Client, share: Share, in_flight: usize) -> Result<Latencies> {
    let expected = share.iter().count();
    let window = Arc::new(Window { room: Semaphore::new(in_flight), started: Mutex::default() });
    let (sender, frames) = mpsc::channel(FRAMES_QUEUED);
    // It ends by itself when the messages are sent or the stream is gone.
    let sending = tokio::spawn(send(share, Arc::clone(&window), sender));
    let mut answers = client
        .messages
        .ingest_messages(ReceiverStream::new(frames))
        .await
        .context("the stream was refused")?
        .into_inner();
    let mut latencies = Latencies::default();
    while let Some(answer) = answers.message().await.context("the stream broke")? {
        match answer.outcome {
            Some(Outcome::Receipt(_)) => {}
            Some(Outcome::Error(error)) => {
                bail!("message {} was refused: {}", answer.correlation_id, error.message)
            }
            None => bail!("message {} got an answer without an outcome", answer.correlation_id),
        }
        let Some(stopwatch) = window.finish(answer.correlation_id) else {
            bail!("message {} was acknowledged, but is not in flight", answer.correlation_id);
        };
        latencies.add(stopwatch.elapsed());
    }
    sending.await.context("the sending task panicked")?;
    if latencies.count() != expected {
        bail!("{} of {expected} messages were acknowledged", latencies.count());
    }
    Ok(latencies)
}

/// Sends every message of `share`. It stops where the stream is gone; the receiving side says why.
async fn send(share: Share, window: Arc<Window>, frames: mpsc::Sender<IngestRequest>) {
    for (id, mail) in (0_u64..).zip(share.iter()) {
        let Ok(permit) = window.room.acquire().await else { return };
        permit.forget();
        window.start(id);
        for frame in frames_of(mail) {
            if frames.send(IngestRequest { correlation_id: id, frame: Some(frame) }).await.is_err() {
                return;
            }
        }
    }
}

/// Begin, whole pieces, and an end that carries the last one.
fn frames_of(mail: &Mail) -> Vec<Frame> {
    let mut frames = vec![Frame::Begin(mail.options.clone())];
    let mut rest = mail.bytes.as_slice();
    while let Some((piece, after)) = rest.split_at_checked(FRAME_BYTES).filter(|(_, after)| !after.is_empty())
    {
        frames.push(Frame::Data(piece.to_vec().into()));
        rest = after;
    }
    frames.push(Frame::End(IngestEnd { data: rest.to_vec().into() }));
    frames
}
