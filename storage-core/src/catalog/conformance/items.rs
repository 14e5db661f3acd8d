//! Tenants, commits, look-ups, listing, deletes, updates.

use crate::catalog::conformance::fixture::Fixture;
use crate::catalog::conformance::fixture::NOW;
use crate::catalog::conformance::fixture::created;
use crate::catalog::conformance::fixture::group;
use crate::catalog::conformance::fixture::hash;
use crate::catalog::conformance::fixture::id;
use crate::catalog::conformance::must;
use crate::catalog::rows::ItemChange;
use crate::catalog::rows::LogChange;
use crate::catalog::rows::LogCommit;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::PackBytes;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::PackState;
use crate::clock::DAY_MILLIS;
use crate::clock::Timestamp;
use crate::ids::message_id_hash;
use crate::model::ExternalIds;
use crate::model::ItemKind;
use crate::model::ListQuery;
use crate::model::Tier;
use uuid::Uuid;

pub(super) async fn tenants(fixture: &Fixture) {
    let policy = |policy: Option<&str>| LogCommit {
        changes: vec![LogChange::Policy { tenant: fixture.other, policy: policy.map(str::to_owned) }],
        at: NOW,
        ..LogCommit::default()
    };
    must(fixture.catalog.commit(&policy(Some("{}"))).await);
    let rows = must(fixture.catalog.tenants().await);
    let told: Vec<_> =
        rows.iter().map(|row| (row.name.as_str(), row.policy.as_deref(), row.created)).collect();
    assert_eq!(told, [("one", None, NOW), ("two", Some("{}"), NOW)]);
    must(fixture.catalog.commit(&policy(None)).await);
    let again =
        rows.first().map(|row| LogChange::Tenant { id: row.id, name: row.name.clone(), created: created(9) });
    let changes = again.into_iter().collect();
    must(fixture.catalog.commit(&LogCommit { changes, at: NOW, ..LogCommit::default() }).await);
    let rows = must(fixture.catalog.tenants().await);
    assert!(rows.len() == 2 && rows.iter().all(|row| row.policy.is_none() && row.created == NOW), "{rows:?}");
}

pub(super) async fn commits_and_look_ups(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    let objects = vec![fixture.object(1), fixture.object(2)];
    let item = fixture.item(1, &[ObjectRef::New(1), ObjectRef::New(0), ObjectRef::New(1)], 101 + 2 * 102);
    let mut commit = group(objects, vec![item]);
    let progress =
        PackProgress::of(PackBytes { decoded: 70, stream: 50, record: 40, dictionary: 0, index: 20 });
    commit.packs.extend(fixture.packs.get(&Tier::Hot).map(|pack| (*pack, progress)));
    must(catalog.commit(&commit).await);
    let known = fixture.object_row(2).await;
    let mut item = fixture.item(2, &[ObjectRef::Known(known.key)], 102);
    item.caller_id = None;
    must(catalog.commit(&group(Vec::new(), vec![item])).await);
    assert_eq!(must(catalog.references(known.key).await), 3);
    assert_eq!((known.bytes, known.class, known.location.tier, known.copy), (102, 2, Tier::Hot, None));
    assert_eq!(known.location.place, fixture.object(2).place);

    let row = fixture.row(1).await;
    assert_eq!((row.id, row.bytes, row.sha256, row.skeleton_bytes), (id(1), 501, hash(1), 50));
    assert_eq!((row.location.place, row.copy), (fixture.place(Tier::Hot, 1), None));
    let parts = must(catalog.parts(row.key).await);
    let told: Vec<_> = parts.iter().map(|part| (part.part, part.object.sha256)).collect();
    assert_eq!(told, [(0, hash(2)), (1, hash(1)), (2, hash(2))]);
    let ids: Vec<String> = ["caller 1", "caller 2", "caller 3"].map(str::to_owned).to_vec();
    let found = must(catalog.items_by_caller_id(fixture.tenant, ItemKind::Message, &ids).await);
    assert_eq!(found, [row]);

    // Nothing is seen from another tenant or as another kind.
    assert!(must(catalog.items_by_caller_id(fixture.other, ItemKind::Message, &ids).await).is_empty());
    assert!(must(catalog.items_by_caller_id(fixture.tenant, ItemKind::Content, &ids).await).is_empty());
    assert!(must(catalog.item_by_uuid(fixture.other, ItemKind::Message, id(1)).await).is_none());
    assert!(must(catalog.item_by_uuid(fixture.tenant, ItemKind::Content, id(1)).await).is_none());
    assert!(must(catalog.objects_by_hash(fixture.other, &[hash(1)]).await).is_empty());
    // A hash that begins alike is another hash.
    let mut alike = hash(1);
    if let Some(last) = alike.0.last_mut() {
        *last ^= 1;
    }
    assert!(must(catalog.objects_by_hash(fixture.tenant, &[alike]).await).is_empty());
    let packs = must(catalog.packs().await);
    let hot = packs.iter().find(|pack| pack.tier == Tier::Hot);
    assert_eq!(hot.map(|pack| (pack.progress, pack.state)), Some((progress, PackState::Open)));
}

pub(super) async fn listing(fixture: &Fixture) {
    let mut items = Vec::new();
    for number in 1..=9_u8 {
        let mut item = fixture.item(number, &[], 0);
        item.message_id_hash = Some(message_id_hash(if number < 3 { "<a@b>" } else { "c@d" }));
        item.external.campaign = (number % 2 == 0).then(|| Uuid::from_u128(5));
        item.external.account = (number % 3 == 0).then(|| Uuid::from_u128(6));
        item.external.lead = (number == 4).then(|| Uuid::from_u128(7));
        items.push(item);
    }
    must(fixture.catalog.commit(&group(Vec::new(), items)).await);
    let all = ListQuery { limit: 100, ..ListQuery::default() };
    let external = |campaign: Option<u128>, account: Option<u128>, lead: Option<u128>| ListQuery {
        external: ExternalIds {
            campaign: campaign.map(Uuid::from_u128),
            account: account.map(Uuid::from_u128),
            lead: lead.map(Uuid::from_u128),
        },
        ..all.clone()
    };
    let queries: [(ListQuery, &[u8]); 9] = [
        (all.clone(), &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (ListQuery { limit: 2, ..all.clone() }, &[1, 2]),
        (ListQuery { limit: 2, after: Some(id(2)), ..all.clone() }, &[3, 4]),
        (ListQuery { created_from: Some(created(8)), ..all.clone() }, &[8, 9]),
        (ListQuery { created_until: Some(created(3)), ..all.clone() }, &[1, 2]),
        (ListQuery { message_id: Some("a@b".into()), ..all.clone() }, &[1, 2]),
        (external(Some(5), None, None), &[2, 4, 6, 8]),
        (external(Some(5), Some(6), None), &[6]),
        (external(None, None, Some(7)), &[4]),
    ];
    for (query, expected) in queries {
        let rows = must(fixture.catalog.list(fixture.tenant, ItemKind::Message, &query).await);
        let found: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let expected: Vec<Uuid> = expected.iter().map(|number| id(*number)).collect();
        assert_eq!(found, expected, "{query:?}");
    }
    assert!(must(fixture.catalog.list(fixture.other, ItemKind::Message, &all).await).is_empty());
    assert!(must(fixture.catalog.list(fixture.tenant, ItemKind::Content, &all).await).is_empty());
}

pub(super) async fn uniqueness(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    fixture.add(1).await;
    let before = must(catalog.statistics(None).await);
    let mut same_caller = fixture.item(2, &[], 0);
    same_caller.caller_id = Some("caller 1".to_owned());
    let mut same_id = fixture.item(1, &[], 0);
    same_id.caller_id = None;
    for item in [same_caller.clone(), same_id] {
        // The object before it is part of the same transaction.
        let refused = catalog.commit(&group(vec![fixture.object(3)], vec![item])).await;
        assert!(refused.is_err(), "an id is there once");
    }
    assert!(
        catalog.commit(&group(vec![fixture.object(1)], Vec::new())).await.is_err(),
        "a hash is there once"
    );
    let outside = fixture.item(4, &[ObjectRef::New(0)], 0);
    assert!(catalog.commit(&group(Vec::new(), vec![outside])).await.is_err(), "references stay in the group");
    assert!(fixture.objects(&[3]).await.is_empty() && fixture.find(2).await.is_none(), "all or nothing");
    assert_eq!(must(catalog.statistics(None).await), before);
    // Other kinds and tenants have ids of their own.
    let mut content = same_caller.clone();
    content.kind = ItemKind::Content;
    let mut elsewhere = same_caller;
    elsewhere.tenant = fixture.other;
    must(catalog.commit(&group(Vec::new(), vec![content, elsewhere])).await);
}

pub(super) async fn deletes(fixture: &Fixture) {
    let catalog = &fixture.catalog;
    fixture.add(1).await;
    fixture.add(2).await;
    let (row, object) = (fixture.row(1).await, fixture.object_row(1).await);
    fixture.delete(1).await;
    fixture.delete(1).await;
    assert!(fixture.find(1).await.is_none());
    assert!(must(catalog.parts(row.key).await).is_empty(), "references go with the item");
    assert_eq!(must(catalog.references(object.key).await), 0);
    assert_eq!(fixture.objects(&[1]).await.len(), 1, "objects stay until they are swept");
    let ids = ["caller 1".to_owned(), "caller 2".to_owned()];
    let gone = |kind, since| catalog.deleted_caller_ids(fixture.tenant, kind, &ids, Timestamp(since));
    assert_eq!(must(gone(ItemKind::Message, NOW.0 - 1).await), ["caller 1"]);
    assert!(must(gone(ItemKind::Message, NOW.0).await).is_empty(), "only what was deleted later");
    assert!(must(gone(ItemKind::Content, 0).await).is_empty());
    must(catalog.prune(NOW).await);
    assert_eq!(must(gone(ItemKind::Message, 0).await).len(), 1);
    must(catalog.prune(Timestamp(NOW.0 + 1)).await);
    assert!(must(gone(ItemKind::Message, 0).await).is_empty());
    let deleted: i64 = must(catalog.statistics(None).await).iter().map(|row| row.sums.deleted_bytes).sum();
    assert_eq!(deleted, 501);
}

pub(super) async fn updates(fixture: &Fixture) {
    fixture.add(1).await;
    let labels = [("k", "v"), ("größe \u{1}\"", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let mut change = ItemChange {
        tenant: fixture.tenant,
        kind: ItemKind::Message,
        id: id(1),
        expires: Some(Timestamp(NOW.0 + DAY_MILLIS)),
        hold: true,
        pin: Some(Tier::Cold),
        labels: labels.into(),
    };
    for _ in 0..2 {
        let changes = vec![LogChange::Update(change.clone())];
        must(fixture.catalog.commit(&LogCommit { changes, at: NOW, ..LogCommit::default() }).await);
        let row = fixture.row(1).await;
        assert_eq!((row.expires, row.hold, row.pin), (change.expires, change.hold, change.pin));
        assert_eq!(row.labels, change.labels);
        (change.expires, change.hold, change.pin) = (None, false, None);
        change.labels.clear();
    }
}
