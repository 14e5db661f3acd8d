//! Rows of the catalog that do not say what the packs say, each kind made through SQLite and found under its name; and
//! what a scrub leaves alone: a store in use, packs that were checked, the rest after a stop.

use std::time::Duration;

use sqlx::Connection;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::Tier;
use storage_core::report::FindingKind;
use storage_core::report::ScrubOptions;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::damage::archived;
use crate::store::Store;
use crate::store::TENANT;
use crate::store::connect;
use crate::store::edit;
use crate::store::message;
use crate::store::named;
use crate::store::scrub;
use crate::store::text;

#[tokio::test]
async fn every_edited_row_is_found_under_its_name() {
    let edits = [
        ("item-differs", "UPDATE email_messages SET caller_id = 'other' WHERE caller_id = 'one'"),
        ("item-differs", "UPDATE email_messages SET caller_hash = caller_hash - 1 WHERE caller_id = 'one'"),
        ("item-differs", "UPDATE email_messages SET caller_hash = NULL WHERE caller_id = 'two'"),
        ("item-differs", "UPDATE email_messages SET sha256 = zeroblob(32) WHERE caller_id = 'one'"),
        (
            "item-differs",
            "INSERT INTO external_ids VALUES (9, 1, zeroblob(16)); UPDATE email_messages SET lead = 9 WHERE caller_id = 'one'",
        ),
        ("item-differs", "UPDATE email_messages SET message_id_hash = 1 WHERE caller_id = 'one'"),
        ("item-differs", "UPDATE email_content SET file_name = 'x' WHERE part = 1 AND message_id = 1"),
        ("item-misplaced", "UPDATE email_messages SET entry = entry + 1 WHERE caller_id = 'two'"),
        ("item-misplaced", "UPDATE email_messages SET frame = 99 WHERE caller_id = 'two'"),
        ("object-misplaced", "UPDATE content_objects SET entry = 7"),
        ("object-differs", "UPDATE content_objects SET class = class + 1"),
        ("policy-differs", "UPDATE email_messages SET hold = 1 WHERE caller_id = 'one'"),
        ("policy-differs", "UPDATE email_messages SET labels = '{\"a\":\"b\"}' WHERE caller_id = 'one'"),
        ("tenant-differs", "UPDATE tenants SET policy = '{}'"),
        ("tenant-differs", "UPDATE tenants SET created = created + 1"),
        ("statistics-differ", "UPDATE content_retention_statistics SET messages = messages + 1"),
        (
            "pack-counters",
            "UPDATE content_packs SET record_bytes = record_bytes + 1, stream_bytes = stream_bytes - 1 WHERE tier = 3",
        ),
        (
            "pack-length",
            "UPDATE content_packs SET record_bytes = record_bytes + 1, committed_bytes = committed_bytes + 1 WHERE tier = 3",
        ),
        (
            "copy-damaged",
            "UPDATE email_messages SET copy_pack_id = pack_id, copy_frame = 0, copy_entry = 9 WHERE caller_id = 'one'",
        ),
        (
            "copy-damaged",
            "UPDATE content_objects SET copy_pack_id = pack_id, copy_frame = frame, copy_entry = 9",
        ),
        ("catalog-damaged", "DELETE FROM content_objects"),
        (
            "record-without-row",
            "DELETE FROM email_content WHERE message_id = 1; DELETE FROM email_messages WHERE id = 1",
        ),
    ];
    let mut store = archived().await;
    for (kind, sql) in edits {
        store.engine.close().await.unwrap();
        let catalog = store.dir.path().join("catalog.db");
        let before = std::fs::read(&catalog).unwrap();
        store = Store { engine: crate::store::open(store.dir.path(), &store.clock).await.unwrap(), ..store };
        store = store.edited(sql).await;
        let kinds = store.kinds().await;
        assert!(kinds.contains(&kind.to_owned()), "{sql}: {kinds:?}");
        let alone = kinds.len() == 1 || kinds.iter().any(|kind| kind == "statistics-differ");
        assert!(
            alone || kinds.contains(&"pack-counters".to_owned()) || kind == "catalog-damaged",
            "{sql}: {kinds:?}"
        );
        store = store.reopened(|_| std::fs::write(&catalog, &before).unwrap()).await;
        store.clean().await;
    }
}

/// What the row of an item is found by is not what its id says: it reads by its server's id, and is told of by its name.
#[tokio::test]
async fn a_row_that_its_callers_id_does_not_find_is_told() {
    let store =
        archived().await.edited("UPDATE email_messages SET caller_hash = 7 WHERE caller_id = 'one'").await;
    assert!(store.get("one").await.is_err(), "it is not found");
    let (_, findings) = store.scrub().await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].what.contains("caller's id is found by"), "{}", findings[0].what);
    assert!(findings[0].kind.advice().contains("rebuild-catalog"));
}

#[tokio::test]
async fn a_callers_id_is_there_once_also_after_a_change() {
    let store = archived().await;
    store.engine.close().await.unwrap();
    let mut catalog = connect(store.dir.path()).await;
    let taken = "UPDATE email_messages SET caller_id = 'one', \
         caller_hash = (SELECT caller_hash FROM email_messages WHERE caller_id = 'one') WHERE caller_id = 'two'";
    let refused = sqlx::query(taken).execute(&mut catalog).await.unwrap_err();
    assert!(refused.to_string().contains("there once"), "{refused}");
    let same = "UPDATE email_messages SET caller_id = caller_id, caller_hash = caller_hash";
    assert_eq!(sqlx::query(same).execute(&mut catalog).await.unwrap().rows_affected(), 2);
    catalog.close().await.unwrap();
}

#[tokio::test]
async fn a_row_that_came_back_after_its_delete_is_found() {
    let store = Store::start().await;
    let _ = store.put("x", &text("x", 3)).await;
    let store = store
        .edited("CREATE TABLE kept AS SELECT * FROM email_messages; UPDATE tenants SET name = name")
        .await;
    store.delete("x").await;
    let store = store.edited("INSERT INTO email_messages SELECT * FROM kept").await;
    let kinds = store.kinds().await;
    assert!(kinds.contains(&"row-of-deleted-item".to_owned()), "{kinds:?}");
    let (report, _) = store.repair(true).await;
    assert_eq!(report.left, 0);
    assert!(store.get("x").await.is_err());
    store.clean().await;
}

#[tokio::test]
async fn a_store_in_use_is_in_order() {
    let store = Store::start().await;
    for number in 0..10 {
        let _ = store.put(&format!("old-{number}"), &message(&format!("old-{number}"), number % 3, 2)).await;
    }
    store.migrate(Tier::Warm).await;
    let engine = store.engine.clone();
    let working = tokio::spawn(async move {
        for number in 0..60 {
            let id = format!("new-{number}");
            let bytes = message(&id, number % 5, 2);
            let _ = engine.put(TENANT, ItemKind::Message, named(&id), bytes).await.unwrap();
            let update = ItemUpdate { hold: Some(number % 2 == 0), ..ItemUpdate::default() };
            let _ = engine.update(TENANT, ItemKind::Message, &id, update).await.unwrap();
            if number % 2 == 1 {
                engine.delete(TENANT, ItemKind::Message, &id).await.unwrap();
            }
        }
    });
    while !working.is_finished() {
        store.clean().await;
    }
    working.await.unwrap();
    store.clean().await;
}

#[tokio::test]
async fn packs_that_were_checked_lately_are_skipped_and_damaged_ones_never() {
    let store = archived().await.reopened(|_| {}).await;
    store.clean().await;
    let options = ScrubOptions { older_than: Some(Duration::from_hours(24)), ..ScrubOptions::default() };
    let (report, _) = scrub(&store.engine, options).await;
    assert_eq!((report.packs, report.packs_skipped), (0, store.packs().len() as u64));
    store.clock.advance_days(2);
    let (report, _) = scrub(&store.engine, options).await;
    assert_eq!((report.packs, report.packs_skipped), (store.packs().len() as u64, 0));
    crate::store::change(&crate::damage::largest(store.dir.path()), |bytes| bytes[33] ^= 1);
    store.clock.advance_days(2);
    for _ in 0..2 {
        let (report, findings) = scrub(&store.engine, options).await;
        assert_eq!(findings[0].kind, FindingKind::PackHeader);
        assert!(report.packs > 0, "what is damaged is looked at again");
    }
}

#[tokio::test]
async fn a_scrub_can_be_stopped() {
    let store = archived().await;
    let stop = CancellationToken::new();
    stop.cancel();
    let (events, mut heard) = mpsc::channel(1_000);
    let report = store.engine.scrub(ScrubOptions::default(), events, stop).await.unwrap();
    assert!(report.stopped && report.frames == 0, "{report:?}");
    assert!(heard.recv().await.is_none());
    let jobs = store.engine.jobs().await.unwrap();
    assert_eq!((jobs[0].kind.as_str(), jobs[0].state.as_str()), ("scrub", "stopped"));
    // Nothing was marked: the next run looks at everything.
    let fresh = Store::start().await;
    let _ = fresh.put("x", &text("x", 2)).await;
    fresh.engine.close().await.unwrap();
    assert_eq!(
        edit(fresh.dir.path(), "UPDATE content_packs SET checked = NULL WHERE checked IS NOT NULL").await,
        0
    );
}
