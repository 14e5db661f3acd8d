//! Reading an item or a part. Order: look up -> read frames -> decode -> cut -> check hashes -> reassemble -> check the
//! item's hash. A wrong hash is `Corrupt`, never bytes.
//!
//! An item of up to [`MEMORY_BYTES_MAX`] is rebuilt and checked in memory before its first byte leaves. A larger one is
//! streamed: its objects are checked by segment before they leave, and the whole at the end, before the end is told.
//! If a pack vanished under a reader because of a migration, the item is looked up once more.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use sha2::Digest;

use crate::catalog::rows::ItemRow;
use crate::catalog::rows::Location;
use crate::catalog::rows::PartRow;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::mime;
use crate::mime::Encoder;
use crate::mime::Encoding;
use crate::mime::Op;
use crate::mime::Skeleton;
use crate::mime::SkeletonPart;
use crate::model::Sha256;
use crate::ops::read::StoredObject;
use crate::ops::read::sha256;
use crate::pack::SegmentPlace;
use crate::store::Store;

/// Items up to this many bytes are rebuilt in memory.
const MEMORY_BYTES_MAX: u64 = 4 << 20;

/// Pieces that a stream yields are at most this long.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// Where an object comes from.
#[derive(Debug, Clone)]
enum Source {
    /// A row of the catalog: read when its turn comes.
    Row { primary: Location, copy: Option<Location>, sha256: Sha256 },
    /// At hand.
    Loaded(StoredObject),
}

impl Source {
    fn of(part: &PartRow) -> Self {
        Self::Row { primary: part.object.location, copy: part.object.copy, sha256: part.object.sha256 }
    }

    async fn load(self, store: &Store) -> Result<StoredObject> {
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
enum Step {
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
            _ => Err(Error::corrupt("An object has another length than its message states. Run a scrub.")),
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
}

impl GetStream {
    fn new(store: &Arc<Store>, steps: VecDeque<Step>, range: Range<u64>, expected: Option<Sha256>) -> Self {
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
        }
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

fn mismatch() -> Error {
    Error::corrupt("The rebuilt bytes do not match the hash they were stored with. Run a scrub.")
}

/// The steps that rebuild an item from its skeleton and its objects, in the order of the skeleton's objects.
fn steps(skeleton: &Bytes, parsed: &Skeleton, sources: &[Source]) -> Result<VecDeque<Step>> {
    parsed.ops().iter().map(|op| step(skeleton, op, sources)).collect()
}

fn step(skeleton: &Bytes, op: &Op, sources: &[Source]) -> Result<Step> {
    Ok(match op {
        Op::Literal(range) => Step::Ready(skeleton.slice(range.clone())),
        Op::Inline { encoding, recipe, decoded, encoded_bytes, .. } => Step::Object {
            source: Source::Loaded(StoredObject::Whole(skeleton.slice(decoded.clone()))),
            encoding: *encoding,
            recipe: skeleton.slice(recipe.clone()),
            encoded_bytes: *encoded_bytes,
            decoded_bytes: decoded.len() as u64,
        },
        Op::Object { object, encoding, recipe, encoded_bytes, decoded_bytes, .. } => Step::Object {
            source: source_of(sources, *object)?,
            encoding: *encoding,
            recipe: skeleton.slice(recipe.clone()),
            encoded_bytes: *encoded_bytes,
            decoded_bytes: *decoded_bytes,
        },
    })
}

fn source_of(sources: &[Source], object: u32) -> Result<Source> {
    let found = usize::try_from(object).ok().and_then(|index| sources.get(index)).cloned();
    found.ok_or_else(|| Error::corrupt("The catalog lacks an object that a skeleton refers to. Run a scrub."))
}

/// The hash of the item that a skeleton and its objects rebuild: the proof of a large put.
pub(crate) async fn rebuilt_sha256(
    store: &Arc<Store>,
    skeleton: Bytes,
    objects: Vec<StoredObject>,
) -> Result<Sha256> {
    let parsed = Skeleton::parse(&skeleton)?;
    let sources: Vec<Source> = objects.into_iter().map(Source::Loaded).collect();
    let steps = steps(&skeleton, &parsed, &sources)?;
    let mut stream = GetStream::new(store, steps, 0..parsed.total_bytes(), None);
    let mut hasher = sha2::Sha256::new();
    while let Some(piece) = stream.next().await {
        hasher.update(&piece?);
    }
    Ok(Sha256(hasher.finalize().into()))
}

/// A skeleton from whichever of its locations can be read.
pub(crate) async fn skeleton_of(store: &Store, row: &ItemRow) -> Result<Bytes> {
    if let Some(copy) = row.copy {
        match store.skeleton(&copy, row.id).await {
            Err(error) => {
                tracing::warn!(%error, pack = %copy.pack, "a copy cannot be read; the primary location serves");
            }
            found => return found,
        }
    }
    store.skeleton(&row.location, row.id).await
}

/// Cuts a range to the item.
fn cut_range(range: Option<Range<u64>>, bytes: u64) -> Result<Range<u64>> {
    let range = range.unwrap_or(0..bytes);
    if range.start > bytes || range.start > range.end {
        return Err(Error::invalid(format!("The range begins beyond the item's {bytes} bytes.")));
    }
    Ok(range.start..range.end.min(bytes))
}

/// Opens a stream over an item.
pub(crate) async fn open_item(store: &Arc<Store>, row: &ItemRow, range: Option<Range<u64>>) -> Result<GetStream> {
    let range = cut_range(range, row.bytes)?;
    let (skeleton, parts) = futures::try_join!(skeleton_of(store, row), store.catalog.parts(row.key))?;
    let parsed = Skeleton::parse(&skeleton)?;
    if parsed.total_bytes() != row.bytes {
        return Err(mismatch());
    }
    let sources: Vec<Source> = parts.iter().map(Source::of).collect();
    let whole = range == (0..row.bytes);
    if row.bytes > MEMORY_BYTES_MAX {
        let expected = whole.then_some(row.sha256);
        return Ok(GetStream::new(store, steps(&skeleton, &parsed, &sources)?, range, expected));
    }
    let rebuilt = rebuild(store, &skeleton, sources).await?;
    if sha256(&rebuilt) != row.sha256 {
        return Err(mismatch());
    }
    Ok(GetStream::new(store, VecDeque::from([Step::Ready(rebuilt)]), range, None))
}

/// Rebuilds a small item in memory.
async fn rebuild(store: &Arc<Store>, skeleton: &Bytes, sources: Vec<Source>) -> Result<Bytes> {
    let mut objects = Vec::with_capacity(sources.len());
    for source in sources {
        objects.push(whole(store, source).await?);
    }
    let total: usize = objects.iter().map(Bytes::len).sum();
    let skeleton = skeleton.clone();
    let assembled = move || {
        let object = |index| usize::try_from(index).ok().and_then(|index: usize| objects.get(index)).map(|b| &b[..]);
        mime::assemble(&skeleton, &object).map(Bytes::from)
    };
    store.foreground.run_sized(total, assembled).await
}

/// An object as one run of bytes. Only for small items.
async fn whole(store: &Arc<Store>, source: Source) -> Result<Bytes> {
    match source.load(store).await? {
        StoredObject::Whole(bytes) => Ok(bytes),
        StoredObject::Segmented(pack, entry) => {
            if entry.bytes > MEMORY_BYTES_MAX {
                return Err(mismatch());
            }
            let mut bytes = Vec::new();
            for segment in &entry.segments {
                bytes.extend_from_slice(&store.segment(pack, segment).await?);
            }
            if sha256(&bytes) == entry.sha256 { Ok(Bytes::from(bytes)) } else { Err(mismatch()) }
        }
    }
}

/// Opens a stream over one decoded part.
pub(crate) async fn open_part(
    store: &Arc<Store>,
    row: &ItemRow,
    index: u32,
    range: Option<Range<u64>>,
) -> Result<(SkeletonPart, Option<PartRow>, GetStream)> {
    let (skeleton, parts) = futures::try_join!(skeleton_of(store, row), store.catalog.parts(row.key))?;
    let parsed = Skeleton::parse(&skeleton)?;
    let part = parsed.parts().iter().find(|part| part.summary.index == index).cloned().ok_or_else(|| {
        Error::not_found(format!("This message has no part {index}. Its parts are listed by stat."))
    })?;
    let range = cut_range(range, part.summary.decoded_bytes)?;
    let op = parsed.ops().get(part.op).ok_or_else(mismatch)?;
    let (step, found) = match op {
        Op::Literal(bytes) => (Step::Ready(skeleton.slice(bytes.clone())), None),
        Op::Inline { decoded, .. } => (Step::Ready(skeleton.slice(decoded.clone())), None),
        Op::Object { object, decoded_bytes, .. } => {
            let sources: Vec<Source> = parts.iter().map(Source::of).collect();
            let step = Step::Object {
                source: source_of(&sources, *object)?,
                encoding: Encoding::Identity,
                recipe: Bytes::new(),
                encoded_bytes: *decoded_bytes,
                decoded_bytes: *decoded_bytes,
            };
            (step, parts.iter().find(|row| row.part == index).cloned())
        }
    };
    let whole = range == (0..part.summary.decoded_bytes);
    let expected = found.as_ref().filter(|_| whole).map(|row| row.object.sha256);
    Ok((part, found, GetStream::new(store, VecDeque::from([step]), range, expected)))
}

/// Whether a second look-up may help: the pack is gone because its content moved.
pub(crate) fn moved_away(error: &Error) -> bool {
    error.kind() == Kind::NotFound
}

/// A pack that is still gone at the second look-up is damage, not an unknown id.
pub(crate) fn gone_is_corrupt(error: Error) -> Error {
    if moved_away(&error) && error.message().contains("pack") {
        return Error::corrupt("A pack that holds part of this item is missing. Run a scrub.").with_source(error);
    }
    error
}
