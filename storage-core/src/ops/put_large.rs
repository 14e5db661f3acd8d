//! Storing a large item as it comes in, in bounded memory. Order: create a pack of its own -> split; segments of large
//! objects go into the pack as they fill -> rebuild the item from the pack and compare its hash -> read the item that has the
//! id and the bytes already, if there is one: what of it is lost counts as not known, and the put mends it -> drop the pack if
//! every object in it is known already, else add the block of manifests and the message's record, durable -> the log
//! checks the id, ends the pack with its index, durable, and commits it -> acknowledge.
//!
//! Until its end is written the pack does not count: an aborted or refused put deletes it; after a crash recovery does.
//! That is why the log writes the end: a put that was refused must not come back, and of two puts of one id the log
//! knows which came first.

use std::sync::Arc;

use bytes::Bytes;
use sha2::Digest;
use tokio::sync::OwnedRwLockReadGuard;

use crate::budget::Held;
use crate::catalog::rows::Place;
use crate::codec::Codec;
use crate::error::Error;
use crate::error::Result;
use crate::mime;
use crate::mime::Sink;
use crate::mime::Split;
use crate::mime::SplitLimits;
use crate::mime::Splitter;
use crate::model::ItemKind;
use crate::model::PutReceipt;
use crate::model::Sha256;
use crate::ops::get::rebuilt_sha256;
use crate::ops::large_sink::LargeSink;
use crate::ops::large_sink::Produced;
use crate::ops::log::LargePut;
use crate::ops::log::LogHandle;
use crate::ops::log::Request;
use crate::ops::log::group::SEGMENT_BYTES;
use crate::ops::log::group::push_segment;
use crate::ops::log::pack::OpenPack;
use crate::ops::lost::Lost;
use crate::ops::lost::find_lost;
use crate::ops::lost::quarantine;
use crate::ops::prepared::ObjectBytes;
use crate::ops::prepared::PreparedObject;
use crate::ops::prepared::PreparedPut;
use crate::ops::prepared::PutTarget;
use crate::ops::read::StoredObject;
use crate::pack::BlockBuilder;
use crate::pack::PackName;
use crate::pack::SegmentPlace;
use crate::store::Store;

/// Objects below the segment size wait in memory for the last block; above this sum they get a block of their own.
const WAITING_BYTES_MAX: usize = 2 << 20;

/// What runs on the pool: pure work on the bytes that came.
#[derive(Debug)]
struct Splitting {
    splitter: Option<Splitter>,
    sink: LargeSink,
    hasher: sha2::Sha256,
    bytes: u64,
}

impl Splitting {
    fn new(target: &PutTarget) -> Result<Self> {
        let mut sink = LargeSink::default();
        let splitter = match target.kind {
            ItemKind::Message => Some(Splitter::new(SplitLimits::default())),
            ItemKind::Content => {
                sink.part_begin(0, &target.content_info())?;
                None
            }
        };
        Ok(Self { splitter, sink, hasher: sha2::Sha256::new(), bytes: 0 })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        match &mut self.splitter {
            Some(splitter) => splitter.push(bytes, &mut self.sink),
            None => self.sink.part_data(bytes),
        }
    }

    /// The item is over.
    fn finish(mut self, target: &PutTarget) -> Result<SplitUp> {
        let whole = (self.bytes, Sha256(self.hasher.finalize().into()));
        let (skeleton, message_id) = if let Some(splitter) = self.splitter {
            let Split { skeleton, message_id, .. } = splitter.finish(&mut self.sink)?;
            (skeleton, message_id)
        } else {
            self.sink.part_end(0, self.bytes, self.bytes)?;
            (mime::single_part(&target.content_info(), self.bytes)?, None)
        };
        Ok(SplitUp { skeleton, message_id, produced: self.sink.take(), whole })
    }
}

/// What splitting came to.
#[derive(Debug)]
struct SplitUp {
    skeleton: Vec<u8>,
    message_id: Option<String>,
    /// What the sink produced last.
    produced: Vec<Produced>,
    /// Length and hash of the item.
    whole: (u64, Sha256),
}

/// A large put in progress.
#[derive(Debug)]
pub(crate) struct LargeWriter {
    store: Arc<Store>,
    target: PutTarget,
    splitting: Option<Splitting>,
    open: Option<OpenPack>,
    segments: Vec<SegmentPlace>,
    objects: Vec<PreparedObject>,
    waiting_bytes: usize,
    /// While it is held nobody reopens the store, which would delete the pack of a put in progress.
    in_progress: Option<OwnedRwLockReadGuard<()>>,
}

impl LargeWriter {
    /// Begins it. Runs to its end even if the caller goes away: a pack that was just created is then deleted again.
    pub(crate) async fn begin(store: Arc<Store>, target: PutTarget) -> Result<Self> {
        let begun = tokio::spawn(Self::begin_now(store, target)).await;
        begun.unwrap_or_else(|failure| Err(Error::internal("A large put panicked.").with_source(failure)))
    }

    async fn begin_now(store: Arc<Store>, target: PutTarget) -> Result<Self> {
        let in_progress = Arc::clone(&store.large_puts).read_owned().await;
        store.check_writable()?;
        let splitting = Some(Splitting::new(&target)?);
        let open = Some(OpenPack::create_large(&store, store.now()).await?);
        Ok(Self {
            store,
            target,
            splitting,
            open,
            segments: Vec::new(),
            objects: Vec::new(),
            waiting_bytes: 0,
            in_progress: Some(in_progress),
        })
    }

    pub(crate) async fn push(&mut self, bytes: Bytes) -> Result<()> {
        // Pieces of a segment's size keep what the sink produces between two writes as small.
        for start in (0..bytes.len()).step_by(SEGMENT_BYTES) {
            let piece = bytes.slice(start..bytes.len().min(start + SEGMENT_BYTES));
            let mut splitting = self.splitting.take().ok_or_else(used_up)?;
            let splitting =
                self.store.foreground.run(move || splitting.push(&piece).map(|()| splitting)).await?;
            let produced = self.splitting.insert(splitting).sink.take();
            self.write(produced).await?;
        }
        Ok(())
    }

    /// Places what the sink produced and writes it.
    async fn write(&mut self, produced: Vec<Produced>) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(used_up)?;
        for item in produced {
            match item {
                Produced::Segment(bytes) => {
                    let segment = push_segment(open, self.target.tenant.id, self.segments.len(), &bytes)?;
                    self.segments.push(segment);
                }
                Produced::Object(mut object) => {
                    if let ObjectBytes::Whole(bytes) = &object.data
                        && self.segments.is_empty()
                    {
                        self.waiting_bytes += bytes.len();
                    } else {
                        object.data = ObjectBytes::Segmented(std::mem::take(&mut self.segments));
                    }
                    self.objects.push(*object);
                }
            }
        }
        if self.waiting_bytes > WAITING_BYTES_MAX {
            place_waiting(open, &self.target, &mut self.objects)?;
            self.waiting_bytes = 0;
        }
        open.append().await
    }

    /// Ends the put. Runs to its end even if the caller goes away, so that no pack is left half decided.
    pub(crate) async fn finish(self: Box<Self>, log: &LogHandle, memory: Held) -> Result<PutReceipt> {
        let log = log.clone();
        let ended = tokio::spawn(async move {
            let ended = self.end(&log).await;
            drop(memory);
            ended
        })
        .await;
        ended.unwrap_or_else(|failure| Err(Error::internal("A large put panicked.").with_source(failure)))
    }

    async fn end(mut self, log: &LogHandle) -> Result<PutReceipt> {
        let splitting = self.splitting.take().ok_or_else(used_up)?;
        let target = self.target.clone();
        let SplitUp { skeleton, message_id, produced, whole } =
            self.store.foreground.run(move || splitting.finish(&target)).await?;
        self.write(produced).await?;
        let objects = std::mem::take(&mut self.objects);
        let mut put = self.target.clone().prepared(whole, skeleton, message_id.as_deref(), objects);
        self.prove(&put).await?;
        self.look_at_repeated(&mut put).await?;
        if self.all_known(&put).await? {
            let open = self.open.take().ok_or_else(used_up)?;
            let (key, name) = (open.key, open.name);
            drop(open);
            discard(&self.store, key, name).await;
            return log.ask(|reply| Request::Put(Box::new(put), reply)).await;
        }
        let open = self.open.take().ok_or_else(used_up)?;
        let (key, name) = (open.key, open.name);
        let large = match end_pack(open, put).await {
            Ok(large) => large,
            Err(error) => {
                discard(&self.store, key, name).await;
                return Err(error);
            }
        };
        let landed = log.ask(|reply| Request::Large(Box::new(large), reply)).await;
        match &landed {
            Ok(landed) if landed.kept => self.store.caches.sealed_pack(name),
            Ok(_) => discard(&self.store, key, name).await,
            // Refused. Where the store is shut it is unknown, and recovery decides at the next start.
            Err(error) if self.store.writable() => {
                tracing::debug!(%error, pack = %name, "a large put was refused");
                discard(&self.store, key, name).await;
            }
            Err(_) => {}
        }
        landed.map(|landed| landed.receipt)
    }

    /// Reads the item that has the put's id and its bytes. Where something of it is lost, the put becomes one of that item.
    async fn look_at_repeated(&self, put: &mut PreparedPut) -> Result<()> {
        let (tenant, ids) = (put.tenant.key, put.options.caller_id.iter().cloned().collect::<Vec<_>>());
        let rows = self.store.catalog.items_by_caller_id(tenant, put.kind, &ids).await?;
        let Some(row) = rows.into_iter().find(|row| row.sha256 == put.sha256) else {
            put.lost = Some(Lost::default());
            return Ok(());
        };
        let lost = find_lost(&self.store, put, &row).await?;
        if !lost.is_nothing() {
            lost.check_mends(put, |_| true)?;
            quarantine(&self.store, std::iter::once(&lost), self.store.now()).await?;
            put.becomes(&row);
        }
        put.lost = Some(lost);
        Ok(())
    }

    /// Rebuilds the item from what was written and compares its hash.
    async fn prove(&self, put: &PreparedPut) -> Result<()> {
        let pack = self.open.as_ref().ok_or_else(used_up)?.name;
        let mut objects = Vec::with_capacity(put.objects.len());
        for object in &put.objects {
            objects.push(match &object.data {
                ObjectBytes::Whole(bytes) => StoredObject::Whole(bytes.clone()),
                ObjectBytes::Segmented(segments) => {
                    StoredObject::Segmented(pack, Box::new(object.manifest(segments)))
                }
                ObjectBytes::Placed(frame, entry) => {
                    let block = self.store.block(pack, *frame).await?;
                    StoredObject::Whole(cut(&block, *entry)?)
                }
            });
        }
        let rebuilt = rebuilt_sha256(&self.store, put.skeleton.clone(), objects).await?;
        if rebuilt == put.sha256 {
            return Ok(());
        }
        tracing::error!(bytes = put.bytes, sha256 = %put.sha256, "the recipes did not rebuild a large item");
        Err(Error::internal("This item could not be stored exactly. Nothing was stored. Report it, please."))
    }

    /// Whether every object that lies in this put's pack is stored elsewhere already.
    async fn all_known(&self, put: &PreparedPut) -> Result<bool> {
        let written: Vec<Sha256> = put
            .objects
            .iter()
            .filter(|object| !matches!(object.data, ObjectBytes::Whole(_)))
            .map(|object| object.sha256)
            .collect();
        let known = self.store.catalog.objects_by_hash(put.tenant.key, &written).await?;
        Ok(written.iter().all(|hash| known.iter().any(|row| row.sha256 == *hash && !row.quarantined)))
    }
}

impl Drop for LargeWriter {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        let (store, in_progress) = (Arc::clone(&self.store), self.in_progress.take());
        // Without a runtime the process is ending; recovery deletes the pack then.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(async move {
                let (key, name) = (open.key, open.name);
                drop(open);
                discard(&store, key, name).await;
                drop(in_progress);
            }));
        }
    }
}

/// Deletes a pack that nothing refers to. What cannot be deleted now, recovery deletes: until then the frames of it that
/// are known stay known, because it has no index that statistics could read.
async fn discard(store: &Store, key: crate::ids::PackKey, name: uuid::Uuid) {
    let deleted = match store.backend.delete(PackName(name)).await {
        Ok(()) => store.catalog.remove_pack(key).await,
        Err(error) => Err(error),
    };
    match deleted {
        Ok(()) => {
            store.caches.sealed_pack(name);
            store.caches.forget_pack(name);
        }
        Err(error) => {
            tracing::warn!(%error, pack = %name, "the pack of an ended put could not be deleted; the next start tries again");
        }
    }
}

fn used_up() -> Error {
    Error::internal("A large put was used after its end.")
}

fn cut(block: &crate::caches::Block, entry: u32) -> Result<Bytes> {
    let entry = usize::try_from(entry).ok().and_then(|index| block.table.entries.get(index));
    entry.ok_or_else(|| Error::internal("A block that was just written lacks an entry."))?.cut(&block.stream)
}

/// Gives the objects that wait in memory a block.
fn place_waiting(open: &mut OpenPack, target: &PutTarget, objects: &mut [PreparedObject]) -> Result<()> {
    let mut block = BlockBuilder::new(target.tenant.id);
    let mut placed = Vec::new();
    for object in objects {
        if let ObjectBytes::Whole(bytes) = &object.data {
            let entry = block.push_object(object.sha256, object.class.code(), bytes);
            placed.push((entry, object));
        }
    }
    let frame = open.place(block.finish(&Codec::None, &Codec::None)?)?;
    for (entry, object) in placed {
        object.data = ObjectBytes::Placed(frame, entry);
    }
    Ok(())
}

/// Adds a block of manifests, small objects and the message itself, and makes the pack durable. It has no end yet.
async fn end_pack(mut open: OpenPack, put: PreparedPut) -> Result<LargePut> {
    enum At {
        Here(u32),
        There(u32, u32),
    }
    let mut block = BlockBuilder::new(put.tenant.id);
    let places: Vec<At> = put
        .objects
        .iter()
        .map(|object| match &object.data {
            ObjectBytes::Whole(bytes) => {
                At::Here(block.push_object(object.sha256, object.class.code(), bytes))
            }
            ObjectBytes::Segmented(segments) => At::Here(block.push_segmented(&object.manifest(segments))),
            ObjectBytes::Placed(frame, entry) => At::There(*frame, *entry),
        })
        .collect();
    let message = block.push_message(&put.record(), &put.skeleton);
    let frame = open.place(block.finish(&Codec::None, &Codec::None)?)?;
    let place = |frame, entry| Place { pack: open.key, frame, entry };
    let places = places
        .into_iter()
        .map(|at| match at {
            At::Here(entry) => place(frame, entry),
            At::There(frame, entry) => place(frame, entry),
        })
        .collect();
    let skeleton = place(frame, message);
    let _progress = open.append_sync().await?;
    Ok(LargePut { put, open, skeleton, places })
}
