//! What a compaction asks of the catalog in memory.

use std::collections::BTreeMap;

use crate::catalog::rows::DictionaryMove;
use crate::catalog::rows::FrameUse;
use crate::catalog::rows::LocatedUnit;
use crate::catalog::rows::Place;
use crate::catalog::rows::UnitKey;
use crate::error::Result;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Tier;
use crate::testing::memory_catalog::state::State;

/// A tenant, a pack, a frame of it and a media class.
type Frame = (TenantKey, PackKey, Option<u32>, u8);

/// A unit at one of its locations, and whose it is.
type Placed = (TenantKey, LocatedUnit);

impl State {
    /// Every unit at each of its locations: skeletons by key, then objects by key.
    fn placed(&self) -> Result<Vec<Placed>> {
        let mut placed = Vec::new();
        for (key, item) in &self.items {
            let unit = |place: Place, copy| {
                Ok::<_, crate::error::Error>(LocatedUnit {
                    unit: UnitKey::Skeleton(*key),
                    id: Some(item.new.id),
                    sha256: None,
                    bytes: item.new.skeleton_bytes,
                    class: 0,
                    location: self.location(place)?,
                    copy,
                })
            };
            placed.push((item.new.tenant, unit(item.new.place, false)?));
            if let Some(copy) = item.copy {
                placed.push((item.new.tenant, unit(copy, true)?));
            }
        }
        for (key, object) in &self.objects {
            let unit = |place: Place, copy| {
                Ok::<_, crate::error::Error>(LocatedUnit {
                    unit: UnitKey::Object(*key),
                    id: None,
                    sha256: Some(object.sha256),
                    bytes: object.bytes,
                    class: object.class,
                    location: self.location(place)?,
                    copy,
                })
            };
            placed.push((object.tenant, unit(object.place, false)?));
            if let Some(copy) = object.copy {
                placed.push((object.tenant, unit(copy, true)?));
            }
        }
        Ok(placed)
    }

    pub(super) fn frames_in_use(&self) -> Result<Vec<FrameUse>> {
        let mut uses: BTreeMap<Frame, (u64, u64, i64)> = BTreeMap::new();
        for (tenant, unit) in self.placed()? {
            let place = unit.location.place;
            let frame = (unit.location.tier != Tier::Hot).then_some(place.frame);
            let key = match unit.unit {
                UnitKey::Skeleton(key) => key.0,
                UnitKey::Object(key) => key.0,
            };
            let sums = uses.entry((tenant, place.pack, frame, unit.class)).or_insert((0, 0, i64::MAX));
            *sums = (sums.0 + 1, sums.1 + unit.bytes, sums.2.min(key));
        }
        let row = |((tenant, pack, frame, class), (units, bytes, first))| FrameUse {
            tenant,
            pack,
            frame,
            class,
            units,
            bytes,
            first,
        };
        Ok(uses.into_iter().map(row).collect())
    }

    pub(super) fn units_in(&self, tenant: TenantKey, packs: &[PackKey]) -> Result<Vec<LocatedUnit>> {
        let wanted = |(of, unit): &Placed| *of == tenant && packs.contains(&unit.location.place.pack);
        Ok(self.placed()?.into_iter().filter(wanted).map(|(_, unit)| unit).collect())
    }

    pub(super) fn move_dictionary(&mut self, change: &DictionaryMove) -> Result<bool> {
        let _to = self.pack(change.to.0)?;
        let Some(dictionary) = self.dictionaries.get_mut(&change.dictionary) else {
            return Ok(false);
        };
        if (dictionary.new.pack, dictionary.new.frame) != change.from {
            return Ok(false);
        }
        (dictionary.new.pack, dictionary.new.frame) = change.to;
        Ok(true)
    }
}
