//! Packs: those that the catalog does not know, and what it has wrong about those it knows.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::catalog::rows::NewPack;
use crate::catalog::rows::PackOrigin;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::PackState;
use crate::error::Result;
use crate::ops::log::pack::pack_bytes;
use crate::ops::recoded::note_recoding;
use crate::ops::repair::Deed;
use crate::ops::repair::Repair;
use crate::ops::survey::Survey;
use crate::pack::FrameKind;
use crate::pack::Origin;
use crate::pack::PackName;
use crate::report::Finding;
use crate::report::FindingKind;

impl Repair<'_> {
    /// Takes a pack in, or drops it where nothing in it is needed.
    pub(super) async fn unknown_pack(&mut self, finding: &Finding, all: &[Finding]) -> Result<Deed> {
        let Some(name) = finding.pack else {
            return Ok(("Nothing: it has no name.".to_owned(), false));
        };
        let bytes = self.store.backend.length(PackName(name)).await?;
        let survey = self.store.survey(name, bytes).await?;
        let (Ok(header), Ok(index)) = (&survey.header, &survey.index) else {
            let what = "Nothing: it was not ended, or is damaged. The next start of the store looks at it.";
            return Ok((what.to_owned(), false));
        };
        if self.is_useless(name, &survey, all) {
            if self.apply {
                self.store.backend.delete(PackName(name)).await?;
                self.store.caches.forget_pack(name);
            }
            return Ok((
                "It is deleted: every record in it has a row elsewhere, and it says nothing.".to_owned(),
                true,
            ));
        }
        if self.apply {
            let origin = match header.origin {
                Origin::Log => PackOrigin::Log,
                Origin::Rewrite => PackOrigin::Rewrite,
                Origin::Large => PackOrigin::Large,
            };
            let new = NewPack {
                name,
                origin,
                tier: header.tier,
                sealed: true,
                progress: PackProgress::of(pack_bytes(&index.counters())),
                created: header.created,
            };
            let key = self.store.catalog.add_pack(&new).await?;
            if origin == PackOrigin::Rewrite {
                note_recoding(self.store, (key, name), &survey.entries).await?;
            }
            self.packs = self.pack_rows().await?;
        }
        Ok((
            "It is taken in. What is needed of it is told below; a sweep deletes it once nothing is."
                .to_owned(),
            true,
        ))
    }

    /// Whether a pack holds nothing needed: no frame that says anything, no record without a row, nothing damaged that
    /// could hide one, and nothing that is looked for.
    fn is_useless(&self, name: Uuid, survey: &Survey, all: &[Finding]) -> bool {
        let silent =
            survey.entries.iter().all(|entry| matches!(entry.kind, FrameKind::Block | FrameKind::Segment));
        let spotless =
            all.iter().all(|finding| finding.pack != Some(name) || finding.kind == FindingKind::PackUnknown);
        let items = self.places.items.values().flatten();
        let mut looked_for = items.chain(self.places.objects.values().flatten());
        silent && spotless && !looked_for.any(|claim| claim.pack == name)
    }

    /// Notes which dictionaries a pack needs.
    pub(super) async fn needed_dictionaries(&mut self, finding: &Finding) -> Result<Deed> {
        let Some(row) = finding.pack.and_then(|name| self.packs.get(&name)) else {
            return Ok(("Nothing: the pack is gone.".to_owned(), false));
        };
        let entries = self.store.entries_of(row.name).await?;
        let needed: BTreeSet<Uuid> = entries.iter().filter_map(|entry| entry.dictionary).collect();
        let known = self.store.catalog.dictionaries(None).await?;
        let keys: Vec<_> = known
            .iter()
            .filter(|known| needed.contains(&known.dictionary.id))
            .map(|known| known.key)
            .collect();
        if self.apply {
            self.store.catalog.add_pack_dictionaries(row.key, &keys).await?;
        }
        Ok(("The dictionaries that it needs are noted.".to_owned(), true))
    }

    /// Counts a pack again.
    pub(super) async fn counters(&mut self, finding: &Finding) -> Result<Deed> {
        let Some(row) = finding.pack.and_then(|name| self.packs.get(&name)) else {
            return Ok(("Nothing: the pack is gone.".to_owned(), false));
        };
        let bytes = self.store.backend.length(PackName(row.name)).await?;
        let survey = self.store.survey(row.name, bytes).await?;
        let Ok(index) = &survey.index else {
            return Ok(("Nothing: its index is damaged, too.".to_owned(), false));
        };
        let counted = pack_bytes(&index.counters());
        if counted == row.progress.bytes || row.state == PackState::Open {
            let what = "Nothing: origin, tier and date of a pack are not changed. Run rebuild-catalog.";
            return Ok((what.to_owned(), false));
        }
        if self.apply {
            self.store.catalog.seal_pack(row.key, PackProgress::of(counted)).await?;
        }
        Ok(("Its counters are those of its file.".to_owned(), true))
    }
}
