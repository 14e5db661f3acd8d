//! Copying what outlives its pack into the log, for sweep: tombstones, tenants, and the newest word of every policy.

use std::sync::Arc;

use crate::catalog::rows::LogCommit;
use crate::error::Error;
use crate::error::Result;
use crate::ops::log::Log;
use crate::pack::EncodedFrame;
use crate::pack::Frame;
use crate::pack::FrameKind;
use crate::pack::PolicyRecord;
use crate::store::Store;

impl Log {
    /// Copies frames into the open pack and makes them durable. A policy is copied only while the catalog still says
    /// what it says: that is looked at here, where no change can come in between, because recovery believes the last
    /// word in the log.
    pub(super) async fn carry(&mut self, frames: Vec<Frame>) -> Result<()> {
        self.store.check_writable()?;
        let mut copied = Vec::new();
        for frame in frames {
            if frame.header().kind != FrameKind::Policy || is_current(&self.store, &frame).await? {
                copied.push(EncodedFrame::of(&frame));
            }
        }
        if copied.is_empty() {
            return Ok(());
        }
        let store = Arc::clone(&self.store);
        let now = store.now();
        let open = self.open_pack(now).await?;
        let written = async {
            for frame in copied {
                let _ = open.place(frame)?;
            }
            let progress = open.append_sync().await?;
            let commit = LogCommit { packs: vec![(open.key, progress)], at: now, ..LogCommit::default() };
            store.catalog.commit(&commit).await
        };
        written.await.inspect_err(|_| store.shut_for_writes())
    }
}

/// Whether a policy frame says what the catalog says.
async fn is_current(store: &Store, frame: &Frame) -> Result<bool> {
    let tenants = store.catalog.tenants().await?;
    let tenant = tenants.iter().find(|row| row.id == frame.header().tenant).ok_or_else(|| {
        Error::corrupt("A policy frame belongs to a tenant that the catalog does not know.")
    })?;
    for record in frame.head().policies()? {
        let current = match record {
            PolicyRecord::Tier(record) => record.json == tenant.policy,
            PolicyRecord::Item(record) => {
                let row = store.catalog.item_by_uuid(tenant.key, record.kind, record.item).await?;
                row.is_some_and(|row| {
                    (row.hold, row.pin, row.expires, row.labels)
                        == (record.hold, record.pin, record.retention_end, record.labels)
                })
            }
        };
        if current {
            return Ok(true);
        }
    }
    Ok(false)
}
