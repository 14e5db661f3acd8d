//! What every catalog must do, as one suite over [`Catalog`]. It panics at the first thing that is not so. Each part
//! takes a fresh catalog; what a test of one implementation needs besides (its file, its raw rows) stands there.

mod fixture;
mod integrity;
mod items;
mod locations;
mod random;
mod similar;
mod tiers;

use crate::catalog::Answer;
use crate::catalog::Catalog;
use crate::catalog::conformance::fixture::Fixture;

/// Makes catalogs for the suite.
pub trait Factory: Send + Sync {
    /// One with nothing in it.
    fn fresh(&self) -> Answer<'_, Box<dyn Catalog>>;
    /// What a catalog of [`Factory::fresh`] that was closed holds.
    fn reopened(&self) -> Answer<'_, Box<dyn Catalog>>;
}

/// Runs the suite.
///
/// # Panics
/// Where the catalog does not do what the trait says.
pub async fn check(factory: &dyn Factory) {
    items::tenants(&fresh(factory).await).await;
    items::commits_and_look_ups(&fresh(factory).await).await;
    items::listing(&fresh(factory).await).await;
    items::uniqueness(&fresh(factory).await).await;
    items::deletes(&fresh(factory).await).await;
    items::updates(&fresh(factory).await).await;
    tiers::relocations(&fresh(factory).await).await;
    tiers::copies(&fresh(factory).await).await;
    tiers::candidates(&fresh(factory).await).await;
    locations::locations(&fresh(factory).await).await;
    tiers::sweep(&fresh(factory).await).await;
    tiers::dictionaries(&fresh(factory).await).await;
    tiers::recoding(&fresh(factory).await).await;
    tiers::jobs(&fresh(factory).await).await;
    similar::features(&fresh(factory).await).await;
    similar::deltas(&fresh(factory).await).await;
    integrity::quarantine(&fresh(factory).await).await;
    integrity::pages(&fresh(factory).await).await;
    integrity::restore(&fresh(factory).await).await;
    integrity::erasures(&fresh(factory).await).await;
    for seed in 0..4 {
        let fixture = fresh(factory).await;
        random::statistics_add_up(&fixture, seed).await;
        random::reopening_keeps_everything(fixture, factory).await;
    }
}

async fn fresh(factory: &dyn Factory) -> Fixture {
    match factory.fresh().await {
        Ok(catalog) => Fixture::new(catalog).await,
        Err(error) => panic!("a fresh catalog: {error:?}"),
    }
}

/// The value of what must succeed.
fn must<T>(result: crate::error::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the catalog refused: {error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use futures::FutureExt;
    use sqlx::Connection;
    use sqlx::Row;
    use sqlx::SqliteConnection;
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::Factory;
    use super::check;
    use super::fixture::Fixture;
    use super::fixture::group;
    use super::fixture::id;
    use crate::catalog::Answer;
    use crate::catalog::Catalog;
    use crate::catalog::sqlite::SqliteCatalog;
    use crate::error::Kind;
    use crate::error::Result;
    use crate::ids::ItemKey;
    use crate::ids::ObjectKey;
    use crate::model::ItemKind;
    use crate::model::ListQuery;
    use crate::testing::memory_catalog::MemoryCatalog;

    /// Catalogs in memory; the newest is the one that is reopened.
    #[derive(Default)]
    struct Memories(Mutex<MemoryCatalog>);

    impl Factory for Memories {
        fn fresh(&self) -> Answer<'_, Box<dyn Catalog>> {
            let catalog = MemoryCatalog::new();
            *self.0.lock().unwrap() = catalog.clone();
            let catalog: Box<dyn Catalog> = Box::new(catalog);
            std::future::ready(Ok(catalog)).boxed()
        }

        fn reopened(&self) -> Answer<'_, Box<dyn Catalog>> {
            // Nothing but what the close made durable.
            let catalog: Box<dyn Catalog> = Box::new(self.0.lock().unwrap().reopened(0));
            std::future::ready(Ok(catalog)).boxed()
        }
    }

    #[tokio::test]
    async fn memory_conforms() {
        check(&Memories::default()).await;
    }

    /// Files in a temporary directory; the newest is the one that is reopened.
    struct Files {
        dir: TempDir,
        made: Mutex<u32>,
    }

    impl Files {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), made: Mutex::new(0) }
        }

        fn file(&self, further: u32) -> PathBuf {
            let mut made = self.made.lock().unwrap();
            *made += further;
            self.dir.path().join(format!("{made}.db"))
        }

        async fn open(&self, further: u32) -> Result<Box<dyn Catalog>> {
            let catalog: Box<dyn Catalog> = Box::new(SqliteCatalog::open(&self.file(further)).await?);
            Ok(catalog)
        }
    }

    impl Factory for Files {
        fn fresh(&self) -> Answer<'_, Box<dyn Catalog>> {
            self.open(1).boxed()
        }

        fn reopened(&self) -> Answer<'_, Box<dyn Catalog>> {
            self.open(0).boxed()
        }
    }

    #[tokio::test]
    async fn sqlite_conforms() {
        check(&Files::new()).await;
    }

    /// What of a message and its object cannot be read.
    async fn unreadable(fixture: &Fixture) -> Vec<Kind> {
        let catalog = &fixture.catalog;
        let query = ListQuery { limit: 10, ..ListQuery::default() };
        let answers = [
            catalog.item_by_uuid(fixture.tenant, ItemKind::Message, id(1)).await.map(drop),
            catalog.list(fixture.tenant, ItemKind::Message, &query).await.map(drop),
            catalog.parts(ItemKey(1)).await.map(drop),
            catalog.skeleton_candidates(fixture.tenant, ItemKey(0), 10).await.map(drop),
            catalog.object_candidates(fixture.tenant, ObjectKey(0), 10).await.map(drop),
            catalog.packs().await.map(drop),
            catalog.tenants().await.map(drop),
        ];
        answers.into_iter().filter_map(|answer| answer.err().map(|error| error.kind())).collect()
    }

    #[tokio::test]
    async fn callers_ids_of_an_older_version_are_found() {
        let files = Files::new();
        let fixture = super::fresh(&files).await;
        for number in [1, 2] {
            fixture.add(number).await;
        }
        fixture.catalog.close().await.unwrap();
        let url = format!("sqlite://{}", files.file(0).display());
        let mut raw = SqliteConnection::connect(&url).await.unwrap();
        let usual = "tz3IPgK8DrpyxaXfoijlqA";
        for sql in [
            "UPDATE email_messages SET caller_hash = NULL, caller_key = NULL",
            "UPDATE email_messages SET caller_id = 'tz3IPgK8DrpyxaXfoijlqA' WHERE caller_id = 'caller 1'",
            "PRAGMA user_version = 0",
        ] {
            let _ = sqlx::query(sql).execute(&mut raw).await.unwrap();
        }
        raw.close().await.unwrap();
        let catalog = files.reopened().await.unwrap();
        for caller in [usual, "caller 2"] {
            let ids = [caller.to_owned()];
            let found = catalog.items_by_caller_id(fixture.tenant, ItemKind::Message, &ids).await.unwrap();
            let found: Vec<Option<String>> = found.into_iter().map(|row| row.caller_id).collect();
            assert_eq!(found, [Some(caller.to_owned())]);
        }
        catalog.close().await.unwrap();
        let mut raw = SqliteConnection::connect(&url).await.unwrap();
        let sql = "SELECT caller_key FROM email_messages WHERE caller_id IS NULL";
        let key: Vec<u8> = sqlx::query_scalar(sql).fetch_one(&mut raw).await.unwrap();
        assert_eq!(key.len(), 16, "it is kept as what it stands for");
    }

    #[tokio::test]
    async fn impossible_values_are_corrupt() {
        let changes = [
            "UPDATE tenants SET uuid = zeroblob(id)",
            "UPDATE content_packs SET tier = 4",
            "UPDATE content_packs SET state = 3",
            "UPDATE content_packs SET origin = 9",
            "UPDATE content_packs SET stream_bytes = -1",
            "UPDATE content_packs SET uuid = zeroblob(id)",
            "UPDATE email_messages SET bytes = -1",
            "UPDATE email_messages SET sha256 = x'00'",
            "INSERT INTO external_ids VALUES (1, 1, x'00'); UPDATE email_messages SET campaign = 1",
            "UPDATE email_messages SET caller_key = x'00'",
            "UPDATE email_messages SET frame = 4294967296",
            "UPDATE email_messages SET pin = -1",
            "UPDATE email_messages SET labels = '{'",
            "UPDATE content_objects SET class = 256",
            "UPDATE content_objects SET bytes = -1",
            "UPDATE content_objects SET entry = -1",
            "UPDATE email_content SET part = -1",
            "UPDATE email_content SET role = 256",
        ];
        let files = Files::new();
        for change in changes {
            let fixture = super::fresh(&files).await;
            fixture.add(1).await;
            assert!(unreadable(&fixture).await.is_empty());
            let url = format!("sqlite://{}", files.file(0).display());
            let mut raw = SqliteConnection::connect(&url).await.unwrap();
            for sql in ["PRAGMA ignore_check_constraints = ON", change] {
                let _ = sqlx::query(sql).execute(&mut raw).await.unwrap();
            }
            raw.close().await.unwrap();
            let found = unreadable(&fixture).await;
            assert!(
                !found.is_empty() && found.iter().all(|kind| *kind == Kind::Corrupt),
                "{change}: {found:?}"
            );
            fixture.catalog.close().await.unwrap();
        }
    }

    #[tokio::test]
    async fn external_ids_go_with_their_last_item() {
        let files = Files::new();
        let fixture = super::fresh(&files).await;
        let mut items = Vec::new();
        for number in 1..=2 {
            let mut item = fixture.item(number, &[], 0);
            item.external.campaign = Some(Uuid::from_u128(5));
            item.external.lead = Some(Uuid::from_u128(u128::from(number)));
            items.push(item);
        }
        fixture.catalog.commit(&group(Vec::new(), items)).await.unwrap();
        let url = format!("sqlite://{}", files.file(0).display());
        let mut raw = SqliteConnection::connect(&url).await.unwrap();
        let mut left = Vec::new();
        for number in 1..=3 {
            let row = sqlx::query("SELECT count(*) FROM external_ids").fetch_one(&mut raw).await.unwrap();
            left.push(row.get::<i64, _>(0));
            if number < 3 {
                fixture.delete(number).await;
            }
        }
        assert_eq!(left, [3, 2, 0]);
        raw.close().await.unwrap();
        fixture.catalog.close().await.unwrap();
    }
}
