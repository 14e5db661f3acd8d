//! One migration run: every tenant, page by page, group by group. See the order in the module above.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::catalog::rows::CopyChange;
use crate::catalog::rows::TenantRow;
use crate::catalog::rows::UnitKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::items::flush_reads;
use crate::ops::log::LogHandle;
use crate::ops::log::Request;
use crate::ops::migrate::dictionary;
use crate::ops::migrate::dictionary::Chosen;
use crate::ops::migrate::encode::Draft;
use crate::ops::migrate::encode::Encoded;
use crate::ops::migrate::encode::UnitBytes;
use crate::ops::migrate::encode::encode_draft;
use crate::ops::migrate::encode::read_unit;
use crate::ops::migrate::large::move_large;
use crate::ops::migrate::pending::Pending;
use crate::ops::migrate::pending::add_move;
use crate::ops::migrate::pending::needs_dictionary;
use crate::ops::migrate::plan;
use crate::ops::migrate::plan::Cursor;
use crate::ops::migrate::plan::PlanPage;
use crate::ops::migrate::plan::PlannedUnit;
use crate::ops::migrate::plan::Rules;
use crate::pack::EncodedFrame;
use crate::report::MigrateOptions;
use crate::report::MigrateReport;
use crate::store::Store;
use crate::tier::recipe::BlockRecipe;
use crate::tier::recipe::block_recipe;

/// A pack of a migration beyond this length is ended and committed.
const PACK_BYTES: u64 = 64 << 20;

type Encoding = JoinHandle<Result<(EncodedFrame, Vec<Encoded>)>>;

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
    let mut run = Run {
        store,
        report: MigrateReport::default(),
        progress,
        stop,
        packs: BTreeMap::new(),
        left: options.bytes_max.unwrap_or(u64::MAX),
        rate: options.bytes_per_second_max,
        encoding: VecDeque::new(),
    };
    run.plan(&tenants, &options).await?;
    if options.dry_run {
        return Ok(run.report);
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
    Ok(run.report)
}

struct Run<'a> {
    store: &'a Arc<Store>,
    report: MigrateReport,
    progress: mpsc::Sender<MigrateReport>,
    stop: CancellationToken,
    /// The pack being written of each tier.
    packs: BTreeMap<Tier, Pending>,
    /// Decoded bytes that may still move.
    left: u64,
    rate: Option<u64>,
    /// Blocks that are being encoded, in order.
    encoding: VecDeque<Encoding>,
}

impl Run<'_> {
    fn rules(&self, tenant: &TenantRow, options: &MigrateOptions) -> Result<Rules> {
        let now = options.as_of.unwrap_or_else(|| self.store.now());
        Ok(Rules { policy: self.store.policy_of(tenant)?, now, forced: options.to })
    }

    /// Counts what there is to do; for a dry run, also into `moves` and `copies`.
    async fn plan(&mut self, tenants: &[TenantRow], options: &MigrateOptions) -> Result<()> {
        for tenant in tenants {
            let rules = self.rules(tenant, options)?;
            let mut cursor = Some(Cursor::START);
            while let Some(at) = cursor {
                let (page, next) = plan::page(self.store, tenant, &rules, at).await?;
                for unit in page.units() {
                    self.report.planned_objects += 1;
                    self.report.planned_bytes += unit.bytes;
                    if options.dry_run {
                        add_move(&mut self.report, unit, unit.to, 0);
                    }
                }
                cursor = next;
            }
        }
        self.tell();
        Ok(())
    }

    /// Reports progress. A listener that is slow misses a step, not the end.
    fn tell(&self) {
        drop(self.progress.try_send(self.report.clone()));
    }

    fn over(&mut self) -> bool {
        if self.stop.is_cancelled() || self.left == 0 {
            self.report.stopped = true;
        }
        self.report.stopped
    }

    async fn execute(&mut self, tenants: &[TenantRow], options: &MigrateOptions) -> Result<()> {
        let mut done = Ok(());
        'tenants: for tenant in tenants {
            let rules = self.rules(tenant, options)?;
            let mut cursor = Some(Cursor::START);
            while let Some(at) = cursor {
                if self.over() {
                    break 'tenants;
                }
                let (page, next) = plan::page(self.store, tenant, &rules, at).await?;
                done = self.page(tenant, page).await;
                if done.is_err() {
                    break 'tenants;
                }
                cursor = next;
            }
        }
        // Packs that are complete so far count even where a later group failed.
        self.encoding.clear();
        for (_, pending) in std::mem::take(&mut self.packs) {
            pending.finish(self.store, &mut self.report).await?;
        }
        self.tell();
        done
    }

    async fn page(&mut self, tenant: &TenantRow, page: PlanPage) -> Result<()> {
        self.drop_copies(tenant, page.dropped).await?;
        for ((tier, class), units) in page.groups {
            if self.over() {
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
        let chosen = match tier {
            Tier::Archive => dictionary::choose(self.store, tenant, class, &units).await?,
            _ => None,
        };
        if let Some(Chosen { codec, .. }) = &chosen {
            recipe.stream = codec.clone();
        }
        let target = Target { tenant, tier, row: chosen.and_then(|chosen| chosen.row), recipe };
        let mut draft = Draft::default();
        for unit in units {
            if self.over() {
                break;
            }
            self.left = self.left.saturating_sub(unit.bytes);
            self.throttle(unit.bytes).await;
            match read_unit(self.store, &unit).await {
                Ok(UnitBytes::Segmented(pack, entry)) => {
                    self.settle(&target, 0).await?;
                    // A large object brings its own frames; its pack does not end between them.
                    let store = self.store;
                    let pending = self.pending(tier).await?;
                    if let Some(row) = target.row {
                        pending.needs(row);
                    }
                    let key = unit.key;
                    match move_large(store, pending, unit, (pack, *entry), (tenant, &target.recipe)).await {
                        Err(error) if error.kind() == Kind::Corrupt => self.note_damage(&error, key),
                        moved => moved?,
                    }
                    self.end_full(tier).await?;
                }
                Ok(bytes) => {
                    draft.push(unit, bytes);
                    if draft.bytes() >= target.recipe.block_bytes {
                        self.submit(&target, std::mem::take(&mut draft)).await?;
                    }
                }
                Err(error) if error.kind() == Kind::Corrupt => self.note_damage(&error, unit.key),
                Err(error) => return Err(error),
            }
        }
        if !draft.is_empty() {
            self.submit(&target, draft).await?;
        }
        self.settle(&target, 0).await
    }

    fn note_damage(&mut self, error: &Error, unit: UnitKey) {
        self.report.damaged += 1;
        self.store.counters.damaged(1);
        tracing::error!(%error, ?unit, "a unit cannot be read back and stays where it is");
    }

    /// Starts encoding a block; waits while as many as there are workers are under way.
    async fn submit(&mut self, target: &Target<'_>, draft: Draft) -> Result<()> {
        let (store, recipe, tenant) = (Arc::clone(self.store), target.recipe.clone(), target.tenant.id);
        self.encoding.push_back(tokio::spawn(encode_draft(store, draft, tenant, recipe)));
        self.settle(target, self.store.settings.workers).await
    }

    /// Writes encoded blocks, in order, until at most `left` are under way.
    async fn settle(&mut self, target: &Target<'_>, left: usize) -> Result<()> {
        while self.encoding.len() > left {
            let Some(encoding) = self.encoding.pop_front() else {
                break;
            };
            let panicked = |failure| Err(Error::internal("Encoding panicked.").with_source(failure));
            let (frame, units) = encoding.await.unwrap_or_else(panicked)?;
            let needed = needs_dictionary(&frame);
            let pending = self.pending(target.tier).await?;
            if let (true, Some(row)) = (needed, target.row) {
                pending.needs(row);
            }
            pending.add_block(target.tenant.key, frame, units).await?;
            self.end_full(target.tier).await?;
        }
        Ok(())
    }

    async fn pending(&mut self, tier: Tier) -> Result<&mut Pending> {
        if !self.packs.contains_key(&tier) {
            let pending = Pending::begin(self.store, tier).await?;
            let _ = self.packs.insert(tier, pending);
        }
        self.packs.get_mut(&tier).ok_or_else(|| Error::internal("A migration lost its pack."))
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

    /// Waits so that no more than the wanted bytes a second are read.
    async fn throttle(&self, bytes: u64) {
        if let Some(rate) = self.rate {
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
            let pause = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}

/// Where a group goes and how it is written.
struct Target<'a> {
    tenant: &'a TenantRow,
    tier: Tier,
    row: Option<crate::ids::DictionaryKey>,
    recipe: BlockRecipe,
}
