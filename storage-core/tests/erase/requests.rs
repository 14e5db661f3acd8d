//! What an erasure refuses, what it leaves for later, what it tells beforehand, and what is true of an id afterwards.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::error::Kind;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::EraseOptions;
use storage_core::report::EraseReport;
use storage_core::report::EraseWhat;
use storage_fixtures::rng::Rng;
use uuid::Uuid;

use crate::traces::Found;
use crate::yard::Yard;
use crate::yard::collect;
use crate::yard::messages;

fn letter(rng: &mut Rng) -> Bytes {
    Bytes::from(format!("Subject: {}\r\n\r\n{}\r\n", rng.hex(20), rng.hex(6_000)))
}

fn named(id: &str) -> PutOptions {
    PutOptions { caller_id: Some(id.to_owned()), ..PutOptions::default() }
}

fn by_caller_ids(ids: &[&str]) -> EraseOptions {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let what = Some((DEFAULT_TENANT.to_owned(), EraseWhat::Items(ItemKind::Message, ids)));
    EraseOptions { what, ..EraseOptions::default() }
}

#[tokio::test]
async fn a_hold_or_a_retention_end_refuses_all_of_it() {
    let mut yard = Yard::open().await;
    let ids = yard.put_neighbours(1, 3).await;
    let hold = ItemUpdate { hold: Some(true), ..ItemUpdate::default() };
    let end = storage_core::clock::Timestamp(1_900_000_000_000);
    let retention = ItemUpdate { retention_end: Some(Some(end)), ..ItemUpdate::default() };
    for (update, word) in [(hold, "hold"), (retention, "retention")] {
        let _ =
            yard.engine.update(DEFAULT_TENANT, ItemKind::Message, &ids[1].to_string(), update).await.unwrap();
        let refused = yard.try_erase(messages(&ids)).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::FailedPrecondition);
        assert!(
            refused.message().contains(word) && refused.message().contains(&ids[1].to_string()),
            "{refused}"
        );
        yard.is_whole().await;
        let lift = ItemUpdate { hold: Some(false), retention_end: Some(None), ..ItemUpdate::default() };
        let _ =
            yard.engine.update(DEFAULT_TENANT, ItemKind::Message, &ids[1].to_string(), lift).await.unwrap();
    }
    let _ = yard.erase(&ids).await;
    let unknown = yard.try_erase(messages(&[Uuid::from_u128(7)])).await.unwrap_err();
    assert_eq!(unknown.kind(), Kind::NotFound);
    let nothing = yard.try_erase(messages(&[])).await.unwrap_err();
    assert_eq!(nothing.kind(), Kind::InvalidArgument);
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let mut yard = Yard::open().await;
    let ids = yard.put_neighbours(2, 20).await;
    yard.migrate_to(Tier::Archive).await;
    yard.sweep().await;
    let packs = yard.packs();
    let plan = yard.try_erase(EraseOptions { dry_run: true, ..messages(&ids[..2]) }).await.unwrap();
    assert_eq!((plan.requested, plan.pending, plan.planned_packs, plan.erased), (2, 2, 1, 0), "{plan:?}");
    assert!(plan.planned_bytes > 100_000 && plan.planned_pack_bytes > 50_000, "{plan:?}");
    assert_eq!(yard.packs(), packs);
    yard.is_whole().await;
    let done = yard.erase(&ids[..2]).await;
    assert_eq!((done.planned_packs, done.planned_pack_bytes), (plan.planned_packs, plan.planned_pack_bytes));
    assert!(done.decoded_bytes < plan.planned_bytes, "what was erased is not written again: {done:?}");
}

#[tokio::test]
async fn what_is_left_for_later_is_gone_to_readers_and_erased_with_the_next_one() {
    let mut yard = Yard::open().await;
    let ids = yard.put_neighbours(3, 6).await;
    yard.migrate_to(Tier::Cold).await;
    let traces = yard.traces(&ids[..3]);
    for (pending, id) in (1..).zip(&ids[..2]) {
        let report = yard.try_erase(EraseOptions { later: true, ..messages(&[*id]) }).await.unwrap();
        assert_eq!((report.requested, report.pending, report.erased_at), (1, pending, None));
    }
    let gone = collect(&yard.engine, ItemKind::Message, &ids[0].to_string()).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
    let again = yard.try_erase(EraseOptions { later: true, ..messages(&[ids[0]]) }).await.unwrap();
    assert_eq!((again.requested, again.known, again.pending), (1, 1, 2));
    // Neither a restart nor a lost catalog makes the store forget it.
    yard.reopen().await;
    yard.rebuild().await;
    assert!(!yard.found(&traces).is_empty());
    let report = yard.try_erase(messages(&[ids[2]])).await.unwrap();
    assert_eq!((report.requested, report.erased), (1, 3), "{report:?}");
    yard.is_erased(&ids[..3], &traces, &report).await;
    yard.rebuild().await;
    let after = yard.try_erase(EraseOptions::default()).await.unwrap();
    assert_eq!(
        (after.erased, after.packs_deleted, after.rewritten_bytes),
        (3, 0, 0),
        "nothing is left: {after:?}"
    );
    let nothing = yard.try_erase(EraseOptions::default()).await.unwrap();
    assert_eq!(nothing, EraseReport::default());
    yard.is_whole().await;
}

#[tokio::test]
async fn the_callers_id_stays_gone_without_being_kept() {
    let mut yard = Yard::open().await;
    let mut rng = Rng::new(4);
    let _ = yard.put_neighbours(5, 2).await;
    let caller = format!("{}@an.example", rng.hex(30));
    let bytes = letter(&mut rng);
    let id = yard.put_with(ItemKind::Message, named(&caller), bytes.clone()).await;
    let _ = yard.erase_with(&[id], by_caller_ids(&[&caller])).await;
    for day in 0..=31 {
        let put = yard.engine.put(DEFAULT_TENANT, ItemKind::Message, named(&caller), bytes.clone()).await;
        match put {
            Err(error) if day < 30 => assert_eq!(error.kind(), Kind::FailedPrecondition, "{error}"),
            Ok(receipt) if day >= 30 => assert!(receipt.created || day > 30),
            other => panic!("day {day}: {other:?}"),
        }
        yard.clock.advance_days(1);
        if day == 15 {
            yard.rebuild().await;
        }
    }
}

#[tokio::test]
async fn of_two_equal_messages_one_is_erased_and_then_the_other() {
    let mut yard = Yard::open().await;
    let mut rng = Rng::new(6);
    let _ = yard.put_neighbours(7, 2).await;
    let bytes = letter(&mut rng);
    let one = yard.put(bytes.clone()).await;
    let two = yard.put(bytes).await;
    yard.migrate_to(Tier::Archive).await;
    let report = yard.try_erase(messages(&[one])).await.unwrap();
    assert_eq!((report.erased, report.pending), (1, 0));
    let _ = yard.items.remove(&one);
    yard.is_whole().await;
    let _ = yard.erase(&[two]).await;
}

/// What lies beside something damaged cannot be rewritten: the erasure says so, and is done when that is mended.
#[tokio::test]
async fn damage_beside_it_is_told_and_keeps_it_pending() {
    let mut yard = Yard::open().await;
    let ids = yard.put_neighbours(8, 12).await;
    yard.migrate_to(Tier::Archive).await;
    yard.sweep().await;
    let pack = yard.packs().into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let bytes = std::fs::read(&pack).unwrap();
    let mut damaged = bytes.clone();
    // In the stream of its only large block.
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&pack, damaged).unwrap();
    yard.reopen().await;
    let traces = yard.traces(&ids[..1]);
    let report = yard.try_erase(messages(&ids[..1])).await.unwrap();
    assert_eq!((report.erased, report.pending, report.erased_at), (0, 1, None), "{report:?}");
    assert!(report.damaged > 0 && report.left.len() == 1, "{report:?}");
    assert!(pack.to_str().unwrap().contains(&report.left[0].to_string()));
    std::fs::write(&pack, bytes).unwrap();
    yard.reopen().await;
    assert_ne!(yard.found(&traces), Found::new());
    let report = yard.try_erase(EraseOptions::default()).await.unwrap();
    yard.is_erased(&ids[..1], &traces, &report).await;
}

#[tokio::test]
async fn labels_and_ids_leave_the_catalogs_file() {
    let mut yard = Yard::open().await;
    let mut rng = Rng::new(9);
    let mut ids = Vec::new();
    for _ in 0..300 {
        let labels = BTreeMap::from([("note".to_owned(), rng.hex(60))]);
        let options = PutOptions { labels, ..named(&rng.hex(60)) };
        let bytes = Bytes::from(format!("Subject: {}\r\n\r\nshort\r\n", rng.hex(12)));
        ids.push(yard.put_with(ItemKind::Message, options, bytes).await);
    }
    // The planner samples values of indexes.
    yard.sweep().await;
    let erased: Vec<Uuid> = ids.into_iter().step_by(7).collect();
    let report = yard.erase(&erased).await;
    assert_eq!(report.erased, erased.len() as u64);
}
