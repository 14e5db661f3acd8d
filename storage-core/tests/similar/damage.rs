//! What damage to a base means to its deltas, and what brings them back.

use storage_core::engine::Engine;
use storage_core::error::Kind as ErrorKind;
use storage_core::model::Tier;
use storage_core::report::RepairOptions;
use storage_fixtures::documents::Kind;
use storage_fixtures::documents::family;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::shelf::Shelf;
use crate::shelf::open;

/// A version in the cold tier, whole, and one in the archive that is a delta of it.
async fn pair() -> (Shelf, Vec<Vec<u8>>) {
    let mut shelf = Shelf::new().await;
    let versions = family(51, Kind::Docx, 1);
    shelf.put("base", &versions[0]).await;
    shelf.migrate(Tier::Cold).await;
    shelf.sweep().await;
    shelf.put("delta", &versions[1]).await;
    shelf.migrate(Tier::Archive).await;
    shelf.sweep().await;
    assert_eq!(shelf.deltas().await, ["delta"]);
    (shelf, versions)
}

async fn repair(shelf: &Shelf) -> storage_core::report::RepairReport {
    let (actions, mut told) = mpsc::channel(64);
    let listening = tokio::spawn(async move { while told.recv().await.is_some() {} });
    let options = RepairOptions { apply: true, ..RepairOptions::default() };
    let report = shelf.engine.repair(options, actions, CancellationToken::new()).await.unwrap();
    listening.await.unwrap();
    report
}

/// Flips the last byte of the stream of the frame that an object lies in.
async fn damage(shelf: &Shelf, id: &str) {
    use storage_core::engine::DEFAULT_TENANT;
    use storage_core::model::ItemKind;
    let explained = shelf.engine.explain(DEFAULT_TENANT, ItemKind::Content, id).await.unwrap();
    let part = explained.parts.last().unwrap();
    let path = shelf.dir.path().join("packs").join(format!("{}.pack", part.pack));
    let mut bytes = std::fs::read(&path).unwrap();
    let found = bytes.windows(4).enumerate().filter(|(_, magic)| *magic == b"tFRM").map(|(at, _)| at);
    let frames: Vec<usize> = found.collect();
    let end = frames.get(part.frame as usize + 1).copied();
    let start = frames[part.frame as usize];
    let field =
        |at: usize| u32::from_le_bytes(bytes[start + at..start + at + 4].try_into().unwrap()) as usize;
    let header = usize::from(u16::from_le_bytes(bytes[start + 6..start + 8].try_into().unwrap()));
    let stream_end = start + header + field(32) + field(36) + field(44);
    assert!(end.is_none_or(|end| end == stream_end));
    bytes[stream_end - 1] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_base_damages_its_deltas_and_a_put_mends_both() {
    let (mut shelf, versions) = pair().await;
    damage(&shelf, "base").await;
    shelf.reopen().await;
    for id in ["base", "delta"] {
        assert_eq!(shelf.read(id).await.unwrap_err().kind(), ErrorKind::Corrupt, "{id}");
    }
    let found = shelf.scrub().await;
    let objects = found.iter().filter(|finding| finding.starts_with("object-damaged")).count();
    assert_eq!(objects, 2, "{found:?}");
    let report = repair(&shelf).await;
    assert_eq!((report.quarantined, report.damaged_items.len()), (2, 2));

    // The base comes again: what is a difference from it can be read again as soon as a repair has seen it.
    shelf.put.clear();
    shelf.put("again", &versions[0]).await;
    let _report = repair(&shelf).await;
    assert!(shelf.read("base").await.unwrap() == versions[0]);
    assert!(shelf.read("delta").await.unwrap() == versions[1]);
    shelf.migrate(Tier::Archive).await;
    assert!(shelf.read("delta").await.unwrap() == versions[1]);
    shelf.engine.close().await.unwrap();
}

/// Loses the catalog, makes it again from the packs, and opens the store.
async fn rebuild(shelf: &mut Shelf) {
    shelf.engine.close().await.unwrap();
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let path = shelf.dir.path().join(name);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let settings = storage_core::settings::Settings::new(shelf.dir.path());
    let clock = std::sync::Arc::new(storage_core::clock::SystemClock);
    let report = Engine::rebuild_catalog(settings, clock).await.unwrap();
    assert_eq!((report.objects, report.objects_missing), (2, 0));
    shelf.engine = open(shelf.dir.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuilt_catalog_finds_what_is_similar_again() {
    let (mut shelf, versions) = pair().await;
    rebuild(&mut shelf).await;
    // The first run after it fills the index, whatever else it moves.
    let later = [&versions[0][..], b"signed"].concat();
    shelf.put("later", &later).await;
    shelf.migrate(Tier::Archive).await;
    assert_eq!(shelf.deltas().await, ["delta", "later"]);
    let _stats = shelf.check().await;
    shelf.engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuilt_catalog_knows_the_bases() {
    let (mut shelf, _) = pair().await;
    shelf.delete("base").await;
    shelf.sweep().await;
    rebuild(&mut shelf).await;
    let stats = shelf.check().await;
    assert_eq!(stats.objects, 2, "the base is there for its delta");
    shelf.sweep().await;
    assert_eq!(shelf.check().await.objects, 2);
    let _report = shelf.compact(100).await;
    shelf.sweep().await;
    assert_eq!(shelf.check().await.objects, 1);
    shelf.engine.close().await.unwrap();
}
