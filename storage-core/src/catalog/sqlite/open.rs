//! Opening: brings the schema up to date, then one connection to write and a few to read.

use std::path::Path;
use std::time::Duration;

use sqlx::Connection;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteAutoVacuum;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;

use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::failure::failed_to_migrate;
use crate::error::Result;

/// Connections for look-ups. Each is a thread with a page cache of its own.
const READERS: u32 = 3;

/// How long a statement waits for another process's lock (a backup tool, a person with the `sqlite3` shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Opens or creates the file; the connection that writes, and those that read.
pub(super) async fn pools(file: &Path) -> Result<(SqlitePool, SqlitePool)> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .auto_vacuum(SqliteAutoVacuum::None)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("trusted_schema", "OFF")
        .pragma("wal_autocheckpoint", "4000")
        .statement_cache_capacity(256);
    migrate(&options).await?;
    // What a statement of many rows keeps to undo itself is as long as the pages it changes: in a file it would be
    // written twice, and outside the data directory.
    //
    // SQLite itself undoes a transaction whose commit fails on a full disk, and sqlx takes it for open ever after: such
    // a connection is not used again.
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .after_release(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options.clone().pragma("cache_size", "-16384").pragma("temp_store", "MEMORY"))
        .await
        .map_err(failed("opening"))?;
    // These never are in a transaction, and asking would cost two switches of threads.
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .connect_with(options.read_only(true).create_if_missing(false).pragma("cache_size", "-4096"))
        .await
        .map_err(failed("opening"))?;
    Ok((writer, readers))
}

/// Makes the file if there is none and brings its schema up to date, on a connection of its own: a new index is sorted in
/// a file.
async fn migrate(options: &SqliteConnectOptions) -> Result<()> {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options.clone())
        .await
        .map_err(failed("opening"))?;
    let migrated = sqlx::migrate!("src/catalog/migrations/sqlite").run(&pool).await;
    pool.close().await;
    migrated.map_err(failed_to_migrate)
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::pools;
    use crate::catalog::sqlite::sweep::vacuum;

    /// What single statements keep stays in memory, before and after the file was built anew.
    #[tokio::test]
    async fn statements_of_the_writer_make_no_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let (writer, _readers) = pools(&dir.path().join("catalog.db")).await.expect("a catalog");
        let kept_in_memory = || async {
            let row = sqlx::query("PRAGMA temp_store").fetch_one(&writer).await.expect("an answer");
            row.get::<i64, _>(0) == 2
        };
        assert!(kept_in_memory().await);
        vacuum(&writer).await.expect("built anew");
        assert!(kept_in_memory().await);
    }
}
