//! Features, deltas and what they keep alive.

use crate::catalog::conformance::fixture::Fixture;
use crate::catalog::conformance::fixture::group;
use crate::catalog::conformance::must;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::UnitKey;
use crate::catalog::similar::DeltaRow;
use crate::catalog::similar::Form;
use crate::catalog::similar::each_feature;
use crate::clock::Timestamp;
use crate::ids::ObjectKey;
use crate::model::Tier;
use crate::similarity::Feature;

pub(super) async fn features(fixture: &Fixture) {
    let (catalog, tenant) = (&fixture.catalog, fixture.tenant);
    for number in 1..4 {
        fixture.add(number).await;
    }
    let keys: Vec<ObjectKey> = fixture.objects(&[1, 2, 3]).await.iter().map(|row| row.key).collect();
    let [one, two, three] = *keys else { panic!("three objects") };
    let (low, high) = (Feature(3), Feature(u32::MAX - 1));
    for _again in 0..2 {
        must(catalog.add_features(tenant, &[(one, low), (two, low), (three, high)]).await);
    }
    must(catalog.add_features(fixture.other, &[(one, low)]).await);
    let holders = |features: &'static [Feature]| async move {
        let mut rows = must(catalog.holders(tenant, features).await);
        rows.sort_unstable();
        rows
    };
    assert_eq!(holders(&[Feature(3), Feature(9)]).await, [(low, one), (low, two)]);
    assert_eq!(holders(&[Feature(u32::MAX - 1)]).await, [(high, three)]);
    assert!(holders(&[]).await.is_empty());
    let mut paged = Vec::new();
    let mut after = None;
    while let Some(row) = must(catalog.feature_page(tenant, after, 1).await).pop() {
        paged.push(row);
        after = Some(row);
    }
    let mut all = Vec::new();
    must(each_feature(catalog.as_ref(), tenant, |feature, object| all.push((feature, object))).await);
    assert_eq!(paged, all, "pages of any length say the same");
    paged.sort_unstable();
    assert_eq!(paged, [(low, one), (low, two), (high, three)]);
    assert_eq!(must(catalog.forget_features().await), 0);
    fixture.delete(1).await;
    fixture.delete(3).await;
    assert_eq!(must(catalog.remove_unreferenced(10, 1, false).await), 2);
    assert_eq!(must(catalog.forget_features().await), 3, "those of both tenants whose objects are gone");
    assert_eq!(holders(&[Feature(3), Feature(u32::MAX - 1)]).await, [(low, two)]);
    let rows = must(catalog.objects_by_key(tenant, &keys).await);
    assert_eq!(rows, fixture.objects(&[2]).await);
    assert!(must(catalog.objects_by_key(fixture.other, &keys).await).is_empty());
}

async fn moved(fixture: &Fixture, number: u8, form: Form) -> u64 {
    let row = fixture.object_row(number).await;
    let to = fixture.place(Tier::Archive, row.location.place.entry + 1);
    let relocation = Relocation {
        unit: UnitKey::Object(row.key),
        copy: false,
        bytes: row.bytes,
        from: row.location.place,
        from_tier: row.location.tier,
        to,
        to_tier: Tier::Archive,
        form,
    };
    must(fixture.catalog.relocate(fixture.tenant, &[relocation], 1).await)
}

pub(super) async fn deltas(fixture: &Fixture) {
    let (catalog, tenant) = (&fixture.catalog, fixture.tenant);
    for number in 1..5 {
        fixture.add(number).await;
    }
    let keys: Vec<ObjectKey> = fixture.objects(&[1, 2, 3, 4]).await.iter().map(|row| row.key).collect();
    let [one, two, three, four] = *keys else { panic!("four objects") };
    let delta = |base| Form::Delta { base, bytes: 7 };
    let row = |object, base| DeltaRow { object, base, bytes: 7 };
    assert_eq!(moved(fixture, 2, delta(one)).await, 1);
    assert_eq!(moved(fixture, 3, delta(two)).await, 0, "a base is no delta");
    assert_eq!(moved(fixture, 1, delta(three)).await, 0, "a base does not become a delta");
    assert_eq!(moved(fixture, 3, delta(three)).await, 0, "nothing is its own base");
    assert_eq!(moved(fixture, 3, delta(ObjectKey(four.0 + 9))).await, 0, "a base is there");
    assert_eq!(fixture.object_row(3).await.location.tier, Tier::Hot, "what was refused did not move");
    assert_eq!(moved(fixture, 3, delta(one)).await, 1);
    assert_eq!(moved(fixture, 3, Form::Kept).await, 1);
    assert_eq!(must(catalog.deltas_of(tenant, &keys).await).len(), 2);
    assert_eq!(must(catalog.deltas_of(tenant, &[three]).await), [row(three, one)]);
    assert_eq!(must(catalog.deltas_on(tenant, &[one]).await), [row(two, one), row(three, one)]);
    assert!(must(catalog.deltas_on(fixture.other, &[one]).await).is_empty());
    assert_eq!(must(catalog.delta_page(tenant, ObjectKey(0), 1).await), [row(two, one)]);
    assert_eq!(must(catalog.delta_page(tenant, two, 9).await), [row(three, one)]);
    assert!(must(catalog.unreferenced_bases(tenant).await).is_empty());

    fixture.delete(1).await;
    assert_eq!(must(catalog.remove_unreferenced(10, 1, true).await), 0, "deltas keep their base");
    assert_eq!(must(catalog.remove_unreferenced(10, 1, false).await), 0);
    assert_eq!(must(catalog.unreferenced_bases(tenant).await), [one]);
    assert_eq!(moved(fixture, 3, Form::Whole).await, 1);
    assert!(must(catalog.deltas_of(tenant, &[three]).await).is_empty());
    fixture.delete(2).await;
    assert_eq!(must(catalog.remove_unreferenced(10, 1, true).await), 2);
    assert_eq!(must(catalog.remove_unreferenced(10, 1, false).await), 2, "the last delta and its base");
    assert!(must(catalog.delta_page(tenant, ObjectKey(0), 9).await).is_empty());

    must(catalog.note_deltas(&[row(three, four)]).await);
    assert_eq!(must(catalog.deltas_on(tenant, &[four]).await), [row(three, four)]);
    must(catalog.quarantine(&[four], Timestamp(5)).await);
    fixture.add(5).await;
    assert_eq!(moved(fixture, 5, delta(four)).await, 0, "what cannot be read is no base");
    must(catalog.quarantine(&[three], Timestamp(5)).await);
    must(catalog.commit(&group(vec![fixture.object(3)], Vec::new())).await);
    assert!(must(catalog.deltas_of(tenant, &[three]).await).is_empty(), "what was put again is whole");
}
