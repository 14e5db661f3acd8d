//! What must outlive a pack: a tombstone as long as any pack holds the record it speaks of, a deleted id for 30 days, the
//! newest change of an item. A catalog that is rebuilt from the packs, and scrub, are the proof.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use storage_core::backend::Backend;
use storage_core::backend::BoxFuture;
use storage_core::backend::LocalBackend;
use storage_core::backend::LogBackend;
use storage_core::backend::LogFile;
use storage_core::backend::Source;
use storage_core::catalog::sqlite::SqliteCatalog;
use storage_core::clock::Clock;
use storage_core::engine::Engine;
use storage_core::error::Error;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::Tier;
use storage_core::pack::PackName;
use storage_core::report::SweepOptions;
use storage_core::store::Doors;

use crate::rebuild::rebuilt;
use crate::store::ManualClock;
use crate::store::Store;
use crate::store::TENANT;
use crate::store::message;
use crate::store::named;
use crate::store::open;
use crate::store::settings;
use crate::store::text;

/// The tombstone of a large put may lie in a log pack that was begun before the large pack. The log pack dies, the large
/// one lives on because others refer to its objects: the tombstone has to move.
#[tokio::test]
async fn a_tombstone_outlives_a_younger_pack_of_a_large_put() {
    let store = Store::start().await;
    let large = message("large", 1, 4_600);
    let _ = store.put("opens the log", &text("a", 3)).await;
    let _ = store.put("first", &large).await;
    let _ = store.put("second", &large).await;
    store.delete("first").await;
    store.sweep().await;
    let _ = store.put("third", &large).await;
    store.delete("opens the log").await;
    store.delete("second").await;
    store.clock.advance_days(40);
    let before = store.packs();
    store.sweep().await;
    assert!(!before.iter().all(|pack| pack.exists()), "the first log pack is gone");
    store.clean().await;
    let store = rebuilt(store).await;
    assert!(store.get("first").await.is_err(), "what was deleted stays deleted");
    assert!(store.get("third").await.unwrap() == large);
}

/// A deleted id stays gone for 30 days from its delete, however old the pack is in which the tombstone lies.
#[tokio::test]
async fn a_deleted_id_stays_gone_through_sweep_and_rebuild() {
    let store = Store::start().await;
    let _ = store.put("x", &text("x", 3)).await;
    store.clock.advance_days(29);
    store.delete("x").await;
    store.clock.advance_days(5);
    store.sweep().await;
    store.sweep().await;
    let store = rebuilt(store).await;
    let again = store.engine.put(TENANT, ItemKind::Message, named("x"), text("x", 3)).await;
    assert_eq!(again.unwrap_err().kind(), Kind::FailedPrecondition);
    store.clock.advance_days(30);
    assert!(store.put("x", &text("x", 3)).await.created);
}

/// Changes of one item are told apart also where the clock stands still, or was set back between two starts.
#[tokio::test]
async fn the_newest_change_stands_whatever_the_clock_says() {
    let store = Store::start().await;
    let receipt = store.put("x", &text("x", 3)).await;
    let id = receipt.id.to_string();
    let hold = |hold| ItemUpdate { hold: Some(hold), ..ItemUpdate::default() };
    for value in [true, false, true] {
        let _ = store.engine.update(TENANT, ItemKind::Message, &id, hold(value)).await.unwrap();
    }
    let store = rebuilt(store).await;
    assert!(store.engine.stat(TENANT, ItemKind::Message, "x").await.unwrap().hold);
    store.clock.advance_days(-3);
    let store = store.reopened(|_| {}).await;
    let _ = store.engine.update(TENANT, ItemKind::Message, &id, hold(false)).await.unwrap();
    store.clean().await;
    let store = rebuilt(store).await;
    assert!(!store.engine.stat(TENANT, ItemKind::Message, "x").await.unwrap().hold);
    store.clean().await;
}

/// A local backend that dies at one of its deletes.
#[derive(Debug)]
struct Mortal {
    packs: LocalBackend,
    deletes_left: AtomicI64,
}

impl Backend for Mortal {
    fn put<'a>(&'a self, name: PackName, source: &'a mut dyn Source) -> BoxFuture<'a, Result<u64>> {
        self.packs.put(name, source)
    }

    fn read(&self, name: PackName, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.packs.read(name, range)
    }

    fn length(&self, name: PackName) -> BoxFuture<'_, Result<u64>> {
        self.packs.length(name)
    }

    fn delete(&self, name: PackName) -> BoxFuture<'_, Result<()>> {
        if self.deletes_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return self.packs.delete(name);
        }
        Box::pin(async { Err(Error::new(Kind::Io, "the disk is gone")) })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<(PackName, u64)>>> {
        self.packs.list()
    }
}

impl LogBackend for Mortal {
    fn create_log(&self, name: PackName) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        self.packs.create_log(name)
    }

    fn open_log(&self, name: PackName, bytes: u64) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        self.packs.open_log(name, bytes)
    }
}

async fn open_mortal(dir: &Path, clock: &Arc<ManualClock>, deletes: i64) -> Engine {
    let catalog = SqliteCatalog::open(&dir.join("catalog.db")).await.unwrap();
    let packs = LocalBackend::open(dir.join("packs")).await.unwrap();
    let backend = Mortal { packs, deletes_left: AtomicI64::new(deletes) };
    let doors = Doors { backend: Arc::new(backend), catalog: Arc::new(catalog) };
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    Engine::open_doors(settings(dir), clock, doors, [3; 32]).await.unwrap()
}

/// A sweep that deletes the pack of a record and the pack of its tombstone may die in between: whichever is left, the
/// item stays deleted.
#[tokio::test]
async fn a_sweep_that_dies_brings_nothing_back() {
    for deletes in 0..4 {
        let store = Store::start().await;
        let _ = store.put("x", &text("x", 30)).await;
        store.migrate(Tier::Warm).await;
        let _ = store.put("y", &text("y", 30)).await;
        store.migrate(Tier::Cold).await;
        store.delete("x").await;
        store.delete("y").await;
        store.clock.advance_days(40);
        store.engine.close().await.unwrap();
        let dying = open_mortal(store.dir.path(), &store.clock, deletes).await;
        let options = SweepOptions { grace: std::time::Duration::ZERO, dry_run: false };
        let swept = dying.sweep(options).await;
        assert!(swept.is_err() || deletes == 3, "there are packs to delete: {swept:?}");
        dying.close().await.unwrap();
        let engine = open(store.dir.path(), &store.clock).await.unwrap();
        let store = rebuilt(Store { engine, ..store }).await;
        assert!(store.get("x").await.is_err() && store.get("y").await.is_err());
        store.clean().await;
    }
}
