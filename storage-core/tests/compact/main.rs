//! Compaction: what is dead goes, what is small is merged, and whatever happens meanwhile, every byte comes back and the
//! statistics add up.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

mod dictionaries;
mod gate;
mod meanwhile;
mod nights;
mod shelf;
mod waiting;

use std::time::Duration;

use storage_core::error::Kind;
use storage_core::model::Tier;
use storage_core::report::CompactOptions;

use crate::shelf::Shelf;

fn all_dead(percent: u8) -> CompactOptions {
    CompactOptions { dead_percent_min: percent, ..CompactOptions::default() }
}

#[tokio::test]
async fn a_partly_dead_pack_shrinks() {
    let mut shelf = Shelf::open().await;
    shelf.put_mail("default", 1, 60).await;
    shelf.migrate_to(Tier::Archive).await;
    shelf.sweep().await;
    let before = shelf.pack_bytes();
    let few = shelf.ids().len() / 10;
    shelf.delete_some(few).await;
    let report = shelf.compact(CompactOptions::default()).await;
    assert_eq!((report.planned_packs, report.objects), (0, 0), "a tenth is not enough: {report:?}");
    shelf.delete_some(4 * few).await;
    shelf.sweep().await;
    let report = shelf.compact(CompactOptions::default()).await;
    assert!(report.packs == 1 && report.blocks_decoded > 0, "{report:?}");
    assert!(report.stored_bytes < report.replaced_bytes, "{report:?}");
    assert_eq!((report.objects, report.overtaken, report.damaged), (report.planned_objects, 0, 0));
    shelf.sweep().await;
    let after = shelf.pack_bytes();
    assert!(after < before * 3 / 4, "{before} bytes became {after}");
    assert_eq!(shelf.stats().await.added.dead, 0, "nothing dead is left");
    shelf.holds_everything().await;
    shelf.close().await;
}

#[tokio::test]
async fn small_packs_and_blocks_are_merged() {
    let mut shelf = Shelf::open().await;
    for seed in 0..8 {
        shelf.put_mail("default", seed, 6).await;
        shelf.migrate_to(Tier::Cold).await;
    }
    shelf.sweep().await;
    let before = shelf.stats().await;
    let packs = shelf.packs().len();
    assert!(packs >= 8, "{packs} packs");
    let report = shelf.compact(CompactOptions::default()).await;
    assert_eq!((report.packs, report.overtaken, report.damaged), (1, 0, 0), "{report:?}");
    shelf.sweep().await;
    assert!(shelf.packs().len() < packs - 5, "{} of {packs} packs are left", shelf.packs().len());
    let after = shelf.stats().await;
    assert_eq!(after.unique_bytes, before.unique_bytes);
    assert!(after.saved.compression > before.saved.compression, "larger blocks compress better");
    assert!(after.added.indexes < before.added.indexes && after.added.records < before.added.records);
    let again = shelf.compact(CompactOptions::default()).await;
    assert_eq!((again.packs, again.objects), (0, 0), "there is nothing left to merge: {again:?}");
    shelf.holds_everything().await;
    shelf.close().await;
}

#[tokio::test]
async fn full_blocks_are_taken_over_as_they_are() {
    let mut shelf = Shelf::open().await;
    for seed in 0..3 {
        shelf.put_text("default", seed, 28, 10_000).await;
        shelf.migrate_to(Tier::Warm).await;
    }
    shelf.sweep().await;
    let report = shelf.compact(CompactOptions::default()).await;
    assert!(report.blocks_copied >= 8, "{report:?}");
    assert_eq!(report.packs, 1, "{report:?}");
    shelf.sweep().await;
    shelf.holds_everything().await;
    shelf.close().await;
}

#[tokio::test]
async fn large_objects_move_with_their_segments() {
    let mut shelf = Shelf::open().await;
    shelf.put_random("default", 1, 2_500_000).await;
    shelf.put_random("default", 2, 5_000_000).await;
    shelf.put_mail("default", 3, 10).await;
    shelf.migrate_to(Tier::Cold).await;
    shelf.sweep().await;
    shelf.delete_largest().await;
    shelf.sweep().await;
    let before = shelf.pack_bytes();
    let report = shelf.compact(CompactOptions::default()).await;
    assert!(report.decoded_bytes > 2_500_000, "{report:?}");
    shelf.sweep().await;
    assert!(shelf.pack_bytes() < before - 4_900_000);
    shelf.holds_everything().await;
    shelf.close().await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let mut shelf = Shelf::open().await;
    for seed in 0..3 {
        shelf.put_mail("default", seed, 5).await;
        shelf.migrate_to(Tier::Cold).await;
    }
    shelf.delete_some(8).await;
    shelf.sweep().await;
    let (packs, stats) = (shelf.packs(), shelf.stats().await);
    let report = shelf.compact(CompactOptions { dry_run: true, ..CompactOptions::default() }).await;
    assert!(report.planned_packs > 0 && report.planned_objects > 0, "{report:?}");
    assert_eq!((report.packs, report.objects, report.blocks_copied), (0, 0, 0));
    assert_eq!((shelf.packs(), shelf.stats().await), (packs, stats));
    assert!(shelf.engine.jobs().await.unwrap().iter().all(|job| job.kind != "compact"));
    shelf.close().await;
}

#[tokio::test]
async fn a_limit_stops_it_and_the_next_run_goes_on() {
    let mut shelf = Shelf::open().await;
    for seed in 0..4 {
        shelf.put_mail("default", seed, 12).await;
        shelf.migrate_to(Tier::Cold).await;
    }
    shelf.sweep().await;
    let limited = CompactOptions { bytes_max: Some(60_000), ..CompactOptions::default() };
    let report = shelf.compact(limited).await;
    assert!(report.stopped && report.objects > 0, "{report:?}");
    assert!(report.objects < report.planned_objects, "{report:?}");
    assert_eq!(shelf.engine.jobs().await.unwrap()[0].state, "stopped");
    shelf.holds_everything().await;
    for _ in 0..3 {
        let _ = shelf.compact(CompactOptions::default()).await;
        shelf.sweep().await;
    }
    let report = shelf.compact(CompactOptions::default()).await;
    assert_eq!((report.stopped, report.objects), (false, 0), "{report:?}");
    shelf.holds_everything().await;
    shelf.close().await;
}

#[tokio::test]
async fn tenants_stay_apart() {
    let mut shelf = Shelf::open().await;
    shelf.tenant("acme").await;
    shelf.tenant("globex").await;
    for seed in 0..3 {
        shelf.put_mail("acme", seed, 4).await;
        shelf.put_mail("globex", seed, 4).await;
        shelf.migrate_to(Tier::Cold).await;
    }
    shelf.sweep().await;
    let unknown = CompactOptions { tenant: Some("nobody".into()), ..CompactOptions::default() };
    assert_eq!(shelf.try_compact(unknown).await.unwrap_err().kind(), Kind::NotFound);
    let none = CompactOptions { dead_percent_min: 0, ..CompactOptions::default() };
    assert_eq!(shelf.try_compact(none).await.unwrap_err().kind(), Kind::InvalidArgument);
    let other = CompactOptions { tenant: Some("default".into()), ..CompactOptions::default() };
    assert_eq!(shelf.compact(other).await.planned_packs, 0, "nothing of it is in any pack");
    let acme = CompactOptions { tenant: Some("acme".into()), ..CompactOptions::default() };
    let report = shelf.compact(acme).await;
    assert_eq!((report.packs, report.objects), (1, report.planned_objects), "packs are emptied whole");
    shelf.sweep().await;
    shelf.holds_everything().await;
    shelf.close().await;
}

/// Copies that reads brought to a warmer tier move, too, and stay copies.
#[tokio::test]
async fn copies_move() {
    let mut shelf = Shelf::open().await;
    for seed in 0..3 {
        shelf.put_mail("default", seed, 4).await;
        shelf.migrate_to(Tier::Cold).await;
        shelf.read_often(3).await;
        shelf.migrate().await;
    }
    let before = shelf.stats().await;
    assert!(before.added.copies > 0, "{:?}", before.added);
    let report = shelf.compact(all_dead(1)).await;
    assert!(report.packs >= 2, "copies in warm, the rest in cold: {report:?}");
    assert_eq!(shelf.stats().await.added.copies, before.added.copies);
    shelf.sweep().await;
    shelf.holds_everything().await;
    shelf.clock.advance(Duration::from_hours(24 * 20));
    shelf.migrate().await;
    assert_eq!(shelf.stats().await.added.copies, 0, "they can be dropped as before");
    shelf.holds_everything().await;
    shelf.close().await;
}

/// A damaged block is told and left; everything else moves.
#[tokio::test]
async fn damage_is_told_and_left() {
    let mut shelf = Shelf::open().await;
    shelf.put_random("default", 1, 60_000).await;
    shelf.put_mail("default", 2, 6).await;
    shelf.migrate_to(Tier::Cold).await;
    shelf.put_mail("default", 3, 6).await;
    shelf.migrate_to(Tier::Cold).await;
    for place in [10, 4] {
        let id = shelf.ids().swap_remove(place);
        shelf.delete(id).await;
    }
    shelf.sweep().await;
    let damaged = shelf.damage_largest_frame().await;
    let report = shelf.compact(all_dead(1)).await;
    assert!(report.damaged > 0 && report.objects > 0, "{report:?}");
    shelf.sweep().await;
    shelf.holds_everything_but(&damaged).await;
    shelf.close().await;
}
