//! The writing half of a run that rewrites: blocks are encoded on the background pool, as many at a time as there are
//! workers, and written in order into one open pack a tier, which takes all tenants. Keeps the bounds of the run.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::TenantRow;
use crate::catalog::rows::UnitKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::Tier;
use crate::ops::rewrite::encode::Draft;
use crate::ops::rewrite::encode::Encoded;
use crate::ops::rewrite::encode::encode_draft;
use crate::ops::rewrite::large::move_large;
use crate::ops::rewrite::pending::Pending;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::ops::rewrite::unit::Tally;
use crate::pack::EncodedFrame;
use crate::store::Store;
use crate::tier::recipe::BlockRecipe;

pub(crate) use crate::ops::rewrite::large::LargeMove;

/// A rewritten pack beyond this length is ended and committed.
pub(crate) const PACK_BYTES: u64 = 64 << 20;

type Block = (EncodedFrame, Vec<Encoded>);

/// A block on its way into a pack.
#[derive(Debug)]
struct Encoding {
    tenant: TenantKey,
    tier: Tier,
    block: JoinHandle<Result<Block>>,
}

/// What a run may use up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bounds {
    /// Decoded bytes in all.
    pub(crate) bytes_max: Option<u64>,
    /// Decoded bytes a second.
    pub(crate) bytes_per_second_max: Option<u64>,
}

/// Whose blocks are written, into which tier, and how.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) tenant: &'a TenantRow,
    pub(crate) tier: Tier,
    pub(crate) recipe: BlockRecipe,
}

/// The writing half of a run.
#[derive(Debug)]
pub(crate) struct Mover<'a, R> {
    pub(crate) store: &'a Arc<Store>,
    pub(crate) report: R,
    progress: mpsc::Sender<R>,
    stop: CancellationToken,
    /// The pack being written of each tier.
    packs: BTreeMap<Tier, Pending>,
    /// Decoded bytes that may still move.
    left: u64,
    rate: Option<u64>,
    /// Blocks that are being encoded, in order.
    encoding: VecDeque<Encoding>,
}

impl<'a, R: Tally + Clone + Default + Send> Mover<'a, R> {
    pub(crate) fn new(
        store: &'a Arc<Store>,
        bounds: Bounds,
        progress: mpsc::Sender<R>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            report: R::default(),
            progress,
            stop,
            packs: BTreeMap::new(),
            left: bounds.bytes_max.unwrap_or(u64::MAX),
            rate: bounds.bytes_per_second_max,
            encoding: VecDeque::new(),
        }
    }

    /// Reports progress. A listener that is slow misses a step, not the end.
    pub(crate) fn tell(&self) {
        drop(self.progress.try_send(self.report.clone()));
    }

    /// Whether the run must end here.
    pub(crate) fn over(&mut self) -> bool {
        let over = self.stop.is_cancelled() || self.left == 0;
        if over {
            self.report.stop();
        }
        over
    }

    /// Counts bytes that are about to be read, and waits so that no more than the wanted bytes a second are.
    pub(crate) async fn take(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
        self.wait_for(bytes).await;
    }

    /// Waits so that no more than the wanted bytes a second are read.
    pub(crate) async fn wait_for(&self, bytes: u64) {
        if let Some(rate) = self.rate {
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
            let pause = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Notes what cannot be read back: it stays where it is.
    pub(crate) fn note_damage(&mut self, error: &Error, unit: UnitKey) {
        self.report.damaged();
        self.store.counters.damaged(1);
        tracing::error!(%error, ?unit, "a unit cannot be read back and stays where it is");
    }

    /// Starts encoding a block; waits while as many as there are workers are under way.
    pub(crate) async fn submit(&mut self, target: &Target<'_>, draft: Draft) -> Result<()> {
        let (store, recipe, tenant) = (Arc::clone(self.store), target.recipe.clone(), target.tenant.id);
        let block = tokio::spawn(encode_draft(store, draft, tenant, recipe));
        self.push(target, block).await
    }

    /// Adds a block that is encoded already.
    pub(crate) async fn submit_encoded(
        &mut self,
        target: &Target<'_>,
        frame: EncodedFrame,
        units: Vec<Encoded>,
    ) -> Result<()> {
        let block = tokio::spawn(std::future::ready(Ok((frame, units))));
        self.push(target, block).await
    }

    async fn push(&mut self, target: &Target<'_>, block: JoinHandle<Result<Block>>) -> Result<()> {
        self.encoding.push_back(Encoding { tenant: target.tenant.key, tier: target.tier, block });
        self.settle(self.store.settings.workers).await
    }

    /// Writes encoded blocks, in order, until at most `left` are under way.
    pub(crate) async fn settle(&mut self, left: usize) -> Result<()> {
        while self.encoding.len() > left {
            let Some(Encoding { tenant, tier, block }) = self.encoding.pop_front() else {
                break;
            };
            let panicked = |failure| Err(Error::internal("Encoding panicked.").with_source(failure));
            let (frame, units) = block.await.unwrap_or_else(panicked)?;
            self.pending(tier).await?.add_block(tenant, frame, units).await?;
            self.end_full(tier).await?;
        }
        Ok(())
    }

    /// Moves a large object. It brings its own frames; its pack does not end between them.
    pub(crate) async fn large(&mut self, tier: Tier, unit: PlannedUnit, large: LargeMove<'_>) -> Result<()> {
        self.settle(0).await?;
        let (store, key) = (self.store, unit.key);
        let pending = self.pending(tier).await?;
        match move_large(store, pending, unit, large).await {
            Err(error) if error.kind() == Kind::Corrupt => self.note_damage(&error, key),
            moved => moved?,
        }
        self.end_full(tier).await
    }

    /// Moves a dictionary's frame into the open pack of its tier.
    pub(crate) async fn dictionary(
        &mut self,
        row: DictionaryRow,
        frame: EncodedFrame,
        bytes: &Bytes,
    ) -> Result<()> {
        self.pending(Tier::Archive).await?.add_dictionary(row, frame, bytes).await?;
        self.end_full(Tier::Archive).await
    }

    async fn pending(&mut self, tier: Tier) -> Result<&mut Pending> {
        if !self.packs.contains_key(&tier) {
            let pending = Pending::begin(self.store, tier).await?;
            let _ = self.packs.insert(tier, pending);
        }
        self.packs.get_mut(&tier).ok_or_else(|| Error::internal("A rewrite lost its pack."))
    }

    /// Ends and commits a tier's pack once it is large enough.
    async fn end_full(&mut self, tier: Tier) -> Result<()> {
        let full = self.packs.get(&tier).is_some_and(|pending| pending.bytes() >= PACK_BYTES);
        if full && let Some(pending) = self.packs.remove(&tier) {
            pending.finish(self.store, &mut self.report).await?;
            self.tell();
        }
        Ok(())
    }

    /// Ends and commits the packs that are open. They count even where something after them failed; what was still
    /// being encoded does not.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.encoding.clear();
        for (_, pending) in std::mem::take(&mut self.packs) {
            pending.finish(self.store, &mut self.report).await?;
        }
        self.tell();
        Ok(())
    }
}
