//! Writing a pack that is made from other packs: frames go to the backend as they are made; nothing counts until the
//! pack is durable, read back, compared and committed. Used by migration, training and compaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::backend::BoxFuture;
use crate::backend::LogBackend;
use crate::backend::Source;
use crate::catalog::rows::NewPack;
use crate::catalog::rows::PackOrigin;
use crate::catalog::rows::PackProgress;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::PackKey;
use crate::model::Tier;
use crate::ops::log::pack::pack_bytes;
use crate::pack::EncodedFrame;
use crate::pack::Origin;
use crate::pack::PackHeader;
use crate::pack::PackName;
use crate::pack::PackWriter;
use crate::pack::RecodedBytes;
use crate::store::Store;

/// Frames on their way to the backend.
const QUEUE_FRAMES: usize = 4;

/// Frames as the backend takes them. `None` ends the pack; a queue that closes without it was given up, and the
/// backend keeps nothing.
struct Frames(mpsc::Receiver<Option<Bytes>>);

impl Source for Frames {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async {
            let given_up = || Error::new(Kind::Cancelled, "The pack was given up.");
            self.0.recv().await.ok_or_else(given_up)
        })
    }
}

/// A pack that is being written.
#[derive(Debug)]
pub(crate) struct Rewrite {
    pub(crate) name: Uuid,
    pub(crate) tier: Tier,
    writer: PackWriter,
    /// By tenant.
    recoding: BTreeMap<Uuid, RecodedBytes>,
    frames: mpsc::Sender<Option<Bytes>>,
    written: JoinHandle<Result<u64>>,
}

/// A pack that is durable and that nothing refers to yet.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub(crate) name: Uuid,
    pub(crate) pack: NewPack,
    recoding: BTreeMap<Uuid, RecodedBytes>,
}

impl Rewrite {
    pub(crate) async fn begin(store: &Store, tier: Tier) -> Result<Self> {
        let created = store.now();
        let name = store.pack_name(created)?;
        let writer =
            PackWriter::new(PackHeader { name: PackName(name), origin: Origin::Rewrite, tier, created });
        let (frames, queue) = mpsc::channel(QUEUE_FRAMES);
        let backend: Arc<dyn LogBackend> = Arc::clone(&store.backend);
        let written = tokio::spawn(async move { backend.put(PackName(name), &mut Frames(queue)).await });
        let rewrite = Self { name, tier, writer, recoding: BTreeMap::new(), frames, written };
        rewrite.send(Some(Bytes::from(rewrite.writer.header_bytes()))).await;
        Ok(rewrite)
    }

    async fn send(&self, bytes: Option<Bytes>) {
        // A closed queue means that the backend failed; `finish` tells how.
        drop(self.frames.send(bytes).await);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.writer.len()
    }

    /// Adds a frame and returns its ordinal.
    pub(crate) async fn add(&mut self, mut frame: EncodedFrame) -> Result<u32> {
        let recoded = frame.recoding()?;
        if recoded != RecodedBytes::default() {
            let sum = self.recoding.entry(frame.tenant()).or_default();
            *sum = sum.plus(recoded);
        }
        let place = self.writer.place(&mut frame)?;
        self.send(Some(frame.into_bytes())).await;
        Ok(place.ordinal)
    }

    /// Ends the pack. When this returns it is durable.
    pub(crate) async fn finish(self, store: &Store) -> Result<Rewritten> {
        let created = self.writer.header().created;
        let finished = self.writer.finish()?;
        for last in [Some(Bytes::from(finished.tail)), None] {
            drop(self.frames.send(last).await);
        }
        let panicked = |failure| Err(Error::internal("Writing a pack panicked.").with_source(failure));
        let bytes = match self.written.await.unwrap_or_else(panicked) {
            Ok(bytes) => bytes,
            Err(error) => {
                // It may have come to be and only the answer is lost. Where the name was taken it is not ours.
                if error.kind() != Kind::AlreadyExists {
                    discard(store, self.name).await;
                }
                return Err(error);
            }
        };
        if bytes != finished.bytes {
            discard(store, self.name).await;
            return Err(Error::internal("A pack was written with another length than it should have."));
        }
        let progress = PackProgress::of(pack_bytes(&finished.counters));
        let pack = NewPack {
            name: self.name,
            origin: PackOrigin::Rewrite,
            tier: self.tier,
            sealed: true,
            progress,
            created,
        };
        Ok(Rewritten { name: self.name, pack, recoding: self.recoding })
    }
}

impl Rewritten {
    /// Tells the catalog of the pack. It refers to nothing in it yet.
    pub(crate) async fn register(&self, store: &Store) -> Result<PackKey> {
        let key = store.catalog.add_pack(&self.pack).await?;
        if !self.recoding.is_empty() {
            let rows: Vec<(Uuid, RecodedBytes)> = self.recoding.iter().map(|(id, sum)| (*id, *sum)).collect();
            store.catalog.add_pack_recoding(key, &rows).await?;
        }
        Ok(key)
    }
}

/// Deletes a pack that will not count. What cannot be deleted now, recovery deletes.
pub(crate) async fn discard(store: &Store, name: Uuid) {
    store.caches.forget_pack(name);
    if let Err(error) = store.backend.delete(PackName(name)).await {
        tracing::warn!(%error, pack = %name, "an unused pack could not be deleted; the next start tries again");
    }
}
