//! One compaction run: the plan, then every tenant, then the dictionaries. See the order in the module above.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::catalog::rows::PackRow;
use crate::catalog::rows::TenantRow;
use crate::error::Error;
use crate::error::Result;
use crate::ids::PackKey;
use crate::ops::compact::plan::Known;
use crate::ops::compact::plan::Plan;
use crate::ops::compact::plan::Rules;
use crate::ops::compact::plan::plan;
use crate::ops::rewrite::dependents::free_dependents;
use crate::ops::rewrite::mover::Bounds;
use crate::ops::rewrite::mover::Mover;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::ops::rewrite::unit::Tally;
use crate::pack::RecodedBytes;
use crate::report::CompactOptions;
use crate::report::CompactReport;
use crate::store::Store;

impl Tally for CompactReport {
    fn block(&mut self, units: &mut dyn Iterator<Item = &PlannedUnit>, stored_bytes: u64) {
        for unit in units {
            self.objects += 1;
            self.decoded_bytes += unit.bytes;
        }
        self.stored_bytes += stored_bytes;
    }

    fn pack(&mut self) {
        self.packs += 1;
    }

    fn overtaken(&mut self, units: u64) {
        self.overtaken += units;
    }

    fn damaged(&mut self) {
        self.damaged += 1;
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

/// Compacts.
pub(crate) async fn compact(
    store: &Arc<Store>,
    options: CompactOptions,
    progress: mpsc::Sender<CompactReport>,
    stop: CancellationToken,
) -> Result<CompactReport> {
    if !(1..=100).contains(&options.dead_percent_min) {
        return Err(Error::invalid("The dead share from which packs are rewritten is 1 to 100 percent."));
    }
    let only = match &options.tenant {
        Some(name) => Some(store.tenant(name).await?.key),
        None => None,
    };
    let known = known(store).await?;
    let rules = Rules { only, dead_percent_min: options.dead_percent_min, now: store.now() };
    let plan = plan(&known, rules);
    let bounds = Bounds { bytes_max: options.bytes_max, bytes_per_second_max: options.bytes_per_second_max };
    let mut run = Run { store, mover: Mover::new(store, bounds, progress, stop), known };
    run.count(&plan);
    if !options.dry_run {
        store.check_writable()?;
        run.execute(plan, rules).await?;
    }
    Ok(run.mover.report)
}

/// What the catalog says now.
pub(super) async fn known(store: &Store) -> Result<Known> {
    Ok(Known {
        packs: packs(store).await?,
        uses: store.catalog.frames_in_use().await?,
        dictionaries: store.catalog.dictionaries(None).await?,
    })
}

/// All packs, with what their streams stand for as their decoded bytes: that is what the needed bytes are compared with.
async fn packs(store: &Store) -> Result<Vec<PackRow>> {
    let mut packs = store.catalog.packs().await?;
    let recoded: BTreeMap<PackKey, RecodedBytes> =
        store.catalog.recoding_by_pack().await?.into_iter().collect();
    for pack in &mut packs {
        if let Some(sum) = recoded.get(&pack.key) {
            let decoded = &mut pack.progress.bytes.decoded;
            *decoded = decoded.saturating_add_signed(sum.hidden);
        }
    }
    Ok(packs)
}

/// A run.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) store: &'a Arc<Store>,
    pub(super) mover: Mover<'a, CompactReport>,
    pub(super) known: Known,
}

impl Run<'_> {
    /// Objects that only deltas need are freed of them: the deltas are written whole. The next sweep forgets the bases.
    pub(super) async fn free_bases(&mut self, tenant: &TenantRow) -> Result<()> {
        let bases = self.store.catalog.unreferenced_bases(tenant.key).await?;
        let _freed = free_dependents(&mut self.mover, tenant, &bases).await?;
        Ok(())
    }

    pub(super) fn count(&mut self, plan: &Plan) {
        let report = &mut self.mover.report;
        report.planned_packs = plan.packs.len() as u64;
        for frame in plan.frames.values().flatten() {
            report.planned_objects += frame.used.units;
            report.planned_bytes += frame.used.bytes;
        }
        self.mover.tell();
    }

    async fn execute(&mut self, mut plan: Plan, rules: Rules) -> Result<()> {
        let mut done = Ok(());
        for tenant in self.store.catalog.tenants().await? {
            if self.mover.over() {
                break;
            }
            let mut frames = plan.frames.remove(&tenant.key).unwrap_or_default();
            done = async {
                if rules.only.is_none_or(|only| only == tenant.key) {
                    self.retire_unneeded(&tenant).await?;
                    self.renew_dictionaries(&tenant, &mut frames).await?;
                    self.free_bases(&tenant).await?;
                }
                self.move_frames(&tenant, frames).await
            }
            .await;
            if done.is_err() {
                break;
            }
        }
        if done.is_ok() && !self.mover.over() {
            done = self.move_dictionaries(&plan.packs, &BTreeSet::new()).await;
        }
        // Packs that are complete so far count even where something after them failed.
        self.mover.finish().await?;
        done
    }
}
