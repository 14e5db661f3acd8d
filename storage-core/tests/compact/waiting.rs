//! A migration that waits leaves what is due until it fills a block, and not for ever.

use std::time::Duration;

use storage_core::model::Tier;
use storage_core::report::MigrateOptions;

use crate::shelf::Shelf;

const DAY: Duration = Duration::from_hours(24);

fn waiting() -> MigrateOptions {
    MigrateOptions { wait: true, ..MigrateOptions::default() }
}

#[tokio::test]
async fn full_blocks_move_and_the_rest_waits() {
    let mut shelf = Shelf::open().await;
    // 20 bodies of 10 KB: two full blocks of 64 KiB (7 bodies each) and 6 bodies of a third.
    shelf.put_text("default", 1, 20, 10_000).await;
    shelf.clock.advance(8 * DAY);
    let plan = shelf.migrate_with(MigrateOptions { dry_run: true, ..waiting() }).await;
    let report = shelf.migrate_with(waiting()).await;
    assert_eq!(report.planned_objects, 14, "{report:?}");
    assert_eq!(report.moves["hot -> warm"].objects, 14);
    assert_eq!((plan.planned_objects, plan.waiting_objects), (14, report.waiting_objects));
    assert_eq!(report.waiting_objects, 6 + 20, "6 bodies and all skeletons");
    assert!(report.waiting_bytes > 60_000, "{report:?}");
    let again = shelf.migrate_with(waiting()).await;
    assert_eq!((again.packs, again.planned_objects, again.waiting_objects), (0, 0, 26));
    shelf.put_text("default", 2, 1, 10_000).await;
    let again = shelf.migrate_with(waiting()).await;
    assert_eq!(again.planned_objects, 0, "a young one does not help");
    shelf.holds_everything().await;
    shelf.close().await;
}

#[tokio::test]
async fn what_waited_long_enough_moves() {
    let mut shelf = Shelf::open().await;
    shelf.put_text("default", 1, 2, 5_000).await;
    shelf.clock.advance(20 * DAY);
    let report = shelf.migrate_with(waiting()).await;
    assert_eq!((report.packs, report.waiting_objects), (0, 4), "13 days overdue");
    shelf.clock.advance(DAY);
    let report = shelf.migrate_with(waiting()).await;
    assert_eq!((report.packs, report.waiting_objects), (1, 0), "14 days overdue");
    assert_eq!(report.moves["hot -> warm"].objects, 4);
    shelf.holds_everything().await;
    shelf.close().await;
}

#[tokio::test]
async fn what_is_forced_pinned_or_large_does_not_wait() {
    let mut shelf = Shelf::open().await;
    shelf.put_text("default", 1, 1, 5_000).await;
    let forced = MigrateOptions { to: Some(Tier::Warm), ..waiting() };
    assert_eq!(shelf.migrate_with(forced).await.planned_objects, 2);
    shelf.put_text("default", 2, 1, 5_000).await;
    shelf.clock.advance(8 * DAY);
    assert_eq!(shelf.migrate_with(waiting()).await.planned_objects, 0);
    let (tenant, id) = shelf.ids().pop().unwrap();
    let pin = storage_core::model::ItemUpdate { pin: Some(Some(Tier::Cold)), ..Default::default() };
    let kind = storage_core::model::ItemKind::Message;
    let _ = shelf.engine.update(&tenant, kind, &id.to_string(), pin).await.unwrap();
    let report = shelf.migrate_with(waiting()).await;
    assert_eq!(report.moves["hot -> cold"].objects, 2, "{report:?}");
    shelf.put_random("default", 3, 1_500_000).await;
    shelf.clock.advance(8 * DAY);
    let report = shelf.migrate_with(waiting()).await;
    assert_eq!(report.moves["hot -> warm"].objects, 1, "the large object alone: {report:?}");
    assert_eq!(shelf.migrate_with(MigrateOptions::default()).await.waiting_objects, 0);
    shelf.holds_everything().await;
    shelf.close().await;
}
