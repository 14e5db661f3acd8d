//! The engine's upkeep and insight: migration, compaction, sweep, dictionaries, statistics, jobs.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::Error;
use crate::error::Result;
use crate::model::ItemKind;
use crate::ops::compact;
use crate::ops::explain;
use crate::ops::items;
use crate::ops::migrate;
use crate::ops::stats;
use crate::ops::sweep;
use crate::ops::train;
use crate::report::CompactOptions;
use crate::report::CompactReport;
use crate::report::DictionaryInfo;
use crate::report::Explanation;
use crate::report::JobInfo;
use crate::report::MigrateOptions;
use crate::report::MigrateReport;
use crate::report::Stats;
use crate::report::StatsBy;
use crate::report::StatsRow;
use crate::report::SweepOptions;
use crate::report::SweepReport;

impl Engine {
    /// Applies the tier policy. Reports go to `progress` as they change; `stop` ends it at the next safe step.
    pub async fn migrate(
        &self,
        options: MigrateOptions,
        progress: mpsc::Sender<MigrateReport>,
        stop: CancellationToken,
    ) -> Result<MigrateReport> {
        self.check_open()?;
        if options.dry_run {
            return migrate::migrate(self.store(), &self.inner.log, options, progress, stop).await;
        }
        let stop = either(&stop, self.inner.closing.clone());
        let engine = self.clone();
        self.job("migrate", async move {
            let report = migrate::migrate(engine.store(), &engine.inner.log, options, progress, stop).await?;
            let state = if report.stopped { "stopped" } else { "done" };
            Ok((report, state))
        })
        .await
    }

    /// Rewrites packs that are partly dead and merges what is small. Reports go to `progress` as they change; `stop` ends
    /// it at the next safe step.
    pub async fn compact(
        &self,
        options: CompactOptions,
        progress: mpsc::Sender<CompactReport>,
        stop: CancellationToken,
    ) -> Result<CompactReport> {
        self.check_open()?;
        if options.dry_run {
            return compact::compact(self.store(), options, progress, stop).await;
        }
        let stop = either(&stop, self.inner.closing.clone());
        let engine = self.clone();
        self.job("compact", async move {
            let report = compact::compact(engine.store(), options, progress, stop).await?;
            let state = if report.stopped { "stopped" } else { "done" };
            Ok((report, state))
        })
        .await
    }

    /// Gives space back that nothing needs.
    pub async fn sweep(&self, options: SweepOptions) -> Result<SweepReport> {
        self.check_open()?;
        if options.dry_run {
            return sweep::sweep(self.store(), &self.inner.log, options).await;
        }
        let engine = self.clone();
        self.job("sweep", async move {
            Ok((sweep::sweep(engine.store(), &engine.inner.log, options).await?, "done"))
        })
        .await
    }

    /// Samples new dictionaries for a tenant; the older ones retire.
    pub async fn train_dictionary(&self, tenant: &str) -> Result<Vec<DictionaryInfo>> {
        let tenant = self.tenant(tenant).await?;
        let engine = self.clone();
        self.job("train", async move { Ok((train::train_tenant(engine.store(), &tenant).await?, "done")) })
            .await
    }

    /// Runs upkeep as a job: one at a time, with a row that tells how it went. It runs to its end (or to its next safe
    /// step) even if the caller goes away.
    pub(super) async fn job<T: serde::Serialize + Send + 'static>(
        &self,
        kind: &'static str,
        work: impl Future<Output = Result<(T, &'static str)>> + Send + 'static,
    ) -> Result<T> {
        self.store().check_writable()?;
        let Ok(place) = Arc::clone(&self.inner.upkeep).try_acquire_owned() else {
            return Err(Error::precondition(
                "Other upkeep is running (a migration, a sweep, a scrub or the like). Wait until it has ended.",
            ));
        };
        let engine = self.clone();
        let running = tokio::spawn(async move {
            let result = engine.noted(kind, work).await;
            drop(place);
            result
        });
        let panicked = |failure| Err(Error::internal("A job panicked.").with_source(failure));
        running.await.unwrap_or_else(panicked)
    }

    async fn noted<T: serde::Serialize>(
        &self,
        kind: &'static str,
        work: impl Future<Output = Result<(T, &'static str)>>,
    ) -> Result<T> {
        let store = self.store();
        let job = store.catalog.start_job(kind, store.now()).await?;
        let result = work.await;
        let (state, detail) = match &result {
            Ok((report, state)) => (*state, serde_json::to_string(report).unwrap_or_default()),
            Err(error) => ("failed", error.to_string()),
        };
        store.catalog.end_job(job, state, &detail, store.now()).await?;
        result.map(|(report, _)| report)
    }

    // Insight

    /// Dictionaries, of one tenant or all.
    pub async fn dictionaries(&self, tenant: Option<&str>) -> Result<Vec<DictionaryInfo>> {
        let tenant = self.tenant_opt(tenant).await?;
        train::list(self.store(), tenant.as_deref()).await
    }

    /// The dictionary that small tenants share, and what of one tenant or all needs it.
    pub async fn built_in_dictionary(&self, tenant: Option<&str>) -> Result<Option<DictionaryInfo>> {
        let tenant = self.tenant_opt(tenant).await?;
        train::built_in(self.store(), tenant.as_deref()).await
    }

    /// What is stored and what was saved, of one tenant or all.
    pub async fn stats(&self, tenant: Option<&str>) -> Result<Stats> {
        let tenant = self.tenant_opt(tenant).await?;
        stats::stats(self.store(), tenant.as_deref()).await
    }

    /// A breakdown of the same.
    pub async fn stats_by(&self, tenant: Option<&str>, by: StatsBy) -> Result<Vec<StatsRow>> {
        let tenant = self.tenant_opt(tenant).await?;
        stats::stats_by(self.store(), tenant.as_deref(), by).await
    }

    /// Why an item is where it is, and what happens to it next.
    pub async fn explain(&self, tenant: &str, kind: ItemKind, id: &str) -> Result<Explanation> {
        let tenant = self.tenant(tenant).await?;
        items::flush_reads(self.store()).await?;
        let row = items::find(self.store(), &tenant, kind, id).await?;
        explain::explain(self.store(), &tenant, &row).await
    }

    /// The newest 100 jobs, newest first.
    pub async fn jobs(&self) -> Result<Vec<JobInfo>> {
        self.check_open()?;
        let rows = self.store().catalog.jobs().await?;
        let info = |row: crate::catalog::rows::JobRow| JobInfo {
            id: row.id,
            kind: row.kind,
            state: row.state,
            created: row.created.0,
            ended: row.ended.map(|at| at.0),
            detail: row.detail,
        };
        Ok(rows.into_iter().map(info).collect())
    }
}

/// A token that is cancelled when either is.
pub(super) fn either(stop: &CancellationToken, closing: CancellationToken) -> CancellationToken {
    let both = stop.child_token();
    let (watched, done) = (both.clone(), both.clone());
    drop(tokio::spawn(async move {
        tokio::select! {
            () = closing.cancelled() => watched.cancel(),
            () = done.cancelled() => {}
        }
    }));
    both
}
