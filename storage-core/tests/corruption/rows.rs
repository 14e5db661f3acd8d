//! Rows of the catalog with values that no version writes, put there by hand: `Corrupt`, never a guess.

use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::Executor;
use sqlx::sqlite::SqliteConnectOptions;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::ItemKind;
use storage_core::model::ListQuery;

use crate::store::Built;
use crate::store::backend;
use crate::store::engine;
use crate::store::open_catalog;
use crate::store::read;

async fn execute(dir: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(dir.join("catalog.db")).foreign_keys(false);
    let options = options.pragma("ignore_check_constraints", "ON");
    let mut connection = options.connect().await.expect("the catalog");
    let done = connection.execute(sql).await.expect(sql);
    assert!(done.rows_affected() > 0, "{sql}");
    connection.close().await.expect("the catalog");
}

/// Everything that reads rows.
async fn use_all(built: &Built, dir: &Path) -> Result<()> {
    let engine = engine(&backend(&built.packs().await).await, open_catalog(dir).await?).await?;
    let _items =
        engine.list("default", ItemKind::Message, ListQuery { limit: 9, ..ListQuery::default() }).await?;
    let _bytes = read(&engine, ItemKind::Message, "one").await?;
    let _bytes = read(&engine, ItemKind::Content, "two").await?;
    let _bytes = read(&engine, ItemKind::Content, "three").await?;
    let _stat = engine.stat("default", ItemKind::Content, "two").await?;
    let _policy = engine.policy(Some("default")).await?;
    let _dictionaries = engine.dictionaries(None).await?;
    Ok(())
}

#[tokio::test]
async fn impossible_values_are_corrupt() {
    let built = Built::filled().await;
    built.engine.close().await.expect("a clean end");
    execute(
        built.dir.path(),
        "INSERT INTO content_dictionaries (tenant_id, uuid, class, origin, state, pack_id, frame, bytes, stored_bytes, gain, \
         created) SELECT 1, x'00112233445566778899aabbccddeeff', 1, 1, 0, min(id), 0, 9, 9, 0.1, 0 FROM content_packs",
    )
    .await;
    use_all(&built, built.dir.path()).await.expect("an intact catalog");
    for sql in [
        "UPDATE tenants SET uuid = x'00'",
        "UPDATE tenants SET policy = '{'",
        "UPDATE content_packs SET uuid = x'00'",
        "UPDATE content_packs SET origin = 3",
        "UPDATE content_packs SET tier = 4",
        "UPDATE content_packs SET tier = -1",
        "UPDATE content_packs SET state = 9",
        "UPDATE content_packs SET state = 2",
        "UPDATE content_packs SET decoded_bytes = -1",
        "UPDATE content_packs SET committed_bytes = -9223372036854775807",
        "UPDATE email_messages SET uuid = x'0011' WHERE caller_id = 'one'",
        "INSERT INTO external_ids VALUES (9, 1, x'00'); UPDATE email_messages SET campaign = 9",
        "UPDATE email_messages SET lead = 99",
        "UPDATE email_messages SET bytes = -1",
        "UPDATE email_messages SET bytes = 9223372036854775807",
        "UPDATE email_messages SET sha256 = x''",
        "UPDATE email_messages SET sha256 = zeroblob(32)",
        "UPDATE email_messages SET skeleton_bytes = -1",
        "UPDATE email_messages SET frame = -1",
        "UPDATE email_messages SET frame = 4294967295",
        "UPDATE email_messages SET frame = 4294967296",
        "UPDATE email_messages SET entry = -5",
        "UPDATE email_messages SET entry = 77",
        "UPDATE email_messages SET copy_pack_id = 1, copy_frame = NULL",
        "UPDATE email_messages SET copy_pack_id = 99, copy_frame = 0, copy_entry = 0",
        "UPDATE email_messages SET hold = 2",
        "UPDATE email_messages SET pin = 4",
        "UPDATE email_messages SET labels = '[1]'",
        "UPDATE content_objects SET sha256 = x'00' WHERE id = (SELECT min(id) FROM content_objects)",
        "UPDATE content_objects SET bytes = -1",
        "UPDATE content_objects SET class = 256",
        "UPDATE content_objects SET frame = -1",
        "UPDATE content_objects SET entry = 4294967296",
        "UPDATE email_content SET part = -1",
        "UPDATE email_content SET role = 3",
        "UPDATE email_content SET role = 256",
        "UPDATE content_dictionaries SET uuid = x''",
        "UPDATE content_dictionaries SET class = -1",
        "UPDATE content_dictionaries SET origin = 2",
        "UPDATE content_dictionaries SET state = 2",
        "UPDATE content_dictionaries SET frame = -1",
        "UPDATE content_dictionaries SET bytes = -1",
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let _bytes = std::fs::copy(built.dir.path().join("catalog.db"), dir.path().join("catalog.db"))
            .expect("a copy");
        execute(dir.path(), sql).await;
        let error = use_all(&built, dir.path()).await.expect_err(sql);
        assert_eq!(error.kind(), Kind::Corrupt, "{sql}: {error:?}");
    }
}
