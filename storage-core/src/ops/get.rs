//! Reading an item or a part. Order: look up -> read frames -> decode -> cut -> check hashes -> reassemble -> check the
//! item's hash. A wrong hash is `Corrupt`, never bytes.
//!
//! An item of up to 4 MiB is rebuilt and checked in memory before its first byte leaves. A larger one is
//! streamed: its objects are checked by segment before they leave, and the whole at the end, before the end is told.
//! If a pack vanished under a reader because of a migration, the item is looked up once more.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream;
use sha2::Digest;

use crate::budget::Held;
use crate::catalog::rows::ItemRow;
use crate::catalog::rows::Location;
use crate::catalog::rows::PartRow;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::mime;
use crate::mime::Encoding;
use crate::mime::Op;
use crate::mime::Skeleton;
use crate::mime::SkeletonPart;
use crate::model::Sha256;
use crate::ops::read::StoredObject;
use crate::ops::read::sha256;
use crate::ops::stream::GetStream;
use crate::ops::stream::Source;
use crate::ops::stream::Step;
use crate::ops::stream::mismatch;
use crate::store::Store;

/// Items up to this many bytes are rebuilt in memory.
const MEMORY_BYTES_MAX: u64 = 4 << 20;

/// Objects of one item that are loaded at the same time: what is stored in another form takes a while to make again.
const LOADED_AT_ONCE: usize = 4;

/// Answers up to this many bytes are not counted: as many as there may be at once are little.
const UNCOUNTED_BYTES_MAX: u64 = 64 << 10;

/// What a streamed answer holds at most: a segment, and what was made of it.
const STREAM_BYTES: u64 = 2 << 20;

/// How long a read waits for memory.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(30);

/// Bytes that give their memory back when the last piece of them is gone, wherever it waits to be sent.
struct Answer(Bytes, #[expect(dead_code, reason = "held, not read")] Held);

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Waits until there is memory for an answer of `bytes`; none is needed for a small one.
async fn reserve(store: &Store, tenant: TenantKey, bytes: u64) -> Result<Option<Held>> {
    if bytes <= UNCOUNTED_BYTES_MAX {
        return Ok(None);
    }
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let held = store.get_memory.hold(&tenant, bytes, MEMORY_WAIT_MAX).await;
    held.map(Some).ok_or_else(|| {
        Error::new(
            Kind::ResourceExhausted,
            "The server has no memory left for answers. Read again later, or take answers faster.",
        )
    })
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
    found.ok_or_else(|| {
        Error::corrupt("The catalog lacks an object that a skeleton refers to. Restore from a backup.")
    })
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

/// Opens a stream over an item; the references of the item come with it.
pub(crate) async fn open_item(
    store: &Arc<Store>,
    (tenant, row): (TenantKey, &ItemRow),
    range: Option<Range<u64>>,
) -> Result<(Vec<PartRow>, GetStream)> {
    let range = cut_range(range, row.bytes)?;
    if row.bytes > MEMORY_BYTES_MAX {
        return open_large(store, (tenant, row), range).await;
    }
    let memory = reserve(store, tenant, row.bytes).await?;
    let (parts, rebuilt) = rebuild(store, row).await?;
    let answer = match memory {
        Some(memory) => Bytes::from_owner(Answer(rebuilt, memory)),
        None => rebuilt,
    };
    let stream = GetStream::new(store, VecDeque::from([Step::Ready(answer)]), range, None);
    Ok((parts, stream))
}

/// Opens a stream over an item that is never whole in memory.
async fn open_large(
    store: &Arc<Store>,
    (tenant, row): (TenantKey, &ItemRow),
    range: Range<u64>,
) -> Result<(Vec<PartRow>, GetStream)> {
    let (skeleton, parts) = futures::try_join!(skeleton_of(store, row), store.catalog.parts(row.key))?;
    let parsed = parsed_for(&skeleton, row)?;
    let sources: Vec<Source> = parts.iter().map(Source::of).collect();
    let expected = (range == (0..row.bytes)).then_some(row.sha256);
    let memory = reserve(store, tenant, STREAM_BYTES).await?;
    let stream = GetStream::new(store, steps(&skeleton, &parsed, &sources)?, range, expected);
    Ok((parts, stream.holding(memory)))
}

/// The skeleton of an item, which must be of that item's length.
fn parsed_for(skeleton: &Bytes, row: &ItemRow) -> Result<Skeleton> {
    let parsed = Skeleton::parse(skeleton)?;
    if parsed.total_bytes() == row.bytes { Ok(parsed) } else { Err(mismatch()) }
}

/// Rebuilds a small item in memory and checks it. What lies in another block than the skeleton is read beside it; what lies
/// in the same one finds it in the cache afterwards.
async fn rebuild(store: &Arc<Store>, row: &ItemRow) -> Result<(Vec<PartRow>, Bytes)> {
    let beside = async {
        let parts = store.catalog.parts(row.key).await?;
        let apart = parts.iter().map(|part| (!shares_block(row, part)).then(|| Source::of(part)));
        let loading = stream::iter(apart.collect::<Vec<_>>()).map(|source| async {
            match source {
                Some(source) => whole(store, source).await.map(Some),
                None => Ok(None),
            }
        });
        let loaded: Vec<Option<Bytes>> = loading.buffered(LOADED_AT_ONCE).try_collect().await?;
        Ok((parts, loaded))
    };
    let (skeleton, (parts, loaded)) = futures::try_join!(skeleton_of(store, row), beside)?;
    let _parsed = parsed_for(&skeleton, row)?;
    let mut objects = Vec::with_capacity(parts.len());
    for (part, loaded) in parts.iter().zip(loaded) {
        objects.push(match loaded {
            Some(bytes) => bytes,
            None => whole(store, Source::of(part)).await?,
        });
    }
    let rebuilt = assembled(store, skeleton, objects).await?;
    if sha256(&rebuilt) == row.sha256 { Ok((parts, rebuilt)) } else { Err(mismatch()) }
}

/// Whether a part is first looked for where the skeleton is.
fn shares_block(row: &ItemRow, part: &PartRow) -> bool {
    let block = |location: Location| (location.pack, location.place.frame);
    block(row.copy.unwrap_or(row.location)) == block(part.object.copy.unwrap_or(part.object.location))
}

/// An item from its skeleton and its objects.
async fn assembled(store: &Arc<Store>, skeleton: Bytes, objects: Vec<Bytes>) -> Result<Bytes> {
    let total: usize = objects.iter().map(Bytes::len).sum();
    let assembled = move || {
        let object =
            |index| usize::try_from(index).ok().and_then(|index: usize| objects.get(index)).map(|b| &b[..]);
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
            store.segments_at_once(pack, &entry).await?.ok_or_else(mismatch)
        }
    }
}

/// Opens a stream over one decoded part.
pub(crate) async fn open_part(
    store: &Arc<Store>,
    (tenant, row): (TenantKey, &ItemRow),
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
    let memory = reserve(store, tenant, part.summary.decoded_bytes.min(STREAM_BYTES)).await?;
    let stream = GetStream::new(store, VecDeque::from([step]), range, expected);
    Ok((part, found, stream.holding(memory)))
}
