//! Seeded sequences of changes, after each of which the statistics' increments equal what the rows count to; and that
//! all of it is there again after reopening.

use std::collections::BTreeMap;

use crate::catalog::conformance::Factory;
use crate::catalog::conformance::fixture::Fixture;
use crate::catalog::conformance::fixture::group;
use crate::catalog::conformance::must;
use crate::catalog::rows::CopyChange;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::Statistics;
use crate::catalog::rows::StatisticsRow;
use crate::catalog::rows::UnitKey;
use crate::catalog::similar::Form;
use crate::ids::TenantKey;
use crate::model::ItemKind;
use crate::model::ListQuery;
use crate::model::Tier;

/// Changes of one sequence.
const STEPS: u8 = 60;

/// Splitmix64: enough chance for choosing steps.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = self.below(of.len() as u64);
        usize::try_from(at).ok().and_then(|at| of.get(at)).copied()
    }
}

pub(super) async fn statistics_add_up(fixture: &Fixture, seed: u64) {
    let mut chance = Chance(seed);
    let mut items: Vec<u8> = Vec::new();
    let mut objects: Vec<u8> = Vec::new();
    for step in 1..=STEPS {
        match chance.below(10) {
            0..4 => {
                add(fixture, step, chance.pick(&objects)).await;
                items.push(step);
                objects.push(step);
            }
            4..6 => {
                if let Some(number) = chance.pick(&items) {
                    fixture.delete(number).await;
                    items.retain(|item| *item != number);
                }
            }
            6..8 => relocate(fixture, &mut chance, (&items, &objects)).await,
            8 => change_copy(fixture, &mut chance, (&items, &objects)).await,
            _ => {
                let _ = must(fixture.catalog.remove_unreferenced(100, i64::from(step), false).await);
                let mut kept = Vec::new();
                for number in objects {
                    if !fixture.objects(&[number]).await.is_empty() {
                        kept.push(number);
                    }
                }
                objects = kept;
            }
        }
        for tenant in [None, Some(fixture.tenant), Some(fixture.other)] {
            let increments = present(must(fixture.catalog.statistics(tenant).await));
            assert_eq!(
                increments,
                present(must(fixture.catalog.counted(tenant).await)),
                "seed {seed}, step {step}"
            );
        }
    }
    let classes: u64 =
        must(fixture.catalog.objects_by_class(None).await).iter().map(|(_, count, _)| count).sum();
    assert_eq!(classes, objects.len() as u64);
}

async fn add(fixture: &Fixture, number: u8, known: Option<u8>) {
    let object = fixture.object(number);
    let mut bytes = object.bytes;
    let mut references = vec![ObjectRef::New(0)];
    if let Some(known) = known {
        let row = fixture.object_row(known).await;
        bytes += 2 * row.bytes;
        references.extend([ObjectRef::Known(row.key); 2]);
    }
    let mut item = fixture.item(number, &references, bytes);
    if number.is_multiple_of(5) {
        item.kind = ItemKind::Content;
        item.caller_id = None;
        let other = fixture.item(number, &[], 0);
        must(fixture.catalog.commit(&group(Vec::new(), vec![other])).await);
    }
    must(fixture.catalog.commit(&group(vec![object], vec![item])).await);
}

/// A skeleton or an object: its key, its bytes, where it is.
async fn unit(
    fixture: &Fixture,
    chance: &mut Chance,
    (items, objects): (&[u8], &[u8]),
) -> Option<(UnitKey, u64, crate::catalog::rows::Location, Option<Tier>)> {
    if chance.below(2) == 0 {
        let row = fixture.row(chance.pick(items)?).await;
        return Some((
            UnitKey::Skeleton(row.key),
            row.skeleton_bytes,
            row.location,
            row.copy.map(|copy| copy.tier),
        ));
    }
    let row = fixture.object_row(chance.pick(objects)?).await;
    Some((UnitKey::Object(row.key), row.bytes, row.location, row.copy.map(|copy| copy.tier)))
}

async fn relocate(fixture: &Fixture, chance: &mut Chance, known: (&[u8], &[u8])) {
    let Some((unit, bytes, from, _)) = unit(fixture, chance, known).await else {
        return;
    };
    let to_tier = chance.pick(&Tier::ALL).unwrap_or(Tier::Hot);
    let to = fixture.place(to_tier, 5_000 + u32::try_from(chance.below(1_000)).unwrap_or(0));
    let stands = chance.below(4) > 0;
    let from_place = if stands { from.place } else { fixture.place(Tier::Hot, 77_777) };
    let moves = [Relocation {
        unit,
        copy: false,
        bytes,
        from: from_place,
        from_tier: from.tier,
        to,
        to_tier,
        form: Form::Kept,
    }];
    assert_eq!(must(fixture.catalog.relocate(fixture.tenant, &moves, 3).await), u64::from(stands));
}

async fn change_copy(fixture: &Fixture, chance: &mut Chance, known: (&[u8], &[u8])) {
    let Some((unit, bytes, _, copy)) = unit(fixture, chance, known).await else {
        return;
    };
    let wanted = match copy {
        Some(tier) => CopyChange { unit, bytes, copy: None, tier },
        None => CopyChange { unit, bytes, copy: Some(fixture.place(Tier::Warm, 9)), tier: Tier::Warm },
    };
    assert_eq!(must(fixture.catalog.change_copies(fixture.tenant, &[wanted], 4).await), 1);
}

/// What describes the present state, without rows that came to nothing.
fn present(rows: Vec<StatisticsRow>) -> BTreeMap<(TenantKey, Tier), [i64; 9]> {
    let mut sums: BTreeMap<_, [i64; 9]> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry((row.tenant, row.tier)).or_default();
        sum.iter_mut().zip(columns(&row.sums)).for_each(|(sum, value)| *sum += value);
    }
    sums.retain(|_, sum| sum.iter().any(|value| *value != 0));
    sums
}

fn columns(sums: &Statistics) -> [i64; 9] {
    [
        sums.messages,
        sums.contents,
        sums.logical_bytes,
        sums.referenced_bytes,
        sums.objects,
        sums.object_bytes,
        sums.skeletons,
        sums.skeleton_bytes,
        sums.copy_bytes,
    ]
}

/// Everything a catalog tells about the fixture's tenants.
async fn told(catalog: &dyn crate::catalog::Catalog, tenant: TenantKey) -> String {
    let query = ListQuery { limit: 1_000, ..ListQuery::default() };
    let items = must(catalog.list(tenant, ItemKind::Message, &query).await);
    let mut parts = Vec::new();
    for item in &items {
        parts.push(must(catalog.parts(item.key).await));
    }
    let statistics = must(catalog.statistics(None).await);
    format!(
        "{items:?} {parts:?} {statistics:?} {:?} {:?}",
        must(catalog.packs().await),
        must(catalog.tenants().await)
    )
}

pub(super) async fn reopening_keeps_everything(fixture: Fixture, factory: &dyn Factory) {
    let Fixture { catalog, tenant, .. } = fixture;
    must(catalog.barrier().await);
    assert!(must(catalog.bytes().await) > 0);
    let before = told(&*catalog, tenant).await;
    must(catalog.close().await);
    drop(catalog);
    let catalog = must(factory.reopened().await);
    assert_eq!(told(&*catalog, tenant).await, before);
    must(catalog.close().await);
}
