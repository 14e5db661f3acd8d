//! What recovery relies on and a test that copies files cannot see: that SQLite syncs its log before it takes pages over
//! into the database, and the database before it begins the log anew.

use crate::catalog::sqlite::SqliteCatalog;

async fn pragma(catalog: &SqliteCatalog, name: &'static str) -> i64 {
    sqlx::query_scalar(name).fetch_one(&catalog.writer).await.expect("a setting")
}

#[tokio::test]
async fn a_checkpoint_is_synced() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = SqliteCatalog::open(&dir.path().join("catalog.db")).await.expect("a catalog");
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&catalog.writer).await.expect("a setting");
    assert_eq!(mode, "wal");
    // 0 syncs nothing; 1 syncs at checkpoints; 2 and 3 sync at every commit, which the packs make needless.
    assert_eq!(pragma(&catalog, "PRAGMA synchronous").await, 1);
}
