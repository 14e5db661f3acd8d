//! `IngestMessages`: many messages over one stream, answered in the order in which they become durable.
//!
//! Nothing runs while the caller does not take answers, except puts that are already submitted. Reading pauses while
//! the bounds are reached and a submitted put will make room. When the stream is dropped, puts on their way complete
//! or vanish. A message without its `end` is dropped.

mod assembly;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream;
use futures::stream::BoxStream;
use futures::stream::FuturesUnordered;
use storage_core::engine::Engine;
use storage_core::engine::PutStream;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::PutReceipt;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::Status;
use tonic::Streaming;

use crate::convert::failed;
use crate::convert::item;
use crate::gate::ReceiveMemory;
use crate::ingest::assembly::Assembly;
use crate::ingest::assembly::Bounds;
use crate::ingest::assembly::Step;
use crate::limits;
use crate::pace::TooSlow;
use crate::proto::IngestError;
use crate::proto::IngestRequest;
use crate::proto::IngestResponse;
use crate::proto::ingest_request::Frame;
use crate::proto::ingest_response::Outcome;

const BOUNDS: Bounds = Bounds {
    collect_bytes_max: limits::INGEST_COLLECT_BYTES_MAX,
    messages_max: limits::INGEST_MESSAGES_MAX,
    bytes_max: limits::INGEST_BYTES_MAX,
    submitted_bytes_max: limits::INGEST_SUBMITTED_BYTES_MAX,
    large_max: limits::INGEST_LARGE_MAX,
};

/// A submitted message that is done; `bytes` were held in memory for it.
struct Done {
    id: u64,
    bytes: usize,
    outcome: Result<PutReceipt, Status>,
}

struct Ingest {
    engine: Engine,
    tenant: String,
    frames: Streaming<IngestRequest>,
    stop: CancellationToken,
    assembly: Assembly,
    /// Submitted messages. They are driven by the stream's own task: small ones are split where they arrive, and a task
    /// for each would cost more than that.
    puts: FuturesUnordered<BoxFuture<'static, Done>>,
    /// What it may hold of the memory that all requests share.
    memory: ReceiveMemory,
    /// Bytes of large messages since their pace was looked at.
    paced_bytes: usize,
    paced: Instant,
    /// Large messages between two of their frames.
    large: HashMap<u64, PutStream>,
    /// The large message whose bytes the engine is taking now; no frame is read meanwhile.
    busy: Option<(u64, BoxFuture<'static, Result<PutStream, Status>>)>,
    /// Set when no more frames are read: how the stream ends once everything submitted is answered.
    ending: Option<Result<(), Status>>,
}

/// Runs one stream of `tenant`.
pub(crate) fn run(
    engine: Engine,
    (tenant, memory): (String, ReceiveMemory),
    frames: Streaming<IngestRequest>,
    stop: CancellationToken,
) -> BoxStream<'static, Result<IngestResponse, Status>> {
    let ingest = Ingest {
        engine,
        tenant,
        frames,
        stop,
        assembly: Assembly::new(BOUNDS),
        puts: FuturesUnordered::new(),
        memory,
        paced_bytes: 0,
        paced: Instant::now(),
        large: HashMap::new(),
        busy: None,
        ending: None,
    };
    stream::unfold(Some(ingest), |ingest| async move { ingest?.next().await }).boxed()
}

impl Ingest {
    /// The next answer, and the stream that goes on after it.
    async fn next(mut self) -> Option<(Result<IngestResponse, Status>, Option<Self>)> {
        loop {
            if self.puts.is_empty()
                && let Some(ending) = self.ending.take()
            {
                return ending.err().map(|status| (Err(status), None));
            }
            let reading = self.ending.is_none();
            let answer = tokio::select! {
                biased;
                Some(done) = self.puts.next() => Some(self.answer(done)),
                pushed = pushed(&mut self.busy), if self.busy.is_some() => self.pushed(pushed),
                () = self.stop.cancelled(), if reading => {
                    self.end(Err(Status::unavailable(SHUTTING_DOWN)));
                    None
                }
                frame = self.frames.message(), if reading && self.busy.is_none() && !self.is_full() => {
                    self.frame(frame)
                }
                () = sleep_until(self.paced + limits::PACE_WINDOW), if reading && self.busy.is_none() && !self.large.is_empty() => {
                    self.pace()
                }
                () = sleep(limits::UPLOAD_PAUSE_MAX), if reading && self.assembly.has_open() => self.stalled(),
                () = sleep(limits::INGEST_IDLE_MAX), if reading => {
                    self.end(Err(Status::unavailable(IDLE)));
                    None
                }
            };
            if let Some(answer) = answer {
                return Some((Ok(answer), Some(self)));
            }
        }
    }

    fn frame(&mut self, frame: Result<Option<IngestRequest>, Status>) -> Option<IngestResponse> {
        match frame {
            Ok(Some(request)) => {
                let bytes = self.assembly.bytes() + data_bytes(&request);
                let step = match self.memory.resize(bytes) {
                    Ok(()) => self.assembly.take(request),
                    Err(status) => self.assembly.fail(request.correlation_id, status),
                };
                self.act(step)
            }
            Ok(None) => {
                self.end(Ok(()));
                None
            }
            Err(status) => {
                self.end(Err(stream_error(status)));
                None
            }
        }
    }

    /// Does what a frame asks for; answers at once where a message failed.
    fn act(&mut self, step: Step) -> Option<IngestResponse> {
        match step {
            Step::Wait => {}
            Step::Submit { id, options, bytes } => self.submit(id, *options, bytes),
            Step::Begin { id, options, bytes } => {
                let (engine, tenant) = (self.engine.clone(), self.tenant.clone());
                let begun = async move {
                    let put = engine.begin_put(&tenant, ItemKind::Message, *options).await;
                    push(put.map_err(failed("begin ingest"))?, bytes).await
                };
                self.busy = Some((id, Box::pin(begun)));
            }
            Step::Push { id, bytes } => {
                self.paced_bytes = self.paced_bytes.saturating_add(bytes.len());
                if let Some(put) = self.large.remove(&id) {
                    self.busy = Some((id, Box::pin(push(put, bytes))));
                }
            }
            Step::Finish { id, bytes } => {
                if let Some(put) = self.large.remove(&id) {
                    let done = async move { Done { id, bytes: 0, outcome: finish(put, bytes).await } };
                    self.puts.push(Box::pin(done));
                }
            }
            Step::Fail { id, status } => {
                let _dropped = self.large.remove(&id);
                return Some(error(id, &status));
            }
        }
        None
    }

    fn submit(&mut self, id: u64, options: PutOptions, bytes: Bytes) {
        let (engine, tenant) = (self.engine.clone(), self.tenant.clone());
        self.puts.push(Box::pin(async move {
            let held = bytes.len();
            let put = engine.put(&tenant, ItemKind::Message, options, bytes);
            Done { id, bytes: held, outcome: put.await.map_err(failed("ingest")) }
        }));
    }

    /// The engine has taken bytes of a large message, or refused them.
    fn pushed(&mut self, (id, pushed): (u64, Result<PutStream, Status>)) -> Option<IngestResponse> {
        self.busy = None;
        match pushed {
            Ok(put) => {
                let _none = self.large.insert(id, put);
                None
            }
            Err(status) => {
                let step = self.assembly.fail(id, status);
                self.act(step)
            }
        }
    }

    fn answer(&mut self, done: Done) -> IngestResponse {
        self.assembly.answered(done.id, done.bytes);
        // It holds no more than before, so there is nothing to refuse.
        drop(self.memory.resize(self.assembly.bytes()));
        match done.outcome {
            Ok(receipt) => {
                let receipt = Outcome::Receipt(item::wire_receipt(&receipt));
                IngestResponse { correlation_id: done.id, outcome: Some(receipt) }
            }
            Err(status) => error(done.id, &status),
        }
    }

    /// Whether to wait for a submitted message before reading on.
    fn is_full(&self) -> bool {
        let room = || self.memory.has_room(self.assembly.bytes() + limits::FRAME_BYTES_MAX);
        self.assembly.is_full() || (self.assembly.has_submitted() && !room())
    }

    /// A large message that hardly moves gives way to the puts that wait for its memory.
    fn pace(&mut self) -> Option<IngestResponse> {
        let slow = std::mem::take(&mut self.paced_bytes) < limits::PACE_BYTES_MIN;
        self.paced = Instant::now();
        if !slow || self.engine.load().puts_waiting == 0 {
            return None;
        }
        let id = *self.large.iter().find(|(_, put)| put.holds_memory())?.0;
        let step = self.assembly.fail(id, TooSlow::InTheWay.into());
        self.act(step)
    }

    /// Nothing happened for long though messages are unfinished. Whoever holds things up gives way: the engine's
    /// memory may be held by the very messages that wait for it.
    fn stalled(&mut self) -> Option<IngestResponse> {
        let stuck = self.busy.as_ref().map(|(id, _)| *id);
        let full = self.assembly.is_full();
        match stuck.or_else(|| self.large.keys().next().copied().filter(|_| full)) {
            Some(id) => {
                self.busy = None;
                let step = self.assembly.fail(id, Status::resource_exhausted(NO_MEMORY));
                self.act(step)
            }
            None if full => None,
            None => {
                self.end(Err(Status::deadline_exceeded(
                    "No data came for a minute; send again what is not acknowledged.",
                )));
                None
            }
        }
    }

    /// Reads no more frames; unfinished messages are dropped.
    fn end(&mut self, ending: Result<(), Status>) {
        self.large.clear();
        self.busy = None;
        self.ending = Some(ending);
    }
}

const IDLE: &str = "No message came on this stream for five minutes; open another one for the next.";
const SHUTTING_DOWN: &str = "The server is shutting down; send again what is not acknowledged.";
const NO_MEMORY: &str = "The server has no memory left for large messages; send this one again later.";

/// Bytes that a frame brings.
fn data_bytes(request: &IngestRequest) -> usize {
    match &request.frame {
        Some(Frame::Data(data)) => data.len(),
        Some(Frame::End(end)) => end.data.len(),
        Some(Frame::Whole(whole)) => whole.data.len(),
        Some(Frame::Begin(_)) | None => 0,
    }
}

async fn pushed(
    busy: &mut Option<(u64, BoxFuture<'static, Result<PutStream, Status>>)>,
) -> (u64, Result<PutStream, Status>) {
    match busy {
        Some((id, push)) => (*id, push.await),
        None => std::future::pending().await,
    }
}

async fn push(mut put: PutStream, bytes: Bytes) -> Result<PutStream, Status> {
    if !bytes.is_empty() {
        put.push(bytes).await.map_err(failed("ingest"))?;
    }
    Ok(put)
}

async fn finish(put: PutStream, last: Bytes) -> Result<PutReceipt, Status> {
    push(put, last).await?.finish().await.map_err(failed("ingest"))
}

fn stream_error(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Status::resource_exhausted(limits::TOO_LARGE),
        _ => status,
    }
}

fn error(id: u64, status: &Status) -> IngestResponse {
    let error = IngestError { code: status.code().into(), message: status.message().to_owned() };
    IngestResponse { correlation_id: id, outcome: Some(Outcome::Error(error)) }
}
