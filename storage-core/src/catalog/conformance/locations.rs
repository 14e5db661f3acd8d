//! What is located where, and moving it within a tier: what a compaction asks of a catalog.

use uuid::Uuid;

use crate::catalog::conformance::fixture::Fixture;
use crate::catalog::conformance::fixture::NOW;
use crate::catalog::conformance::fixture::hash;
use crate::catalog::conformance::fixture::id;
use crate::catalog::conformance::must;
use crate::catalog::rows::CopyChange;
use crate::catalog::rows::DictionaryMove;
use crate::catalog::rows::LocatedUnit;
use crate::catalog::rows::NewDictionary;
use crate::catalog::rows::Place;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::UnitKey;
use crate::catalog::similar::Form;
use crate::ids::PackKey;
use crate::model::Tier;

/// Moves a unit to another place of a tier.
async fn relocate(fixture: &Fixture, unit: &LocatedUnit, to: Place, to_tier: Tier) -> u64 {
    let relocation = Relocation {
        unit: unit.unit,
        copy: unit.copy,
        bytes: unit.bytes,
        from: unit.location.place,
        from_tier: unit.location.tier,
        to,
        to_tier,
        form: Form::Kept,
    };
    must(fixture.catalog.relocate(fixture.tenant, &[relocation], 1).await)
}

async fn units_in(fixture: &Fixture, packs: &[PackKey]) -> Vec<LocatedUnit> {
    must(fixture.catalog.units_in(fixture.tenant, packs).await)
}

/// Pack, frame, class, units and bytes of what is in use.
async fn in_use(fixture: &Fixture) -> Vec<(PackKey, Option<u32>, u8, u64, u64)> {
    let mut uses = must(fixture.catalog.frames_in_use().await);
    assert!(uses.iter().all(|used| used.tenant == fixture.tenant && used.first > 0));
    uses.sort_by_key(|used| (used.pack, used.frame, used.class));
    uses.iter().map(|used| (used.pack, used.frame, used.class, used.units, used.bytes)).collect()
}

pub(super) async fn locations(fixture: &Fixture) {
    assert_eq!(in_use(fixture).await, []);
    for number in 1..=3 {
        fixture.add(number).await;
    }
    let pack = |tier| fixture.place(tier, 0).pack;
    let hot = pack(Tier::Hot);
    let classes = [(0, 3, 150), (1, 1, 101), (2, 1, 102), (3, 1, 103)];
    let expected: Vec<_> = classes.map(|(class, units, bytes)| (hot, None, class, units, bytes)).to_vec();
    assert_eq!(in_use(fixture).await, expected, "a hot pack is summed up");

    let units = units_in(fixture, &[hot, pack(Tier::Cold)]).await;
    let told: Vec<_> = units.iter().map(|unit| (unit.id, unit.sha256, unit.bytes, unit.copy)).collect();
    let skeletons = [1, 2, 3].map(|number| (Some(id(number)), None, 50, false));
    let objects = [1, 2, 3].map(|number| (None, Some(hash(number)), 100 + u64::from(number), false));
    assert_eq!(told, [skeletons, objects].concat(), "by key");
    assert_eq!(must(fixture.catalog.units_in(fixture.other, &[hot]).await), [], "only its own tenant's");
    assert_eq!(units_in(fixture, &[pack(Tier::Cold)]).await, []);

    for (entry, unit) in (10..).zip(&units) {
        assert_eq!(relocate(fixture, unit, fixture.place(Tier::Cold, entry), Tier::Cold).await, 1);
    }
    let object = fixture.object_row(1).await;
    let copy = |copy, tier| [CopyChange { unit: UnitKey::Object(object.key), bytes: 101, copy, tier }];
    let warm = Some(fixture.place(Tier::Warm, 5));
    assert_eq!(must(fixture.catalog.change_copies(fixture.tenant, &copy(warm, Tier::Warm), 1).await), 1);
    let frame = Some(1);
    let mut expected = vec![(pack(Tier::Warm), frame, 1, 1, 101)];
    expected.extend(classes.map(|(class, units, bytes)| (pack(Tier::Cold), frame, class, units, bytes)));
    expected.sort_unstable();
    assert_eq!(in_use(fixture).await, expected, "frame by frame, second locations included");
    second_location(fixture, pack(Tier::Warm)).await;
    dictionary(fixture).await;
}

/// A second location moves by itself, and no statistics change within a tier.
async fn second_location(fixture: &Fixture, warm: PackKey) {
    let before = must(fixture.catalog.statistics(None).await);
    let found = units_in(fixture, &[warm]).await;
    let [unit] = found.as_slice() else {
        panic!("one copy: {found:?}");
    };
    assert!(unit.copy);
    let to = Place { pack: fixture.pack(60, Tier::Warm).await, frame: 3, entry: 2 };
    let primary = fixture.object_row(1).await.location;
    let stale = LocatedUnit { copy: false, ..unit.clone() };
    assert_eq!(relocate(fixture, &stale, to, Tier::Warm).await, 0, "its primary location is elsewhere");
    assert_eq!(relocate(fixture, unit, to, Tier::Warm).await, 1);
    assert_eq!(relocate(fixture, unit, to, Tier::Warm).await, 0, "once");
    let row = fixture.object_row(1).await;
    assert_eq!((row.location, row.copy.map(|copy| copy.place)), (primary, Some(to)));
    let units = units_in(fixture, &[primary.place.pack]).await;
    let skeleton = units.first().unwrap_or_else(|| panic!("skeletons are in cold"));
    let other = Place { pack: fixture.pack(61, Tier::Cold).await, frame: 0, entry: 0 };
    assert_eq!(relocate(fixture, skeleton, other, Tier::Cold).await, 1);
    assert_eq!(must(fixture.catalog.statistics(None).await), before, "nothing changed its tier");
}

async fn dictionary(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    let (from, to) = (fixture.pack(62, Tier::Archive).await, fixture.pack(63, Tier::Archive).await);
    let new = NewDictionary {
        tenant: fixture.tenant,
        id: Uuid::from_u128(500),
        class: 1,
        trained: false,
        version: 1,
        pack: from,
        frame: 4,
        bytes: 10,
        stored_bytes: 7,
        gain: 0.5,
        created: NOW,
    };
    let key = must(catalog.add_dictionary(&new).await);
    let change = DictionaryMove { dictionary: key, from: (from, 4), to: (to, 9) };
    let stale = DictionaryMove { from: (from, 5), ..change };
    assert!(!must(catalog.move_dictionary(&stale).await), "only where the old place stands");
    assert!(must(catalog.move_dictionary(&change).await));
    assert!(!must(catalog.move_dictionary(&change).await), "once");
    let rows = must(catalog.dictionaries(Some(fixture.tenant)).await);
    let told: Vec<_> =
        rows.iter().map(|row| (row.dictionary.pack, row.dictionary.frame, row.active)).collect();
    assert_eq!(told, [(to, 9, true)]);
}
