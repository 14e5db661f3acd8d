//! Which skeletons and objects move where: candidates of the catalog, put through the policy. No I/O but the catalog's
//! pages; the decision itself is pure.
//!
//! A run that waits (the nightly one) leaves what is due in its tier until there is a full block of it, or until it is
//! [`WAIT_DAYS`] overdue: else a tenant that receives 20 KB a day would end in blocks of 20 KB. Each page of the plan is
//! judged by itself, so what is left at its end may wait for the next run.

use std::collections::BTreeMap;
use std::collections::HashSet;

use crate::catalog::rows::Candidate;
use crate::catalog::rows::TenantRow;
use crate::catalog::rows::UnitKey;
use crate::clock::DAY_MILLIS;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::log::group::SEGMENT_BYTES;
use crate::ops::rewrite::unit::Change;
use crate::ops::rewrite::unit::Identity;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::store::Store;
use crate::tier::policy::TierPolicy;
use crate::tier::recipe::block_recipe;

/// Candidates looked at in one go.
pub(super) const PAGE_UNITS: u32 = 20_000;

/// Days after its last use that a copy in a warmer tier is kept.
const COPY_DAYS: i64 = 7;

/// Days after it is due that a unit may wait in its tier for others to fill a block with.
pub(crate) const WAIT_DAYS: i64 = 14;

/// What happens to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Stay,
    Move(Tier),
    /// It is due, and may wait until there is enough for a block.
    MoveWhenFull(Tier),
    Copy(Tier),
    DropCopy(Tier),
}

/// What decides.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) policy: TierPolicy,
    pub(crate) now: Timestamp,
    pub(crate) forced: Option<Tier>,
    /// What is due may wait until there is a full block of it.
    pub(crate) wait: bool,
}

impl Rules {
    fn decide<K>(&self, unit: &Candidate<K>) -> Decision {
        if !unit.referenced {
            return Decision::Stay;
        }
        let read = unit.read_day.map(|day| Timestamp(day.saturating_mul(DAY_MILLIS)));
        let used = read.map_or(unit.created, |read| read.max(unit.created));
        let aged = self.forced.unwrap_or_else(|| self.policy.target(used, self.now, unit.bytes));
        let target = unit.pin.unwrap_or(aged);
        if let Some(copy) = unit.copy
            && (read.is_none_or(|read| self.now.day() - read.day() > COPY_DAYS)
                || copy.tier >= unit.location.tier)
        {
            return Decision::DropCopy(copy.tier);
        }
        if target > unit.location.tier {
            let waits = self.wait && self.forced.is_none() && unit.pin.is_none();
            let overdue = self.policy.days_overdue(target, used, self.now);
            // What is larger than a segment is moved by itself and fills no block.
            let alone = unit.bytes > SEGMENT_BYTES as u64;
            return if waits && !alone && overdue < WAIT_DAYS {
                Decision::MoveWhenFull(target)
            } else {
                Decision::Move(target)
            };
        }
        let fresh = read.is_some_and(|read| self.now.day() - read.day() <= COPY_DAYS);
        match self.policy.promotion(unit.reads) {
            Some(tier) if fresh && unit.copy.is_none() && unit.location.tier >= Tier::Cold => {
                Decision::Copy(tier)
            }
            _ => Decision::Stay,
        }
    }
}

/// A page of the plan: what moves, by target tier and class in arrival order, and copies to drop.
#[derive(Debug, Default)]
pub(crate) struct PlanPage {
    pub(crate) groups: BTreeMap<(Tier, MediaClass), Vec<PlannedUnit>>,
    pub(crate) dropped: Vec<(UnitKey, u64, Tier)>,
    /// What is due and waits for a full block: units and their bytes.
    pub(crate) waiting: (u64, u64),
    /// Which of the groups' units may wait.
    may_wait: HashSet<UnitKey>,
}

impl PlanPage {
    fn add<K: Copy>(
        &mut self,
        rules: &Rules,
        unit: &Candidate<K>,
        (key, identity): (UnitKey, Identity),
        class: MediaClass,
    ) {
        let (to, change) = match rules.decide(unit) {
            Decision::Stay => return,
            Decision::DropCopy(tier) => return self.dropped.push((key, unit.bytes, tier)),
            Decision::Move(to) => (to, Change::Move),
            Decision::MoveWhenFull(to) => {
                let _ = self.may_wait.insert(key);
                (to, Change::Move)
            }
            Decision::Copy(to) => (to, Change::AddCopy),
        };
        let planned =
            PlannedUnit { key, identity, bytes: unit.bytes, class, from: unit.location, to, change };
        self.groups.entry((to, class)).or_default().push(planned);
    }

    /// Holds back what does not fill a block: in each group, the units after its last full block, unless one of them
    /// must not wait.
    fn hold_back(&mut self) {
        for ((tier, class), units) in &mut self.groups {
            let block_bytes = block_recipe(*tier, *class).block_bytes as u64;
            let (mut full, mut open) = (0, 0);
            for (index, unit) in units.iter().enumerate() {
                open += unit.bytes;
                if open >= block_bytes {
                    (full, open) = (index + 1, 0);
                }
            }
            let rest = units.get(full..).unwrap_or_default();
            if !rest.is_empty() && rest.iter().all(|unit| self.may_wait.contains(&unit.key)) {
                self.waiting.0 += rest.len() as u64;
                self.waiting.1 += rest.iter().map(|unit| unit.bytes).sum::<u64>();
                units.truncate(full);
            }
        }
        self.groups.retain(|_, units| !units.is_empty());
        self.may_wait.clear();
    }

    pub(crate) fn units(&self) -> impl Iterator<Item = &PlannedUnit> {
        self.groups.values().flatten()
    }
}

/// Where the next page begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cursor {
    Skeletons(ItemKey),
    Objects(ObjectKey),
}

impl Cursor {
    pub(crate) const START: Self = Self::Skeletons(ItemKey(0));
}

/// The next page of a tenant's plan, and where the one after it begins.
pub(crate) async fn page(
    store: &Store,
    tenant: &TenantRow,
    rules: &Rules,
    cursor: Cursor,
) -> Result<(PlanPage, Option<Cursor>)> {
    let mut plan = PlanPage::default();
    match cursor {
        Cursor::Skeletons(after) => {
            let page = store.catalog.skeleton_candidates(tenant.key, after, PAGE_UNITS).await?;
            for unit in &page.candidates {
                if let Some(id) = unit.id {
                    let what = (UnitKey::Skeleton(unit.key), Identity::Skeleton(id));
                    plan.add(rules, unit, what, MediaClass::Skeleton);
                }
            }
            let next = page.next.map_or(Cursor::Objects(ObjectKey(0)), Cursor::Skeletons);
            plan.hold_back();
            Ok((plan, Some(next)))
        }
        Cursor::Objects(after) => {
            let page = store.catalog.object_candidates(tenant.key, after, PAGE_UNITS).await?;
            for unit in &page.candidates {
                if let Some(sha256) = unit.sha256 {
                    let what = (UnitKey::Object(unit.key), Identity::Object(sha256));
                    plan.add(rules, unit, what, MediaClass::of_code(unit.class));
                }
            }
            plan.hold_back();
            Ok((plan, page.next.map(Cursor::Objects)))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::Strategy;
    use proptest::prelude::any;
    use proptest::prelude::prop;
    use proptest::prelude::proptest;
    use uuid::Uuid;

    use super::Decision;
    use super::Rules;
    use crate::catalog::rows::Candidate;
    use crate::catalog::rows::Location;
    use crate::catalog::rows::Place;
    use crate::clock::Timestamp;
    use crate::ids::ItemKey;
    use crate::ids::PackKey;
    use crate::model::Tier;
    use crate::tier::policy::TierPolicy;

    fn tier() -> impl Strategy<Value = Tier> {
        prop::sample::select(Tier::ALL.to_vec())
    }

    fn location(tier: Tier) -> Location {
        Location { place: Place { pack: PackKey(1), frame: 0, entry: 0 }, pack: Uuid::nil(), tier }
    }

    fn moment() -> impl Strategy<Value = i64> {
        prop::strategy::Union::new([(-1_i64 << 38..1_i64 << 38).boxed(), any::<i64>().boxed()])
    }

    fn candidate() -> impl Strategy<Value = Candidate<ItemKey>> {
        let copy = prop::option::of(tier());
        let read_day =
            prop::option::of(prop::strategy::Union::new([(-9_i64..9).boxed(), any::<i64>().boxed()]));
        let reads = (read_day, any::<u32>());
        let rest = (prop::option::of(tier()), any::<bool>(), any::<u64>());
        (tier(), copy, moment(), reads, rest).prop_map(
            |(at, copy, created, (read_day, reads), (pin, referenced, bytes))| Candidate {
                key: ItemKey(1),
                id: None,
                sha256: None,
                bytes,
                class: 0,
                location: location(at),
                copy: copy.map(location),
                created: Timestamp(created),
                read_day,
                reads,
                pin,
                referenced,
            },
        )
    }

    proptest! {
        /// Whatever the catalog says: a move is always to a colder tier, a copy to a warmer one, a pin is never passed.
        #[test]
        fn a_decision_never_warms_by_moving(
            unit in candidate(), now in moment(), forced in prop::option::of(tier()), wait in any::<bool>(),
        ) {
            let rules = Rules { policy: TierPolicy::default(), now: Timestamp(now), forced, wait };
            if let Decision::MoveWhenFull(to) = rules.decide(&unit) {
                assert!(wait && forced.is_none() && unit.pin.is_none());
                let at_once = Rules { wait: false, ..rules.clone() };
                assert_eq!(at_once.decide(&unit), Decision::Move(to));
            }
            match rules.decide(&unit) {
                Decision::Move(to) | Decision::MoveWhenFull(to) => {
                    assert!(unit.referenced && to > unit.location.tier);
                    assert!(unit.pin.is_none_or(|pin| to == pin));
                    assert!(unit.pin.is_some() || forced.is_none_or(|forced| to == forced));
                }
                Decision::Copy(to) => {
                    assert!(unit.referenced && unit.copy.is_none());
                    assert!(to < unit.location.tier && unit.location.tier >= Tier::Cold);
                }
                Decision::DropCopy(tier) => assert_eq!(unit.copy.map(|copy| copy.tier), Some(tier)),
                Decision::Stay => {}
            }
        }
    }
}
