//! Bad state: a refusal, an abandoned put or a closed engine leaves nothing behind.

use std::path::PathBuf;

use bytes::Bytes;
use storage_core::error::Kind;
use storage_core::model::ItemKind;
use storage_core::report::MigrateOptions;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::MESSAGE;
use crate::Store;
use crate::kind;
use crate::named;
use crate::open;
use crate::with_attachment;

async fn left(store: &Store) -> (Vec<PathBuf>, u64, u64, u64) {
    let stats = store.engine.stats(None).await.unwrap();
    (store.packs(), stats.stored_bytes, stats.logical_bytes, stats.objects)
}

#[tokio::test]
async fn an_abandoned_put_leaves_nothing() {
    let store = Store::start().await;
    let _ = store.put(named("one"), MESSAGE).await.unwrap();
    let before = left(&store).await;
    for bytes in [1_000, 3_000_000, 5_000_000] {
        let mut put = store.engine.begin_put("default", ItemKind::Message, named("two")).await.unwrap();
        put.push(with_attachment(1, bytes)).await.unwrap();
        drop(put);
        // The pack of a large one is deleted in the background.
        while store.packs() != before.0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(kind(store.get("two").await), Kind::NotFound);
    let store = store.reopened(|_| {}).await;
    assert_eq!(left(&store).await.2, before.2);
    assert_eq!(store.packs(), before.0);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn too_large_is_refused_and_leaves_nothing() {
    let store = Store::start().await;
    let _ = store.put(named("one"), MESSAGE).await.unwrap();
    let before = store.packs();
    let put = store.put(named("two"), vec![b'x'; 8_000_001]).await;
    assert_eq!(kind(put), Kind::ResourceExhausted);
    let mut put = store.engine.begin_put("default", ItemKind::Message, named("two")).await.unwrap();
    put.push(vec![b'x'; 8_000_000].into()).await.unwrap();
    assert_eq!(kind(put.push(Bytes::from_static(b"x")).await), Kind::ResourceExhausted);
    drop(put);
    while store.packs() != before {
        tokio::task::yield_now().await;
    }
    assert!(store.put(named("two"), vec![b'x'; 8_000_000]).await.unwrap().created);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn a_refused_large_put_leaves_nothing() {
    let store = Store::start().await;
    let _ = store.put(named("one"), MESSAGE).await.unwrap();
    let before = left(&store).await;
    assert_eq!(kind(store.put(named("one"), with_attachment(1, 4_300_000)).await), Kind::AlreadyExists);
    assert_eq!(left(&store).await, before);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn a_directory_has_one_engine_and_nothing_foreign() {
    let store = Store::start().await;
    assert_eq!(kind(open(store.dir.path()).await), Kind::FailedPrecondition, "in use");
    store.engine.close().await.unwrap();
    std::fs::remove_file(store.dir.path().join("catalog.db")).unwrap();
    std::fs::write(store.dir.path().join("packs/other.pack"), b"x").unwrap();
    assert_eq!(kind(open(store.dir.path()).await), Kind::FailedPrecondition, "packs without a catalog");
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("notes.txt"), b"mine").unwrap();
    assert_eq!(kind(open(foreign.path()).await), Kind::FailedPrecondition, "somebody else's");
    assert_eq!(std::fs::read_dir(foreign.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_closed_engine_says_so() {
    let store = Store::start().await;
    let mut begun = store.engine.begin_put("default", ItemKind::Message, named("two")).await.unwrap();
    begun.push(Bytes::from_static(MESSAGE)).await.unwrap();
    let engine = store.engine.clone();
    engine.close().await.unwrap();
    engine.close().await.unwrap();
    assert!(!engine.writable());
    assert_eq!(kind(store.put(named("one"), MESSAGE).await), Kind::Unavailable);
    assert_eq!(kind(begun.finish().await), Kind::Unavailable);
    assert_eq!(kind(store.get("one").await), Kind::Unavailable);
    assert_eq!(kind(engine.stats(None).await), Kind::Unavailable);
    assert_eq!(kind(engine.tenants().await), Kind::Unavailable);
    let (progress, _ignored) = mpsc::channel(1);
    let migrated = engine.migrate(MigrateOptions::default(), progress, CancellationToken::new()).await;
    assert_eq!(kind(migrated), Kind::Unavailable);
    let _again = open(store.dir.path()).await.unwrap();
}
