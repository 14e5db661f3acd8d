//! One migration run: every tenant, page by page, group by group. See the order in the module above.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::catalog::rows::CopyChange;
use crate::catalog::rows::TenantRow;
use crate::catalog::rows::UnitKey;
use crate::error::Kind;
use crate::error::Result;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::items::flush_reads;
use crate::ops::log::LogHandle;
use crate::ops::log::Request;
use crate::ops::migrate::allowance::Allowance;
use crate::ops::migrate::allowance::Place;
use crate::ops::migrate::plan;
use crate::ops::migrate::plan::Cursor;
use crate::ops::migrate::plan::PlanPage;
use crate::ops::migrate::plan::Rules;
use crate::ops::migrate::recoding::Recoding;
use crate::ops::migrate::refill::refill;
use crate::ops::migrate::similar::Similar;
use crate::ops::migrate::tally::add_move;
use crate::ops::rewrite::dictionary;
use crate::ops::rewrite::encode::Draft;
use crate::ops::rewrite::encode::UnitBytes;
use crate::ops::rewrite::encode::read_unit_as;
use crate::ops::rewrite::mover::Bounds;
use crate::ops::rewrite::mover::LargeMove;
use crate::ops::rewrite::mover::Mover;
use crate::ops::rewrite::mover::Target;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::report::MigrateOptions;
use crate::report::MigrateReport;
use crate::store::Store;
use crate::tier::recipe::DELTA_BLOCK_BYTES;
use crate::tier::recipe::block_recipe;

/// Applies the tier policy.
pub(crate) async fn migrate(
    store: &Arc<Store>,
    log: &LogHandle,
    options: MigrateOptions,
    progress: mpsc::Sender<MigrateReport>,
    stop: CancellationToken,
) -> Result<MigrateReport> {
    flush_reads(store).await?;
    let tenants = match &options.tenant {
        Some(name) => vec![TenantRow::clone(&*store.tenant(name).await?)],
        None => store.catalog.tenants().await?,
    };
    let bounds = Bounds { bytes_max: options.bytes_max, bytes_per_second_max: options.bytes_per_second_max };
    let mover = Mover::new(store, bounds, progress, stop);
    let mut run = Run { store, mover, similar: Similar::new(store), places: HashMap::new() };
    run.plan(&tenants, &options).await?;
    if options.dry_run {
        return Ok(run.mover.report);
    }
    store.check_writable()?;
    log.ask(Request::Seal).await?;
    run.execute(&tenants, &options).await?;
    // Other tenants' reads may count for longer: only a run over all of them knows the longest.
    if options.as_of.is_none() && options.tenant.is_none() {
        let policies = tenants.iter().map(|tenant| store.policy_of(tenant)).collect::<Result<Vec<_>>>()?;
        let days = policies.iter().map(|policy| policy.archive_after_days).max().unwrap_or(0);
        store.catalog.forget_reads_before(store.now().day() - i64::from(days)).await?;
    }
    Ok(run.mover.report)
}

/// Blocks that are being filled. Deltas lie among themselves: reading one takes no block of other objects.
#[derive(Debug, Default)]
struct Drafts {
    whole: Draft,
    deltas: Draft,
}

struct Run<'a> {
    store: &'a Arc<Store>,
    mover: Mover<'a, MigrateReport>,
    similar: Similar,
    /// Objects of the page that may take long to make again.
    places: HashMap<UnitKey, Place>,
}

impl Run<'_> {
    fn rules(&self, tenant: &TenantRow, options: &MigrateOptions) -> Result<Rules> {
        let now = options.as_of.unwrap_or_else(|| self.store.now());
        Ok(Rules { policy: self.store.policy_of(tenant)?, now, forced: options.to, wait: options.wait })
    }

    /// Counts what there is to do; for a dry run, also into `moves` and `copies`.
    async fn plan(&mut self, tenants: &[TenantRow], options: &MigrateOptions) -> Result<()> {
        for tenant in tenants {
            let rules = self.rules(tenant, options)?;
            let mut cursor = Some(Cursor::START);
            while let Some(at) = cursor {
                let (page, next) = plan::page(self.store, tenant, &rules, at).await?;
                let report = &mut self.mover.report;
                for unit in page.units() {
                    report.planned_objects += 1;
                    report.planned_bytes += unit.bytes;
                    if options.dry_run {
                        add_move(report, unit, 0);
                    }
                }
                report.waiting_objects += page.waiting.0;
                report.waiting_bytes += page.waiting.1;
                cursor = next;
            }
        }
        self.mover.tell();
        Ok(())
    }

    async fn execute(&mut self, tenants: &[TenantRow], options: &MigrateOptions) -> Result<()> {
        let mut done = Ok(());
        'tenants: for tenant in tenants {
            let rules = self.rules(tenant, options)?;
            done = refill(&mut self.similar, &mut self.mover, tenant).await;
            if done.is_err() {
                break 'tenants;
            }
            let mut allowance = Allowance::default();
            let mut cursor = Some(Cursor::START);
            while let Some(at) = cursor {
                if self.mover.over() {
                    break 'tenants;
                }
                let (page, next) = plan::page(self.store, tenant, &rules, at).await?;
                done = async {
                    self.places = allowance.page(self.store, tenant, &page).await?;
                    self.page(tenant, page).await
                }
                .await;
                if done.is_err() {
                    break 'tenants;
                }
                cursor = next;
            }
        }
        // Packs that are complete so far count even where a later group failed.
        self.mover.finish().await?;
        done
    }

    async fn page(&mut self, tenant: &TenantRow, page: PlanPage) -> Result<()> {
        self.drop_copies(tenant, page.dropped).await?;
        for ((tier, class), units) in page.groups {
            if self.mover.over() {
                return Ok(());
            }
            self.group(tenant, (tier, class), units).await?;
        }
        Ok(())
    }

    async fn drop_copies(&self, tenant: &TenantRow, dropped: Vec<(UnitKey, u64, Tier)>) -> Result<()> {
        if dropped.is_empty() {
            return Ok(());
        }
        let changes: Vec<CopyChange> = dropped
            .into_iter()
            .map(|(unit, bytes, tier)| CopyChange { unit, bytes, copy: None, tier })
            .collect();
        let _ = self.store.catalog.change_copies(tenant.key, &changes, self.store.now().day()).await?;
        Ok(())
    }

    /// Moves the units of one class to one tier.
    async fn group(
        &mut self,
        tenant: &TenantRow,
        (tier, class): (Tier, MediaClass),
        units: Vec<PlannedUnit>,
    ) -> Result<()> {
        let mut recipe = block_recipe(tier, class);
        if tier == Tier::Archive
            && let Some(codec) = dictionary::choose(self.store, tenant, class, &units).await?
        {
            recipe.stream = codec;
        }
        let target = Target { tenant, tier, recipe };
        let mut recoding = Recoding::new(self.store, class, target.recipe.recode_level);
        let keep = target.recipe.recode_level.is_some();
        let mut drafts = Drafts::default();
        for unit in units {
            if self.mover.over() {
                break;
            }
            self.mover.take(unit.bytes).await;
            match read_unit_as(self.store, &unit, keep).await {
                Ok((UnitBytes::Segmented(pack, entry), _)) => {
                    if keep {
                        self.similar.note_large(tenant, &unit, (pack, &entry)).await?;
                    }
                    let recipe = &target.recipe;
                    let large = LargeMove { tenant, recipe, pack, entry: *entry, as_stored: false };
                    self.mover.large(tier, unit, large).await?;
                }
                Ok((bytes, object)) => {
                    // A difference stays one; what was recoded in cold may become one in the archive.
                    let bases = match object.as_ref().filter(|_| !bytes.is_delta()) {
                        Some(object) => self.similar.look(tenant, &unit, (object, keep)).await?,
                        None => Vec::new(),
                    };
                    let place = self.places.get(&unit.key).copied().unwrap_or_default();
                    recoding.push((unit, bytes), object, bases, place);
                    let workers = self.store.settings.workers;
                    self.fill(&target, (&mut recoding, workers), &mut drafts).await?;
                }
                Err(error) if error.kind() == Kind::Corrupt => self.mover.note_damage(&error, unit.key),
                Err(error) => return Err(error),
            }
        }
        self.fill(&target, (&mut recoding, 0), &mut drafts).await?;
        for draft in [drafts.whole, drafts.deltas] {
            if !draft.is_empty() {
                self.mover.submit(&target, draft).await?;
            }
        }
        self.mover.settle(0).await
    }

    /// Puts units into the draft until at most `left` wait to be recoded. Full drafts are encoded.
    async fn fill(
        &mut self,
        target: &Target<'_>,
        (recoding, left): (&mut Recoding, usize),
        drafts: &mut Drafts,
    ) -> Result<()> {
        while let Some((unit, bytes)) = recoding.next(left).await? {
            let base = if let UnitBytes::Delta(_, _, base) = &bytes { Some(*base) } else { None };
            self.similar.settle(unit.key, base);
            let (draft, full) = if bytes.is_delta() {
                (&mut drafts.deltas, DELTA_BLOCK_BYTES)
            } else {
                (&mut drafts.whole, target.recipe.block_bytes)
            };
            // What unpacks to much does not make its neighbours slow to read.
            if !draft.is_empty() && draft.bytes() + bytes.stored_bytes() > full * 2 {
                self.mover.submit(target, std::mem::take(draft)).await?;
            }
            draft.push(unit, bytes);
            if draft.bytes() >= full {
                self.mover.submit(target, std::mem::take(draft)).await?;
            }
        }
        Ok(())
    }
}
