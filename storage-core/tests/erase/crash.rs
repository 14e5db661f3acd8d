//! A crash at every call of an erasure that has an effect, with what was not durable kept or lost; then the next erasure
//! finishes what was asked for, and nothing of it is left and everything else is there.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::backend::MemoryBackend;
use storage_core::clock::Clock;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::engine::Engine;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::EraseOptions;
use storage_core::report::EraseReport;
use storage_core::report::EraseWhat;
use storage_core::report::MigrateOptions;
use storage_core::settings::Settings;
use storage_core::store::Doors;
use storage_core::testing::clock::ManualClock;
use storage_core::testing::faults::Effect;
use storage_core::testing::faults::Fault;
use storage_core::testing::faults::Faults;
use storage_core::testing::memory_catalog::MemoryCatalog;
use storage_core::testing::power::Commits;
use storage_core::testing::power::Disk;
use storage_core::testing::power::catalog_after;
use storage_core::testing::power::packs_after;
use storage_fixtures::rng::Rng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::traces::Found;
use crate::traces::Traces;
use crate::traces::in_packs;
use crate::yard::collect;

/// A store over doors in memory.
struct Shop {
    packs: MemoryBackend,
    rows: MemoryCatalog,
    clock: Arc<ManualClock>,
    faults: Faults,
}

impl Shop {
    fn new(packs: MemoryBackend, rows: MemoryCatalog, clock: &ManualClock) -> Self {
        Self { packs, rows, clock: Arc::new(ManualClock::at(clock.now())), faults: Faults::new() }
    }

    async fn open(&self, seed: u8) -> Result<Engine> {
        let doors = Doors { backend: Arc::new(self.packs.clone()), catalog: Arc::new(self.rows.clone()) };
        let mut settings = Settings::new("in memory");
        settings.workers = 0;
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        Engine::open_doors(settings, clock, self.faults.wrap(doors), [seed; 32]).await
    }

    fn found(&self, traces: &Traces) -> Found {
        let mut found = Found::new();
        in_packs(&self.packs.contents(), traces, &HashSet::new(), &mut found);
        found
    }
}

fn letter(rng: &mut Rng) -> Bytes {
    Bytes::from(format!("Subject: {}\r\n\r\n{}\r\n", rng.hex(20), rng.hex(5_000)))
}

/// Ids and bytes of messages; the second and the last but one are erased.
fn letters() -> Vec<(String, Bytes)> {
    let mut rng = Rng::new(1);
    (0..8).map(|number| (format!("letter {number}"), letter(&mut rng))).collect()
}

const ERASED: [usize; 2] = [1, 6];

async fn migrate(engine: &Engine, to: Tier) -> Result<()> {
    let (progress, _ignored) = mpsc::channel(1);
    let options = MigrateOptions { to: Some(to), ..MigrateOptions::default() };
    engine.migrate(options, progress, CancellationToken::new()).await.map(drop)
}

async fn erase(engine: &Engine, ids: &[String]) -> Result<EraseReport> {
    let what = EraseWhat::Items(ItemKind::Message, ids.to_vec());
    let what = (!ids.is_empty()).then(|| (DEFAULT_TENANT.to_owned(), what));
    let (progress, _ignored) = mpsc::channel(1);
    engine.erase(EraseOptions { what, ..EraseOptions::default() }, progress, CancellationToken::new()).await
}

/// Some letters archived with their hot pack still there, the last ones hot.
async fn prepared() -> Shop {
    let shop = Shop::new(MemoryBackend::new(), MemoryCatalog::new(), &ManualClock::default());
    let engine = shop.open(0).await.unwrap();
    for (number, (id, bytes)) in letters().into_iter().enumerate() {
        if number == 5 {
            migrate(&engine, Tier::Archive).await.unwrap();
        }
        let options = PutOptions { caller_id: Some(id), ..PutOptions::default() };
        let _ = engine.put(DEFAULT_TENANT, ItemKind::Message, options, bytes).await.unwrap();
    }
    engine.close().await.unwrap();
    Shop::new(shop.packs, shop.rows.reopened(usize::MAX), &shop.clock)
}

fn forked(base: &Shop) -> Shop {
    Shop::new(base.packs.fork(), base.rows.fork(), &base.clock)
}

fn erased_ids() -> Vec<String> {
    ERASED.iter().map(|at| letters()[*at].0.clone()).collect()
}

fn traces() -> Traces {
    let letters = letters();
    let mut traces = Traces::of(ERASED.iter().map(|at| &letters[*at].1));
    for (at, (_, bytes)) in letters.iter().enumerate() {
        if !ERASED.contains(&at) {
            traces.forget(bytes);
        }
    }
    traces
}

/// Opens what a crash left, finishes, and looks at everything. Whether the erasure had been asked for, durably.
async fn finished(shop: &Shop, traces: &Traces) -> bool {
    let engine = shop.open(2).await.unwrap();
    let mut asked = Vec::new();
    for id in erased_ids() {
        asked.push(collect(&engine, ItemKind::Message, &id).await.is_err_and(|e| e.kind() == Kind::NotFound));
    }
    let report = erase(&engine, &[]).await.unwrap();
    assert_eq!((report.pending, report.damaged, report.left.len()), (0, 0, 0), "{report:?}");
    if asked.contains(&false) {
        // It was not acknowledged, and the caller asks again.
        let again: Vec<String> =
            erased_ids().into_iter().zip(&asked).filter(|(_, asked)| !**asked).map(|(id, _)| id).collect();
        let report = erase(&engine, &again).await.unwrap();
        assert_eq!((report.pending, report.erased), (0, again.len() as u64), "{report:?}");
    }
    assert_eq!(shop.found(traces), Found::new());
    for (at, (id, bytes)) in letters().into_iter().enumerate() {
        let read = collect(&engine, ItemKind::Message, &id).await;
        if ERASED.contains(&at) {
            assert_eq!(read.unwrap_err().kind(), Kind::NotFound);
        } else {
            assert!(read.unwrap() == bytes, "{id} came back with other bytes");
        }
    }
    engine.close().await.unwrap();
    !asked.contains(&false)
}

#[tokio::test(start_paused = true)]
async fn every_crash_is_followed_by_an_erasure_that_finishes() {
    let (base, traces) = (prepared().await, traces());
    assert!(!base.found(&traces).is_empty());
    let whole = forked(&base);
    let engine = whole.open(1).await.unwrap();
    whole.faults.watch();
    let report = erase(&engine, &erased_ids()).await.unwrap();
    assert_eq!((report.erased, report.pending), (2, 0), "{report:?}");
    let calls = whole.faults.calls();
    assert_eq!(whole.found(&traces), Found::new());
    let (mut crashes, mut asked) = (0, 0);
    for (at, counted) in calls.iter().enumerate() {
        let faults: &[Fault] = match counted.call.effect {
            Effect::Read => &[],
            Effect::Whole => &[Fault::CrashBefore, Fault::CrashAfter],
            Effect::Parts => &[Fault::CrashBefore, Fault::Tear, Fault::CrashAfter],
        };
        for fault in faults {
            let shop = forked(&base);
            let engine = shop.open(1).await.unwrap();
            shop.faults.arm(at, *fault);
            drop(erase(&engine, &erased_ids()).await);
            assert!(shop.faults.struck().is_some(), "call {at} ({}) came again", counted.call.name);
            shop.faults.crash();
            drop(engine);
            for (disk, commits) in [
                (Disk::Kept, Commits::Kept),
                (Disk::Kept, Commits::Lost),
                (Disk::Lost, Commits::Lost),
                (Disk::Torn(at as u64), Commits::Some(at as u64)),
            ] {
                let left = Shop::new(
                    packs_after(&shop.packs, disk),
                    catalog_after(&shop.rows, commits),
                    &shop.clock,
                );
                asked += u64::from(finished(&left, &traces).await);
                crashes += 1;
            }
        }
    }
    assert!(crashes > 60 && asked > crashes / 2, "{asked} of {crashes} were asked for");
}

/// A failure leaves the store as it is, or shut; opened again, the erasure finishes.
#[tokio::test(start_paused = true)]
async fn every_failure_is_followed_by_an_erasure_that_finishes() {
    let (base, traces) = (prepared().await, traces());
    let whole = forked(&base);
    let engine = whole.open(1).await.unwrap();
    whole.faults.watch();
    let _ = erase(&engine, &erased_ids()).await.unwrap();
    for (at, counted) in whole.faults.calls().iter().enumerate() {
        for fault in [Fault::FailOnce, Fault::FailOnceAfter] {
            if fault == Fault::FailOnceAfter && counted.call.effect == Effect::Read {
                continue;
            }
            let shop = forked(&base);
            let engine = shop.open(1).await.unwrap();
            shop.faults.arm(at, fault);
            drop(erase(&engine, &erased_ids()).await);
            shop.faults.mend();
            drop(engine.close().await);
            let left = Shop::new(shop.packs.fork(), shop.rows.reopened(usize::MAX), &shop.clock);
            let _asked = finished(&left, &traces).await;
        }
    }
}
