//! What a compaction rewrites. Pure: it sees only what the catalog says of packs, of what is located in them, and of
//! dictionaries.
//!
//! - A pack is emptied if enough of it is dead.
//! - Small packs of a tier, and small blocks of a tenant, tier and class, are merged by the *doubling rule*: the smallest
//!   ones, as many as there are, whose last one is no larger than those before it together. What is merged ends in
//!   something at least twice as large as what it was in, so nothing is rewritten more often than its size can double.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::FrameUse;
use crate::catalog::rows::PackRow;
use crate::catalog::rows::PackState;
use crate::clock::DAY_MILLIS;
use crate::clock::Timestamp;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::rewrite::mover::PACK_BYTES;
use crate::tier::recipe::block_recipe;

/// Packs below this many bytes are merged.
const SMALL_PACK_BYTES: u64 = PACK_BYTES / 2;

/// Packs of the hot tier are merged only at this age: before it, a migration is going to empty them.
const HOT_DAYS: i64 = 30;

/// What the catalog says.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) packs: Vec<PackRow>,
    pub(crate) uses: Vec<FrameUse>,
    pub(crate) dictionaries: Vec<DictionaryRow>,
}

/// What decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) only: Option<TenantKey>,
    pub(crate) dead_percent_min: u8,
    pub(crate) now: Timestamp,
}

/// What becomes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// It moves as it is, if it is whole.
    Take,
    /// It is decoded and encoded again.
    Encode,
}

/// A frame that moves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FramePlan {
    pub(crate) used: FrameUse,
    pub(crate) tier: Tier,
    pub(crate) action: Action,
}

impl FramePlan {
    /// The blocks that it may be merged with: those of its tier and class. Blocks of the hot tier are mixed.
    pub(crate) fn section(&self) -> (Tier, MediaClass) {
        match self.tier {
            Tier::Hot => (Tier::Hot, MediaClass::Skeleton),
            tier => (tier, MediaClass::of_code(self.used.class)),
        }
    }
}

/// What moves.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The packs that are emptied.
    pub(crate) packs: BTreeSet<PackKey>,
    pub(crate) frames: BTreeMap<TenantKey, Vec<FramePlan>>,
}

/// Makes the plan.
pub(crate) fn plan(known: &Known, rules: Rules) -> Plan {
    let sealed: BTreeMap<PackKey, &PackRow> = known
        .packs
        .iter()
        .filter(|pack| pack.state == PackState::Sealed)
        .map(|pack| (pack.key, pack))
        .collect();
    let packs = emptied(known, &sealed, rules);
    let merged = merged_blocks(known, &sealed, rules);
    let mut plan = Plan { packs, ..Plan::default() };
    for (index, used) in known.uses.iter().enumerate() {
        let Some(pack) = sealed.get(&used.pack) else {
            continue;
        };
        let action = match (merged.contains(&index), plan.packs.contains(&used.pack)) {
            (true, _) => Action::Encode,
            (false, true) => Action::Take,
            (false, false) => continue,
        };
        let frame = FramePlan { used: *used, tier: pack.tier, action };
        plan.frames.entry(used.tenant).or_default().push(frame);
    }
    plan
}

/// What of a pack is needed.
#[derive(Debug, Clone, Copy, Default)]
struct Needed {
    units: u64,
    decoded: u64,
    dictionaries: u64,
    wanted: bool,
}

/// The packs to empty.
fn emptied(known: &Known, sealed: &BTreeMap<PackKey, &PackRow>, rules: Rules) -> BTreeSet<PackKey> {
    let mut needed: BTreeMap<PackKey, Needed> = BTreeMap::new();
    let wants = |tenant| rules.only.is_none_or(|only| only == tenant);
    for used in &known.uses {
        let sum = needed.entry(used.pack).or_default();
        sum.units += used.units;
        sum.decoded += used.bytes;
        sum.wanted |= wants(used.tenant);
    }
    for row in &known.dictionaries {
        let sum = needed.entry(row.dictionary.pack).or_default();
        sum.dictionaries += row.dictionary.stored_bytes;
        sum.wanted |= wants(row.dictionary.tenant);
    }
    let mut packs = BTreeSet::new();
    let mut small: BTreeMap<Tier, Vec<(u64, Option<PackKey>)>> = BTreeMap::new();
    let mut rewritten: BTreeMap<Tier, u64> = BTreeMap::new();
    for (key, pack) in sealed {
        // What nothing is located in is left to sweep.
        let Some(needed) = needed.get(key).filter(|needed| needed.wanted) else {
            continue;
        };
        let alive = alive_bytes(pack, needed);
        let all = pack.progress.bytes.total() - pack.progress.bytes.index;
        if all.saturating_sub(alive) * 100 >= all.max(1) * u64::from(rules.dead_percent_min.max(1)) {
            let _ = packs.insert(*key);
            *rewritten.entry(pack.tier).or_default() += alive;
        } else if pack.progress.bytes.total() < SMALL_PACK_BYTES && may_merge(pack, rules.now) {
            small.entry(pack.tier).or_default().push((pack.progress.bytes.total(), Some(*key)));
        }
    }
    for (tier, mut sizes) in small {
        // What is rewritten anyway goes into one pack: others may join it.
        sizes.extend(rewritten.get(&tier).map(|alive| (*alive, None)));
        packs.extend(doubling(sizes).into_iter().flatten());
    }
    packs
}

/// About how many stored bytes of a pack are needed.
fn alive_bytes(pack: &PackRow, needed: &Needed) -> u64 {
    let bytes = pack.progress.bytes;
    let frames = u128::from(bytes.stream + bytes.record);
    let alive = if bytes.decoded == 0 && needed.units > 0 {
        frames
    } else {
        frames * u128::from(needed.decoded.min(bytes.decoded)) / u128::from(bytes.decoded.max(1))
    };
    u64::try_from(alive).unwrap_or(u64::MAX).saturating_add(needed.dictionaries)
}

fn may_merge(pack: &PackRow, now: Timestamp) -> bool {
    pack.tier != Tier::Hot || now.0.saturating_sub(pack.created.0) >= HOT_DAYS * DAY_MILLIS
}

/// The blocks, by their place in `uses`, that are small and have enough others to be merged with.
fn merged_blocks(known: &Known, sealed: &BTreeMap<PackKey, &PackRow>, rules: Rules) -> BTreeSet<usize> {
    let mut small: BTreeMap<(TenantKey, Tier, u8), Vec<(u64, usize)>> = BTreeMap::new();
    for (index, used) in known.uses.iter().enumerate() {
        let Some(pack) = sealed.get(&used.pack) else {
            continue;
        };
        let full = block_recipe(pack.tier, MediaClass::of_code(used.class)).full_object_bytes as u64;
        let wanted = rules.only.is_none_or(|only| only == used.tenant);
        if wanted && pack.tier != Tier::Hot && used.bytes < full / 2 {
            small.entry((used.tenant, pack.tier, used.class)).or_default().push((used.bytes, index));
        }
    }
    small.into_values().flat_map(doubling).collect()
}

/// The smallest of these, as many as there are, whose last one is no larger than those before it together.
fn doubling<T: Ord>(mut sizes: Vec<(u64, T)>) -> Vec<T> {
    sizes.sort_unstable();
    let (mut sum, mut merged) = (0, 0);
    for (index, (size, _)) in sizes.iter().enumerate() {
        if index > 0 && sum >= *size {
            merged = index + 1;
        }
        sum += size;
    }
    sizes.truncate(merged);
    sizes.into_iter().map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::doubling;

    fn sizes(of: &[u64]) -> Vec<u64> {
        doubling(of.iter().map(|size| (*size, *size)).collect())
    }

    #[test]
    fn what_is_merged_at_least_doubles() {
        let nothing = Vec::<u64>::new();
        assert_eq!(sizes(&[]), nothing);
        assert_eq!(sizes(&[7]), nothing);
        assert_eq!(sizes(&[5, 5]), [5, 5]);
        assert_eq!(sizes(&[5, 6]), nothing);
        assert_eq!(sizes(&[6, 5, 1]), [1, 5, 6]);
        assert_eq!(sizes(&[1, 1, 9]), [1, 1]);
        assert_eq!(sizes(&[1, 2, 4, 8]), nothing);
        assert_eq!(sizes(&[1, 1, 2, 4, 8, 100]), [1, 1, 2, 4, 8]);
    }

    /// One small piece a night: few are left, and each byte is written seldom.
    #[test]
    fn many_nights_leave_few_pieces_and_write_each_byte_seldom() {
        let (mut pieces, mut written) = (Vec::new(), 0);
        for _ in 0..1_000 {
            pieces.push(1);
            let merged = sizes(&pieces);
            let sum: u64 = merged.iter().sum();
            written += sum;
            pieces.sort_unstable();
            let _ = pieces.drain(..merged.len());
            pieces.extend((sum > 0).then_some(sum));
            assert!(pieces.len() <= 11, "{pieces:?}");
        }
        assert_eq!(pieces.iter().sum::<u64>(), 1_000);
        assert!(written <= 1_000 * 10, "{written}");
    }
}
