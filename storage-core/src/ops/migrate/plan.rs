//! Which skeletons and objects move where: candidates of the catalog, put through the policy. No I/O but the catalog's
//! pages; the decision itself is pure.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::catalog::rows::Candidate;
use crate::catalog::rows::Location;
use crate::catalog::rows::TenantRow;
use crate::catalog::rows::UnitKey;
use crate::clock::DAY_MILLIS;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::media::MediaClass;
use crate::model::Sha256;
use crate::model::Tier;
use crate::store::Store;
use crate::tier::policy::TierPolicy;

/// Candidates looked at in one go.
pub(super) const PAGE_UNITS: u32 = 20_000;

/// Days after its last use that a copy in a warmer tier is kept.
const COPY_DAYS: i64 = 7;

/// What identifies a unit's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    Skeleton(Uuid),
    Object(Sha256),
}

/// A unit that moves or is copied.
#[derive(Debug, Clone)]
pub(crate) struct PlannedUnit {
    pub(crate) key: UnitKey,
    pub(crate) identity: Identity,
    pub(crate) bytes: u64,
    pub(crate) class: MediaClass,
    pub(crate) from: Location,
    pub(crate) to: Tier,
    /// A second location is added; the first one stays.
    pub(crate) copy: bool,
}

/// What happens to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Stay,
    Move(Tier),
    Copy(Tier),
    DropCopy(Tier),
}

/// What decides.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) policy: TierPolicy,
    pub(crate) now: Timestamp,
    pub(crate) forced: Option<Tier>,
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
            return Decision::Move(target);
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
}

impl PlanPage {
    fn add<K: Copy>(
        &mut self,
        rules: &Rules,
        unit: &Candidate<K>,
        (key, identity): (UnitKey, Identity),
        class: MediaClass,
    ) {
        let (to, copy) = match rules.decide(unit) {
            Decision::Stay => return,
            Decision::DropCopy(tier) => return self.dropped.push((key, unit.bytes, tier)),
            Decision::Move(to) => (to, false),
            Decision::Copy(to) => (to, true),
        };
        let planned = PlannedUnit { key, identity, bytes: unit.bytes, class, from: unit.location, to, copy };
        self.groups.entry((to, class)).or_default().push(planned);
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
            unit in candidate(), now in moment(), forced in prop::option::of(tier()),
        ) {
            let rules = Rules { policy: TierPolicy::default(), now: Timestamp(now), forced };
            match rules.decide(&unit) {
                Decision::Move(to) => {
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
