//! What repair mends, what it leaves, and that it changes nothing before it is told to.

use sha2::Digest;
use storage_core::codec::Codec;
use storage_core::error::Kind;
use storage_core::model::ItemKind;
use storage_core::model::Sha256;
use storage_core::model::Tier;
use storage_core::pack::BlockBuilder;
use storage_core::pack::Fields;
use storage_core::pack::FrameKind;
use storage_core::pack::ObjectEntry;
use storage_core::pack::Origin;
use storage_core::pack::PackHeader;
use storage_core::pack::PackName;
use storage_core::pack::TransformId;
use storage_core::report::RepairAction;

use crate::damage::archived;
use crate::damage::forge;
use crate::damage::frames;
use crate::damage::largest;
use crate::damage::stream_of;
use crate::store::Store;
use crate::store::TENANT;
use crate::store::change;
use crate::store::counts;
use crate::store::message;
use crate::store::named;
use crate::store::open;
use crate::store::text;

/// Damages the largest stream of the largest pack.
fn damage_largest(store: &Store) {
    let pack = largest(store.dir.path());
    let entry = frames(&pack).into_iter().max_by_key(|entry| entry.stream_stored).unwrap();
    change(&pack, |bytes| bytes[stream_of(&entry) + 5] ^= 1);
}

fn of(actions: &[RepairAction], kind: &str) -> Vec<RepairAction> {
    actions.iter().filter(|action| action.finding.kind.name() == kind).cloned().collect()
}

#[tokio::test]
async fn a_store_in_order_needs_nothing() {
    let store = archived().await;
    let (report, actions) = store.repair(true).await;
    assert_eq!((report.findings, actions.len()), (0, 0));
}

#[tokio::test]
async fn a_row_is_pointed_to_another_place_that_holds_the_same() {
    let store = Store::start().await;
    let _ = store.put("one", &message("one", 7, 20)).await;
    // The hot pack stays until a sweep: it holds the same bytes.
    store.migrate(Tier::Archive).await;
    let archive = store.packs().pop().unwrap();
    let entry = frames(&archive).into_iter().max_by_key(|entry| entry.stream_stored).unwrap();
    change(&archive, |bytes| bytes[stream_of(&entry) + 5] ^= 1);
    assert_eq!(store.get("one").await.unwrap_err().kind(), Kind::Corrupt);
    let (report, planned) = store.repair(false).await;
    assert_eq!((report.applied, report.mended), (false, 1), "{planned:#?}");
    assert_eq!(store.get("one").await.unwrap_err().kind(), Kind::Corrupt, "nothing was changed");
    let (report, done) = store.repair(true).await;
    assert_eq!(of(&planned, "object-damaged"), of(&done, "object-damaged"));
    assert_eq!((report.applied, report.mended, report.quarantined), (true, 1, 0));
    assert!(store.get("one").await.unwrap() == message("one", 7, 20));
    assert_eq!(
        store.kinds().await,
        ["damage-unneeded"],
        "the damaged frame stays until its pack goes, and nothing needs it"
    );
}

#[tokio::test]
async fn what_can_be_read_nowhere_is_quarantined_and_a_put_of_the_same_bytes_mends_it() {
    for same_id in [false, true] {
        let store = archived().await;
        damage_largest(&store);
        let (report, _) = store.repair(false).await;
        assert_eq!((report.quarantined, report.damaged_items.len()), (1, 2));
        // Not yet: until it is applied the object is known.
        let early = store.put("early", &message("early", 7, 20)).await;
        assert_eq!(early.objects_known, 1);
        let (report, actions) = store.repair(true).await;
        assert_eq!((report.quarantined, report.damaged_items.len()), (1, 3));
        let action = &of(&actions, "object-damaged")[0];
        assert!(action.action.contains("3 items") && !action.mends, "{}", action.action);
        assert!(store.kinds().await.contains(&"object-quarantined".to_owned()));
        // The same id once more, or another message with the same attachment.
        if same_id {
            let again =
                store.engine.put(TENANT, ItemKind::Message, named("one"), message("one", 7, 20)).await;
            assert!(!again.unwrap().created);
        } else {
            let fresh = store.put("fresh", &message("fresh", 7, 20)).await;
            assert_eq!(fresh.objects_known, 0);
        }
        for id in ["one", "two", "early"] {
            assert!(store.get(id).await.unwrap() == message(id, 7, 20), "{id}");
        }
        let next = store.put("next", &message("next", 7, 20)).await;
        assert_eq!(next.objects_known, 1, "it is known again");
        assert_eq!(store.kinds().await, ["damage-unneeded"]);
        // The skeletons beside it keep its pack; the object itself moves on.
        store.migrate(Tier::Archive).await;
        store.sweep().await;
        assert_eq!(store.kinds().await, ["damage-unneeded"]);
    }
}

/// The frame that holds the skeletons is damaged, not the attachment: an import that comes again brings them back.
#[tokio::test]
async fn a_put_of_the_same_bytes_under_the_same_id_mends_a_lost_skeleton() {
    for cut in [false, true] {
        let store = archived().await;
        let archive = largest(store.dir.path());
        let largest = frames(&archive).into_iter().max_by_key(|entry| entry.stream_stored).unwrap().ordinal;
        for entry in frames(&archive)
            .into_iter()
            .filter(|entry| entry.kind == FrameKind::Block && entry.ordinal != largest)
        {
            change(&archive, |bytes| bytes[stream_of(&entry) + 5] ^= 1);
        }
        let store = store.reopened(|_| {}).await;
        for id in ["one", "two"] {
            assert_eq!(store.get(id).await.unwrap_err().kind(), Kind::Corrupt, "{id}");
        }
        let put = |bytes| store.engine.put(TENANT, ItemKind::Message, named("one"), bytes);
        let other = put(message("other", 7, 20)).await.unwrap_err();
        assert_eq!(other.kind(), Kind::AlreadyExists);
        assert!(!put(message("one", 7, 20)).await.unwrap().created, "its id and what is known of it stay");
        assert!(store.get("one").await.unwrap() == message("one", 7, 20));
        assert_eq!(store.get("two").await.unwrap_err().kind(), Kind::Corrupt, "nobody has brought that one");
        let store = if cut {
            let image = tempfile::tempdir().unwrap();
            std::fs::create_dir(image.path().join("packs")).unwrap();
            let _ =
                std::fs::copy(store.dir.path().join("catalog.db"), image.path().join("catalog.db")).unwrap();
            for pack in store.packs() {
                let _ =
                    std::fs::copy(&pack, image.path().join("packs").join(pack.file_name().unwrap())).unwrap();
            }
            store.engine.close().await.unwrap();
            Store { engine: open(image.path(), &store.clock).await.unwrap(), dir: image, clock: store.clock }
        } else {
            store
        };
        let again = store.engine.put(TENANT, ItemKind::Message, named("two"), message("two", 7, 20)).await;
        assert!(!again.unwrap().created);
        for id in ["one", "two"] {
            assert!(store.get(id).await.unwrap() == message(id, 7, 20), "{id}");
        }
        store.migrate(Tier::Archive).await;
        for id in ["one", "two"] {
            assert!(store.get(id).await.unwrap() == message(id, 7, 20), "{id} has moved");
        }
        assert_eq!(store.kinds().await, ["damage-unneeded"]);
    }
}

/// A power cut after the mending put takes back the catalog's commits; the packs bring them again.
#[tokio::test]
async fn a_mending_put_survives_a_power_cut() {
    let store = archived().await;
    damage_largest(&store);
    let _ = store.repair(true).await;
    let image = tempfile::tempdir().unwrap();
    std::fs::create_dir(image.path().join("packs")).unwrap();
    let _ = std::fs::copy(store.dir.path().join("catalog.db"), image.path().join("catalog.db")).unwrap();
    let _ = store.engine.put(TENANT, ItemKind::Message, named("one"), message("one", 7, 20)).await.unwrap();
    let _ = store.put("fresh", &message("fresh", 7, 20)).await;
    for pack in store.packs() {
        let _ = std::fs::copy(&pack, image.path().join("packs").join(pack.file_name().unwrap())).unwrap();
    }
    store.engine.close().await.unwrap();
    let engine = open(image.path(), &store.clock).await.unwrap();
    assert!(engine.recovered().frames > 0);
    let store = Store { engine, dir: image, clock: store.clock };
    for id in ["one", "two", "fresh"] {
        assert!(store.get(id).await.unwrap() == message(id, 7, 20), "{id}");
    }
    assert_eq!(store.kinds().await, ["damage-unneeded"]);
}

#[tokio::test]
async fn a_skeleton_that_is_lost_is_named() {
    let store = archived().await;
    let pack = largest(store.dir.path());
    let skeletons = frames(&pack).into_iter().find(|entry| entry.table_bytes > 100).unwrap();
    change(&pack, |bytes| bytes[stream_of(&skeletons) + 2] ^= 1);
    let (report, actions) = store.repair(true).await;
    assert_eq!((report.damaged_items.len(), report.mended), (2, 0), "{actions:#?}");
    let named: Vec<_> = of(&actions, "skeleton-damaged").iter().map(|action| action.finding.item).collect();
    assert_eq!(named.len(), 2);
    // What the advice says works.
    for id in ["one", "two"] {
        store.delete(id).await;
        let _ = store.put(&format!("{id} again"), &message(id, 7, 20)).await;
        assert!(store.get(&format!("{id} again")).await.unwrap() == message(id, 7, 20));
    }
}

#[tokio::test]
async fn an_unknown_pack_that_holds_nothing_needed_is_dropped() {
    let store = Store::start().await;
    let _ = store.put("one", &message("one", 7, 20)).await;
    store.migrate(Tier::Warm).await;
    let warm = store.packs().pop().unwrap();
    let bytes = std::fs::read(&warm).unwrap();
    store.migrate(Tier::Cold).await;
    store.sweep().await;
    assert!(!warm.exists());
    std::fs::write(&warm, bytes).unwrap();
    let (_, findings) = store.scrub().await;
    assert_eq!(counts(&findings), [("pack-unknown", 1)].into());
    let (report, _) = store.repair(false).await;
    assert_eq!(report.mended, 1);
    assert!(warm.exists());
    let _ = store.repair(true).await;
    assert!(!warm.exists());
    store.clean().await;
}

/// A catalog from before a pack was written: the pack is taken in, with what it says.
#[tokio::test]
async fn an_unknown_pack_that_is_needed_is_taken_in() {
    let store = Store::start().await;
    let _ = store.put("old", &message("old", 7, 20)).await;
    let _ = store.put("gone", &text("gone", 3)).await;
    let store = store.reopened(|_| {}).await;
    let catalog = std::fs::read(store.dir.path().join("catalog.db")).unwrap();
    let before = store.packs();
    let _ = store.put("new", &message("new", 7, 20)).await;
    let _ = store.put("other", &message("other", 8, 20)).await;
    let update = storage_core::model::ItemUpdate { hold: Some(true), ..Default::default() };
    let _ = store.engine.update(TENANT, ItemKind::Message, "new", update).await.unwrap();
    store.delete("gone").await;
    store.engine.close().await.unwrap();
    let pack = store.packs().into_iter().find(|pack| !before.contains(pack)).unwrap();
    let bytes = std::fs::read(&pack).unwrap();
    std::fs::remove_file(&pack).unwrap();
    std::fs::write(store.dir.path().join("catalog.db"), catalog).unwrap();
    let engine = open(store.dir.path(), &store.clock).await.unwrap();
    let store = Store { engine, ..store };
    store.clean().await;
    store.clock.advance(1_000);
    std::fs::write(&pack, bytes).unwrap();
    let (_, findings) = store.scrub().await;
    assert_eq!(
        counts(&findings),
        [("pack-unknown", 1), ("record-without-row", 2), ("row-of-deleted-item", 1)].into()
    );
    let (report, actions) = store.repair(true).await;
    assert_eq!((report.mended, report.left), (4, 0), "{actions:#?}");
    for (id, attachment) in [("old", 7), ("new", 7), ("other", 8)] {
        assert!(store.get(id).await.unwrap() == message(id, attachment, 20), "{id}");
    }
    assert!(
        store.engine.stat(TENANT, ItemKind::Message, "new").await.unwrap().hold,
        "the newest change stands"
    );
    assert!(store.get("gone").await.is_err());
    store.clean().await;
    let again = store.engine.put(TENANT, ItemKind::Message, named("gone"), text("gone", 3)).await;
    assert_eq!(again.unwrap_err().kind(), Kind::FailedPrecondition, "the deleted id stays gone");
}

/// An object in a form that this version does not know is there, whatever this version can do with it.
#[tokio::test]
async fn what_a_newer_version_wrote_is_left_alone() {
    let store = archived().await;
    let tenant = store.engine.tenants().await.unwrap()[0].id;
    let created = storage_core::clock::Timestamp(1_600_000_000_000);
    let name = storage_core::ids::uuid_v7(created, [9; 10]).unwrap();
    let attachment = storage_fixtures::rng::Rng::new(7).bytes(20 << 10);
    let object = ObjectEntry {
        sha256: Sha256(sha2::Sha256::digest(&attachment).into()),
        bytes: 20 << 10,
        class: 0,
        transform: TransformId(9),
        params: Vec::new(),
        gain: 0,
        unknown: Fields::default(),
    };
    let mut block = BlockBuilder::new(tenant);
    let _ = block.push_transformed(&object, b"some stored form");
    let frames = vec![block.finish(&Codec::None, &Codec::None).unwrap()];
    let header = PackHeader { name: PackName(name), origin: Origin::Rewrite, tier: Tier::Archive, created };
    forge(store.dir.path(), header, frames);
    let (report, _) = store.repair(true).await;
    assert_eq!(
        (report.findings, report.left),
        (2, 1),
        "the pack is dropped or taken in, the object is not known"
    );
    let store = store
        .edited(
            "UPDATE content_objects SET pack_id = (SELECT max(id) FROM content_packs), frame = 0, entry = 0",
        )
        .await;
    let (report, actions) = store.repair(true).await;
    assert_eq!((report.quarantined, report.damaged_items.len()), (0, 0), "{actions:#?}");
    assert_eq!(of(&actions, "object-quarantined").len(), 0);
}

#[tokio::test]
async fn edited_rows_are_mended() {
    let edits = [
        "UPDATE email_messages SET entry = entry + 1 WHERE caller_id = 'two'",
        "UPDATE email_messages SET frame = 99",
        "UPDATE content_objects SET frame = 77, entry = 7",
        "UPDATE email_messages SET hold = 1, labels = '{\"a\":\"b\"}' WHERE caller_id = 'one'",
        "UPDATE content_retention_statistics SET messages = messages + 1, object_bytes = 5",
        "UPDATE content_packs SET record_bytes = record_bytes + 1, stream_bytes = stream_bytes - 1 WHERE tier = 3",
        "UPDATE email_messages SET copy_pack_id = pack_id, copy_frame = 0, copy_entry = 9 WHERE caller_id = 'one'",
        "UPDATE content_objects SET copy_pack_id = pack_id, copy_frame = frame, copy_entry = 9",
        "UPDATE content_objects SET quarantined = 1",
        "DELETE FROM email_content WHERE message_id = 1; DELETE FROM email_messages WHERE id = 1",
    ];
    let mut store = archived().await;
    for sql in edits {
        store = store.edited(sql).await;
        let (report, actions) = store.repair(true).await;
        assert_eq!((report.left, report.damaged_items.len()), (0, 0), "{sql}: {actions:#?}");
        assert!(report.mended > 0, "{sql}");
        for id in ["one", "two"] {
            assert!(store.get(id).await.unwrap() == message(id, 7, 20), "{sql}: {id}");
        }
        // Copies that never were are counted out; the statistics are mended with the next run.
        let _ = store.repair(true).await;
        store.clean().await;
    }
}
