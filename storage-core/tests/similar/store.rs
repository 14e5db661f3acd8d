//! Deltas are made, read, compacted, and go.

use storage_core::model::Tier;
use storage_fixtures::documents::Kind;
use storage_fixtures::documents::family;
use storage_fixtures::rng::Rng;

use crate::shelf::Shelf;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_become_deltas_within_a_run_and_across_runs() {
    let mut shelf = Shelf::new().await;
    let (docx, pdf) = (family(31, Kind::Docx, 4), family(32, Kind::Pdf, 3));
    // Strangers between them: nothing is a neighbour of its versions.
    for version in 0..3 {
        shelf.put(&format!("docx {version}"), &docx[version]).await;
        shelf.put(&format!("noise {version}"), &Rng::new(version as u64).bytes(30_000)).await;
        shelf.put(&format!("pdf {version}"), &pdf[version]).await;
    }
    let before = shelf.check().await;
    assert_eq!(before.saved.similar_dedup, 0);
    shelf.migrate(Tier::Archive).await;
    let _mid = shelf.check().await;
    assert_eq!(shelf.deltas().await, ["docx 1", "pdf 1", "docx 2", "pdf 2"]);
    shelf.sweep().await;
    let first = shelf.check().await;
    assert!(first.saved.similar_dedup > 10_000, "{first:?}");

    // Later, by way of the warmer tiers.
    shelf.put("docx 3", &docx[3]).await;
    shelf.put("pdf 3", &pdf[3]).await;
    shelf.migrate(Tier::Warm).await;
    assert!(!shelf.is_delta("docx 3").await, "warm content is whole");
    shelf.migrate(Tier::Cold).await;
    assert!(shelf.is_delta("docx 3").await && shelf.is_delta("pdf 3").await);
    shelf.migrate(Tier::Archive).await;
    assert!(shelf.is_delta("docx 3").await && shelf.is_delta("pdf 3").await);
    shelf.sweep().await;
    shelf.reopen().await;
    let second = shelf.check().await;
    let grown = second.stored_bytes - first.stored_bytes;
    assert!(grown * 4 < (docx[3].len() + pdf[3].len()) as u64, "{grown} bytes were added");

    let compacted = shelf.compact(1).await;
    assert_eq!(compacted.damaged, 0);
    shelf.sweep().await;
    let third = shelf.check().await;
    // What lies dead in packs that stay counts until these are emptied.
    assert!(third.saved.similar_dedup >= second.saved.similar_dedup);
    assert_eq!(shelf.deltas().await, ["docx 1", "pdf 1", "docx 2", "pdf 2", "docx 3", "pdf 3"]);
    shelf.engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_in_the_end() {
    let mut shelf = Shelf::new().await;
    for (version, bytes) in family(33, Kind::Xlsx, 2).iter().enumerate() {
        shelf.put(&format!("xlsx {version}"), bytes).await;
    }
    shelf.migrate(Tier::Cold).await;
    assert_eq!(shelf.deltas().await.len(), 2);
    for version in 0..3 {
        shelf.delete(&format!("xlsx {version}")).await;
    }
    shelf.sweep().await;
    let stats = shelf.check().await;
    assert_eq!((stats.objects, stats.unique_bytes, stats.saved.similar_dedup), (0, 0, 0));
    shelf.engine.close().await.unwrap();
}
