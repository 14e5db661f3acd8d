//! Checking and mending: quarantine and what ends it, statistics that drifted, pages, marks.

use crate::catalog::conformance::fixture::Fixture;
use crate::catalog::conformance::fixture::NOW;
use crate::catalog::conformance::fixture::group;
use crate::catalog::conformance::fixture::hash;
use crate::catalog::conformance::fixture::id;
use crate::catalog::conformance::must;
use crate::catalog::integrity::Restored;
use crate::catalog::rows::GoneId;
use crate::catalog::rows::ItemDelete;
use crate::catalog::rows::ItemErase;
use crate::catalog::rows::LogChange;
use crate::catalog::rows::LogCommit;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::Place;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::UnitKey;
use crate::catalog::similar::Form;
use crate::clock::Timestamp;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::model::Tier;

/// A new object that is there and quarantined gives its row the new place; references and statistics follow.
pub(super) async fn quarantine(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    fixture.add(1).await;
    fixture.add(2).await;
    let old = fixture.object_row(1).await;
    let relocation = Relocation {
        copy: false,
        unit: UnitKey::Object(old.key),
        bytes: old.bytes,
        from: old.location.place,
        from_tier: Tier::Hot,
        to: fixture.place(Tier::Cold, 5),
        to_tier: Tier::Cold,
        form: Form::Kept,
    };
    assert_eq!(must(catalog.relocate(fixture.tenant, &[relocation], 3).await), 1);
    must(catalog.quarantine(&[old.key], NOW).await);
    assert!(fixture.object_row(1).await.quarantined && !fixture.object_row(2).await.quarantined);
    let mut again = fixture.object(1);
    again.place = Place { entry: 77, ..again.place };
    let place = again.place;
    let fresh = fixture.object(3);
    let item = fixture.item(3, &[ObjectRef::New(0), ObjectRef::New(1)], again.bytes + fresh.bytes);
    must(catalog.commit(&group(vec![again, fresh], vec![item])).await);
    let mended = fixture.object_row(1).await;
    assert_eq!((mended.key, mended.quarantined, mended.location.place), (old.key, false, place));
    let parts = must(catalog.parts(fixture.row(3).await.key).await);
    let hashes: Vec<Sha256> = parts.iter().map(|part| part.object.sha256).collect();
    assert_eq!(hashes, [hash(1), hash(3)]);
    let referring = must(catalog.items_of_object(old.key, 10).await);
    assert_eq!(referring, [id(1), id(3)]);
    assert_eq!(must(catalog.items_of_object(old.key, 1).await).len(), 1);
    assert!(must(catalog.statistics_drift().await).is_empty(), "mending is counted");
    // A relocation to a place that was proved ends it, too.
    must(catalog.quarantine(&[old.key], NOW).await);
    let back = Relocation {
        copy: false,
        unit: UnitKey::Object(old.key),
        bytes: old.bytes,
        from: place,
        from_tier: Tier::Hot,
        to: fixture.place(Tier::Cold, 6),
        to_tier: Tier::Cold,
        form: Form::Kept,
    };
    assert_eq!(must(catalog.relocate(fixture.tenant, &[back], 3).await), 1);
    assert!(!fixture.object_row(1).await.quarantined);
}

/// Pages by key, look-ups of many ids, marks of packs.
pub(super) async fn pages(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    for number in 1..=5 {
        fixture.add(number).await;
    }
    let first = must(catalog.item_page(fixture.tenant, ItemKey(0), 3).await);
    let last = must(
        catalog.item_page(fixture.tenant, first.last().map_or(ItemKey(0), |item| item.row.key), 3).await,
    );
    assert_eq!((first.len(), last.len()), (3, 2));
    assert_eq!(first.first().map(|item| item.message_id_hash), Some(Some(1)));
    assert!(must(catalog.item_page(fixture.other, ItemKey(0), 3).await).is_empty());
    let objects = must(catalog.object_page(fixture.tenant, ObjectKey(0), 100).await);
    assert!(objects.len() == 5 && objects.is_sorted_by_key(|row| row.key));
    let found = must(catalog.items_by_uuid(fixture.tenant, &[id(4), id(2), id(99)]).await);
    assert_eq!(found.len(), 2);
    assert!(must(catalog.items_by_uuid(fixture.other, &[id(4)]).await).is_empty());
    let pack = fixture.place(Tier::Cold, 0).pack;
    assert!(must(catalog.checked_packs().await).is_empty());
    must(catalog.mark_checked(pack, NOW).await);
    must(catalog.mark_checked(pack, Timestamp(NOW.0 + 5)).await);
    assert_eq!(must(catalog.checked_packs().await), [(pack, Timestamp(NOW.0 + 5))]);
    let mut whole = fixture.object(6);
    whole.bytes = 506;
    let item = fixture.item(6, &[ObjectRef::New(0)], whole.bytes);
    assert_eq!(item.bytes, whole.bytes, "it is all that its item holds");
    must(catalog.commit(&group(vec![whole], vec![item])).await);
    let objects = must(catalog.object_page(fixture.tenant, ObjectKey(0), 100).await);
    let keys: Vec<ObjectKey> = objects.iter().map(|row| row.key).chain([ObjectKey(9_999)]).collect();
    let mut inside = must(catalog.objects_inside(&keys).await);
    inside.sort_unstable();
    assert_eq!((keys.len(), Some(inside.as_slice())), (7, keys.get(..5)));
    assert!(must(catalog.objects_inside(&[]).await).is_empty());
    assert!(must(catalog.self_check().await).is_empty());
}

/// What only a rebuild says; sequences only grow.
pub(super) async fn restore(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    assert_eq!(must(catalog.sequence().await), 0);
    must(catalog.commit(&LogCommit { sequence: 9, at: NOW, ..LogCommit::default() }).await);
    let deleted = ItemDelete {
        tenant: fixture.tenant,
        kind: ItemKind::Content,
        id: id(7),
        caller_id: Some("gone".to_owned()),
        deleted: NOW,
    };
    let restored = Restored {
        policies: vec![(fixture.other, "{}".to_owned())],
        deleted: vec![deleted],
        sequence: 5,
        ..Restored::default()
    };
    must(catalog.restore(&restored).await);
    assert_eq!(must(catalog.sequence().await), 9);
    let ids = ["gone".to_owned()];
    let since = Timestamp(NOW.0 - 1);
    let gone = must(catalog.deleted_caller_ids(fixture.tenant, ItemKind::Content, &ids, since).await);
    assert_eq!(gone, ids);
    let tenants = must(catalog.tenants().await);
    let policies: Vec<Option<&str>> = tenants.iter().map(|row| row.policy.as_deref()).collect();
    assert_eq!(policies, [None, Some("{}")]);
    assert_eq!(must(catalog.recount(3).await), 0, "nothing drifted");
}

/// Erasures are asked for once, are pending until they end, and hide the ids of callers.
pub(super) async fn erasures(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    let (tenant, kind) = (fixture.tenant, ItemKind::Message);
    for number in 1..=3 {
        fixture.add(number).await;
    }
    fixture.delete(2).await;
    let erase = |number: u8, caller_id: Option<&str>| {
        let caller_id = caller_id.map(str::to_owned);
        let delete = ItemDelete { tenant, kind, id: id(number), caller_id, deleted: NOW };
        LogChange::Erase(ItemErase { delete, hashes: vec![hash(number), hash(100)] })
    };
    let changes = vec![erase(1, Some("hidden 1")), erase(2, None), erase(1, Some("hidden 1"))];
    must(catalog.commit(&LogCommit { changes, at: NOW, ..LogCommit::default() }).await);
    assert!(fixture.find(1).await.is_none() && fixture.find(3).await.is_some());
    let pending = must(catalog.pending_erasures().await);
    let ids: Vec<_> = pending.iter().map(|row| row.id).collect();
    assert_eq!(ids, [id(1), id(2)]);
    assert!(pending.iter().all(|row| row.erased.is_none() && row.requested == NOW));
    assert_eq!(pending.first().map(|row| row.hashes.clone()), Some(vec![hash(1), hash(100)]));

    let hidden = [("caller 2", "hidden 2"), ("never there", "hidden 3")].map(|(from, to)| {
        let (from, to) = (from.to_owned(), to.to_owned());
        GoneId { tenant, kind, from, to }
    });
    must(catalog.hide_gone_ids(&hidden).await);
    let asked = ["caller 1", "caller 2", "hidden 1", "hidden 2", "hidden 3"].map(str::to_owned);
    let mut gone = must(catalog.deleted_caller_ids(tenant, kind, &asked, Timestamp(NOW.0 - 1)).await);
    gone.sort_unstable();
    assert_eq!(gone, ["hidden 1", "hidden 2"]);

    let later = Timestamp(NOW.0 + 7);
    must(catalog.end_erasures(&[(tenant, kind, id(1)), (tenant, kind, id(9))], later).await);
    let done = must(catalog.erasure(tenant, kind, id(1)).await);
    assert_eq!(done.map(|row| (row.erased, row.hashes)), Some((Some(later), Vec::new())));
    assert_eq!(must(catalog.pending_erasures().await).len(), 1);
    assert!(must(catalog.erasure(fixture.other, kind, id(1)).await).is_none());
    let _bytes = must(catalog.expunge().await);
    must(catalog.prune(Timestamp(later.0 + 1)).await);
    assert!(must(catalog.erasure(tenant, kind, id(1)).await).is_none());
    assert!(must(catalog.erasure(tenant, kind, id(2)).await).is_some(), "it is not done");
    assert_eq!(must(catalog.recount(3).await), 0, "nothing drifted");
}
