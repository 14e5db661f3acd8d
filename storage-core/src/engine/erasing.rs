//! The engine's erasing.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::engine::upkeep::either;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ops::erase;
use crate::report::EraseOptions;
use crate::report::EraseReport;

impl Engine {
    /// Erases messages or contents, and what earlier calls left to be erased: when it returns with `erased_at`, no file
    /// holds anything that only they had. Reports go to `progress` as they change; `stop` ends it at the next safe step,
    /// and a later call goes on.
    ///
    /// `FailedPrecondition` under a hold or before the retention end: then nothing is erased.
    pub async fn erase(
        &self,
        options: EraseOptions,
        progress: mpsc::Sender<EraseReport>,
        stop: CancellationToken,
    ) -> Result<EraseReport> {
        self.check_open()?;
        let what = options.what.as_ref().map(|(tenant, what)| (tenant.as_str(), what));
        if options.dry_run {
            return erase::plan(self.store(), what).await;
        }
        let mut report = match what {
            Some(what) => erase::request(self.store(), &self.inner.log, what).await?,
            None => EraseReport::default(),
        };
        report.pending = self.store().catalog.pending_erasures().await?.len() as u64;
        if options.later || report.pending == 0 {
            return Ok(report);
        }
        let asked = report.requested > report.known;
        let stop = either(&stop, self.inner.closing.clone());
        let engine = self.clone();
        let done = self.job("erase", async move {
            let report = erase::finish(engine.store(), &engine.inner.log, report, progress, stop).await?;
            let state = match (report.stopped, report.pending) {
                (true, _) => "stopped",
                (false, 0) => "done",
                (false, _) => "failed",
            };
            Ok((report, state))
        });
        done.await.map_err(|error| match error.kind() {
            Kind::FailedPrecondition if asked => Error::precondition(format!(
                "The erasure is asked for, and the items are not found any more, but their bytes are still there: {} \
                 Then erase again without ids.",
                error.message()
            )),
            _ => error,
        })
    }
}
