//! Puts the interleaved frames of an ingest stream together again: which message a frame belongs to, what is to be
//! done with it, and which bounds hold. Pure: it knows no engine, no stream and no clock.
//!
//! Small messages are collected here and submitted whole. A message that outgrows [`Bounds::collect_bytes_max`] becomes
//! large: from then on its bytes are passed on as they come. A message that failed is answered once; its remaining
//! frames are swallowed until its `end`.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;

use bytes::Bytes;
use bytes::BytesMut;
use storage_core::model::PutOptions;
use tonic::Status;

use crate::convert::item;
use crate::proto;
use crate::proto::IngestRequest;
use crate::proto::ingest_request::Frame;

/// Complete messages up to this many bytes are copied out of the buffer they were received in.
const COPIED_BYTES_MAX: usize = 128 << 10;

const UNKNOWN: &str = "No unfinished message has this correlation id; begin it first.";
const TWICE_OPEN: &str = "This correlation id was begun again before its message was complete; send both messages again, under two ids.";
const NOT_ANSWERED: &str =
    "The message before under this correlation id is not answered yet; send this one under another.";
const UNFINISHED_MESSAGES: &str =
    "Too many messages are unfinished on this stream; finish some before the next begins.";
const UNFINISHED_BYTES: &str =
    "Too many bytes of unfinished messages on this stream; finish some before sending more.";
const UNFINISHED_LARGE: &str = "Too many messages above 1 MiB are unfinished on this stream; finish one before the next, or use PutMessageStream.";

/// The bounds of one stream.
#[expect(clippy::struct_field_names, reason = "every bound is a maximum, and qualifiers come last")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) collect_bytes_max: usize,
    pub(super) messages_max: usize,
    pub(super) bytes_max: usize,
    pub(super) submitted_bytes_max: usize,
    pub(super) large_max: usize,
}

/// What a frame asks for.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// A small message is complete.
    Submit { id: u64, options: Box<PutOptions>, bytes: Bytes },
    /// A message has become large: begin its put with these bytes.
    Begin { id: u64, options: Box<PutOptions>, bytes: Bytes },
    /// More bytes of a large message.
    Push { id: u64, bytes: Bytes },
    /// A large message is complete, with its last bytes.
    Finish { id: u64, bytes: Bytes },
    /// This message failed; a put begun for it is to be dropped.
    Fail { id: u64, status: Status },
}

#[derive(Debug)]
enum Open {
    Collecting { options: Box<PutOptions>, bytes: BytesMut },
    Large,
}

/// The messages of one stream that are begun and not complete, and those that are on their way to the disk.
#[derive(Debug)]
pub(super) struct Assembly {
    bounds: Bounds,
    open: HashMap<u64, Open>,
    open_bytes: usize,
    large: usize,
    submitted: HashSet<u64>,
    submitted_bytes: usize,
    /// Messages whose frames are swallowed, oldest first. At most `messages_max`: a caller may give up on a failed
    /// message without an `end`, so the oldest is forgotten.
    failed: VecDeque<u64>,
}

impl Assembly {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            open: HashMap::new(),
            open_bytes: 0,
            large: 0,
            submitted: HashSet::new(),
            submitted_bytes: 0,
            failed: VecDeque::new(),
        }
    }

    /// Whether to wait for a submitted message before reading on. Only what is submitted can make room without the
    /// caller, so there is no waiting where nothing is: an unfinished message must always be able to finish.
    pub(super) fn is_full(&self) -> bool {
        let messages = self.open.len() + self.submitted.len();
        let bytes = self.open_bytes + self.submitted_bytes;
        !self.submitted.is_empty()
            && (messages >= self.bounds.messages_max
                || bytes >= self.bounds.bytes_max
                || self.submitted_bytes >= self.bounds.submitted_bytes_max)
    }

    /// Bytes of the stream's messages in memory.
    pub(super) fn bytes(&self) -> usize {
        self.open_bytes + self.submitted_bytes
    }

    /// Whether a submitted message will make room.
    pub(super) fn has_submitted(&self) -> bool {
        !self.submitted.is_empty()
    }

    /// Whether a message is begun and not complete.
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes one frame.
    pub(super) fn take(&mut self, request: IngestRequest) -> Step {
        let id = request.correlation_id;
        match request.frame {
            Some(Frame::Begin(options)) => self.begin(id, options),
            Some(Frame::Data(data)) => self.data(id, &data),
            Some(Frame::End(end)) => self.end(id, end.data),
            Some(Frame::Whole(whole)) => self.whole(id, whole),
            None => self.fail(
                id,
                Status::invalid_argument("A frame is `begin`, `data`, `end` or `whole`; this one is empty."),
            ),
        }
    }

    /// A submitted message, of `bytes` in memory, has been answered.
    pub(super) fn answered(&mut self, id: u64, bytes: usize) {
        let _was_submitted = self.submitted.remove(&id);
        self.submitted_bytes = self.submitted_bytes.saturating_sub(bytes);
    }

    /// Gives a message up; its remaining frames are swallowed.
    pub(super) fn fail(&mut self, id: u64, status: Status) -> Step {
        drop(self.remove(id));
        if self.failed.len() >= self.bounds.messages_max {
            let _forgotten = self.failed.pop_front();
        }
        self.failed.push_back(id);
        Step::Fail { id, status }
    }

    fn begin(&mut self, id: u64, options: proto::PutOptions) -> Step {
        if self.open.contains_key(&id) {
            // The frames of the two cannot be told apart from here on.
            return self.fail(id, Status::invalid_argument(TWICE_OPEN));
        }
        // A new message under the id of one that failed: what is left of that one will not come any more.
        let _over = self.forget_failed(id);
        if self.submitted.contains(&id) {
            return self.fail(id, Status::invalid_argument(NOT_ANSWERED));
        }
        if self.open.len() >= self.bounds.messages_max {
            return self.fail(id, Status::resource_exhausted(UNFINISHED_MESSAGES));
        }
        match item::put_options(options) {
            Ok(options) => {
                let collecting = Open::Collecting { options: Box::new(options), bytes: BytesMut::new() };
                let _none = self.open.insert(id, collecting);
                Step::Wait
            }
            Err(status) => self.fail(id, status),
        }
    }

    /// A message in one frame. A failure leaves nothing to swallow: no further frame of it comes.
    fn whole(&mut self, id: u64, whole: proto::IngestWhole) -> Step {
        let step = self.begin(id, whole.options.unwrap_or_default());
        if let Step::Wait = step {
            return self.end(id, whole.data);
        }
        let _swallow_nothing = self.forget_failed(id);
        step
    }

    fn data(&mut self, id: u64, data: &Bytes) -> Step {
        match self.open.get_mut(&id) {
            None if self.failed.contains(&id) => Step::Wait,
            None => self.fail(id, Status::invalid_argument(UNKNOWN)),
            Some(Open::Large) => Step::Push { id, bytes: data.clone() },
            Some(Open::Collecting { bytes, .. })
                if bytes.len() + data.len() > self.bounds.collect_bytes_max =>
            {
                self.grow(id, data)
            }
            Some(Open::Collecting { .. }) if self.open_bytes + data.len() > self.bounds.bytes_max => {
                self.fail(id, Status::resource_exhausted(UNFINISHED_BYTES))
            }
            Some(Open::Collecting { bytes, .. }) => {
                // Copied: a short slice would keep the whole buffer it was received in.
                bytes.extend_from_slice(data);
                self.open_bytes += data.len();
                Step::Wait
            }
        }
    }

    /// A collected message becomes large.
    fn grow(&mut self, id: u64, data: &Bytes) -> Step {
        if self.large >= self.bounds.large_max {
            return self.fail(id, Status::resource_exhausted(UNFINISHED_LARGE));
        }
        match self.remove(id) {
            Some(Open::Collecting { options, bytes }) => {
                let _none = self.open.insert(id, Open::Large);
                self.large += 1;
                Step::Begin { id, options, bytes: joined(bytes, data.clone()) }
            }
            Some(Open::Large) | None => self.fail(id, Status::invalid_argument(UNKNOWN)),
        }
    }

    fn end(&mut self, id: u64, data: Bytes) -> Step {
        let step = match self.remove(id) {
            None if self.forget_failed(id) => return Step::Wait,
            None => return Step::Fail { id, status: Status::invalid_argument(UNKNOWN) },
            Some(Open::Large) => Step::Finish { id, bytes: data },
            Some(Open::Collecting { options, bytes }) => {
                let bytes = joined(bytes, data);
                self.submitted_bytes += bytes.len();
                Step::Submit { id, options, bytes }
            }
        };
        let _new = self.submitted.insert(id);
        step
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        match &open {
            Open::Collecting { bytes, .. } => self.open_bytes = self.open_bytes.saturating_sub(bytes.len()),
            Open::Large => self.large = self.large.saturating_sub(1),
        }
        Some(open)
    }

    fn forget_failed(&mut self, id: u64) -> bool {
        let before = self.failed.len();
        self.failed.retain(|failed| *failed != id);
        self.failed.len() < before
    }
}

fn joined(mut first: BytesMut, rest: Bytes) -> Bytes {
    if first.is_empty() {
        // A short slice would keep the whole buffer it was received in.
        return if rest.len() <= COPIED_BYTES_MAX { Bytes::copy_from_slice(&rest) } else { rest };
    }
    first.extend_from_slice(&rest);
    first.freeze()
}
