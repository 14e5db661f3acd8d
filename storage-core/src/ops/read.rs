//! From a location to verified bytes: pack index -> frame -> decoded block -> entry. What every reading operation
//! shares. Nothing leaves here whose hash was not checked.
//!
//! Sealed packs are read through their index, open log packs through the index that the log keeps in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::TryStreamExt;
use futures::stream;
use sha2::Digest;
use uuid::Uuid;

use crate::caches::Block;
use crate::catalog::rows::Location;
use crate::codec::Dictionary;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::model::Sha256;
use crate::ops::survey::is_damage;
use crate::pack::Entry;
use crate::pack::EntryBody;
use crate::pack::Footer;
use crate::pack::Frame;
use crate::pack::IndexEntry;
use crate::pack::MessageRecord;
use crate::pack::ObjectEntry;
use crate::pack::PackIndex;
use crate::pack::PackName;
use crate::pack::SegmentPlace;
use crate::pack::SegmentedEntry;
use crate::pack::TransformId;
use crate::recode;
use crate::similarity;
use crate::store::Store;

/// Segments of one object that are read at the same time: those that were recoded take a while to make again.
const SEGMENTS_AT_ONCE: usize = 4;

/// An object as found in a block.
#[derive(Debug, Clone)]
pub(crate) enum StoredObject {
    /// Its verified bytes.
    Whole(Bytes),
    /// Its segments, in that pack.
    Segmented(Uuid, Box<SegmentedEntry>),
}

fn missing_frame(pack: Uuid, frame: u32) -> Error {
    Error::corrupt(format!(
        "Pack {pack} has no frame {frame}, which the catalog refers to. Restore from a backup."
    ))
}

fn wrong_entry(pack: Uuid, frame: u32) -> Error {
    Error::corrupt(format!(
        "Frame {frame} of pack {pack} does not hold what the catalog expects there. Restore from a backup."
    ))
}

/// The SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// A pack that is not there is damage to who needs it; [`moved_away`] tells it apart.
fn gone(pack: Uuid) -> impl FnOnce(Error) -> Error {
    move |error| match error.kind() {
        Kind::NotFound => {
            Error::corrupt(format!("Pack {pack} is missing, and with it what it holds.")).with_source(error)
        }
        _ => error,
    }
}

/// Whether a pack was not there. A second look-up helps where its content was moved meanwhile.
pub(crate) fn moved_away(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    cause.is_some_and(|cause| cause.kind() == Kind::NotFound)
}

impl Store {
    /// A pack's index, from the cache or from its end.
    pub(crate) async fn pack_index(&self, pack: Uuid) -> Result<Arc<PackIndex>> {
        if let Some(index) = self.caches.indexes.get(&pack) {
            return Ok(index);
        }
        let name = PackName(pack);
        let length = self.backend.length(name).await.map_err(gone(pack))?;
        let footer_offset = length.saturating_sub(Footer::BYTES as u64);
        let footer = self.backend.read(name, footer_offset..length).await.map_err(gone(pack))?;
        let footer = Footer::parse(name, &footer, length)?;
        let end = footer.index_offset.saturating_add(u64::from(footer.index_bytes));
        let bytes = self.backend.read(name, footer.index_offset..end).await.map_err(gone(pack))?;
        let index = Arc::new(PackIndex::parse(&footer, &bytes)?);
        self.caches.indexes.insert(pack, Arc::clone(&index));
        Ok(index)
    }

    pub(crate) async fn index_entry(&self, pack: Uuid, frame: u32) -> Result<IndexEntry> {
        if let Some(entries) = self.caches.open_entries(pack) {
            return entries.get(frame).ok_or_else(|| missing_frame(pack, frame));
        }
        match self.pack_index(pack).await {
            Ok(index) => index.get(frame).copied().ok_or_else(|| missing_frame(pack, frame)),
            // Each frame has checksums of its own: a damaged index makes reading slow, not wrong.
            Err(error) if is_damage(&error) && !moved_away(&error) => {
                let scanned = self.scanned_entries(pack).await.map_err(gone(pack))?;
                scanned.into_iter().find(|entry| entry.ordinal == frame).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// A frame, its checksums verified.
    pub(crate) async fn frame(&self, pack: Uuid, frame: u32) -> Result<Frame> {
        let entry = self.index_entry(pack, frame).await?;
        let end = entry.offset.saturating_add(u64::from(entry.bytes()));
        let bytes = self.backend.read(PackName(pack), entry.offset..end).await.map_err(gone(pack))?;
        Frame::parse(PackName(pack), frame, bytes)
    }

    /// The dictionary of that id, from the cache or from its pack.
    pub(crate) async fn dictionary(&self, id: Uuid) -> Result<Arc<Dictionary>> {
        if let Some(dictionary) = self.caches.dictionary(id)? {
            return Ok(dictionary);
        }
        let row = self.catalog.dictionary(id).await?.ok_or_else(|| {
            Error::corrupt(format!(
                "Dictionary {id} is needed and the catalog does not know it. Restore from a backup."
            ))
        })?;
        let frame = self.frame(row.pack_name, row.dictionary.frame).await?;
        let record = frame.head().dictionary()?;
        if record.id != id {
            return Err(wrong_entry(row.pack_name, row.dictionary.frame));
        }
        let load = move || Dictionary::stored(id, record.kind, Arc::from(&*frame.stream(None)?));
        let dictionary = Arc::new(self.foreground.run(load).await?);
        self.caches.dictionaries.insert(id, Arc::clone(&dictionary));
        Ok(dictionary)
    }

    pub(crate) async fn dictionary_of(&self, frame: &Frame) -> Result<Option<Arc<Dictionary>>> {
        match frame.header().dictionary() {
            Some(id) => Ok(Some(self.dictionary(id).await?)),
            None => Ok(None),
        }
    }

    /// A decoded block, from the cache or its pack. Plain ones are kept, too: a hot message's parts share one frame.
    pub(crate) async fn block(&self, pack: Uuid, ordinal: u32) -> Result<Arc<Block>> {
        if let Some(block) = self.caches.blocks.get(&(pack, ordinal)) {
            return Ok(block);
        }
        let block = Arc::new(self.block_once(pack, ordinal).await?);
        self.caches.blocks.insert((pack, ordinal), Arc::clone(&block));
        Ok(block)
    }

    /// A decoded block that is not kept.
    pub(crate) async fn block_once(&self, pack: Uuid, ordinal: u32) -> Result<Block> {
        self.with_frame(pack, ordinal, |frame, dictionary| block_in(&frame, dictionary)).await
    }

    /// Reads a frame and does `work` on it and its dictionary: on the thread that read it, where everything else is at hand.
    async fn with_frame<T: Send + 'static>(
        &self,
        pack: Uuid,
        ordinal: u32,
        work: impl FnOnce(Frame, Option<&Dictionary>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let entry = self.index_entry(pack, ordinal).await?;
        let (name, range) =
            (PackName(pack), entry.offset..entry.offset.saturating_add(u64::from(entry.bytes())));
        let Some(read) = self.backend.blocking_read(name, range) else {
            let frame = self.frame(pack, ordinal).await?;
            return self.with_dictionary(frame, work).await;
        };
        let caches = Arc::clone(&self.caches);
        let parse = move || Frame::parse(name, ordinal, read().map_err(gone(pack))?);
        let begun = self.foreground.run_after(parse, move |frame| match frame.header().dictionary() {
            None => work(frame, None).map(Ok),
            Some(id) => match caches.dictionary(id)? {
                Some(dictionary) => work(frame, Some(&dictionary)).map(Ok),
                None => Ok(Err((frame, work))),
            },
        });
        match begun.await? {
            Ok(done) => Ok(done),
            Err((frame, work)) => self.with_dictionary(frame, work).await,
        }
    }

    /// Does `work` on a frame and the dictionary that it needs.
    async fn with_dictionary<T: Send + 'static>(
        &self,
        frame: Frame,
        work: impl FnOnce(Frame, Option<&Dictionary>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let dictionary = self.dictionary_of(&frame).await?;
        let bytes = frame.header().stream_stored as usize;
        self.foreground.run_sized(bytes, move || work(frame, dictionary.as_deref())).await
    }

    /// The block that a frame holds.
    pub(crate) async fn decoded(&self, frame: Frame) -> Result<Block> {
        self.with_dictionary(frame, |frame, dictionary| block_in(&frame, dictionary)).await
    }

    /// A skeleton, verified by its digest and by the item it belongs to.
    pub(crate) async fn skeleton(&self, location: &Location, item: Uuid) -> Result<Bytes> {
        let block = self.block(location.pack, location.place.frame).await?;
        skeleton_in(&block, location, item)
    }

    /// An object, verified by its SHA-256; a large one as the list of its segments.
    pub(crate) async fn object(&self, location: &Location, expected: Sha256) -> Result<StoredObject> {
        let block = self.block(location.pack, location.place.frame).await?;
        let small = entry_in(&block, location)?.bytes as usize <= crate::workers::INLINE_BYTES_MAX;
        if small && transform_in(&block, location)? == TransformId::NONE {
            return object_in(&block, location, expected, None);
        }
        let base = self.base_in(&block, location).await?;
        let location = *location;
        self.foreground.run(move || object_in(&block, &location, expected, base.as_deref())).await
    }

    /// A large object as one run of bytes, its segments read several at a time; none where it has another hash than it
    /// should. Its length is the caller's to bound.
    pub(crate) async fn segments_at_once(
        &self,
        pack: Uuid,
        object: &SegmentedEntry,
    ) -> Result<Option<Bytes>> {
        let loading = stream::iter(object.segments.clone())
            .map(|segment| async move { self.segment(pack, &segment).await });
        let segments: Vec<Bytes> = loading.buffered(SEGMENTS_AT_ONCE).try_collect().await?;
        let whole = Bytes::from(segments.concat());
        Ok((sha256(&whole) == object.sha256).then_some(whole))
    }

    /// One segment of a large object, verified by its SHA-256.
    pub(crate) async fn segment(&self, pack: Uuid, segment: &SegmentPlace) -> Result<Bytes> {
        let (expected, length) = (segment.sha256, segment.bytes as usize);
        let ordinal = segment.ordinal;
        self.with_frame(pack, ordinal, move |frame, dictionary| {
            let stored = frame.stream(dictionary)?;
            let bytes = match frame.header().form()? {
                None => stored,
                Some(form) => {
                    let bytes = form.bytes as usize;
                    Bytes::from(recode::decode(form.transform, &form.params, &stored, bytes)?)
                }
            };
            let fits = bytes.len() == length && sha256(&bytes) == expected;
            if fits { Ok(bytes) } else { Err(wrong_entry(pack, ordinal)) }
        })
        .await
    }
}

/// The block that a frame holds.
fn block_in(frame: &Frame, dictionary: Option<&Dictionary>) -> Result<Block> {
    Ok(Block {
        tenant: frame.header().tenant,
        table: frame.head().block_table()?,
        stream: frame.stream(dictionary)?,
    })
}

/// The entry at a location.
pub(crate) fn entry_in<'a>(block: &'a Block, location: &Location) -> Result<&'a Entry> {
    usize::try_from(location.place.entry)
        .ok()
        .and_then(|index| block.table.entries.get(index))
        .ok_or_else(|| wrong_entry(location.pack, location.place.frame))
}

/// How the object at a location is stored.
pub(crate) fn transform_in(block: &Block, location: &Location) -> Result<TransformId> {
    Ok(match &entry_in(block, location)?.body {
        EntryBody::Object(object) => object.transform,
        EntryBody::Message(_) | EntryBody::Segmented(_) => TransformId::NONE,
    })
}

/// A skeleton inside a decoded block.
pub(crate) fn skeleton_in(block: &Block, location: &Location, item: Uuid) -> Result<Bytes> {
    message_in(block, location, item).map(|(_, skeleton)| skeleton)
}

/// A message's record and skeleton inside a decoded block.
pub(crate) fn message_in<'a>(
    block: &'a Block,
    location: &Location,
    item: Uuid,
) -> Result<(&'a MessageRecord, Bytes)> {
    let entry = entry_in(block, location)?;
    let bytes = entry.cut(&block.stream)?;
    match &entry.body {
        EntryBody::Message(message)
            if message.record.id == item && sha256(&bytes).0.starts_with(&message.skeleton_digest) =>
        {
            Ok((&message.record, bytes))
        }
        _ => Err(wrong_entry(location.pack, location.place.frame)),
    }
}

/// An object's entry and its stored form inside a decoded block: what a rewrite carries on as it is. [`object_in`]
/// verifies it.
pub(crate) fn stored_form_in<'a>(block: &'a Block, location: &Location) -> Result<(&'a ObjectEntry, Bytes)> {
    let entry = entry_in(block, location)?;
    match &entry.body {
        EntryBody::Object(object) => Ok((object, entry.cut(&block.stream)?)),
        _ => Err(wrong_entry(location.pack, location.place.frame)),
    }
}

/// An object inside a decoded block. A delta needs its base ([`Store::base_in`]).
pub(crate) fn object_in(
    block: &Block,
    location: &Location,
    expected: Sha256,
    base: Option<&[u8]>,
) -> Result<StoredObject> {
    let entry = entry_in(block, location)?;
    match &entry.body {
        EntryBody::Object(object) if object.sha256 == expected => {
            let stored = entry.cut(&block.stream)?;
            let bytes = if object.transform == TransformId::NONE {
                stored
            } else {
                Bytes::from(decoded(object, &stored, base)?)
            };
            if sha256(&bytes) == expected {
                return Ok(StoredObject::Whole(bytes));
            }
        }
        EntryBody::Segmented(object) if object.sha256 == expected => {
            return Ok(StoredObject::Segmented(location.pack, Box::new(object.clone())));
        }
        _ => {}
    }
    Err(wrong_entry(location.pack, location.place.frame))
}

/// The object that a stored form stands for.
fn decoded(object: &ObjectEntry, stored: &[u8], base: Option<&[u8]>) -> Result<Vec<u8>> {
    let object_bytes = crate::pack::wire::narrow(object.bytes)?;
    if object.transform != TransformId::DELTA {
        return recode::decode(object.transform, &object.params, stored, object_bytes);
    }
    let base = base.ok_or_else(|| Error::internal("A delta was read without its base."))?;
    similarity::decode(&object.params, stored, object_bytes, base)
}
