//! What happens while a compaction runs: reads, deletes, puts, power cuts.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::backend::LocalBackend;
use storage_core::catalog::sqlite::SqliteCatalog;
use storage_core::engine::Engine;
use storage_core::error::Kind;
use storage_core::model::ItemKind;
use storage_core::model::Tier;
use storage_core::report::CompactOptions;
use storage_core::report::CompactReport;
use storage_core::store::Doors;
use tempfile::TempDir;

use crate::gate::At;
use crate::gate::Gated;
use crate::shelf::ManualClock;
use crate::shelf::Shelf;
use crate::shelf::collect;
use crate::shelf::settings;

/// A shelf whose backend has a gate, with packs that a compaction merges.
async fn gated() -> (Shelf, Arc<Gated>) {
    let mut shelf = Shelf::open().await;
    for seed in 0..3 {
        shelf.put_mail("default", seed, 8).await;
        shelf.migrate_to(Tier::Cold).await;
    }
    shelf.sweep().await;
    shelf.engine.close().await.unwrap();
    let backend = Gated::new(LocalBackend::open(shelf.dir.path().join("packs")).await.unwrap());
    let catalog = SqliteCatalog::open(&shelf.dir.path().join("catalog.db")).await.unwrap();
    let doors = Doors { backend: Arc::<Gated>::clone(&backend), catalog: Arc::new(catalog) };
    let clock = Arc::<ManualClock>::clone(&shelf.clock);
    shelf.engine = Engine::open_doors(settings(&shelf.dir), clock, doors, [7; 32]).await.unwrap();
    (shelf, backend)
}

/// Compacts while something else is done at a gate.
async fn compact_while(
    shelf: &Shelf,
    backend: &Gated,
    at: At,
    meanwhile: impl Future<Output = ()>,
) -> CompactReport {
    let gate = backend.gate(at);
    let (report, ()) =
        tokio::join!(shelf.try_compact(CompactOptions::default()), gate.while_waiting(meanwhile));
    report.unwrap()
}

#[tokio::test]
async fn what_is_deleted_meanwhile_stays_deleted() {
    for at in [At::Begin, At::Durable] {
        let (mut shelf, backend) = gated().await;
        let (tenant, gone) = shelf.ids().swap_remove(5);
        let engine = shelf.engine.clone();
        let report = compact_while(&shelf, &backend, at, async {
            engine.delete(&tenant, ItemKind::Message, &gone.to_string()).await.unwrap();
        })
        .await;
        assert_eq!(report.overtaken, 1, "its skeleton was on its way: {report:?}");
        let _ = shelf.items.remove(&(tenant.clone(), gone)).unwrap();
        shelf.sweep().await;
        shelf.reopen().await;
        let read = collect(&shelf.engine, &tenant, gone).await;
        assert_eq!(read.unwrap_err().kind(), Kind::NotFound);
        shelf.holds_everything().await;
        shelf.close().await;
    }
}

#[tokio::test]
async fn reads_and_puts_go_on_meanwhile() {
    for at in [At::Begin, At::Durable] {
        let (mut shelf, backend) = gated().await;
        let message = Bytes::from_static(b"Subject: meanwhile\r\n\r\nA late one.\r\n");
        let engine = shelf.engine.clone();
        let put = async {
            shelf.holds_everything_on(&engine).await;
            let options = storage_core::model::PutOptions::default();
            let receipt = engine.put("default", ItemKind::Message, options, message.clone()).await;
            assert!(receipt.unwrap().created);
        };
        let _ = Box::pin(compact_while(&shelf, &backend, at, put)).await;
        let list = shelf.engine.list(
            "default",
            ItemKind::Message,
            storage_core::model::ListQuery { limit: 100, ..Default::default() },
        );
        let ids: Vec<_> = list.await.unwrap().items.into_iter().map(|item| item.id).collect();
        for id in ids {
            let _ = shelf.items.entry(("default".to_owned(), id)).or_insert_with(|| message.clone());
        }
        shelf.holds_everything().await;
        shelf.close().await;
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            let _ = std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn a_power_cut_meanwhile_loses_nothing() {
    for (at, without_wal) in [(At::Begin, false), (At::Durable, false), (At::Durable, true)] {
        let (shelf, backend) = gated().await;
        let image = TempDir::new().unwrap();
        let _ = compact_while(&shelf, &backend, at, async { copy(shelf.dir.path(), image.path()) }).await;
        if without_wal {
            let _ = std::fs::remove_file(image.path().join("catalog.db-wal"));
        }
        let _ = std::fs::remove_file(image.path().join("catalog.db-shm"));
        let clock = Arc::<ManualClock>::clone(&shelf.clock);
        let engine = Engine::open(settings(&image), clock).await.unwrap();
        let recovered = engine.recovered();
        assert_eq!((recovered.missing, recovered.torn_bytes), (0, 0), "{recovered:?}");
        if at == At::Durable {
            assert_eq!(recovered.deleted, 1, "a pack that nobody knows does not count");
        }
        let cut = Shelf { dir: image, clock: shelf.clock.clone(), engine, items: shelf.items.clone() };
        cut.holds_everything().await;
        let report = cut.compact(CompactOptions::default()).await;
        assert!(report.packs > 0, "the next run does what this one did not: {report:?}");
        cut.sweep().await;
        cut.holds_everything().await;
        cut.close().await;
        shelf.close().await;
    }
}
