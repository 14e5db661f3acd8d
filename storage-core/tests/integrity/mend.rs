//! A put of the same bytes under the same id brings back what an item has lost, without a repair before it, and is not told
//! "already there" where it cannot.

use std::path::Path;

use bytes::Bytes;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::ItemKind;
use storage_core::model::PutReceipt;
use storage_core::model::Tier;
use storage_core::pack::FrameKind;
use storage_fixtures::large;

use crate::damage::archived;
use crate::damage::frames;
use crate::damage::largest;
use crate::damage::stream_of;
use crate::store::Store;
use crate::store::TENANT;
use crate::store::change;
use crate::store::message;
use crate::store::named;
use crate::store::open;
use crate::store::packs;

async fn again(store: &Store, id: &str, bytes: Bytes) -> Result<PutReceipt> {
    store.engine.put(TENANT, ItemKind::Message, named(id), bytes).await
}

/// Flips a byte of every frame of a closed store that holds bytes of items.
fn spoil(dir: &Path) {
    for pack in packs(dir) {
        for entry in frames(&pack) {
            if matches!(entry.kind, FrameKind::Block | FrameKind::Segment) && entry.stream_stored > 0 {
                change(&pack, |bytes| bytes[stream_of(&entry)] ^= 1);
            }
        }
    }
}

/// The store as a power cut leaves it: the packs, and of the catalog only its file, without the log beside it.
async fn cut_off(store: Store) -> Store {
    let image = tempfile::tempdir().unwrap();
    std::fs::create_dir(image.path().join("packs")).unwrap();
    let _bytes = std::fs::copy(store.dir.path().join("catalog.db"), image.path().join("catalog.db")).unwrap();
    for pack in store.packs() {
        let _bytes =
            std::fs::copy(&pack, image.path().join("packs").join(pack.file_name().unwrap())).unwrap();
    }
    store.engine.close().await.unwrap();
    Store { engine: open(image.path(), &store.clock).await.unwrap(), dir: image, clock: store.clock }
}

#[tokio::test]
async fn everything_that_is_damaged_comes_back_and_stays_after_a_power_cut() {
    for cut in [false, true] {
        let store = archived().await;
        let mut store = store.reopened(spoil).await;
        for id in ["one", "two"] {
            assert_eq!(store.get(id).await.unwrap_err().kind(), Kind::Corrupt, "{id}");
            let receipt = again(&store, id, message(id, 7, 20)).await.unwrap();
            assert!(!receipt.created, "its id and what is known of it stay");
            if cut {
                store = cut_off(store).await;
            }
            assert!(store.get(id).await.unwrap() == message(id, 7, 20), "{id}");
        }
        assert_eq!(store.kinds().await, ["damage-unneeded"]);
        store.migrate(Tier::Archive).await;
        store.sweep().await;
        store.clean().await;
    }
}

/// The put is durable in the log alone: that its object was lost must be, too, or a replay would take it for known.
#[tokio::test]
async fn an_object_alone_comes_back_and_stays_after_a_power_cut() {
    let damage = |dir: &Path| {
        let pack = largest(dir);
        let entry = frames(&pack).into_iter().max_by_key(|entry| entry.stream_stored).unwrap();
        change(&pack, |bytes| bytes[stream_of(&entry)] ^= 1);
    };
    let store = archived().await.reopened(damage).await;
    assert!(store.get("one").await.is_err());
    assert!(!again(&store, "one", message("one", 7, 20)).await.unwrap().created);
    let store = cut_off(store).await;
    for id in ["one", "two"] {
        assert!(store.get(id).await.unwrap() == message(id, 7, 20), "{id}");
    }
}

#[tokio::test]
async fn a_lost_pack_comes_back_message_by_message() {
    let store = archived().await.reopened(|dir| std::fs::remove_file(largest(dir)).unwrap()).await;
    for id in ["one", "two"] {
        let _receipt = again(&store, id, message(id, 7, 20)).await.unwrap();
        assert!(store.get(id).await.unwrap() == message(id, 7, 20), "{id}");
    }
    assert_eq!(store.kinds().await, ["pack-missing"]);
}

/// Above 1 MiB objects have segments; above 4 MiB a put has a pack of its own.
#[tokio::test]
async fn large_ones_come_back_too() {
    for (bytes, in_archive) in [(1_200_000, true), (4_300_000, false)] {
        let mut whole = Vec::new();
        large::write(5, bytes, &mut whole).unwrap();
        let whole = Bytes::from(whole);
        let store = Store::start().await;
        let _receipt = store.put("large", &whole).await;
        if in_archive {
            store.migrate(Tier::Archive).await;
        }
        store.sweep().await;
        // All of it, then one frame only, which is the skeleton's or one of the object's.
        let store = store.reopened(spoil).await;
        assert!(!again(&store, "large", whole.clone()).await.unwrap().created);
        let mut store = cut_off(store).await;
        assert!(store.get("large").await.unwrap() == whole, "{bytes}");
        for skeleton in [true, false] {
            store.migrate(Tier::Cold).await;
            store.sweep().await;
            let pack = largest(store.dir.path());
            let found = frames(&pack).into_iter();
            let mut found = found
                .filter(|entry| entry.kind == if skeleton { FrameKind::Block } else { FrameKind::Segment });
            let entry = found.find(|entry| entry.stream_stored > 0).unwrap();
            change(&pack, |bytes| bytes[stream_of(&entry)] ^= 1);
            store = store.reopened(|_| {}).await;
            assert!(store.get("large").await.is_err(), "{bytes} {skeleton}");
            assert!(!again(&store, "large", whole.clone()).await.unwrap().created);
            store = cut_off(store).await;
            assert!(store.get("large").await.unwrap() == whole, "{bytes} {skeleton}");
            assert_eq!(store.kinds().await, ["damage-unneeded"], "{bytes} {skeleton}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_mended_is_not_told_to_be_there() {
    let store = archived().await.reopened(spoil).await;
    // As if another version had split it otherwise.
    let store = store.edited("UPDATE email_content SET media_type = 'application/other'").await;
    let refused = again(&store, "one", message("one", 7, 20)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt);
    assert!(refused.message().contains("under another id"), "{refused}");
    // What the message says works.
    store.delete("one").await;
    let _receipt = store.put("one again", &message("one", 7, 20)).await;
    assert!(store.get("one again").await.unwrap() == message("one", 7, 20));
}
