//! One ingest stream: keeps its window full, matches acknowledgements to messages, and begins a new stream where the
//! connection broke or the store was not available for a moment. A message leaves its window only with an outcome.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use storage_server::proto;
use storage_server::proto::ingest_request::Frame;
use storage_server::proto::ingest_response::Outcome;
use tokio::sync::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;
use tonic::Status;
use tonic::Streaming;

use crate::failure::Failure;
use crate::failure::Result;
use crate::failure::retryable;
use crate::failure::sentence;
use crate::ingest::Event;
use crate::ingest::Outgoing;
use crate::store::Store;

/// Bytes of one frame: far below the limit of a request, so that messages on the stream take turns.
const FRAME_BYTES_MAX: usize = 256 << 10;

/// Streams begun in a row without one acknowledgement.
const ATTEMPTS_MAX: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// A stream and what is in flight on it.
#[derive(Debug)]
pub(super) struct Lane {
    store: Store,
    window: usize,
    queue: Arc<Mutex<mpsc::Receiver<Outgoing>>>,
    events: mpsc::Sender<Event>,
    /// Sent, or to be sent again, by correlation id.
    in_flight: BTreeMap<u64, Outgoing>,
    /// Of those, the ones that the store could not take for the moment.
    refused: usize,
    next_id: u64,
    progress: bool,
}

/// How a stream ended.
enum Ended {
    /// Nothing is left to send.
    Done,
    /// What is in flight must be sent again.
    Again(Status),
}

impl Lane {
    pub(super) fn new(
        store: Store,
        window: usize,
        queue: Arc<Mutex<mpsc::Receiver<Outgoing>>>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let in_flight = BTreeMap::new();
        Self {
            store,
            window: window.max(1),
            queue,
            events,
            in_flight,
            refused: 0,
            next_id: 0,
            progress: false,
        }
    }

    /// Sends until the queue ends. An error means that going on makes no sense.
    pub(super) async fn run(mut self) -> Result<()> {
        let mut attempt = 0;
        loop {
            self.progress = false;
            self.refused = 0;
            let status = match self.stream().await {
                Ok(Ended::Done) => return Ok(()),
                Ok(Ended::Again(status)) => status,
                Err(status) => return Err(given_up(&status)),
            };
            attempt = if self.progress { 1 } else { attempt + 1 };
            if attempt >= ATTEMPTS_MAX {
                return Err(given_up(&status));
            }
            tokio::time::sleep(FIRST_WAIT * 2_u32.pow(attempt - 1)).await;
        }
    }

    /// One stream, from its beginning to its end.
    async fn stream(&mut self) -> Result<Ended, Status> {
        // What waits here is bounded by the window and by the memory for messages.
        let (frames, requests) = mpsc::unbounded_channel();
        for (id, outgoing) in &self.in_flight {
            send(&frames, *id, outgoing);
        }
        let request = UnboundedReceiverStream::new(requests);
        let mut client = self.store.tenant().messages;
        let mut answers = match client.ingest_messages(request).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return again_or(status),
        };
        match self.exchange(&frames, &mut answers).await {
            Ok(Ended::Done) => {
                // Read to its end, the call is one that went well, and none that its caller gave up.
                drop(frames);
                while let Ok(Some(_)) = answers.message().await {}
                Ok(Ended::Done)
            }
            Ok(ended) => Ok(ended),
            Err(status) => again_or(status),
        }
    }

    /// Sends and listens until all is done or the stream breaks.
    async fn exchange(
        &mut self,
        frames: &mpsc::UnboundedSender<proto::IngestRequest>,
        answers: &mut Streaming<proto::IngestResponse>,
    ) -> Result<Ended, Status> {
        let mut more = true;
        let mut outgoing = Vec::with_capacity(self.window);
        loop {
            if self.refused > 0 && self.refused == self.in_flight.len() {
                return Ok(Ended::Again(Status::unavailable("The store is not available. Try again later.")));
            }
            if !more && self.in_flight.is_empty() {
                return Ok(Ended::Done);
            }
            // After a refusal nothing new is sent: the store has enough to do.
            let room =
                if more && self.refused == 0 { self.window.saturating_sub(self.in_flight.len()) } else { 0 };
            let queue = Arc::clone(&self.queue);
            let next = async { queue.lock().await.recv_many(&mut outgoing, room).await };
            // Answers come in bursts and make room for as many messages, which then leave the process in few pieces.
            tokio::select! {
                biased;
                answer = answers.message(), if !self.in_flight.is_empty() => match answer? {
                    Some(answer) => self.acknowledge(answer).await?,
                    None => return Ok(Ended::Again(Status::unavailable("The server ended the stream. Try again."))),
                },
                taken = next, if room > 0 => more = taken > 0,
            }
            for outgoing in outgoing.drain(..) {
                send(frames, self.next_id, &outgoing);
                let _ = self.in_flight.insert(self.next_id, outgoing);
                self.next_id += 1;
            }
        }
    }

    /// Handles one answer. An error ends the stream.
    async fn acknowledge(&mut self, answer: proto::IngestResponse) -> Result<(), Status> {
        let id = answer.correlation_id;
        let unexpected =
            || Status::internal("The server acknowledged what was not sent; is it another version?");
        let refused = Code::Unavailable as i32;
        if matches!(&answer.outcome, Some(Outcome::Error(error)) if error.code == refused) {
            self.refused += 1;
            return Ok(());
        }
        if let Some(Outcome::Error(error)) = &answer.outcome
            && pointless(Code::from(error.code))
        {
            return Err(Status::new(Code::from(error.code), error.message.clone()));
        }
        let outgoing = self.in_flight.remove(&id).ok_or_else(unexpected)?;
        self.progress = true;
        let source = outgoing.source;
        let event = match answer.outcome {
            Some(Outcome::Receipt(receipt)) if *receipt.sha256 == outgoing.sha256 => {
                Event::Stored { source, receipt }
            }
            Some(Outcome::Receipt(receipt)) => {
                let reason =
                    format!("The store received other bytes: delete {} and import again.", receipt.id);
                Event::Failed { source, reason }
            }
            Some(Outcome::Error(error)) => Event::Failed {
                source,
                reason: sentence(&Status::new(Code::from(error.code), error.message)),
            },
            None => return Err(unexpected()),
        };
        self.tell(event).await;
        Ok(())
    }

    async fn tell(&self, event: Event) {
        // Nobody listens once the import has been given up; its failure has been told then.
        let _ = self.events.send(event).await;
    }
}

/// Whether every further message would be refused for the same reason: there is no such tenant, or no right to it.
fn pointless(code: Code) -> bool {
    matches!(code, Code::NotFound | Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented)
}

fn given_up(status: &Status) -> Failure {
    let reason = sentence(status);
    if pointless(status.code()) {
        return Failure::Failed(reason);
    }
    Failure::Failed(format!("{reason} What was acknowledged is stored; doing it again continues."))
}

fn again_or(status: Status) -> Result<Ended, Status> {
    if retryable(&status) { Ok(Ended::Again(status)) } else { Err(status) }
}

/// Queues a message: in one frame where it is small, in pieces otherwise.
fn send(frames: &mpsc::UnboundedSender<proto::IngestRequest>, id: u64, outgoing: &Outgoing) {
    let frame = |frame| {
        // A stream that has broken takes no frames; the message is sent again on the next one.
        let _ = frames.send(proto::IngestRequest { correlation_id: id, frame: Some(frame) });
    };
    let options = outgoing.options.clone();
    let mut rest = outgoing.bytes.clone();
    if rest.len() <= FRAME_BYTES_MAX {
        return frame(Frame::Whole(proto::IngestWhole { options: Some(options), data: rest }));
    }
    frame(Frame::Begin(options));
    while rest.len() > FRAME_BYTES_MAX {
        frame(Frame::Data(rest.split_to(FRAME_BYTES_MAX)));
    }
    frame(Frame::End(proto::IngestEnd { data: rest }));
}
