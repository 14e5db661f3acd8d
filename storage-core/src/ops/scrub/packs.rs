//! One pack: header, footer, index, counters, then every frame.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::catalog::rows::PackOrigin;
use crate::catalog::rows::PackRow;
use crate::catalog::rows::PackState;
use crate::codec::builtin;
use crate::error::Kind;
use crate::error::Result;
use crate::ops::log::pack::pack_bytes;
use crate::ops::scrub::Scrub;
use crate::ops::scrub::Target;
use crate::ops::survey::Survey;
use crate::ops::survey::is_damage;
use crate::ops::survey::is_unreadable;
use crate::pack::Frame;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::pack::Origin;
use crate::pack::PackHeader;
use crate::report::Finding;
use crate::report::FindingKind;

impl Scrub<'_> {
    /// Checks a pack and marks it where nothing is wrong with it.
    pub(super) async fn pack(&mut self, target: &Target) -> Result<()> {
        let before = self.findings();
        // What is asked of the pack from now on comes from the disk, not from an index that was read before the damage.
        self.store.caches.forget_pack(target.name);
        let open = target.row.as_ref().filter(|row| row.state == PackState::Open);
        let entries = match open {
            Some(row) => self.committed_entries(row),
            None => match self.store.survey(target.name, target.bytes).await {
                Ok(survey) => self.sealed(target, survey).await?,
                // It was deleted meanwhile.
                Err(error) if error.kind() == Kind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        let mut needed = BTreeSet::new();
        for entry in &entries {
            if self.stopped() {
                return Ok(());
            }
            self.throttle(u64::from(entry.bytes())).await;
            self.frame(target, entry).await?;
            needed.extend(entry.dictionary);
        }
        self.report.packs += 1;
        if let Some(row) = target.row.as_ref().filter(|row| row.state != PackState::Open) {
            self.needed_dictionaries(row, &needed).await?;
            if self.findings() == before {
                self.store.catalog.mark_checked(row.key, self.started).await?;
            }
        }
        Ok(())
    }

    /// The frames of an open pack that the catalog counts on.
    fn committed_entries(&self, row: &PackRow) -> Vec<IndexEntry> {
        let open = self.store.caches.open_entries(row.name).map(|open| open.all()).unwrap_or_default();
        let committed = |entry: &IndexEntry| {
            entry.offset.saturating_add(u64::from(entry.bytes())) <= row.progress.committed_bytes
        };
        open.into_iter().filter(committed).collect()
    }

    /// What is around the frames of a sealed pack.
    async fn sealed(&mut self, target: &Target, survey: Survey) -> Result<Vec<IndexEntry>> {
        let name = target.name;
        match &survey.header {
            Err(damage) => {
                self.found(Finding::new(FindingKind::PackHeader, damage.clone()).in_pack(name)).await;
            }
            Ok(header) => self.compare_header(target, header).await,
        }
        if let Some(row) = &target.row
            && row.progress.bytes.total() != target.bytes
        {
            let counted = row.progress.bytes.total();
            let what = format!("The file has {} bytes, the catalog counts {counted}.", target.bytes);
            self.found(Finding::new(FindingKind::PackLength, what).in_pack(name)).await;
        }
        match (&survey.footer, &survey.index) {
            (Err(damage), _) => {
                self.found(Finding::new(FindingKind::PackFooter, damage.clone()).in_pack(name)).await;
            }
            (Ok(_), Err(damage)) => {
                self.found(Finding::new(FindingKind::PackIndex, damage.clone()).in_pack(name)).await;
            }
            (Ok(_), Ok(index)) => {
                let counted = pack_bytes(&index.counters());
                if let Some(row) = &target.row
                    && row.progress.bytes != counted
                {
                    let what = format!("The catalog has {:?}, the file {counted:?}.", row.progress.bytes);
                    self.found(Finding::new(FindingKind::PackCounters, what).in_pack(name)).await;
                }
            }
        }
        if let Some((offset, why)) = &survey.torn
            && (survey.footer.is_ok() || survey.resumed)
        {
            let what = format!("What lies at byte {offset} is no whole frame: {why}.");
            self.found(Finding::new(FindingKind::FrameDamaged, what).in_pack(name)).await;
        }
        Ok(survey.entries)
    }

    async fn compare_header(&mut self, target: &Target, header: &PackHeader) {
        let Some(row) = &target.row else {
            return;
        };
        let origin = match header.origin {
            Origin::Log => PackOrigin::Log,
            Origin::Rewrite => PackOrigin::Rewrite,
            Origin::Large => PackOrigin::Large,
        };
        if (origin, header.tier, header.created) != (row.origin, row.tier, row.created) {
            let what = "Origin, tier or date of its header are not those of its row.";
            self.found(Finding::new(FindingKind::PackCounters, what).in_pack(target.name)).await;
        }
    }

    async fn frame(&mut self, target: &Target, entry: &IndexEntry) -> Result<()> {
        self.report.frames += 1;
        let frame = match self.store.frame_at(target.name, entry).await {
            Ok(frame) => frame,
            Err(error) if is_unreadable(&error) => {
                let kind = self.kind_of_damage(target, entry, FindingKind::FrameDamaged).await?;
                let finding = Finding::new(kind, error.message().to_owned());
                self.found(self.of(finding.in_frame(target.name, entry.ordinal), entry.tenant)).await;
                return self.lost_frame(target, entry).await;
            }
            // The whole pack was deleted meanwhile.
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if frame.header().index_entry(entry.offset) != *entry {
            let what = "The index says other of this frame than its header does.";
            let finding = Finding::new(FindingKind::PackIndex, what).in_frame(target.name, entry.ordinal);
            self.found(self.of(finding, entry.tenant)).await;
        }
        if !self.tenants.contains_key(&entry.tenant) && !self.created_meanwhile(entry.tenant).await? {
            let what = "The frame belongs to a tenant that the catalog does not know.";
            let finding = Finding::new(FindingKind::TenantDiffers, what).in_frame(target.name, entry.ordinal);
            self.found(self.of(finding, entry.tenant)).await;
        }
        match entry.kind {
            FrameKind::Block => self.block(target, entry, frame).await,
            _ => self.small(target, entry, frame).await,
        }
    }

    /// A tenant that was created since the scrub began.
    async fn created_meanwhile(&mut self, tenant: Uuid) -> Result<bool> {
        let rows = self.store.catalog.tenants().await?;
        let found = rows.into_iter().find(|row| row.id == tenant);
        Ok(found.map(|row| self.tenants.insert(tenant, row)).is_some())
    }

    /// Frames that are not blocks.
    async fn small(&mut self, target: &Target, entry: &IndexEntry, frame: Frame) -> Result<()> {
        let place = |finding: Finding| finding.in_frame(target.name, entry.ordinal);
        let kind = if entry.kind == FrameKind::Segment {
            FindingKind::SegmentDamaged
        } else {
            FindingKind::FrameDamaged
        };
        let checked = match entry.kind {
            FrameKind::Segment => self.segment(frame).await,
            FrameKind::Tombstone => self.tombstones(target, entry, &frame).await,
            FrameKind::Policy => self.policies(entry, &frame).await,
            FrameKind::Tenant => frame.head().tenant().map(drop),
            FrameKind::Dictionary => self.dictionary_frame(frame).await,
            FrameKind::Block => Ok(()),
        };
        match checked {
            Err(error) if is_damage(&error) => {
                let kind = self.kind_of_damage(target, entry, kind).await?;
                let finding = place(Finding::new(kind, error.message().to_owned()));
                self.found(self.of(finding, entry.tenant)).await;
                Ok(())
            }
            checked => checked,
        }
    }

    /// The finding with its tenant's name.
    pub(super) fn of(&self, finding: Finding, tenant: Uuid) -> Finding {
        finding.of_tenant(self.tenant_name(tenant))
    }

    /// Dictionaries that the pack's blocks need: known at all, and known to be needed by this pack.
    async fn needed_dictionaries(&mut self, row: &PackRow, needed: &BTreeSet<Uuid>) -> Result<()> {
        let noted = self.store.catalog.dictionaries_of_pack(row.key).await?;
        let lacks = |id: &Uuid| {
            *id != builtin::BUILTIN_V1
                && self.dictionaries.get(id).is_none_or(|row| !noted.contains(&row.key))
        };
        // Of a pack that nothing is located in nothing is decoded any more: one whose writer was killed before its
        // dictionaries were noted waits for the next sweep.
        if needed.iter().any(lacks) && self.is_dead(row).await? {
            return Ok(());
        }
        for id in needed.iter().filter(|id| **id != builtin::BUILTIN_V1) {
            let finding = match self.dictionaries.get(id) {
                None => Finding::new(
                    FindingKind::DictionaryMissing,
                    format!("Its blocks need dictionary {id}, which the catalog does not know."),
                ),
                Some(dictionary) if !noted.contains(&dictionary.key) => Finding::new(
                    FindingKind::PackDictionaries,
                    format!("Its blocks need dictionary {id}, and the catalog does not know that they do."),
                ),
                Some(_) => continue,
            };
            self.found(finding.in_pack(row.name)).await;
        }
        Ok(())
    }

    async fn is_dead(&self, row: &PackRow) -> Result<bool> {
        Ok(self.store.catalog.dead_packs().await?.iter().any(|dead| dead.key == row.key))
    }
}
