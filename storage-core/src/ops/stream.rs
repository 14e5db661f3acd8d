//! Bytes of an item on their way out: steps are read, decoded and encoded one after the other, in bounded memory.
//! Guarantees that nothing unverified leaves: objects are checked by hash before they are used, and the last piece of a
//! whole item leaves only when the hash of all of it is right.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use sha2::Digest;

use crate::budget::Held;
use crate::catalog::rows::Location;
use crate::catalog::rows::PartRow;
use crate::error::Error;
use crate::error::Result;
use crate::mime::Encoder;
use crate::mime::Encoding;
use crate::model::Sha256;
use crate::ops::read::StoredObject;
use crate::pack::SegmentPlace;
use crate::store::Store;

/// Pieces that a stream yields are at most this long.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// Where an object comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A row of the catalog: read when its turn comes.
    Row { primary: Location, copy: Option<Location>, sha256: Sha256 },
    /// At hand.
    Loaded(StoredObject),
}

impl Source {
    pub(crate) fn of(part: &PartRow) -> Self {
        Self::Row { primary: part.object.location, copy: part.object.copy, sha256: part.object.sha256 }
    }

    pub(crate) async fn load(self, store: &Store) -> Result<StoredObject> {
        match self {
            Self::Loaded(object) => Ok(object),
            Self::Row { primary, copy, sha256 } => {
                if let Some(copy) = copy {
                    match store.object(&copy, sha256).await {
                        Err(error) => {
                            tracing::warn!(%error, pack = %copy.pack, "a copy cannot be read; the primary location serves");
                        }
                        found => return found,
                    }
                }
                store.object(&primary, sha256).await
            }
        }
    }
}

/// One step of a stream.
#[derive(Debug)]
pub(crate) enum Step {
    Ready(Bytes),
    Object { source: Source, encoding: Encoding, recipe: Bytes, encoded_bytes: u64, decoded_bytes: u64 },
}

impl Step {
    fn bytes(&self) -> u64 {
        match self {
            Self::Ready(bytes) => bytes.len() as u64,
            Self::Object { encoded_bytes, .. } => *encoded_bytes,
        }
    }
}

/// An object that is being encoded into the stream.
#[derive(Debug)]
struct Running {
    encoder: Encoder,
    inputs: Inputs,
}

#[derive(Debug)]
enum Inputs {
    Whole(Option<Bytes>),
    Segments(uuid::Uuid, VecDeque<SegmentPlace>),
}

impl Inputs {
    fn new(object: StoredObject, decoded_bytes: u64) -> Result<Self> {
        match object {
            StoredObject::Whole(whole) if whole.len() as u64 == decoded_bytes => Ok(Self::Whole(Some(whole))),
            StoredObject::Segmented(pack, entry) if entry.bytes == decoded_bytes => {
                Ok(Self::Segments(pack, entry.segments.into()))
            }
            _ => Err(Error::corrupt(
                "An object has another length than its message states. Restore from a backup.",
            )),
        }
    }

    /// Drops segments that lie before `skip` and returns how many bytes those were.
    fn skip(&mut self, mut skip: u64) -> u64 {
        let mut skipped = 0;
        if let Self::Segments(_, segments) = self {
            while let Some(first) = segments.front().map(|segment| u64::from(segment.bytes))
                && first <= skip
            {
                let _ = segments.pop_front();
                skip -= first;
                skipped += first;
            }
        }
        skipped
    }

    async fn next(&mut self, store: &Store) -> Result<Option<Bytes>> {
        match self {
            Self::Whole(whole) => Ok(whole.take()),
            Self::Segments(pack, segments) => match segments.pop_front() {
                Some(segment) => Ok(Some(store.segment(*pack, &segment).await?)),
                None => Ok(None),
            },
        }
    }
}

/// Bytes of an item or a part, in order. Nothing unverified ever comes out.
#[derive(Debug)]
pub struct GetStream {
    store: Arc<Store>,
    steps: VecDeque<Step>,
    running: Option<Running>,
    ready: Bytes,
    /// Bytes to drop before the first one wanted.
    skip: u64,
    /// Bytes wanted after that.
    left: u64,
    bytes: u64,
    /// The piece that leaves next, held back until it is known whether it is the last: the last one leaves only
    /// when the whole is verified.
    held: Option<Bytes>,
    /// The hash of everything, where everything is read and was not verified before.
    check: Option<(sha2::Sha256, Sha256)>,
    /// The memory that its pieces take.
    memory: Option<Held>,
}

impl GetStream {
    pub(crate) fn new(
        store: &Arc<Store>,
        steps: VecDeque<Step>,
        range: Range<u64>,
        expected: Option<Sha256>,
    ) -> Self {
        let left = range.end - range.start;
        Self {
            store: Arc::clone(store),
            steps,
            running: None,
            ready: Bytes::new(),
            skip: range.start,
            left,
            bytes: left,
            held: None,
            check: expected.map(|expected| (sha2::Sha256::new(), expected)),
            memory: None,
        }
    }

    /// The same, with the memory it holds until it is dropped.
    pub(crate) fn holding(mut self, memory: Option<Held>) -> Self {
        self.memory = memory;
        self
    }

    /// Bytes this stream yields in all.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next bytes, at most 256 KiB; none at the end. After an error the stream is over.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        match self.advance().await {
            Ok(bytes) => bytes.map(Ok),
            Err(error) => {
                self.store.counters.failed(&error);
                self.memory = None;
                self.steps.clear();
                (self.running, self.held, self.check) = (None, None, None);
                self.ready = Bytes::new();
                self.left = 0;
                Some(Err(error))
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Bytes>> {
        while let Some(piece) = self.piece().await? {
            if let Some(leaving) = self.held.replace(piece) {
                return Ok(Some(leaving));
            }
        }
        if let Some((hasher, expected)) = self.check.take()
            && Sha256(hasher.finalize().into()) != expected
        {
            return Err(mismatch());
        }
        Ok(self.held.take())
    }

    /// The next piece of what is wanted; none when all of it was made.
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        while self.left > 0 {
            let skipped = self.skip.min(self.ready.len() as u64);
            drop(self.ready.split_to(usize::try_from(skipped).unwrap_or(0)));
            self.skip -= skipped;
            if !self.ready.is_empty() {
                let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
                let piece = self.ready.split_to(self.ready.len().min(PIECE_BYTES_MAX).min(wanted));
                self.left -= piece.len() as u64;
                return Ok(Some(piece));
            }
            if !self.refill().await? {
                return Err(mismatch());
            }
        }
        Ok(None)
    }

    /// Makes the next bytes ready. False when there are none.
    async fn refill(&mut self) -> Result<bool> {
        if let Some(running) = self.running.take() {
            self.encode(running).await?;
            return Ok(true);
        }
        let Some(step) = self.steps.pop_front() else {
            return Ok(false);
        };
        if self.skip >= step.bytes() && self.check.is_none() {
            self.skip -= step.bytes();
            return Ok(true);
        }
        match step {
            Step::Ready(bytes) => self.set_ready(bytes),
            Step::Object { source, encoding, recipe, encoded_bytes, decoded_bytes } => {
                let mut inputs = Inputs::new(source.load(&self.store).await?, decoded_bytes)?;
                let identity = encoding == Encoding::Identity;
                let skipped = if identity && self.check.is_none() { inputs.skip(self.skip) } else { 0 };
                self.skip -= skipped;
                let encoder = Encoder::new(encoding, &recipe, encoded_bytes - skipped)?;
                self.running = Some(Running { encoder, inputs });
            }
        }
        Ok(true)
    }

    /// Encodes the next input of an object, or its end.
    async fn encode(&mut self, mut running: Running) -> Result<()> {
        let mut out = Vec::new();
        if let Some(input) = running.inputs.next(&self.store).await? {
            running.encoder.push(&input, &mut out)?;
            self.running = Some(running);
        } else {
            running.encoder.finish(&mut out)?;
        }
        self.set_ready(Bytes::from(out));
        Ok(())
    }

    fn set_ready(&mut self, bytes: Bytes) {
        if let Some((hasher, _)) = &mut self.check {
            hasher.update(&bytes);
        }
        self.ready = bytes;
    }
}

/// The error for bytes that are not what was stored.
pub(crate) fn mismatch() -> Error {
    Error::corrupt("The rebuilt bytes do not match the hash they were stored with. Restore from a backup.")
}
