//! Dictionaries in a compaction: it sees a tenant's whole class, which a nightly migration does not. Where a class of the
//! archive has none, or has grown to twice what its dictionary was sampled for, a new one is tried on what it would serve
//! and against what serves it now, and kept if it saves more than it costs. Blocks that were written without it are
//! encoded again; the old one goes when no pack needs it.
//!
//! Dictionaries' frames move out of packs that are emptied, as they are.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::PoisonError;

use uuid::Uuid;

use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::FrameUse;
use crate::catalog::rows::PackState;
use crate::catalog::rows::TenantRow;
use crate::codec::CodecId;
use crate::codec::builtin;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::PackKey;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::compact::frames::planned;
use crate::ops::compact::plan::Action;
use crate::ops::compact::plan::FramePlan;
use crate::ops::compact::run::Run;
use crate::ops::rewrite::dictionary;
use crate::ops::rewrite::dictionary::SAMPLED_BYTES_MIN;
use crate::ops::rewrite::dictionary::Trial;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::pack::EncodedFrame;

/// A class is sampled anew when its dictionary would be at least so many times as long as the one it has.
const GROWTH: u64 = 2;

/// A try that did not pay is repeated when the class has grown by one part in so many.
pub(super) const RETRY: u64 = 4;

/// Units among which a sample is taken.
const SAMPLE_UNITS: u64 = 100_000;

impl Run<'_> {
    /// Samples what is due for it, and adds blocks to encode again to `frames`.
    pub(super) async fn renew_dictionaries(
        &mut self,
        tenant: &TenantRow,
        frames: &mut Vec<FramePlan>,
    ) -> Result<()> {
        for (class, archived) in self.archived_text(tenant) {
            if self.mover.over() {
                return Ok(());
            }
            let bytes: u64 = archived.iter().map(|used| used.bytes).sum();
            let mut active = dictionary::active(self.store, tenant, class).await?;
            if self.is_due((tenant, class), active.as_ref(), bytes) {
                let made = self.renew((tenant, class), active.as_ref(), &archived).await?;
                if made {
                    self.mover.report.dictionaries_made += 1;
                    active = dictionary::active(self.store, tenant, class).await?;
                }
            } else if let Some(row) = &active
                && self.replace_drifted((tenant, class), row, &archived).await?
            {
                self.mover.report.dictionaries_made += 1;
                active = dictionary::active(self.store, tenant, class).await?;
            }
            if let Some(active) = active {
                let outdated = self.outdated(tenant, &active, &archived).await?;
                encode_again(frames, outdated);
            }
        }
        Ok(())
    }

    /// Samples classes anew whose dictionary must go, from what they have in the archive.
    pub(super) async fn replace_dictionaries(
        &mut self,
        tenant: &TenantRow,
        classes: &BTreeSet<MediaClass>,
    ) -> Result<()> {
        for (class, archived) in self.archived_text(tenant) {
            let bytes: u64 = archived.iter().map(|used| used.bytes).sum();
            let lacking = dictionary::active(self.store, tenant, class).await?.is_none();
            let wanted = lacking && classes.contains(&class) && self.is_due((tenant, class), None, bytes);
            if wanted && !self.mover.over() && self.renew((tenant, class), None, &archived).await? {
                let made = dictionary::active(self.store, tenant, class).await?;
                let report = &mut self.mover.report;
                report.dictionaries_made += 1;
                report.stored_bytes += made.map_or(0, |row| row.dictionary.stored_bytes);
            }
        }
        Ok(())
    }

    /// A tenant's blocks of text in the archive, by class.
    fn archived_text(&self, tenant: &TenantRow) -> BTreeMap<MediaClass, Vec<FrameUse>> {
        let archive: BTreeSet<PackKey> = self
            .known
            .packs
            .iter()
            .filter(|pack| pack.tier == Tier::Archive && pack.state == PackState::Sealed)
            .map(|pack| pack.key)
            .collect();
        let mut classes: BTreeMap<MediaClass, Vec<FrameUse>> = BTreeMap::new();
        for used in self.known.uses.iter().filter(|used| used.tenant == tenant.key) {
            let class = MediaClass::of_code(used.class);
            if class.is_text() && archive.contains(&used.pack) {
                classes.entry(class).or_default().push(*used);
            }
        }
        classes
    }

    /// Whether a dictionary may be worth a try.
    fn is_due(
        &self,
        (tenant, class): (&TenantRow, MediaClass),
        active: Option<&DictionaryRow>,
        bytes: u64,
    ) -> bool {
        let grown = active
            .is_none_or(|row| dictionary::wanted_bytes(bytes) >= row.dictionary.bytes.saturating_mul(GROWTH));
        let trials = self.store.dictionary_trials.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = trials.get(&(tenant.key, class.code())).copied().unwrap_or(0);
        grown && bytes >= SAMPLED_BYTES_MIN && bytes >= tried.saturating_add(tried / RETRY)
    }

    /// Tries a dictionary on what a class has in the archive; whether it was kept.
    async fn renew(
        &self,
        (tenant, class): (&TenantRow, MediaClass),
        active: Option<&DictionaryRow>,
        archived: &[FrameUse],
    ) -> Result<bool> {
        let before = match active {
            Some(row) => {
                let codec = dictionary::codec_of(self.store, row).await?;
                codec.map(|codec| (codec, row.dictionary.stored_bytes))
            }
            None => dictionary::builtin_codec(self.store).await?.map(|codec| (codec, 0)),
        };
        let units = self.sampled_units(tenant, class, archived).await?;
        let served = archived.iter().map(|used| used.bytes).sum();
        let trial = Trial { tenant, class, units: &units, served, replaced: before };
        let made = dictionary::sample(self.store, trial).await?.is_some();
        if !made {
            let mut trials = self.store.dictionary_trials.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = trials.insert((tenant.key, class.code()), served);
        }
        Ok(made)
    }

    /// Units of the class in order of arrival, from packs spread over all that hold some.
    pub(super) async fn sampled_units(
        &self,
        tenant: &TenantRow,
        class: MediaClass,
        archived: &[FrameUse],
    ) -> Result<Vec<PlannedUnit>> {
        let packs: BTreeSet<PackKey> = archived.iter().map(|used| used.pack).collect();
        let units: u64 = self
            .known
            .uses
            .iter()
            .filter(|used| used.tenant == tenant.key && packs.contains(&used.pack))
            .map(|used| used.units)
            .sum();
        let stride = usize::try_from(units.div_ceil(SAMPLE_UNITS).max(1)).unwrap_or(usize::MAX);
        let packs: Vec<PackKey> = packs.into_iter().step_by(stride).collect();
        let located = self.store.catalog.units_in(tenant.key, &packs).await?;
        let of_class = located.iter().filter(|unit| !unit.copy && unit.location.tier == Tier::Archive);
        Ok(of_class.filter_map(planned).filter(|unit| unit.class == class).collect())
    }

    /// The blocks that were encoded without the class's dictionary: without any, with the built-in one, or with an older
    /// one that is much shorter. Others that retired stay in use: they were not replaced because the class grew.
    async fn outdated(
        &self,
        tenant: &TenantRow,
        active: &DictionaryRow,
        archived: &[FrameUse],
    ) -> Result<Vec<FrameUse>> {
        if dictionary::codec_of(self.store, active).await?.is_none() {
            return Ok(Vec::new());
        }
        let rows = self.store.catalog.dictionaries(Some(tenant.key)).await?;
        let kept: BTreeSet<Uuid> = rows
            .iter()
            .filter(|row| row.dictionary.bytes.saturating_mul(GROWTH) > active.dictionary.bytes)
            .map(|row| row.dictionary.id)
            .chain([active.dictionary.id])
            .collect();
        let names: BTreeMap<PackKey, Uuid> =
            self.known.packs.iter().map(|pack| (pack.key, pack.name)).collect();
        let mut outdated = Vec::new();
        for used in archived {
            let (Some(name), Some(frame)) = (names.get(&used.pack), used.frame) else {
                continue;
            };
            let entry = match self.store.index_entry(*name, frame).await {
                // What cannot be read is told when it is moved.
                Err(error) if error.kind() == Kind::Corrupt => continue,
                entry => entry?,
            };
            let dictionary = entry.dictionary.filter(|id| *id != builtin::BUILTIN_V1);
            let as_it_should = dictionary.is_some_and(|id| kept.contains(&id));
            if entry.codec != CodecId::NONE && !as_it_should {
                outdated.push(*used);
            }
        }
        Ok(outdated)
    }

    /// Moves the frames of dictionaries out of packs that are emptied, but for `barred` ones.
    pub(super) async fn move_dictionaries(
        &mut self,
        packs: &BTreeSet<PackKey>,
        barred: &BTreeSet<Uuid>,
    ) -> Result<()> {
        // Rows as they are now: this run may have made some.
        for row in self.store.catalog.dictionaries(None).await? {
            let needed = (row.active || row.packs > 0) && !barred.contains(&row.dictionary.id);
            if needed && packs.contains(&row.dictionary.pack) && !self.mover.over() {
                self.move_dictionary(row).await?;
            }
        }
        Ok(())
    }

    async fn move_dictionary(&mut self, row: DictionaryRow) -> Result<()> {
        let read = async {
            let frame = self.store.frame(row.pack_name, row.dictionary.frame).await?;
            let decoded = frame.clone();
            let bytes = self.store.background.run(move || decoded.stream(None)).await?;
            Ok((frame, bytes))
        };
        match read.await {
            Ok((frame, bytes)) => {
                let report = &mut self.mover.report;
                report.dictionaries_moved += 1;
                report.replaced_bytes += frame.bytes().len() as u64;
                report.stored_bytes += frame.bytes().len() as u64;
                self.mover.dictionary(row, EncodedFrame::of(&frame), &bytes).await
            }
            Err(error) => {
                let error: Error = error;
                if error.kind() != Kind::Corrupt {
                    return Err(error);
                }
                self.mover.report.damaged += 1;
                self.store.counters.damaged(1);
                tracing::error!(%error, dictionary = %row.dictionary.id, "a dictionary cannot be read and stays where it is");
                Ok(())
            }
        }
    }
}

/// Marks blocks to be encoded again; those that do not move yet are added.
fn encode_again(frames: &mut Vec<FramePlan>, outdated: Vec<FrameUse>) {
    let mut outdated: BTreeMap<_, FrameUse> =
        outdated.into_iter().map(|used| ((used.pack, used.frame, used.class), used)).collect();
    for frame in frames.iter_mut() {
        let used = &frame.used;
        if outdated.remove(&(used.pack, used.frame, used.class)).is_some() {
            frame.action = Action::Encode;
        }
    }
    let further = |used| FramePlan { used, tier: Tier::Archive, action: Action::Encode };
    frames.extend(outdated.into_values().map(further));
}
