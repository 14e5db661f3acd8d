//! A compaction forced on packs, whatever is dead in them: erasing empties the packs that hold what must go. Blocks that are
//! whole are taken over as they are; those that need a *barred* dictionary are encoded again, and the dictionary stays
//! behind. Its class is sampled anew first, if that pays.
//!
//! The order for each pack that is written is that of every rewrite. Nothing is deleted here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::Result;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::media::MediaClass;
use crate::ops::compact::plan::Action;
use crate::ops::compact::plan::FramePlan;
use crate::ops::compact::plan::Plan;
use crate::ops::compact::run::Run;
use crate::ops::compact::run::known;
use crate::ops::rewrite::mover::Bounds;
use crate::ops::rewrite::mover::Mover;
use crate::pack::FrameKind;
use crate::report::CompactReport;
use crate::store::Store;

/// What is forced.
#[derive(Debug)]
pub(crate) struct Forced {
    /// The packs that are emptied, sealed ones.
    pub(crate) packs: BTreeSet<PackKey>,
    /// Dictionaries that no block may need afterwards. They are retired. All packs that need them are among `packs`.
    pub(crate) barred: BTreeSet<Uuid>,
}

/// Which frames of a pack need a barred dictionary.
#[derive(Debug, Default)]
struct Needing {
    blocks: BTreeSet<u32>,
    /// Segments name no unit: then all large objects of the pack are encoded again.
    segments: bool,
}

/// Moves everything that is alive out of the packs.
pub(crate) async fn empty(
    store: &Arc<Store>,
    forced: &Forced,
    progress: mpsc::Sender<CompactReport>,
    stop: CancellationToken,
) -> Result<CompactReport> {
    let known = known(store).await?;
    let mut run = Run { store, mover: Mover::new(store, Bounds::default(), progress, stop), known };
    let plan = run.forced_plan(forced).await?;
    run.count(&plan);
    let done = run.force(plan, forced).await;
    // Packs that are complete so far count even where something after them failed.
    run.mover.finish().await?;
    done?;
    Ok(run.mover.report)
}

/// Writes every delta whole whose base no item refers to, so that the bases can be forgotten.
pub(crate) async fn free_bases(
    store: &Arc<Store>,
    tenants: &BTreeSet<TenantKey>,
    progress: mpsc::Sender<CompactReport>,
    stop: CancellationToken,
) -> Result<CompactReport> {
    let known = known(store).await?;
    let mut run = Run { store, mover: Mover::new(store, Bounds::default(), progress, stop), known };
    let mut done = Ok(());
    for tenant in store.catalog.tenants().await?.iter().filter(|tenant| tenants.contains(&tenant.key)) {
        done = run.free_bases(tenant).await;
        if done.is_err() || run.mover.over() {
            break;
        }
    }
    // Packs that are complete so far count even where something after them failed.
    run.mover.finish().await?;
    done?;
    Ok(run.mover.report)
}

impl Run<'_> {
    async fn forced_plan(&self, forced: &Forced) -> Result<Plan> {
        let mut packs = HashMap::new();
        for pack in self.known.packs.iter().filter(|pack| forced.packs.contains(&pack.key)) {
            let mut needing = Needing::default();
            for entry in self.store.entries_of(pack.name).await? {
                if !entry.dictionary.is_some_and(|id| forced.barred.contains(&id)) {
                    continue;
                }
                needing.segments |= entry.kind == FrameKind::Segment;
                let _ = needing.blocks.insert(entry.ordinal);
            }
            let _ = packs.insert(pack.key, (pack.tier, needing));
        }
        let mut frames: BTreeMap<TenantKey, Vec<FramePlan>> = BTreeMap::new();
        for used in &self.known.uses {
            let Some((tier, needing)) = packs.get(&used.pack) else {
                continue;
            };
            let again = needing.segments || used.frame.is_some_and(|frame| needing.blocks.contains(&frame));
            let action = if again { Action::Encode } else { Action::Take };
            frames.entry(used.tenant).or_default().push(FramePlan { used: *used, tier: *tier, action });
        }
        Ok(Plan { packs: forced.packs.clone(), frames })
    }

    async fn force(&mut self, mut plan: Plan, forced: &Forced) -> Result<()> {
        let mut lacking: BTreeMap<TenantKey, BTreeSet<MediaClass>> = BTreeMap::new();
        for row in self.known.dictionaries.iter().filter(|row| forced.barred.contains(&row.dictionary.id)) {
            let class = MediaClass::of_code(row.dictionary.class);
            let _ = lacking.entry(row.dictionary.tenant).or_default().insert(class);
        }
        for tenant in self.store.catalog.tenants().await? {
            if self.mover.over() {
                return Ok(());
            }
            if let Some(classes) = lacking.get(&tenant.key) {
                self.replace_dictionaries(&tenant, classes).await?;
            }
            let frames = plan.frames.remove(&tenant.key).unwrap_or_default();
            self.move_frames(&tenant, frames).await?;
        }
        if self.mover.over() {
            return Ok(());
        }
        self.move_dictionaries(&plan.packs, &forced.barred).await
    }
}
