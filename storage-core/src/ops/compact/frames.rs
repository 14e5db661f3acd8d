//! Moving a tenant's blocks: each is read and verified whole, then taken over as it is, or its living units are gathered
//! into new blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::caches::Block;
use crate::catalog::rows::LocatedUnit;
use crate::catalog::rows::TenantRow;
use crate::catalog::similar::Form;
use crate::codec::Codec;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::PackKey;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::compact::plan::Action;
use crate::ops::compact::plan::FramePlan;
use crate::ops::compact::run::Run;
use crate::ops::read::sha256;
use crate::ops::read::transform_in;
use crate::ops::rewrite::dictionary;
use crate::ops::rewrite::encode::Draft;
use crate::ops::rewrite::encode::Encoded;
use crate::ops::rewrite::encode::UnitBytes;
use crate::ops::rewrite::encode::stored_unit;
use crate::ops::rewrite::mover::LargeMove;
use crate::ops::rewrite::mover::Target;
use crate::ops::rewrite::unit::Change;
use crate::ops::rewrite::unit::Identity;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::pack::EncodedFrame;
use crate::pack::Frame;
use crate::pack::TransformId;
use crate::store::Store;
use crate::tier::recipe::DELTA_BLOCK_BYTES;
use crate::tier::recipe::block_recipe;

/// Units looked up in one go.
const BATCH_UNITS: u64 = 50_000;

/// Units among which the built-in dictionary is tried.
const SAMPLE_UNITS: usize = 2_000;

/// A tenant's units by pack and frame, in that order: what is sampled of them must not differ from run to run.
type Located = BTreeMap<PackKey, BTreeMap<u32, Vec<PlannedUnit>>>;

/// A frame's units as they were read, each verified.
type Read = Vec<(PlannedUnit, UnitBytes)>;

/// Blocks of one tenant and tier that are being filled, by class.
#[derive(Debug)]
struct Section<'a> {
    tenant: &'a TenantRow,
    of: (Tier, MediaClass),
    /// Some of its units: what the built-in dictionary is tried on where there is no other.
    units: Vec<PlannedUnit>,
    targets: BTreeMap<MediaClass, Target<'a>>,
    drafts: BTreeMap<(MediaClass, bool), Draft>,
}

impl<'a> Section<'a> {
    /// A section of which `located` has some units, or all.
    fn new(tenant: &'a TenantRow, of: (Tier, MediaClass), located: &Located) -> Self {
        let all = located.values().flat_map(BTreeMap::values).flatten();
        let units = all.filter(|unit| (unit.to, unit.class) == of).take(SAMPLE_UNITS).cloned().collect();
        Self { tenant, of, units, targets: BTreeMap::new(), drafts: BTreeMap::new() }
    }
}

/// A unit of the catalog as one that stays in its tier.
pub(super) fn planned(unit: &LocatedUnit) -> Option<PlannedUnit> {
    let identity = unit.id.map(Identity::Skeleton).or_else(|| unit.sha256.map(Identity::Object))?;
    Some(PlannedUnit {
        key: unit.unit,
        identity,
        bytes: unit.bytes,
        class: MediaClass::of_code(unit.class),
        from: unit.location,
        to: unit.location.tier,
        change: if unit.copy { Change::MoveCopy } else { Change::Move },
    })
}

impl Run<'_> {
    /// Moves these frames of a tenant, in order of tier, class and arrival.
    pub(super) async fn move_frames(&mut self, tenant: &TenantRow, mut frames: Vec<FramePlan>) -> Result<()> {
        frames.sort_by_key(|frame| (frame.section(), frame.used.first, frame.used.pack, frame.used.frame));
        let mut frames = frames.as_slice();
        let mut section: Option<Section<'_>> = None;
        while !frames.is_empty() && !self.mover.over() {
            let (batch, rest) = frames.split_at(batch_length(frames));
            frames = rest;
            let mut located = self.locate(tenant, batch).await?;
            for frame in batch {
                if self.mover.over() {
                    break;
                }
                if section.as_ref().is_none_or(|section| section.of != frame.section()) {
                    self.end_section(section.take()).await?;
                }
                let section = section.get_or_insert_with(|| Section::new(tenant, frame.section(), &located));
                let Some(by_frame) = located.get_mut(&frame.used.pack) else {
                    continue;
                };
                let found: Vec<_> = match frame.used.frame {
                    Some(ordinal) => by_frame.remove(&ordinal).into_iter().collect(),
                    None => std::mem::take(by_frame).into_values().collect(),
                };
                for units in found {
                    self.move_frame(section, frame.action, units).await?;
                }
            }
        }
        self.end_section(section).await
    }

    async fn locate(&self, tenant: &TenantRow, frames: &[FramePlan]) -> Result<Located> {
        let mut packs: Vec<PackKey> = frames.iter().map(|frame| frame.used.pack).collect();
        packs.sort_unstable();
        packs.dedup();
        let mut located = Located::new();
        for unit in self.store.catalog.units_in(tenant.key, &packs).await? {
            let place = unit.location.place;
            if let Some(unit) = planned(&unit) {
                located.entry(place.pack).or_default().entry(place.frame).or_default().push(unit);
            }
        }
        Ok(located)
    }

    async fn move_frame(
        &mut self,
        section: &mut Section<'_>,
        action: Action,
        units: Vec<PlannedUnit>,
    ) -> Result<()> {
        self.mover.take(units.iter().map(|unit| unit.bytes).sum()).await;
        let Some((frame, read, whole)) = self.read_frame(units).await? else {
            return Ok(());
        };
        let report = &mut self.mover.report;
        report.replaced_bytes += frame.bytes().len() as u64;
        if whole && action == Action::Take {
            report.blocks_copied += 1;
            return self.take_over(section, &frame, read).await;
        }
        report.blocks_decoded += 1;
        for (unit, bytes) in read {
            self.gather(section, action, unit, bytes).await?;
        }
        Ok(())
    }

    /// A frame and its units, verified; whether they are all it holds. Units that are damaged are noted and left out.
    async fn read_frame(&mut self, units: Vec<PlannedUnit>) -> Result<Option<(Frame, Read, bool)>> {
        let Some(from) = units.first().map(|unit| unit.from) else {
            return Ok(None);
        };
        let read = async {
            let frame = self.store.frame(from.pack, from.place.frame).await?;
            let block = self.store.decoded(frame.clone()).await?;
            Ok((frame, block))
        };
        let (frame, block) = match read.await {
            Ok(read) => read,
            Err(error) => {
                let error: Error = error;
                if !is_unreadable(&error) {
                    return Err(error);
                }
                for unit in &units {
                    self.mover.note_damage(&error, unit.key);
                }
                return Ok(None);
            }
        };
        let entries = block.table.entries.len();
        let mut read = Vec::new();
        for (unit, bytes) in verified(self.store, Arc::new(block), units).await? {
            match bytes {
                Ok(bytes) => read.push((unit, bytes)),
                Err(error) if is_unreadable(&error) => self.mover.note_damage(&error, unit.key),
                Err(error) => return Err(error),
            }
        }
        let segmented = read.iter().any(|(_, bytes)| matches!(bytes, UnitBytes::Segmented(..)));
        let whole = read.len() == entries && !segmented;
        Ok(Some((frame, read, whole)))
    }

    /// Takes a block over as it is.
    async fn take_over(&mut self, section: &mut Section<'_>, frame: &Frame, read: Read) -> Result<()> {
        let encoded = |(unit, bytes): (PlannedUnit, UnitBytes)| {
            let expected = match (unit.identity, &bytes) {
                (Identity::Object(expected), _) => expected,
                (_, UnitBytes::Skeleton(_, skeleton)) => sha256(skeleton),
                _ => return Err(Error::internal("A skeleton was read as an object.")),
            };
            Ok(Encoded { entry: unit.from.place.entry, sha256: expected, unit, form: Form::Kept })
        };
        let units = read.into_iter().map(encoded).collect::<Result<Vec<_>>>()?;
        let (tier, class) = section.of;
        let target = Target { tenant: section.tenant, tier, recipe: block_recipe(tier, class) };
        self.mover.submit_encoded(&target, EncodedFrame::of(frame), units).await
    }

    /// Adds a unit to the block of its class; a large object is moved by itself.
    async fn gather(
        &mut self,
        section: &mut Section<'_>,
        action: Action,
        unit: PlannedUnit,
        bytes: UnitBytes,
    ) -> Result<()> {
        let (tier, class) = (section.of.0, unit.class);
        if !section.targets.contains_key(&class) {
            let target = self.target(section, tier, class).await?;
            let _ = section.targets.insert(class, target);
        }
        let Some(target) = section.targets.get(&class) else {
            return Err(Error::internal("A compaction lost its target."));
        };
        if let UnitBytes::Segmented(pack, entry) = bytes {
            for segment in &entry.segments {
                let segment = self.store.index_entry(pack, segment.ordinal).await?;
                self.mover.report.replaced_bytes += u64::from(segment.bytes());
            }
            let (recipe, as_stored) = (&target.recipe, action == Action::Take);
            let large = LargeMove { tenant: section.tenant, recipe, pack, entry: *entry, as_stored };
            return self.mover.large(tier, unit, large).await;
        }
        // Deltas lie among themselves: reading one takes no block of other objects.
        let is_delta = bytes.is_delta();
        let draft = section.drafts.entry((class, is_delta)).or_default();
        draft.push(unit, bytes);
        let full = if is_delta { DELTA_BLOCK_BYTES } else { target.recipe.block_bytes };
        if draft.bytes() >= full {
            let full = std::mem::take(draft);
            self.mover.submit(target, full).await?;
        }
        Ok(())
    }

    /// How blocks of a class are written: in the archive with the active dictionary, else with the built-in one if that
    /// helps.
    async fn target<'a>(&self, section: &Section<'a>, tier: Tier, class: MediaClass) -> Result<Target<'a>> {
        let tenant = section.tenant;
        let mut recipe = block_recipe(tier, class);
        if tier == Tier::Archive && class.is_text() {
            let codec: Option<Codec> = match dictionary::active(self.store, tenant, class).await? {
                Some(row) => dictionary::codec_of(self.store, &row).await?,
                None => dictionary::try_builtin(self.store, class, &section.units).await?,
            };
            recipe.stream = codec.unwrap_or(recipe.stream);
        }
        Ok(Target { tenant, tier, recipe })
    }

    /// Writes the blocks of a section that are not full.
    async fn end_section(&mut self, section: Option<Section<'_>>) -> Result<()> {
        let Some(Section { targets, drafts, .. }) = section else {
            return Ok(());
        };
        for ((class, _), draft) in drafts {
            if let (false, Some(target)) = (draft.is_empty(), targets.get(&class)) {
                self.mover.submit(target, draft).await?;
            }
        }
        self.mover.settle(0).await
    }
}

/// Units of a block in their stored form, each verified: whole ones together on the background pool, deltas one by one,
/// because each needs a base.
async fn verified(
    store: &Store,
    block: Arc<Block>,
    units: Vec<PlannedUnit>,
) -> Result<Vec<(PlannedUnit, Result<UnitBytes>)>> {
    let is_delta = |unit: &PlannedUnit| {
        transform_in(&block, &unit.from).is_ok_and(|transform| transform == TransformId::DELTA)
    };
    let (deltas, units): (Vec<PlannedUnit>, Vec<PlannedUnit>) = units.into_iter().partition(is_delta);
    let whole = Arc::clone(&block);
    let verify = move || {
        let verified = |unit: PlannedUnit| {
            let bytes = stored_unit(&whole, &unit, None);
            (unit, bytes)
        };
        Ok(units.into_iter().map(verified).collect::<Vec<_>>())
    };
    let mut verified = store.background.run(verify).await?;
    for unit in deltas {
        let bytes = match store.base_in(&block, &unit.from).await {
            Ok(base) => {
                let (block, unit) = (Arc::clone(&block), unit.clone());
                store.background.run(move || stored_unit(&block, &unit, base.as_deref())).await
            }
            Err(error) => Err(error),
        };
        verified.push((unit, bytes));
    }
    Ok(verified)
}

/// Whether something is damaged, or was written by a newer version: it stays where it is.
fn is_unreadable(error: &Error) -> bool {
    matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented)
}

/// How many frames make a batch: one at least.
fn batch_length(frames: &[FramePlan]) -> usize {
    let mut units = 0;
    let fitting = frames.iter().take_while(|frame| {
        units += frame.used.units;
        units <= BATCH_UNITS
    });
    fitting.count().max(1)
}
