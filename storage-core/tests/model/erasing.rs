//! The step that erases: what is there, what was deleted before, or what is left for later.

use storage_core::clock::Clock;
use storage_core::error::Kind;
use storage_core::report::EraseOptions;
use storage_core::report::EraseWhat;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::driver::Driver;

impl Driver {
    pub(crate) async fn erase(&mut self) {
        let Some((id, item)) = self.world.pick(&mut self.rng) else {
            return;
        };
        let now = self.clock.now();
        let held = item.options.hold || item.options.retention_end.is_some_and(|end| end > now);
        if !held && self.rng.chance(300) {
            self.engine.delete(item.tenant, item.kind, &id.to_string()).await.expect("a delete");
        }
        let what = EraseWhat::Items(item.kind, vec![id.to_string()]);
        let later = self.rng.chance(300);
        let options = EraseOptions { what: Some((item.tenant.to_owned(), what)), dry_run: false, later };
        let (progress, _ignored) = mpsc::channel(1);
        let erased = self.engine.erase(options, progress, CancellationToken::new()).await;
        if held {
            assert_eq!(erased.expect_err("it is held").kind(), Kind::FailedPrecondition);
            self.covered.refused_deletes += 1;
            return;
        }
        let report = erased.expect("an erasure");
        assert_eq!((report.requested, report.damaged), (1, 0), "{report:?}");
        assert_eq!((report.pending == 0, report.erased_at.is_some()), (!later, !later), "{report:?}");
        self.covered.erased += report.erased;
        let _ = self.world.items.remove(&id);
        let again = self.engine.stat(item.tenant, item.kind, &id.to_string()).await;
        assert_eq!(again.expect_err("it is gone").kind(), Kind::NotFound);
        if let Some(caller_id) = item.options.caller_id.clone() {
            let _ = self.world.gone.insert((item.tenant, item.kind, caller_id), now);
            // A retry of the put that comes late.
            self.put((item.tenant, item.kind, item.options, item.bytes)).await;
        }
    }
}
