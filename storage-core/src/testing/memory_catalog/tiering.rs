//! What may move, moving it, copies, and the reads that decide.

use std::collections::BTreeMap;

use crate::catalog::rows::AccessRow;
use crate::catalog::rows::Candidate;
use crate::catalog::rows::CandidatePage;
use crate::catalog::rows::CopyChange;
use crate::catalog::rows::Place;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::UnitKey;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::ids::uuid_v7_time;
use crate::model::Tier;
use crate::testing::memory_catalog::commit::signed;
use crate::testing::memory_catalog::state::Item;
use crate::testing::memory_catalog::state::State;
use crate::testing::memory_catalog::state::refused;

/// The last day of reads and the most reads of one day.
type Access = (i64, u32);

impl State {
    pub(super) fn access(&self, item: ItemKey) -> Option<Access> {
        let days = self.reads.range((item, i64::MIN)..=(item, i64::MAX));
        days.map(|((_, day), reads)| (*day, *reads)).reduce(later)
    }

    pub(super) fn add_reads(&mut self, reads: &[AccessRow]) {
        // An item may have been deleted since it was read.
        for read in reads.iter().filter(|read| self.items.contains_key(&read.item)) {
            *self.reads.entry((read.item, read.day)).or_default() += read.reads;
        }
    }

    pub(super) fn skeleton_candidates(
        &self,
        tenant: TenantKey,
        after: ItemKey,
        limit: u32,
    ) -> Result<CandidatePage<ItemKey>> {
        let mut candidates = Vec::new();
        for (key, item) in self.items.range(ItemKey(after.0.saturating_add(1))..) {
            let (location, access) = (self.location(item.new.place)?, self.access(*key));
            let waits = location.tier < Tier::Archive || item.copy.is_some() || access.is_some();
            if item.new.tenant != tenant || !waits {
                continue;
            }
            candidates.push(Candidate {
                key: *key,
                id: Some(item.new.id),
                sha256: None,
                bytes: item.new.skeleton_bytes,
                class: 0,
                location,
                copy: item.copy.map(|place| self.location(place)).transpose()?,
                created: uuid_v7_time(item.new.id),
                read_day: access.map(|(day, _)| day),
                reads: access.map_or(0, |(_, reads)| reads),
                pin: item.new.pin,
                referenced: true,
            });
        }
        Ok(page(candidates, limit))
    }

    pub(super) fn object_candidates(
        &self,
        tenant: TenantKey,
        after: ObjectKey,
        limit: u32,
    ) -> Result<CandidatePage<ObjectKey>> {
        let mut references: BTreeMap<ObjectKey, Vec<(ItemKey, &Item)>> = BTreeMap::new();
        for (key, item) in &self.items {
            for part in &item.parts {
                references.entry(part.object).or_default().push((*key, item));
            }
        }
        let mut candidates = Vec::new();
        for (key, object) in self.objects.range(ObjectKey(after.0.saturating_add(1))..) {
            let referring = references.get(key).map_or(&[][..], Vec::as_slice);
            let access = referring.iter().filter_map(|(item, _)| self.access(*item)).reduce(later);
            let location = self.location(object.place)?;
            let waits = location.tier < Tier::Archive || object.copy.is_some() || access.is_some();
            if object.tenant != tenant || !waits {
                continue;
            }
            let newest = referring.iter().map(|(_, item)| item.new.id).max();
            candidates.push(Candidate {
                key: *key,
                id: None,
                sha256: Some(object.sha256),
                bytes: object.bytes,
                class: object.class,
                location,
                copy: object.copy.map(|place| self.location(place)).transpose()?,
                created: newest.map_or(Timestamp(0), uuid_v7_time),
                read_day: access.map(|(day, _)| day),
                reads: access.map_or(0, |(_, reads)| reads),
                pin: referring.iter().filter_map(|(_, item)| item.new.pin).min(),
                referenced: newest.is_some(),
            });
        }
        Ok(page(candidates, limit))
    }

    pub(super) fn relocate(&mut self, tenant: TenantKey, moves: &[Relocation], day: i64) -> Result<u64> {
        let mut changed = 0;
        for relocation in moves {
            let _to = self.pack(relocation.to.pack)?;
            let object = match relocation.unit {
                UnitKey::Object(key) if !relocation.copy => Some(key),
                UnitKey::Object(_) | UnitKey::Skeleton(_) => None,
            };
            if object.is_some_and(|key| !self.may_take(tenant, key, relocation.form)) {
                continue;
            }
            let Some((place, copy)) = self.places(tenant, relocation.unit) else {
                continue;
            };
            let place = if relocation.copy { copy.as_mut() } else { Some(place) };
            let Some(place) = place.filter(|place| **place == relocation.from) else {
                continue;
            };
            *place = relocation.to;
            if let Some(key) = object {
                if let Some(object) = self.objects.get_mut(&key) {
                    object.quarantined = false;
                }
                self.take_form(key, relocation.form);
            }
            changed += 1;
            self.count_move(tenant, relocation, day);
        }
        Ok(changed)
    }

    /// A unit's place and the place of its copy.
    fn places(&mut self, tenant: TenantKey, unit: UnitKey) -> Option<(&mut Place, &mut Option<Place>)> {
        match unit {
            UnitKey::Skeleton(key) => {
                let item = self.items.get_mut(&key).filter(|item| item.new.tenant == tenant)?;
                Some((&mut item.new.place, &mut item.copy))
            }
            UnitKey::Object(key) => {
                let object = self.objects.get_mut(&key).filter(|object| object.tenant == tenant)?;
                Some((&mut object.place, &mut object.copy))
            }
        }
    }

    fn count_move(&mut self, tenant: TenantKey, change: &Relocation, day: i64) {
        let bytes = signed(change.bytes);
        // A rewrite within a tier changes no sum.
        if change.from_tier == change.to_tier {
            return;
        }
        if change.copy {
            self.sum(tenant, day, change.from_tier).copy_bytes -= bytes;
            self.sum(tenant, day, change.to_tier).copy_bytes += bytes;
            return;
        }
        for (tier, sign) in [(change.from_tier, -1), (change.to_tier, 1)] {
            let sum = self.sum(tenant, day, tier);
            match change.unit {
                UnitKey::Skeleton(_) => {
                    sum.skeletons += sign;
                    sum.skeleton_bytes += sign * bytes;
                }
                UnitKey::Object(_) => {
                    sum.objects += sign;
                    sum.object_bytes += sign * bytes;
                }
            }
        }
        self.sum(tenant, day, change.to_tier).moved_bytes += bytes;
    }

    pub(super) fn change_copies(
        &mut self,
        tenant: TenantKey,
        changes: &[CopyChange],
        day: i64,
    ) -> Result<u64> {
        let mut rows = 0;
        for change in changes {
            if change.copy.is_some_and(|place| !self.packs.contains_key(&place.pack)) {
                return Err(refused("there is no such pack"));
            }
            let Some((_, copy)) = self.places(tenant, change.unit) else {
                continue;
            };
            // Adds where there is none, drops where there is one.
            if copy.is_some() == change.copy.is_some() {
                continue;
            }
            *copy = change.copy;
            rows += 1;
            let sign = if change.copy.is_some() { 1 } else { -1 };
            self.sum(tenant, day, change.tier).copy_bytes += sign * signed(change.bytes);
        }
        Ok(rows)
    }
}

fn later(one: Access, other: Access) -> Access {
    (one.0.max(other.0), one.1.max(other.1))
}

fn page<K: Copy>(mut candidates: Vec<Candidate<K>>, limit: u32) -> CandidatePage<K> {
    candidates.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let full = candidates.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = if full { candidates.last().map(|last| last.key) } else { None };
    CandidatePage { candidates, next }
}
