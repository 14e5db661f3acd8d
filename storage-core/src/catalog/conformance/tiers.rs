//! Moves, copies, candidates, sweep, dictionaries, jobs.

use uuid::Uuid;

use crate::catalog::conformance::fixture::Fixture;
use crate::catalog::conformance::fixture::NOW;
use crate::catalog::conformance::fixture::created;
use crate::catalog::conformance::fixture::group;
use crate::catalog::conformance::must;
use crate::catalog::rows::AccessRow;
use crate::catalog::rows::Candidate;
use crate::catalog::rows::CopyChange;
use crate::catalog::rows::NewDictionary;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::PackBytes;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::PackState;
use crate::catalog::rows::Place;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::UnitKey;
use crate::catalog::similar::Form;
use crate::clock::Timestamp;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::model::Tier;
use crate::pack::RecodedBytes;

pub(super) async fn relocations(fixture: &Fixture) {
    fixture.add(1).await;
    let (row, object) = (fixture.row(1).await, fixture.object_row(1).await);
    let to = fixture.place(Tier::Cold, 3);
    let relocation = |unit, from: Place, bytes| Relocation {
        unit,
        copy: false,
        bytes,
        from,
        from_tier: Tier::Hot,
        to,
        to_tier: Tier::Cold,
        form: Form::Kept,
    };
    let item = relocation(UnitKey::Skeleton(row.key), row.location.place, row.skeleton_bytes);
    let moved = relocation(UnitKey::Object(object.key), object.location.place, object.bytes);
    let elsewhere = relocation(UnitKey::Object(object.key), fixture.place(Tier::Hot, 99), object.bytes);
    let unknown = relocation(UnitKey::Object(ObjectKey(object.key.0 + 1)), object.location.place, 1);
    let catalog = &fixture.catalog;
    let stale = [elsewhere, unknown];
    assert_eq!(must(catalog.relocate(fixture.tenant, &stale, 1).await), 0, "only where the old place stands");
    let both = [item, moved];
    assert_eq!(must(catalog.relocate(fixture.other, &both, 1).await), 0, "only its own tenant's");
    assert_eq!(must(catalog.relocate(fixture.tenant, &both, 1).await), 2);
    assert_eq!(must(catalog.relocate(fixture.tenant, &both, 1).await), 0, "once");
    assert_eq!(fixture.row(1).await.location.place, to);
    let location = fixture.object_row(1).await.location;
    assert_eq!((location.place, location.tier), (to, Tier::Cold));
    let moved: i64 = must(catalog.statistics(None).await).iter().map(|row| row.sums.moved_bytes).sum();
    assert_eq!(moved, 50 + 101);
}

pub(super) async fn copies(fixture: &Fixture) {
    fixture.add(1).await;
    let (row, object) = (fixture.row(1).await, fixture.object_row(1).await);
    let copy = Some(fixture.place(Tier::Warm, 4));
    for unit in [UnitKey::Skeleton(row.key), UnitKey::Object(object.key)] {
        let change = |copy| [CopyChange { unit, bytes: 50, copy, tier: Tier::Warm }];
        let changed =
            async |copy| must(fixture.catalog.change_copies(fixture.tenant, &change(copy), 1).await);
        assert_eq!(changed(None).await, 0, "there is none to drop");
        assert_eq!(changed(copy).await, 1);
        assert_eq!(changed(copy).await, 0, "there is one already");
        let found = match unit {
            UnitKey::Skeleton(_) => fixture.row(1).await.copy,
            UnitKey::Object(_) => fixture.object_row(1).await.copy,
        };
        assert_eq!(found.map(|found| (Some(found.place), found.tier)), Some((copy, Tier::Warm)));
        assert_eq!(changed(None).await, 1);
    }
    assert_eq!((fixture.row(1).await.copy, fixture.object_row(1).await.copy), (None, None));
}

async fn skeletons(fixture: &Fixture, after: i64, limit: u32) -> (Vec<Candidate<ItemKey>>, Option<ItemKey>) {
    let page = must(fixture.catalog.skeleton_candidates(fixture.tenant, ItemKey(after), limit).await);
    (page.candidates, page.next)
}

async fn objects(fixture: &Fixture) -> Vec<Candidate<ObjectKey>> {
    must(fixture.catalog.object_candidates(fixture.tenant, ObjectKey(0), 100).await).candidates
}

pub(super) async fn candidates(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    fixture.add(1).await;
    let object = fixture.object_row(1).await;
    let mut newer = fixture.item(3, &[ObjectRef::Known(object.key)], object.bytes);
    newer.pin = Some(Tier::Cold);
    let mut newest = fixture.item(5, &[ObjectRef::Known(object.key)], object.bytes);
    newest.pin = Some(Tier::Warm);
    must(catalog.commit(&group(Vec::new(), vec![newer, newest])).await);
    let reads = |number, day, reads| (number, day, reads);
    let mut rows = Vec::new();
    for (number, day, reads) in [reads(1, 10, 4), reads(1, 11, 1), reads(3, 9, 2)] {
        rows.push(AccessRow { item: fixture.row(number).await.key, day, reads });
    }
    rows.push(AccessRow { item: ItemKey(9_999), day: 1, reads: 1 });
    must(catalog.add_reads(&rows).await);
    must(catalog.add_reads(rows.get(1..2).unwrap_or_default()).await);

    let object = objects(fixture).await.pop();
    let told = object.map(|unit| (unit.created, unit.pin, unit.read_day, unit.reads, unit.referenced));
    assert_eq!(
        told,
        Some((created(5), Some(Tier::Warm), Some(11), 4, true)),
        "the newest and warmest of all references"
    );
    let (found, next) = skeletons(fixture, 0, 100).await;
    let told: Vec<_> = found.iter().map(|unit| (unit.created, unit.pin, unit.read_day, unit.reads)).collect();
    let expected = [
        (created(1), None, Some(11), 4),
        (created(3), Some(Tier::Cold), Some(9), 2),
        (created(5), Some(Tier::Warm), None, 0),
    ];
    assert_eq!((told.as_slice(), next), (&expected[..], None));
    let (first, next) = skeletons(fixture, 0, 2).await;
    assert_eq!(
        (first.len(), next),
        (2, found.get(1).map(|unit| unit.key)),
        "a full page says where the next begins"
    );
    let (second, next) = skeletons(fixture, next.map_or(0, |key| key.0), 2).await;
    assert_eq!((second.len(), next), (1, None));

    let first = fixture.row(1).await.key;
    assert_eq!(must(catalog.access(first).await), Some(AccessRow { item: first, day: 11, reads: 4 }));
    must(catalog.forget_reads_before(11).await);
    assert_eq!(must(catalog.access(first).await), Some(AccessRow { item: first, day: 11, reads: 2 }));
    assert_eq!(must(catalog.access(fixture.row(3).await.key).await), None);
    for number in [1, 3, 5] {
        fixture.delete(number).await;
    }
    let left: Vec<_> = objects(fixture).await.iter().map(|unit| unit.referenced).collect();
    assert_eq!(left, [false]);
    assert_eq!(must(catalog.access(first).await), None, "reads go with the item");
}

pub(super) async fn sweep(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    for number in 1..=3 {
        fixture.add(number).await;
    }
    fixture.delete(1).await;
    fixture.delete(2).await;
    assert_eq!(must(catalog.remove_unreferenced(10, 1, true).await), 2);
    assert_eq!(must(catalog.remove_unreferenced(1, 1, false).await), 1);
    assert_eq!(must(catalog.remove_unreferenced(10, 1, false).await), 1);
    assert_eq!(fixture.objects(&[1, 2, 3]).await.len(), 1);

    let dead = async || must(catalog.dead_packs().await).iter().map(|pack| pack.key).collect::<Vec<_>>();
    let sealed: Vec<PackKey> = Tier::ALL.iter().skip(1).map(|tier| fixture.place(*tier, 0).pack).collect();
    assert_eq!(dead().await, sealed, "an open pack is not dead");
    let (row, object) = (fixture.row(3).await, fixture.object_row(3).await);
    let relocation = Relocation {
        unit: UnitKey::Skeleton(row.key),
        copy: false,
        bytes: 50,
        from: row.location.place,
        from_tier: Tier::Hot,
        to: fixture.place(Tier::Warm, 1),
        to_tier: Tier::Warm,
        form: Form::Kept,
    };
    assert_eq!(must(catalog.relocate(fixture.tenant, &[relocation], 1).await), 1);
    let copy = Some(fixture.place(Tier::Cold, 1));
    let change =
        CopyChange { unit: UnitKey::Object(object.key), bytes: object.bytes, copy, tier: Tier::Cold };
    assert_eq!(must(catalog.change_copies(fixture.tenant, &[change], 1).await), 1);
    let archive = fixture.place(Tier::Archive, 0).pack;
    assert_eq!(dead().await, [archive], "primary and second locations keep a pack");

    let hot = fixture.place(Tier::Hot, 0).pack;
    must(catalog.condemn(&[archive, hot], NOW).await);
    let states = |packs: Vec<crate::catalog::rows::PackRow>| -> Vec<_> {
        packs
            .into_iter()
            .filter(|pack| pack.state != PackState::Sealed)
            .map(|pack| (pack.key, pack.state))
            .collect()
    };
    let condemned = (archive, PackState::Condemned(NOW));
    assert_eq!(states(must(catalog.packs().await)), [(hot, PackState::Open), condemned]);
    must(catalog.condemn(&[archive], Timestamp(NOW.0 + 5)).await);
    assert_eq!(states(must(catalog.packs().await)), [(hot, PackState::Open), condemned], "once");
    must(catalog.remove_pack(archive).await);
    assert!(catalog.remove_pack(fixture.place(Tier::Warm, 0).pack).await.is_err(), "what is needed stays");
    let progress = PackProgress::of(PackBytes { decoded: 9, stream: 8, record: 7, dictionary: 6, index: 5 });
    must(catalog.seal_pack(hot, progress).await);
    let packs = must(catalog.packs().await);
    assert_eq!(packs.len(), 3);
    assert!(
        packs.iter().any(|pack| (pack.key, pack.state, pack.progress) == (hot, PackState::Sealed, progress))
    );
    must(catalog.shrink().await);
}

pub(super) async fn dictionaries(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    let user = fixture.pack(40, Tier::Archive).await;
    let mut keys = Vec::new();
    for number in 0..3_u32 {
        let new = NewDictionary {
            tenant: if number == 2 { fixture.other } else { fixture.tenant },
            id: Uuid::from_u128(u128::from(number) + 100),
            class: 3,
            trained: number == 1,
            version: number,
            pack: fixture.place(Tier::Archive, 0).pack,
            frame: number,
            bytes: 10,
            stored_bytes: 7,
            gain: 0.25,
            created: NOW,
        };
        let key = must(catalog.add_dictionary(&new).await);
        keys.push(key);
        let rows = must(catalog.dictionaries(None).await);
        assert_eq!(rows.iter().find(|row| row.key == key).map(|row| &row.dictionary), Some(&new));
        assert_eq!(rows.into_iter().find(|row| row.key == key), must(catalog.dictionary(new.id).await));
    }
    let first = keys.get(..1).unwrap_or_default();
    for _ in 0..2 {
        must(catalog.add_pack_dictionaries(user, first).await);
    }
    let told = async |tenant| -> Vec<_> {
        let rows = must(catalog.dictionaries(tenant).await);
        rows.iter().map(|row| (row.active, row.packs)).collect()
    };
    assert_eq!(
        told(None).await,
        [(false, 1), (true, 0), (true, 0)],
        "the newest of tenant and class is active"
    );
    assert_eq!(told(Some(fixture.other)).await, [(true, 0)]);
    let archive = fixture.place(Tier::Archive, 0).pack;
    let dead = must(catalog.dead_packs().await);
    assert!(dead.iter().all(|pack| pack.key != archive), "dictionaries keep their pack");
    must(catalog.prune(NOW).await);
    assert_eq!(told(None).await.len(), 3, "a retired one stays while a pack needs it");
    must(catalog.remove_pack(user).await);
    must(catalog.prune(NOW).await);
    assert_eq!(told(None).await, [(true, 0), (true, 0)]);
    must(catalog.retire_dictionaries(keys.get(1..2).unwrap_or_default()).await);
    assert_eq!(told(None).await, [(false, 0), (true, 0)]);
    must(catalog.prune(NOW).await);
    assert_eq!(told(None).await, [(true, 0)]);
}

pub(super) async fn recoding(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    let (first, second) = (fixture.pack(40, Tier::Archive).await, fixture.pack(41, Tier::Cold).await);
    let ids: Vec<Uuid> = must(catalog.tenants().await)
        .iter()
        .filter(|row| [fixture.tenant, fixture.other].contains(&row.key))
        .map(|row| row.id)
        .collect();
    let [one, other] = *ids else { panic!("two tenants") };
    let sums = |hidden, gain| RecodedBytes { hidden, gain, similar: 3 * gain };
    assert_eq!(must(catalog.recoding(None).await), sums(0, 0));
    for _ in 0..2 {
        must(catalog.add_pack_recoding(first, &[(one, sums(-70, 5)), (other, sums(30, 2))]).await);
    }
    must(catalog.add_pack_recoding(second, &[(one, sums(-1, 1))]).await);
    let told = [sums(-41, 8), sums(-71, 6), sums(30, 2)];
    for (tenant, expected) in [None, Some(fixture.tenant), Some(fixture.other)].into_iter().zip(told) {
        assert_eq!(must(catalog.recoding(tenant).await), expected);
    }
    assert_eq!(must(catalog.recoding_by_pack().await), [(first, sums(-40, 7)), (second, sums(-1, 1))]);
    must(catalog.remove_pack(first).await);
    assert_eq!(must(catalog.recoding(None).await), sums(-1, 1), "what was noted goes with its pack");
}

pub(super) async fn jobs(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    let first = must(catalog.start_job("migrate", NOW).await);
    let _second = must(catalog.start_job("sweep", NOW).await);
    must(catalog.end_job(first, "done", "{}", Timestamp(NOW.0 + 1)).await);
    must(catalog.stop_orphaned_jobs(Timestamp(NOW.0 + 2)).await);
    let rows = must(catalog.jobs().await);
    let told: Vec<_> = rows.iter().map(|job| (job.kind.as_str(), job.state.as_str(), job.ended)).collect();
    let expected =
        [("sweep", "stopped", Some(Timestamp(NOW.0 + 2))), ("migrate", "done", Some(Timestamp(NOW.0 + 1)))];
    assert_eq!(told, expected);
    assert_eq!(rows.last().map(|job| job.detail.as_str()), Some("{}"));
    assert!(catalog.start_job("dance", NOW).await.is_err(), "only known kinds");
}
