//! Work that goes on when the request that began it is gone: never two migrations at once, and a shutdown stops and
//! awaits what runs. It does not know what the work is.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The background work of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Jobs {
    stop: CancellationToken,
    tasks: TaskTracker,
    migration: Arc<Semaphore>,
}

/// The right to migrate, until it is dropped.
#[derive(Debug)]
pub(crate) struct MigrationPermit(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Jobs {
    /// Jobs that stop when `stop` is cancelled.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { stop, tasks: TaskTracker::new(), migration: Arc::new(Semaphore::new(1)) }
    }

    /// Cancelled when the server shuts down.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// The tasks a shutdown waits for.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// The right to migrate; none while another migration runs.
    pub(crate) fn try_migration(&self) -> Option<MigrationPermit> {
        Arc::clone(&self.migration).try_acquire_owned().ok().map(MigrationPermit)
    }

    /// Waits until every task has ended; no new one should begin.
    pub(crate) async fn finished(&self) {
        let _already_closed = self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_migration_at_a_time() {
        let jobs = Jobs::new(CancellationToken::new());
        let permit = jobs.try_migration();
        assert!(permit.is_some());
        assert!(jobs.clone().try_migration().is_none());
        drop(permit);
        assert!(jobs.try_migration().is_some());
    }

    #[tokio::test]
    async fn finishing_waits_for_what_runs() {
        let jobs = Jobs::new(CancellationToken::new());
        let stop = jobs.stop().clone();
        let task = jobs.tasks().spawn(async move { stop.cancelled().await });
        jobs.stop().cancel();
        jobs.finished().await;
        assert!(task.is_finished());
    }
}
