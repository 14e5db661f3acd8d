//! Upkeep of a lab's store, and the damage that some of it is for.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use storage_core::backend::Backend;
use storage_core::catalog::rows::PackOrigin;
use storage_core::engine::Engine;
use storage_core::error::Result;
use storage_core::model::Tier;
use storage_core::pack::Footer;
use storage_core::pack::FrameKind;
use storage_core::pack::PackIndex;
use storage_core::pack::PackName;
use storage_core::report::CompactOptions;
use storage_core::report::CompactReport;
use storage_core::report::Finding;
use storage_core::report::MigrateOptions;
use storage_core::report::MigrateReport;
use storage_core::report::RepairOptions;
use storage_core::report::RepairReport;
use storage_core::report::ScrubEvent;
use storage_core::report::ScrubOptions;
use storage_core::report::SweepOptions;
use storage_core::report::SweepReport;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::lab::Lab;

/// Scrubs everything and returns what is wrong.
pub(crate) async fn scrub(engine: Engine) -> Result<Vec<Finding>> {
    let (events, mut heard) = mpsc::channel(64);
    let hear = async {
        let mut findings = Vec::new();
        while let Some(event) = heard.recv().await {
            findings.extend(match event {
                ScrubEvent::Finding(finding) => Some(finding),
                ScrubEvent::Progress(_) => None,
            });
        }
        findings
    };
    let scrubbed = engine.scrub(ScrubOptions::default(), events, CancellationToken::new());
    let (report, findings) = tokio::join!(scrubbed, hear);
    report.map(|_| findings)
}

/// Compacts.
pub(crate) async fn compact(engine: Engine) -> Result<CompactReport> {
    let (progress, _ignored) = mpsc::channel(1);
    engine.compact(CompactOptions::default(), progress, CancellationToken::new()).await
}

impl Lab {
    pub(crate) async fn migrate(&self, options: MigrateOptions) -> Result<MigrateReport> {
        let (progress, _ignored) = mpsc::channel(1);
        self.engine().migrate(options, progress, CancellationToken::new()).await
    }

    pub(crate) async fn migrate_to(&self, to: Tier) -> Result<MigrateReport> {
        self.migrate(MigrateOptions { to: Some(to), ..MigrateOptions::default() }).await
    }

    pub(crate) async fn compact(&self) -> Result<CompactReport> {
        compact(self.engine().clone()).await
    }

    pub(crate) async fn sweep(&self) -> Result<SweepReport> {
        self.engine().sweep(SweepOptions { grace: Duration::ZERO, dry_run: false }).await
    }

    pub(crate) async fn scrub(&self) -> Result<Vec<Finding>> {
        scrub(self.engine().clone()).await
    }

    pub(crate) async fn repair(&self) -> Result<RepairReport> {
        let (actions, mut heard) = mpsc::channel(64);
        let hear = async { while heard.recv().await.is_some() {} };
        let options = RepairOptions { apply: true, ..RepairOptions::default() };
        let repaired = self.engine().repair(options, actions, CancellationToken::new());
        tokio::join!(repaired, hear).0
    }

    /// Damages all that the packs hold of items: a byte of every block and segment.
    pub(crate) async fn spoil(&mut self) -> Result<()> {
        let packs = self.packs.backend().clone();
        for (name, bytes) in packs.list().await? {
            let whole = packs.read(name, 0..bytes).await?;
            let footer = Footer::parse(name, &whole, bytes)?;
            let index = usize::try_from(footer.index_offset).unwrap();
            let index = PackIndex::parse(&footer, &whole[index..index + footer.index_bytes as usize])?;
            let mut whole = BytesMut::from(whole);
            for entry in index.entries() {
                if matches!(entry.kind, FrameKind::Block | FrameKind::Segment) && entry.stream_stored > 0 {
                    let head = u64::from(entry.header_bytes) + u64::from(entry.table_bytes);
                    whole[usize::try_from(entry.offset + head).unwrap()] ^= 1;
                }
            }
            packs.delete(name).await?;
            let _bytes = packs.put(name, &mut VecDeque::from([Bytes::from(whole)])).await?;
        }
        self.damaged = true;
        let items = self.world.stored().map(|(key, _)| key.clone());
        self.world.damaged = items.collect();
        Ok(())
    }

    /// Damages the packs of a tier that were rewritten: a byte in the middle of each.
    pub(crate) async fn damage(&mut self, tier: Tier) -> Result<()> {
        for pack in self.catalog().packs().await? {
            if pack.tier != tier || pack.origin != PackOrigin::Rewrite {
                continue;
            }
            let name = PackName(pack.name);
            let packs = self.packs.backend().clone();
            let length = packs.length(name).await?;
            let mut bytes = BytesMut::from(packs.read(name, 0..length).await?);
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            packs.delete(name).await?;
            let _bytes = packs.put(name, &mut VecDeque::from([Bytes::from(bytes)])).await?;
            self.damaged = true;
        }
        assert!(self.damaged, "there is a pack to damage");
        Ok(())
    }
}
