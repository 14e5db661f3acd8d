//! Opening a store for writes again that a failed write has shut, without a restart. Order: give up the open pack ->
//! recover as a start does (`ops/recover.rs`: cut what is torn, replay what is whole, end and seal the pack) -> make the
//! catalog durable -> begin a new log pack, which proves that the disk takes writes -> take writes.
//!
//! A failure at any step leaves the store shut, and the same steps may be tried again. Reads go on all the while: a frame
//! that was committed lies where it lay.
//!
//! It runs inside the log, so nothing else appends or commits meanwhile; its caller has seen to it that no upkeep and no
//! large put is under way, whose unfinished packs recovery would take for leftovers of a crash.

use crate::error::Result;
use crate::ops::log::Log;
use crate::ops::log::pack::OpenPack;
use crate::ops::recover::Recovered;
use crate::ops::recover::recover;

impl Log {
    pub(super) async fn reopen(&mut self) -> Result<Recovered> {
        if self.store.writable() {
            return Ok(Recovered::default());
        }
        // What it still had to write belongs to puts that were refused.
        drop(self.open.take());
        let recovered = recover(&self.store).await?;
        self.store.caches.sealed_packs();
        self.store.catalog.barrier().await?;
        self.store.refresh_tenants().await?;
        let now = self.store.now();
        self.open = Some(OpenPack::create(&self.store, now).await?);
        self.store.open_for_writes();
        tracing::info!(?recovered, "the store takes writes again");
        Ok(recovered)
    }
}
