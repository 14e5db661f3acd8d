//! Bad bytes on disk: right bytes or `Corrupt`, never others.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage_core::error::Kind;
use storage_core::model::ItemKind;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;
use storage_fixtures::rng::Rng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::MESSAGE;
use crate::Store;
use crate::kind;
use crate::named;
use crate::packs;
use crate::with_attachment;

/// A store with two messages with objects, in sealed packs of that tier.
async fn sealed(tier: Tier) -> (Store, BTreeMap<&'static str, Bytes>) {
    let store = Store::start().await;
    let mut put = BTreeMap::new();
    for (id, seed, bytes) in [("one", 1, 3_000), ("two", 2, 9_000), ("large", 3, 4_400_000)] {
        let _ = put.insert(id, with_attachment(seed, bytes));
        assert!(store.put(named(id), put[id].clone()).await.unwrap().created);
    }
    let (progress, _ignored) = mpsc::channel(1);
    let options = MigrateOptions { to: Some(tier), ..MigrateOptions::default() };
    let report = store.engine.migrate(options, progress, CancellationToken::new()).await.unwrap();
    assert_eq!(report.damaged, 0);
    (store, put)
}

#[tokio::test]
async fn flipped_bytes_are_corrupt_or_right_and_never_others() {
    for tier in [Tier::Hot, Tier::Cold] {
        let (mut store, put) = sealed(tier).await;
        let mut rng = Rng::new(7);
        let mut corrupt = 0;
        for round in 0..5 {
            let mut undo = Vec::new();
            store = store
                .reopened(|dir| {
                    for pack in packs(dir) {
                        let sound = std::fs::read(&pack).unwrap();
                        let mut damaged = sound.clone();
                        // Small objects and records lie in the last bytes of a pack, large ones before.
                        let near = if round % 2 == 0 { damaged.len() } else { damaged.len().min(20_000) };
                        let at = damaged.len() - 1 - rng.below(near);
                        damaged[at] ^= 1 << rng.below(8);
                        std::fs::write(&pack, &damaged).unwrap();
                        undo.push((pack, sound));
                    }
                })
                .await;
            for (id, bytes) in &put {
                match store.get(id).await {
                    Ok(read) => assert!(read == *bytes, "other bytes came back"),
                    Err(error) => {
                        assert_eq!(error.kind(), Kind::Corrupt, "{error:?}");
                        corrupt += 1;
                    }
                }
            }
            for (pack, sound) in undo {
                std::fs::write(pack, sound).unwrap();
            }
        }
        assert!(corrupt > 1, "the flips hit nothing: {corrupt}");
        store.engine.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_pack_is_corrupt() {
    let (store, put) = sealed(Tier::Hot).await;
    let store = store
        .reopened(|dir| {
            for pack in packs(dir) {
                std::fs::remove_file(pack).unwrap();
            }
        })
        .await;
    assert!(store.engine.recovered().missing > 0);
    for id in put.keys() {
        assert_eq!(kind(store.get(id).await), Kind::Corrupt, "{id}");
        assert_eq!(kind(store.engine.stat("default", ItemKind::Message, id).await), Kind::Corrupt);
    }
    // What is put afterwards is stored as ever.
    assert!(store.put(named("new"), MESSAGE).await.unwrap().created);
    assert_eq!(store.get("new").await.unwrap(), MESSAGE);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_large_object_stays_and_the_others_move() {
    let (store, put) = sealed(Tier::Hot).await;
    let store = store
        .reopened(|dir| {
            let largest = packs(dir).into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
            let mut bytes = std::fs::read(&largest).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(largest, bytes).unwrap();
        })
        .await;
    let (progress, _ignored) = mpsc::channel(1);
    let options = MigrateOptions { to: Some(Tier::Cold), ..MigrateOptions::default() };
    let report = store.engine.migrate(options, progress, CancellationToken::new()).await.unwrap();
    assert_eq!(report.damaged, 1);
    assert_eq!(store.engine.stat("default", ItemKind::Message, "two").await.unwrap().tier, Tier::Cold);
    assert!(store.get("two").await.unwrap() == put["two"]);
    assert_eq!(kind(store.get("large").await), Kind::Corrupt);
    store.engine.close().await.unwrap();
}
