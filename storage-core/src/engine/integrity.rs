//! The engine's checks: scrub, repair, and rebuilding a catalog from packs.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::backend::LocalBackend;
use crate::catalog::sqlite::SqliteCatalog;
use crate::clock::Clock;
use crate::data_dir::DataDir;
use crate::engine::Engine;
use crate::engine::upkeep::either;
use crate::error::Result;
use crate::ops::rebuild;
use crate::ops::repair;
use crate::ops::scrub;
use crate::report::RebuildReport;
use crate::report::RepairAction;
use crate::report::RepairOptions;
use crate::report::RepairReport;
use crate::report::ScrubEvent;
use crate::report::ScrubOptions;
use crate::report::ScrubReport;
use crate::settings::Settings;
use crate::store::Doors;
use crate::store::Store;

impl Engine {
    /// Reads, decodes and hashes everything and compares packs with the catalog. Changes nothing but the mark on packs
    /// that are in order. Every finding goes to `events`, which must be read meanwhile; `stop` ends it at the next frame.
    pub async fn scrub(
        &self,
        options: ScrubOptions,
        events: mpsc::Sender<ScrubEvent>,
        stop: CancellationToken,
    ) -> Result<ScrubReport> {
        self.check_open()?;
        let stop = either(&stop, self.inner.closing.clone());
        let engine = self.clone();
        self.job("scrub", async move {
            let report = scrub::scrub(engine.store(), options, events, stop).await?;
            let state = if report.stopped { "stopped" } else { "done" };
            Ok((report, state))
        })
        .await
    }

    /// Mends what a scrub finds, or without `options.apply` tells how. Every action goes to `actions`, which must be read
    /// meanwhile; `stop` ends it while it still looks for damage.
    pub async fn repair(
        &self,
        options: RepairOptions,
        actions: mpsc::Sender<RepairAction>,
        stop: CancellationToken,
    ) -> Result<RepairReport> {
        self.check_open()?;
        let stop = either(&stop, self.inner.closing.clone());
        let engine = self.clone();
        self.job("repair", async move {
            let report = repair::repair(engine.store(), &engine.inner.log, options, actions, stop).await?;
            let state = if report.stopped { "stopped" } else { "done" };
            Ok((report, state))
        })
        .await
    }

    /// Makes the catalog of a data directory that lost it, from its packs. The new one is written beside, made durable, and
    /// then takes its name. `FailedPrecondition` where there is a catalog, or the directory is in use.
    pub async fn rebuild_catalog(settings: Settings, clock: Arc<dyn Clock>) -> Result<RebuildReport> {
        let data_dir = DataDir::hold_without_catalog(&settings.data_dir)?;
        let catalog: Arc<SqliteCatalog> = Arc::new(SqliteCatalog::open(&data_dir.fresh_rebuilt()?).await?);
        let backend = LocalBackend::open(data_dir.packs()).await?;
        let report =
            Self::rebuild_doors(settings, clock, Doors { backend: Arc::new(backend), catalog }).await?;
        data_dir.publish_rebuilt()?;
        Ok(report)
    }

    /// Fills the empty catalog of these doors from their packs, and closes it.
    pub async fn rebuild_doors(
        settings: Settings,
        clock: Arc<dyn Clock>,
        doors: Doors,
    ) -> Result<RebuildReport> {
        let store = Arc::new(Store::new(settings, clock, doors, [0; 32]));
        let rebuilt = rebuild::rebuild(&store).await;
        let closed = store.catalog.close().await;
        let report = rebuilt?;
        closed?;
        Ok(report)
    }
}
