//! Interleavings that matter, step by step: a call through a door is held while another operation goes on.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::PutReceipt;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use storage_core::testing::faults::Gate;
use storage_core::testing::faults::When;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::check::agree;
use crate::check::mended;
use crate::lab::Cut;
use crate::lab::Lab;
use crate::lab::Put;
use crate::lab::ask_put;
use crate::lab::ask_streamed;
use crate::lab::read;
use crate::stores::content;
use crate::stores::large;
use crate::stores::noise;
use crate::stores::stock;
use crate::world::Item;

/// A stocked store that was closed and opened again, so that its caches are empty and its packs sealed.
async fn stocked() -> Lab {
    let mut lab = Lab::new();
    stock(&mut lab).await.unwrap();
    lab.close().await.unwrap();
    lab.open().await.unwrap();
    lab
}

/// Lets everything else go as far as it can.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Waits for a held call; one that does not come is wrong.
async fn arrive(gate: &mut Gate) {
    tokio::time::timeout(Duration::from_hours(1), gate.arrived()).await.expect("the call that is held");
}

fn begin(lab: &Lab, put: &Put) -> JoinHandle<Result<PutReceipt>> {
    tokio::spawn(ask_put(lab.engine().clone(), put.clone()))
}

fn note(lab: &mut Lab, put: &Put) {
    let item = Item::new(put.bytes.clone(), &put.options);
    lab.world.item(&put.key).settle(Some(item));
}

/// Everything holds now, after a kill and after a power cut.
async fn sound(mut lab: Lab) {
    let _seen = agree(&lab).await.unwrap();
    for cut in [Cut::NOTHING, Cut::EVERYTHING] {
        mended(&mut lab.cut(cut)).await.unwrap();
    }
    lab.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_puts_of_one_object() {
    let mut lab = stocked().await;
    let (first, second) = (Put::content("first", noise(50, 4_000)), Put::content("second", noise(50, 4_000)));
    let mut gate = lab.faults.hold_call(When::Before, "commit");
    let one = begin(&lab, &first);
    arrive(&mut gate).await;
    let other = begin(&lab, &second);
    settle().await;
    assert!(!other.is_finished(), "one group after the other");
    gate.release();
    let receipts = (one.await.unwrap().unwrap(), other.await.unwrap().unwrap());
    assert_eq!((receipts.0.objects_known, receipts.1.objects_known), (0, 1), "stored once");
    note(&mut lab, &first);
    note(&mut lab, &second);
    sound(lab).await;
}

#[tokio::test(start_paused = true)]
async fn two_large_puts_of_one_object() {
    let mut lab = stocked().await;
    let (first, second) = (Put::content("first", large(0)), Put::content("second", large(0)));
    // The first sync is that of the pack's header, the second one that of its end.
    let syncs = AtomicUsize::new(0);
    let mut gate = lab.faults.hold(When::After, move |call| {
        call.name == "append_sync" && syncs.fetch_add(1, Ordering::SeqCst) == 1
    });
    let one = tokio::spawn(ask_streamed(lab.engine().clone(), first.clone()));
    arrive(&mut gate).await;
    let receipt = ask_streamed(lab.engine().clone(), second.clone()).await.unwrap();
    assert_eq!(receipt.objects_known, 0, "the other one is complete and not committed");
    gate.release();
    assert_eq!(one.await.unwrap().unwrap().objects_known, 1, "its own bytes are dead on arrival");
    note(&mut lab, &first);
    note(&mut lab, &second);
    sound(lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_put_of_an_object_that_a_sweep_is_forgetting() {
    let mut lab = stocked().await;
    lab.delete(&content("c3")).await.unwrap();
    let put = Put::content("again", noise(1, 5_000));
    let mut gate = lab.faults.hold_call(When::Before, "remove_unreferenced");
    let engine = lab.engine().clone();
    let sweep = tokio::spawn(async move { engine.sweep(SweepOptions::default()).await });
    arrive(&mut gate).await;
    let waiting = begin(&lab, &put);
    settle().await;
    assert!(!waiting.is_finished(), "the log is forgetting");
    gate.release();
    assert_eq!(sweep.await.unwrap().unwrap().objects_removed, 1);
    assert_eq!(waiting.await.unwrap().unwrap().objects_known, 0, "it brings its own bytes");
    note(&mut lab, &put);
    sound(lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_sweep_while_a_put_refers_to_a_forgotten_object() {
    let mut lab = stocked().await;
    lab.delete(&content("c3")).await.unwrap();
    let put = Put::content("again", noise(1, 5_000));
    let mut gate = lab.faults.hold_call(When::Before, "commit");
    let waiting = begin(&lab, &put);
    arrive(&mut gate).await;
    let engine = lab.engine().clone();
    let sweep = tokio::spawn(async move { engine.sweep(SweepOptions::default()).await });
    settle().await;
    gate.release();
    assert_eq!(waiting.await.unwrap().unwrap().objects_known, 1, "it refers to what is there");
    assert_eq!(sweep.await.unwrap().unwrap().objects_removed, 0, "and keeps it");
    note(&mut lab, &put);
    sound(lab).await;
}

/// A large put finds all of its content known and drops its own bytes; a sweep forgets the content before the put is
/// committed. It must be refused, not refer to nothing.
#[tokio::test(start_paused = true)]
async fn a_sweep_while_a_large_put_relies_on_known_content() {
    let mut lab = stocked().await;
    let _receipt = lab.put_streamed(Put::content("large", large(0))).await.unwrap();
    lab.delete(&content("large")).await.unwrap();
    let put = Put::content("again", large(0));
    let mut gate = lab.faults.hold_call(When::After, "objects_by_hash");
    let waiting = tokio::spawn(ask_streamed(lab.engine().clone(), put.clone()));
    arrive(&mut gate).await;
    assert_eq!(lab.sweep().await.unwrap().objects_removed, 1);
    gate.release();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), Kind::Unavailable, "send it again");
    assert!(lab.engine().writable());
    let _receipt = lab.put_streamed(put).await.unwrap();
    sound(lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_get_whose_pack_is_migrated_and_swept_away() {
    let lab = stocked().await;
    // The look-up is done; the pack's index is about to be read.
    let mut gate = lab.faults.hold_call(When::Before, "length");
    let engine = lab.engine().clone();
    let get = tokio::spawn(async move { read(&engine, &content("c1"), false).await });
    arrive(&mut gate).await;
    let _report = lab.migrate_to(Tier::Warm).await.unwrap();
    assert!(lab.sweep().await.unwrap().packs_deleted > 0);
    gate.release();
    let bytes = get.await.unwrap().unwrap();
    assert!(bytes == lab.world.items[&content("c1")].is.as_ref().unwrap().bytes, "looked up once more");
    sound(lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_put_of_an_id_that_is_being_deleted() {
    let mut lab = stocked().await;
    let item = lab.world.items[&content("c3")].is.clone().unwrap();
    let mut gate = lab.faults.hold_call(When::Before, "commit");
    let engine = lab.engine().clone();
    let delete = tokio::spawn(async move { engine.delete("default", ItemKind::Content, "c3").await });
    arrive(&mut gate).await;
    let waiting = begin(&lab, &Put::content("c3", item.bytes));
    settle().await;
    gate.release();
    delete.await.unwrap().unwrap();
    lab.world.item(&content("c3")).settle(None);
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), Kind::FailedPrecondition, "it stays gone");
    sound(lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_of_an_id_that_is_being_put() {
    let mut lab = stocked().await;
    let put = Put::content("new", noise(51, 3_000));
    let mut gate = lab.faults.hold_call(When::Before, "commit");
    let waiting = begin(&lab, &put);
    arrive(&mut gate).await;
    let early = lab.engine().delete("default", ItemKind::Content, "new").await;
    assert_eq!(early.unwrap_err().kind(), Kind::NotFound, "it is not there before it is acknowledged");
    gate.release();
    let _receipt = waiting.await.unwrap().unwrap();
    note(&mut lab, &put);
    lab.delete(&content("new")).await.unwrap();
    sound(lab).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_of_an_item_that_is_being_moved() {
    let mut lab = stocked().await;
    let mut gate = lab.faults.hold_call(When::Before, "relocate");
    let engine = lab.engine().clone();
    let migration = tokio::spawn(async move {
        let options = MigrateOptions { to: Some(Tier::Cold), ..MigrateOptions::default() };
        let (progress, _ignored) = mpsc::channel(1);
        engine.migrate(options, progress, CancellationToken::new()).await
    });
    arrive(&mut gate).await;
    lab.delete(&content("c3")).await.unwrap();
    assert_eq!(lab.sweep().await.unwrap_err().kind(), Kind::FailedPrecondition, "one job at a time");
    gate.release();
    let report = migration.await.unwrap().unwrap();
    assert_eq!(report.overtaken, 1, "the skeleton that is not there any more: {report:?}");
    sound(lab).await;
}

/// A sweep carries the hold of an item into the log while the hold is being lifted. The older word must not come after the
/// newer one, because recovery believes the last one.
#[tokio::test(start_paused = true)]
async fn a_change_while_a_sweep_carries_the_one_before_it() {
    let mut lab = stocked().await;
    let hold = |hold| ItemUpdate { hold: Some(hold), ..ItemUpdate::default() };
    lab.update(&content("c3"), hold(true)).await.unwrap();
    let _report = lab.migrate_to(Tier::Warm).await.unwrap();
    let mut looked = lab.faults.hold_call(When::After, "item_by_uuid");
    let mut before_barrier = lab.faults.hold_call(When::Before, "barrier");
    let engine = lab.engine().clone();
    let options = SweepOptions { grace: Duration::ZERO, dry_run: false };
    let sweep = tokio::spawn(async move { engine.sweep(options).await });
    arrive(&mut looked).await;
    let engine = lab.engine().clone();
    let update =
        tokio::spawn(async move { engine.update("default", ItemKind::Content, "c3", hold(false)).await });
    settle().await;
    looked.release();
    let _stat = update.await.unwrap().unwrap();
    lab.world.item(&content("c3")).is.as_mut().unwrap().hold = false;
    arrive(&mut before_barrier).await;
    for cut in [Cut::NOTHING, Cut::EVERYTHING] {
        mended(&mut lab.cut(cut)).await.unwrap();
    }
    before_barrier.release();
    let _report = sweep.await.unwrap().unwrap();
    sound(lab).await;
}

/// While a large put is about to end, another put takes its id and is acknowledged. The large one is refused, and neither
/// a crash before its pack is deleted nor a pack that cannot be deleted brings it back in place of the other.
#[tokio::test(start_paused = true)]
async fn a_put_that_takes_the_id_of_a_large_one() {
    for later_deleted in [false, true] {
        let mut lab = stocked().await;
        let syncs = AtomicUsize::new(0);
        // The header, then the last block: the end is about to be asked for.
        let mut gate = lab.faults.hold(When::After, move |call| {
            call.name == "append_sync" && syncs.fetch_add(1, Ordering::SeqCst) == 1
        });
        let refused = Put::content("x", large(0));
        let waiting = tokio::spawn(ask_streamed(lab.engine().clone(), refused.clone()));
        arrive(&mut gate).await;
        let _receipt = lab.put(Put::content("x", noise(52, 2_000))).await.unwrap();
        if later_deleted {
            lab.delete(&content("x")).await.unwrap();
        }
        let mut before_delete = lab.faults.hold_call(When::Before, "delete");
        gate.release();
        arrive(&mut before_delete).await;
        for cut in [Cut::NOTHING, Cut::EVERYTHING] {
            mended(&mut lab.cut(cut)).await.unwrap();
        }
        before_delete.release();
        let kind = if later_deleted { Kind::FailedPrecondition } else { Kind::AlreadyExists };
        assert_eq!(waiting.await.unwrap().unwrap_err().kind(), kind);
        sound(lab).await;
    }
}

/// The same with two large puts: the one that was begun later ends first.
#[tokio::test(start_paused = true)]
async fn a_large_put_that_takes_the_id_of_a_large_one() {
    let mut lab = stocked().await;
    let syncs = AtomicUsize::new(0);
    let mut gate = lab.faults.hold(When::After, move |call| {
        call.name == "append_sync" && syncs.fetch_add(1, Ordering::SeqCst) == 1
    });
    let waiting = tokio::spawn(ask_streamed(lab.engine().clone(), Put::content("x", large(0))));
    arrive(&mut gate).await;
    lab.clock.advance(1_000);
    let _receipt = lab.put_streamed(Put::content("x", large(1))).await.unwrap();
    let mut before_delete = lab.faults.hold_call(When::Before, "delete");
    gate.release();
    arrive(&mut before_delete).await;
    for cut in [Cut::NOTHING, Cut::EVERYTHING] {
        mended(&mut lab.cut(cut)).await.unwrap();
    }
    before_delete.release();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), Kind::AlreadyExists);
    sound(lab).await;
}
