//! What keeps a base, and what frees it.

use storage_core::model::Tier;
use storage_fixtures::documents::Kind;
use storage_fixtures::documents::family;

use crate::shelf::Shelf;

/// Three versions in the archive, the later ones as deltas of the first.
async fn versions() -> Shelf {
    let mut shelf = Shelf::new().await;
    for (version, bytes) in family(41, Kind::Docx, 2).iter().enumerate() {
        shelf.put(&format!("{version}"), bytes).await;
    }
    shelf.migrate(Tier::Archive).await;
    shelf.sweep().await;
    assert_eq!(shelf.deltas().await, ["1", "2"]);
    shelf
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_base_stays_until_a_compaction_frees_it() {
    let mut shelf = versions().await;
    let whole = shelf.check().await;
    shelf.delete("0").await;
    shelf.sweep().await;
    let kept = shelf.check().await;
    assert_eq!(kept.objects, whole.objects, "the base stays as long as a delta needs it");
    assert_eq!(shelf.deltas().await, ["1", "2"]);

    let report = shelf.compact(100).await;
    assert_eq!((report.damaged, report.overtaken), (0, 0));
    assert!(shelf.deltas().await.is_empty(), "its deltas are whole now");
    shelf.sweep().await;
    let freed = shelf.check().await;
    assert_eq!(freed.objects, whole.objects - 1, "nothing needs the base any more");
    assert!(freed.stored_bytes < kept.stored_bytes + 30_000, "{freed:?}");
    shelf.reopen().await;
    let _same = shelf.check().await;
    shelf.engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_is_not_made_a_delta_and_chains_are_one_long() {
    let mut shelf = Shelf::new().await;
    let versions = family(42, Kind::Docx, 6);
    // Each version comes and moves by itself, the older ones already in a colder tier.
    for (version, bytes) in versions.iter().enumerate() {
        shelf.put(&format!("{version}"), bytes).await;
        shelf.migrate(Tier::Cold).await;
        if version % 2 == 1 {
            shelf.migrate(Tier::Archive).await;
        }
    }
    let deltas = shelf.deltas().await;
    assert!(deltas.len() >= 5, "{deltas:?}");
    assert!(!deltas.contains(&"0".to_owned()));
    shelf.sweep().await;
    let _whole = shelf.check().await;
    // The bases go one after the other.
    for version in 0..6 {
        shelf.delete(&format!("{version}")).await;
        let _report = shelf.compact(100).await;
        shelf.sweep().await;
        let _same = shelf.check().await;
    }
    shelf.engine.close().await.unwrap();
}
