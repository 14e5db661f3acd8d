//! Checking everything: packs are read, decoded and hashed, and compared with the catalog in both directions. Changes
//! nothing but the mark on a pack that was found in order.
//!
//! Order: the database checks itself -> packs that are missing or unknown -> every pack, frame by frame (checksums,
//! decoding, hashes, records without rows) and, where nothing was wrong, its mark -> every row of an item or object, page
//! by page, against the table of the frame it points to -> questions that only other packs' words answer (tombstones,
//! changes) -> tenants, dictionaries, statistics.
//!
//! No other upkeep runs meanwhile, but puts, deletes and updates do: what a row says is asked once more before it is
//! called wrong, and of an open pack only what is committed counts.
//!
//! Memory: the frames' places of one pack, one decoded block, a page of rows, some tables, a bounded number of questions.

pub(crate) mod blocks;
mod deltas;
mod needed;
mod packs;
mod questions;
mod rows;
mod tables;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::PackRow;
use crate::catalog::rows::PackState;
use crate::catalog::rows::TenantRow;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::uuid_v7_time;
use crate::ops::scrub::questions::Questions;
use crate::ops::scrub::tables::Tables;
use crate::ops::words::speakers;
use crate::report::Finding;
use crate::report::FindingKind;
use crate::report::ScrubEvent;
use crate::report::ScrubOptions;
use crate::report::ScrubReport;
use crate::store::Store;

/// Items that are listed with a finding about an object at most.
const ITEMS_LISTED_MAX: u32 = 50;

/// A pack to check.
#[derive(Debug, Clone)]
struct Target {
    name: Uuid,
    bytes: u64,
    /// None where the catalog does not know it.
    row: Option<PackRow>,
}

/// A scrub under way.
struct Scrub<'a> {
    store: &'a Arc<Store>,
    options: ScrubOptions,
    events: mpsc::Sender<ScrubEvent>,
    stop: CancellationToken,
    started: Timestamp,
    /// In an order that is the same in every run: findings come in it.
    tenants: BTreeMap<Uuid, TenantRow>,
    dictionaries: HashMap<Uuid, DictionaryRow>,
    /// Packs that the catalog does not know.
    unknown: Vec<Uuid>,
    questions: Questions,
    tables: Tables,
    report: ScrubReport,
}

/// Checks everything. Every finding goes to `events`, which must be read meanwhile.
pub(crate) async fn scrub(
    store: &Arc<Store>,
    options: ScrubOptions,
    events: mpsc::Sender<ScrubEvent>,
    stop: CancellationToken,
) -> Result<ScrubReport> {
    let tenants = store.catalog.tenants().await?;
    let dictionaries = store.catalog.dictionaries(None).await?;
    let mut scrub = Scrub {
        store,
        options,
        events,
        stop,
        started: store.now(),
        tenants: tenants.into_iter().map(|row| (row.id, row)).collect(),
        dictionaries: dictionaries.into_iter().map(|row| (row.dictionary.id, row)).collect(),
        unknown: Vec::new(),
        questions: Questions::default(),
        tables: Tables::default(),
        report: ScrubReport::default(),
    };
    scrub.run().await?;
    Ok(scrub.report)
}

impl Scrub<'_> {
    async fn run(&mut self) -> Result<()> {
        for complaint in self.store.catalog.self_check().await? {
            self.found(Finding::new(FindingKind::CatalogDamaged, complaint)).await;
        }
        for target in self.targets().await? {
            if self.stopped() {
                return Ok(());
            }
            self.pack(&target).await?;
            self.tell();
        }
        let tenants: Vec<TenantRow> = self.tenants.values().cloned().collect();
        for tenant in &tenants {
            self.items(tenant).await?;
            self.objects(tenant).await?;
        }
        if self.stopped() {
            return Ok(());
        }
        self.ask().await?;
        self.tenant_words().await?;
        self.dictionary_places().await?;
        self.statistics().await?;
        self.tell();
        Ok(())
    }

    /// The packs to check, by name. Tells of those that are missing or unknown.
    async fn targets(&mut self) -> Result<Vec<Target>> {
        let rows = self.store.catalog.packs().await?;
        let mut files: BTreeMap<Uuid, u64> =
            self.store.backend.list().await?.into_iter().map(|(name, bytes)| (name.0, bytes)).collect();
        let checked: HashMap<_, _> = self.store.catalog.checked_packs().await?.into_iter().collect();
        let since = self.options.older_than.map(|age| self.started.0.saturating_sub(millis(age)));
        let mut targets = Vec::new();
        for row in rows {
            let Some(bytes) = files.remove(&row.name) else {
                self.missing(&row).await?;
                continue;
            };
            let fresh = checked.get(&row.key).zip(since).is_some_and(|(at, since)| at.0 > since);
            if fresh && row.state == PackState::Sealed {
                self.report.packs_skipped += 1;
                continue;
            }
            targets.push(Target { name: row.name, bytes, row: Some(row) });
        }
        // A pack is a file before it is a row: one that was begun meanwhile, or a moment before, is not unknown.
        if !files.is_empty() {
            for row in self.store.catalog.packs().await? {
                let _ = files.remove(&row.name);
            }
        }
        let started = self.started;
        for (name, bytes) in files.into_iter().filter(|(name, _)| uuid_v7_time(*name) < started) {
            let what = format!("The backend holds {bytes} bytes that the catalog does not know.");
            self.found(Finding::new(FindingKind::PackUnknown, what).in_pack(name)).await;
            self.unknown.push(name);
            targets.push(Target { name, bytes, row: None });
        }
        targets.sort_by_key(|target| target.name);
        self.report.planned_bytes = targets.iter().map(|target| target.bytes).sum();
        Ok(targets)
    }

    /// A row without a file, unless the row is gone by now, or was of a pack that is being made or given up.
    async fn missing(&mut self, row: &PackRow) -> Result<()> {
        let known = self.store.catalog.packs().await?.into_iter().find(|other| other.key == row.key);
        let relied_on =
            known.is_some_and(|row| row.state == PackState::Sealed || row.progress.bytes.decoded > 0);
        let there = self.store.backend.length(crate::pack::PackName(row.name)).await.is_ok();
        if relied_on && !there && !matches!(row.state, PackState::Condemned(_)) {
            let what = format!("Its {} bytes are gone, and what they held.", row.progress.bytes.total());
            self.found(Finding::new(FindingKind::PackMissing, what).in_pack(row.name)).await;
        }
        Ok(())
    }

    /// Tells of a finding.
    async fn found(&mut self, finding: Finding) {
        *self.report.findings.entry(finding.kind.name().to_owned()).or_default() += 1;
        tracing::warn!(kind = finding.kind.name(), place = finding.place(), what = finding.what, "scrub");
        // A listener that went away has stopped the scrub; what is found is counted all the same.
        drop(self.events.send(ScrubEvent::Finding(finding)).await);
    }

    fn findings(&self) -> u64 {
        self.report.findings.values().sum()
    }

    /// Reports progress. A listener that is slow misses a step, not the end.
    fn tell(&self) {
        drop(self.events.try_send(ScrubEvent::Progress(self.report.clone())));
    }

    fn stopped(&mut self) -> bool {
        self.report.stopped = self.report.stopped || self.stop.is_cancelled();
        self.report.stopped
    }

    /// Waits so that no more than the wanted bytes a second are read.
    async fn throttle(&mut self, bytes: u64) {
        self.report.bytes += bytes;
        if let Some(rate) = self.options.bytes_per_second_max {
            let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
            let pause = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// A tenant's name; its id where the catalog does not know it.
    fn tenant_name(&self, tenant: Uuid) -> String {
        self.tenants.get(&tenant).map_or_else(|| tenant.to_string(), |row| row.name.clone())
    }

    /// What every tenant's frames say against its row.
    async fn tenant_words(&mut self) -> Result<()> {
        let nobody = std::collections::HashSet::new();
        let speakers = speakers(self.store, &self.unknown).await?;
        let words =
            crate::ops::words::listen(self.store, &speakers, crate::ops::words::About::Items(&nobody));
        let words = words.await?;
        for tenant in self.store.catalog.tenants().await? {
            let differs = match words.tenants.get(&tenant.id) {
                None => Some("No pack holds its record: it would be lost with the catalog."),
                Some(record) if record.name != tenant.name => Some("Its record has another name."),
                Some(record) if record.created != tenant.created => Some("Its record has another date."),
                Some(_) => {
                    let said = words.policies.get(&tenant.id).and_then(|record| record.json.as_ref());
                    let heard = words.policies.contains_key(&tenant.id) || tenant.policy.is_some();
                    let now = self.store.catalog.tenants().await?.into_iter().find(|row| row.id == tenant.id);
                    let same = now.is_some_and(|row| row.policy == tenant.policy);
                    (heard && same && said != tenant.policy.as_ref())
                        .then_some("Its tier policy is not the newest one that the packs hold.")
                }
            };
            if let Some(what) = differs {
                let finding = Finding::new(FindingKind::TenantDiffers, what).of_tenant(tenant.name);
                self.found(finding).await;
            }
        }
        for (id, record) in words.tenants {
            if !self.tenants.contains_key(&id) && self.store.known_tenant(&record.name).is_none() {
                let what = "A pack holds its record and the catalog has no row of it.";
                self.found(Finding::new(FindingKind::TenantDiffers, what).of_tenant(record.name)).await;
            }
        }
        Ok(())
    }

    async fn statistics(&mut self) -> Result<()> {
        for row in self.store.catalog.statistics_drift().await? {
            let tenant = self.tenants.values().find(|tenant| tenant.key == row.tenant);
            let name = tenant.map_or_else(String::new, |tenant| tenant.name.clone());
            let what = format!(
                "In {} the counted rows less the increments are {} messages, {} contents, {} objects, {} skeletons, \
                 {} bytes of objects, {} of skeletons, {} of copies, {} as received.",
                row.tier.name(),
                row.sums.messages,
                row.sums.contents,
                row.sums.objects,
                row.sums.skeletons,
                row.sums.object_bytes,
                row.sums.skeleton_bytes,
                row.sums.copy_bytes,
                row.sums.logical_bytes,
            );
            self.found(Finding::new(FindingKind::StatisticsDiffer, what).of_tenant(name)).await;
        }
        Ok(())
    }
}

fn millis(age: Duration) -> i64 {
    i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
}
