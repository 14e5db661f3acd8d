//! Mending what scrub finds. Order: scrub everything, collecting what is wrong -> packs that the catalog does not know are
//! taken in or dropped -> other places are looked for, for everything that cannot be read where its row points -> rows are
//! made again, removed, or pointed elsewhere; copies that cannot be read are removed; what can be read nowhere is
//! quarantined -> dictionaries, counters and statistics are noted and counted again -> barrier.
//!
//! Without `apply` nothing but the scrub's marks is written: every step tells what it would do. Nothing is pointed to a
//! place that was not read and hashed just before. Nothing is deleted but a pack that was proved to hold nothing needed:
//! every record in it has a row, none of its frames says anything, and nobody looks for what it holds.

mod packs;
mod records;
mod search;
mod units;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::catalog::rows::PackRow;
use crate::catalog::rows::TenantRow;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ops::log::LogHandle;
use crate::ops::repair::search::Places;
use crate::ops::scrub::scrub;
use crate::ops::words::About;
use crate::ops::words::Words;
use crate::ops::words::listen;
use crate::ops::words::speakers;
use crate::report::Finding;
use crate::report::FindingKind;
use crate::report::RepairAction;
use crate::report::RepairOptions;
use crate::report::RepairReport;
use crate::report::ScrubEvent;
use crate::report::ScrubOptions;
use crate::store::Store;

/// Findings that one repair deals with; the next one goes on.
const FINDINGS_MAX: usize = 100_000;

/// What is done about a finding, and whether that mends it.
type Deed = (String, bool);

/// A repair under way.
struct Repair<'a> {
    store: &'a Arc<Store>,
    log: &'a LogHandle,
    apply: bool,
    actions: mpsc::Sender<RepairAction>,
    packs: HashMap<Uuid, PackRow>,
    places: Places,
    words: Words,
    quarantined: BTreeSet<(Uuid, [u8; 32])>,
    damaged: BTreeSet<Uuid>,
    report: RepairReport,
}

/// Repairs, or tells how. Every action goes to `actions`, which must be read meanwhile.
pub(crate) async fn repair(
    store: &Arc<Store>,
    log: &LogHandle,
    options: RepairOptions,
    actions: mpsc::Sender<RepairAction>,
    stop: CancellationToken,
) -> Result<RepairReport> {
    let (findings, complete) = look(store, options, stop).await?;
    let mut repair = Repair {
        store,
        log,
        apply: options.apply,
        actions,
        packs: HashMap::new(),
        places: Places::default(),
        words: Words::default(),
        quarantined: BTreeSet::new(),
        damaged: BTreeSet::new(),
        report: RepairReport { applied: options.apply, stopped: !complete, ..RepairReport::default() },
    };
    if complete || findings.len() >= FINDINGS_MAX {
        repair.run(findings).await?;
    }
    repair.report.quarantined = repair.quarantined.len() as u64;
    repair.report.damaged_items = repair.damaged.into_iter().collect();
    Ok(repair.report)
}

/// Scrubs. False where it was stopped or there is more than is dealt with at once.
async fn look(
    store: &Arc<Store>,
    options: RepairOptions,
    stop: CancellationToken,
) -> Result<(Vec<Finding>, bool)> {
    let (events, mut heard) = mpsc::channel(64);
    let enough = stop.child_token();
    let full = enough.clone();
    let listening = tokio::spawn(async move {
        let mut findings = Vec::new();
        while let Some(event) = heard.recv().await {
            // What nothing needs is nothing to mend.
            if let ScrubEvent::Finding(finding) = event
                && finding.kind != FindingKind::DamageUnneeded
            {
                findings.push(finding);
            }
            if findings.len() >= FINDINGS_MAX {
                full.cancel();
            }
        }
        findings
    });
    let scrubbing = ScrubOptions { bytes_per_second_max: options.bytes_per_second_max, older_than: None };
    let report = scrub(store, scrubbing, events, enough).await?;
    let panicked = |failure| Error::internal("Gathering findings panicked.").with_source(failure);
    Ok((listening.await.map_err(panicked)?, !report.stopped))
}

/// In which order findings are dealt with: what brings rows and places comes before what needs them.
fn turn(kind: FindingKind) -> u8 {
    match kind {
        FindingKind::PackUnknown => 0,
        FindingKind::RowOfDeletedItem => 1,
        FindingKind::RecordWithoutRow => 2,
        FindingKind::CopyDamaged => 4,
        FindingKind::PackDictionaries | FindingKind::PackCounters | FindingKind::PolicyDiffers => 5,
        FindingKind::StatisticsDiffer => 6,
        _ => 3,
    }
}

impl Repair<'_> {
    async fn run(&mut self, mut findings: Vec<Finding>) -> Result<()> {
        findings.sort_by_key(|finding| turn(finding.kind));
        self.packs = self.pack_rows().await?;
        let unknown: Vec<Uuid> = findings
            .iter()
            .filter(|finding| finding.kind == FindingKind::PackUnknown)
            .filter_map(|finding| finding.pack)
            .collect();
        self.places = search::search(self.store, self.wanted(&findings).await?, &unknown).await?;
        self.words = self.listen(&findings, &unknown).await?;
        for finding in &findings {
            let (action, mends) = match self.mend(finding, &findings).await {
                Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented) => {
                    (format!("Nothing: {}", error.message()), false)
                }
                done => done?,
            };
            self.report.findings += 1;
            *if mends { &mut self.report.mended } else { &mut self.report.left } += 1;
            let told = RepairAction { finding: finding.clone(), action, mends };
            drop(self.actions.send(told).await);
        }
        if self.apply {
            // A quarantine that a power cut took back would let a put refer to what is lost.
            self.store.catalog.barrier().await?;
        }
        Ok(())
    }

    async fn pack_rows(&self) -> Result<HashMap<Uuid, PackRow>> {
        Ok(self.store.catalog.packs().await?.into_iter().map(|row| (row.name, row)).collect())
    }

    /// What the packs say about the items in question.
    async fn listen(&self, findings: &[Finding], unknown: &[Uuid]) -> Result<Words> {
        let mut names = HashSet::new();
        for finding in findings {
            let asked = matches!(finding.kind, FindingKind::RecordWithoutRow | FindingKind::PolicyDiffers);
            if let Some(item) = finding.item.filter(|_| asked)
                && let Some(tenant) = self.tenant(finding)
            {
                let _ = names.insert((tenant.id, item));
            }
        }
        let speakers = speakers(self.store, unknown).await?;
        listen(self.store, &speakers, About::Items(&names)).await
    }

    fn tenant(&self, finding: &Finding) -> Option<Arc<TenantRow>> {
        finding.tenant.as_deref().and_then(|name| self.store.known_tenant(name))
    }

    async fn mend(&mut self, finding: &Finding, all: &[Finding]) -> Result<Deed> {
        let tenant = self.tenant(finding);
        match (finding.kind, tenant) {
            (FindingKind::PackUnknown, _) => self.unknown_pack(finding, all).await,
            (FindingKind::PackDictionaries, _) => self.needed_dictionaries(finding).await,
            (FindingKind::PackCounters, _) => self.counters(finding).await,
            (FindingKind::StatisticsDiffer, _) => self.statistics().await,
            (FindingKind::RowOfDeletedItem, Some(tenant)) => self.deleted_item(&tenant, finding).await,
            (FindingKind::RecordWithoutRow, Some(tenant)) => self.lost_row(&tenant, finding).await,
            (FindingKind::PolicyDiffers, Some(tenant)) => self.change(&tenant, finding).await,
            (FindingKind::CopyDamaged, Some(tenant)) => self.copy(&tenant, finding).await,
            (FindingKind::ItemMisplaced | FindingKind::SkeletonDamaged, Some(tenant)) => {
                self.item(&tenant, finding).await
            }
            (
                FindingKind::ObjectMisplaced | FindingKind::ObjectDamaged | FindingKind::ObjectQuarantined,
                Some(tenant),
            ) => self.object(&tenant, finding).await,
            (FindingKind::DeltaDiffers, Some(tenant)) => self.delta(&tenant, finding).await,
            _ => Ok((format!("Nothing here mends it. {}", finding.kind.advice()), false)),
        }
    }

    async fn statistics(&mut self) -> Result<Deed> {
        if self.apply {
            let _ = self.store.catalog.recount(self.store.now().day()).await?;
        }
        Ok(("The statistics are counted again.".to_owned(), true))
    }
}
