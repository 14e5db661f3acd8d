//! What nothing needs any more: objects without a reference, packs without a location, ids gone long enough.

use std::collections::BTreeMap;

use sqlx::SqlitePool;

use crate::catalog::rows::PackRow;
use crate::catalog::rows::Statistics;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_u64;
use crate::catalog::sqlite::fields::tier_of;
use crate::catalog::sqlite::insight::add_statistics;
use crate::catalog::sqlite::packs::pack;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Tier;

/// Objects that no item refers to, and no delta of an item.
macro_rules! unneeded {
    () => {
        "WHERE NOT EXISTS (SELECT 1 FROM email_content c WHERE c.object_id = o.id) \
         AND NOT EXISTS (SELECT 1 FROM content_deltas d JOIN email_content c ON c.object_id = d.object_id \
                         WHERE d.base_id = o.id)"
    };
}

const COUNT_UNREFERENCED: &str = concat!("SELECT count(*) AS n FROM content_objects o ", unneeded!());

/// Deltas come before their bases, which cannot go while there are any.
const UNREFERENCED: &str = concat!(
    "SELECT o.id, o.tenant_id, o.bytes, p.tier, cp.tier AS copy_tier FROM content_objects o \
     JOIN content_packs p ON p.id = o.pack_id LEFT JOIN content_packs cp ON cp.id = o.copy_pack_id ",
    unneeded!(),
    " ORDER BY EXISTS (SELECT 1 FROM content_deltas d WHERE d.base_id = o.id) LIMIT ?"
);

pub(super) async fn remove_unreferenced(
    pool: &SqlitePool,
    limit: u32,
    day: i64,
    dry_run: bool,
) -> Result<u64> {
    if dry_run {
        let row = sqlx::query(COUNT_UNREFERENCED).fetch_one(pool).await.map_err(failed("sweeping"))?;
        return get_u64(&row, "n");
    }
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("sweeping"))?;
    let rows = sqlx::query(UNREFERENCED)
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed("sweeping"))?;
    let mut sums: BTreeMap<(TenantKey, Tier), Statistics> = BTreeMap::new();
    for row in &rows {
        let tenant = TenantKey(get(row, "tenant_id")?);
        let bytes: i64 = get(row, "bytes")?;
        let sum = sums.entry((tenant, tier_of(get(row, "tier")?)?)).or_default();
        sum.objects -= 1;
        sum.object_bytes -= bytes;
        if let Some(code) = get::<Option<i64>, _>(row, "copy_tier")? {
            sums.entry((tenant, tier_of(code)?)).or_default().copy_bytes -= bytes;
        }
        let _ = sqlx::query("DELETE FROM content_objects WHERE id = ?")
            .bind(get::<i64, _>(row, "id")?)
            .execute(&mut *tx)
            .await
            .map_err(failed("sweeping"))?;
    }
    add_statistics(&mut tx, &sums, day).await?;
    tx.commit().await.map_err(failed("sweeping"))?;
    Ok(rows.len() as u64)
}

pub(super) async fn dead_packs(pool: &SqlitePool) -> Result<Vec<PackRow>> {
    // A dictionary needs its pack while new blocks may use it or a living pack does.
    let rows = sqlx::query(
        "SELECT * FROM content_packs WHERE state <> 0 AND id NOT IN ( \
           SELECT pack_id FROM email_messages UNION SELECT pack_id FROM content_objects \
           UNION SELECT copy_pack_id FROM email_messages WHERE copy_pack_id IS NOT NULL \
           UNION SELECT copy_pack_id FROM content_objects WHERE copy_pack_id IS NOT NULL \
           UNION SELECT pack_id FROM content_dictionaries) ORDER BY id",
    )
    .fetch_all(pool)
    .await
    .map_err(failed("looking for dead packs"))?;
    rows.iter().map(pack).collect()
}

pub(super) async fn condemn(pool: &SqlitePool, packs: &[PackKey], at: Timestamp) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("condemning packs"))?;
    for pack in packs {
        let _ = sqlx::query("UPDATE content_packs SET state = 2, condemned = ? WHERE id = ? AND state = 1")
            .bind(at.0)
            .bind(pack.0)
            .execute(&mut *tx)
            .await
            .map_err(failed("condemning packs"))?;
    }
    tx.commit().await.map_err(failed("condemning packs"))
}

pub(super) async fn prune(pool: &SqlitePool, before: Timestamp) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("pruning"))?;
    let _ = sqlx::query("DELETE FROM email_tombstones WHERE deleted < ?")
        .bind(before.0)
        .execute(&mut *tx)
        .await
        .map_err(failed("pruning"))?;
    let _ = sqlx::query("DELETE FROM email_erasures WHERE erased < ?")
        .bind(before.0)
        .execute(&mut *tx)
        .await
        .map_err(failed("pruning"))?;
    let _ = sqlx::query(
        "DELETE FROM content_dictionaries WHERE state = 1 AND id NOT IN \
         (SELECT dictionary_id FROM content_pack_dictionaries)",
    )
    .execute(&mut *tx)
    .await
    .map_err(failed("pruning"))?;
    tx.commit().await.map_err(failed("pruning"))
}

/// Pages of a catalog that is small enough to be packed densely whenever there is a sweep (64 MiB).
const PAGES_SMALL: i64 = 16 << 10;

/// Rewrites the file where that is cheap, gives a tenth of it back, or was done when the file was four fifths as long:
/// indexes that grow in no order leave a third of their pages empty, and become dense.
pub(super) async fn shrink(pool: &SqlitePool) -> Result<()> {
    if size(pool).await?.is_worth_it() {
        vacuum(pool).await?;
        let pages = size(pool).await?.pages;
        let _ = sqlx::query(
            "INSERT INTO catalog_marks (name, value) VALUES ('dense', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        )
        .bind(pages)
        .execute(pool)
        .await
        .map_err(failed("shrinking"))?;
    }
    let _ = sqlx::query("PRAGMA optimize").execute(pool).await.map_err(failed("shrinking"))?;
    Ok(())
}

/// Pages of the file.
#[derive(Debug, Clone, Copy)]
struct Size {
    pages: i64,
    free: i64,
    /// When it was rewritten last; 0 if never.
    dense: i64,
}

impl Size {
    fn is_worth_it(self) -> bool {
        let Self { pages, free, dense } = self;
        pages <= PAGES_SMALL || free > pages / 10 || pages / 5 * 4 > dense
    }
}

async fn size(pool: &SqlitePool) -> Result<Size> {
    let row = sqlx::query(
        "SELECT (SELECT * FROM pragma_page_count) AS pages, (SELECT * FROM pragma_freelist_count) AS free, \
         (SELECT coalesce(max(value), 0) FROM catalog_marks WHERE name = 'dense') AS dense",
    )
    .fetch_one(pool)
    .await
    .map_err(failed("shrinking"))?;
    Ok(Size { pages: get(&row, "pages")?, free: get(&row, "free")?, dense: get(&row, "dense")? })
}

/// Builds the file anew. The copy is as long as the catalog and goes through a file, unlike what single statements keep.
pub(super) async fn vacuum(pool: &SqlitePool) -> Result<()> {
    let _ = sqlx::query("PRAGMA temp_store = FILE").execute(pool).await.map_err(failed("shrinking"))?;
    let copied = sqlx::query("VACUUM").execute(pool).await.map_err(failed("shrinking"));
    let _ = sqlx::query("PRAGMA temp_store = MEMORY").execute(pool).await.map_err(failed("shrinking"))?;
    copied.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::PAGES_SMALL;
    use super::Size;

    #[test]
    fn a_file_is_rewritten_where_that_gives_something() {
        let large = 10 * PAGES_SMALL;
        let worth_it = |pages, free, dense| Size { pages, free, dense }.is_worth_it();
        assert!(worth_it(PAGES_SMALL, 0, PAGES_SMALL), "a small one at once");
        assert!(worth_it(large, 0, 0), "it never was");
        assert!(worth_it(large, large / 9, large), "a tenth is free");
        assert!(worth_it(large, 0, large / 2), "it has grown");
        assert!(!worth_it(large, large / 20, large), "it is dense");
        assert!(!worth_it(large, 0, large / 10 * 9), "it has grown by little");
    }
}
