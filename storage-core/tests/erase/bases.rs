//! Erasing what others are stored as differences from, and such differences.

use bytes::Bytes;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::EraseOptions;
use storage_core::report::EraseWhat;
use storage_fixtures::rng::Rng;
use uuid::Uuid;

use crate::yard::Yard;

/// Versions of a text that no compressor shortens much: each has 2,000 characters of its own at its own place.
async fn versions(yard: &mut Yard, count: usize) -> Vec<Uuid> {
    let first = Rng::new(71).hex(40_000);
    let mut ids = Vec::new();
    for version in 0..count {
        let own = Rng::new(72 + version as u64).hex(1_000);
        let mut text = first.clone();
        let at = 3_000 + version * 5_000;
        text.replace_range(at..at + own.len(), &own);
        let options =
            PutOptions { media_type: Some("application/x-drawing".to_owned()), ..PutOptions::default() };
        ids.push(yard.put_with(ItemKind::Content, options, Bytes::from(text)).await);
    }
    let _neighbours = yard.put_neighbours(73, 3).await;
    yard.migrate_to(Tier::Archive).await;
    yard.sweep().await;
    ids
}

async fn is_delta(yard: &Yard, id: Uuid) -> bool {
    let told = yard.engine.explain(DEFAULT_TENANT, ItemKind::Content, &id.to_string()).await.unwrap();
    told.parts.last().unwrap().codec.starts_with("delta+")
}

fn contents(ids: &[Uuid]) -> EraseOptions {
    let ids = ids.iter().map(Uuid::to_string).collect();
    let what = EraseWhat::Items(ItemKind::Content, ids);
    EraseOptions { what: Some((DEFAULT_TENANT.to_owned(), what)), ..EraseOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_is_erased_and_its_deltas_stay() {
    let mut yard = Yard::open().await;
    let ids = versions(&mut yard, 3).await;
    assert!(!is_delta(&yard, ids[0]).await && is_delta(&yard, ids[1]).await && is_delta(&yard, ids[2]).await);
    let _report = yard.erase_with(&ids[..1], contents(&ids[..1])).await;
    assert!(!is_delta(&yard, ids[1]).await, "there is nothing it could be a difference from");
    yard.rebuild().await;
    yard.is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_was_deleted_before_is_erased() {
    let mut yard = Yard::open().await;
    let ids = versions(&mut yard, 3).await;
    yard.delete(ids[0]).await;
    yard.sweep().await;
    assert!(is_delta(&yard, ids[1]).await, "the delta keeps its base");
    let _report = yard.erase_with(&ids[..1], contents(&ids[..1])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delta_is_erased_and_its_base_stays() {
    let mut yard = Yard::open().await;
    let ids = versions(&mut yard, 3).await;
    assert!(is_delta(&yard, ids[1]).await);
    let _report = yard.erase_with(&ids[1..2], contents(&ids[1..2])).await;
    assert!(is_delta(&yard, ids[2]).await);
    yard.rebuild().await;
    yard.is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_family_is_erased_together() {
    let mut yard = Yard::open().await;
    let ids = versions(&mut yard, 3).await;
    let _report = yard.erase_with(&ids, contents(&ids)).await;
}
