//! The index of features, and the deltas, as SQLite keeps them.

use futures::FutureExt;
use sqlx::QueryBuilder;
use sqlx::Sqlite;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use crate::catalog::Answer;
use crate::catalog::rows::ObjectRow;
use crate::catalog::similar::DeltaRow;
use crate::catalog::similar::Form;
use crate::catalog::similar::Similarity;
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::chunks;
use crate::catalog::sqlite::fields::corrupt;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_u64;
use crate::catalog::sqlite::fields::int;
use crate::catalog::sqlite::fields::key_lists;
use crate::catalog::sqlite::items::OBJECT;
use crate::catalog::sqlite::items::object;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::similarity::Feature;

/// Transactions in which the index is looked through, so that none keeps puts waiting for long.
const PARTS: i64 = 32;

impl Similarity for SqliteCatalog {
    fn add_features<'a>(&'a self, tenant: TenantKey, rows: &'a [(ObjectKey, Feature)]) -> Answer<'a, ()> {
        add_features(&self.writer, tenant, rows).boxed()
    }

    fn holders<'a>(
        &'a self,
        tenant: TenantKey,
        features: &'a [Feature],
    ) -> Answer<'a, Vec<(Feature, ObjectKey)>> {
        holders(&self.readers, tenant, features).boxed()
    }

    fn feature_page(
        &self,
        tenant: TenantKey,
        after: Option<(Feature, ObjectKey)>,
        limit: u32,
    ) -> Answer<'_, Vec<(Feature, ObjectKey)>> {
        feature_page(&self.readers, tenant, after, limit).boxed()
    }

    fn forget_features(&self) -> Answer<'_, u64> {
        forget_features(&self.writer).boxed()
    }

    fn objects_by_key<'a>(&'a self, tenant: TenantKey, keys: &'a [ObjectKey]) -> Answer<'a, Vec<ObjectRow>> {
        objects_by_key(&self.readers, tenant, keys).boxed()
    }

    fn deltas_of<'a>(&'a self, tenant: TenantKey, objects: &'a [ObjectKey]) -> Answer<'a, Vec<DeltaRow>> {
        deltas(&self.readers, tenant, (" AND d.object_id IN (", objects)).boxed()
    }

    fn deltas_on<'a>(&'a self, tenant: TenantKey, bases: &'a [ObjectKey]) -> Answer<'a, Vec<DeltaRow>> {
        deltas(&self.readers, tenant, (" AND d.base_id IN (", bases)).boxed()
    }

    fn delta_page(&self, tenant: TenantKey, after: ObjectKey, limit: u32) -> Answer<'_, Vec<DeltaRow>> {
        delta_page(&self.readers, tenant, after, limit).boxed()
    }

    fn unreferenced_bases(&self, tenant: TenantKey) -> Answer<'_, Vec<ObjectKey>> {
        unreferenced_bases(&self.readers, tenant).boxed()
    }

    fn note_deltas<'a>(&'a self, rows: &'a [DeltaRow]) -> Answer<'a, ()> {
        note_deltas(&self.writer, rows).boxed()
    }
}

/// A feature as SQLite keeps it: in four bytes.
fn signed(feature: Feature) -> i64 {
    i64::from(i32::from_le_bytes(feature.0.to_le_bytes()))
}

fn feature_row(row: &SqliteRow) -> Result<(Feature, ObjectKey)> {
    let feature: i64 = get(row, "feature")?;
    let feature = i32::try_from(feature).map_err(|_| corrupt("feature"))?;
    Ok((Feature(u32::from_le_bytes(feature.to_le_bytes())), ObjectKey(get(row, "object_id")?)))
}

async fn add_features(pool: &SqlitePool, tenant: TenantKey, rows: &[(ObjectKey, Feature)]) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("indexing"))?;
    for chunk in chunks(rows) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT OR IGNORE INTO content_features (tenant_id, feature, object_id) ",
        );
        let _ = sql.push_values(chunk, |mut values, (object, feature)| {
            let _ = values.push_bind(tenant.0).push_bind(signed(*feature)).push_bind(object.0);
        });
        let _ = sql.build().execute(&mut *tx).await.map_err(failed("indexing"))?;
    }
    tx.commit().await.map_err(failed("indexing"))
}

async fn holders(
    pool: &SqlitePool,
    tenant: TenantKey,
    features: &[Feature],
) -> Result<Vec<(Feature, ObjectKey)>> {
    let mut found = Vec::new();
    for keys in key_lists(features) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT DISTINCT feature, object_id FROM content_features WHERE tenant_id = ",
        );
        let _ = sql.push_bind(tenant.0).push(" AND feature IN (");
        let mut list = sql.separated(", ");
        for feature in keys {
            let _ = list.push_bind(signed(*feature));
        }
        let _ = sql.push(")");
        let rows = sql.build().fetch_all(pool).await.map_err(failed("looking for what is similar"))?;
        for row in &rows {
            found.push(feature_row(row)?);
        }
    }
    Ok(found)
}

async fn feature_page(
    pool: &SqlitePool,
    tenant: TenantKey,
    after: Option<(Feature, ObjectKey)>,
    limit: u32,
) -> Result<Vec<(Feature, ObjectKey)>> {
    let (feature, object) = after.map_or((i64::MIN, 0), |(feature, object)| (signed(feature), object.0));
    let rows = sqlx::query(
        "SELECT feature, object_id FROM content_features \
         WHERE tenant_id = ? AND (feature, object_id) > (?, ?) ORDER BY feature, object_id LIMIT ?",
    )
    .bind(tenant.0)
    .bind(feature)
    .bind(object)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed("reading features"))?;
    rows.iter().map(feature_row).collect()
}

async fn forget_features(pool: &SqlitePool) -> Result<u64> {
    let tenants = sqlx::query("SELECT DISTINCT tenant_id FROM content_features")
        .fetch_all(pool)
        .await
        .map_err(failed("forgetting features"))?;
    let mut forgotten = 0;
    for tenant in &tenants {
        for part in 0..PARTS {
            let width = (1_i64 << 32) / PARTS;
            let first = i64::from(i32::MIN) + part * width;
            let done = sqlx::query(
                "DELETE FROM content_features WHERE tenant_id = ? AND feature BETWEEN ? AND ? \
                 AND NOT EXISTS (SELECT 1 FROM content_objects o WHERE o.id = object_id)",
            )
            .bind(get::<i64, _>(tenant, 0)?)
            .bind(first)
            .bind(first + width - 1)
            .execute(pool)
            .await
            .map_err(failed("forgetting features"))?;
            forgotten += done.rows_affected();
        }
    }
    Ok(forgotten)
}

async fn objects_by_key(pool: &SqlitePool, tenant: TenantKey, keys: &[ObjectKey]) -> Result<Vec<ObjectRow>> {
    let mut found = Vec::new();
    for keys in key_lists(keys) {
        let mut sql = QueryBuilder::<Sqlite>::new(OBJECT);
        let _ = sql.push("WHERE o.tenant_id = ").push_bind(tenant.0).push(" AND o.id IN (");
        push_keys(&mut sql, keys);
        let rows = sql.build().fetch_all(pool).await.map_err(failed("looking up objects"))?;
        for row in &rows {
            found.push(object(row, "id")?);
        }
    }
    Ok(found)
}

fn push_keys<'k>(sql: &mut QueryBuilder<Sqlite>, keys: impl Iterator<Item = &'k ObjectKey>) {
    let mut list = sql.separated(", ");
    for key in keys {
        let _ = list.push_bind(key.0);
    }
    let _ = sql.push(")");
}

const DELTA: &str = "SELECT d.object_id, d.base_id, d.bytes FROM content_deltas d \
     JOIN content_objects o ON o.id = d.object_id WHERE o.tenant_id = ";

fn delta_row(row: &SqliteRow) -> Result<DeltaRow> {
    Ok(DeltaRow {
        object: ObjectKey(get(row, "object_id")?),
        base: ObjectKey(get(row, "base_id")?),
        bytes: get_u64(row, "bytes")?,
    })
}

async fn deltas(
    pool: &SqlitePool,
    tenant: TenantKey,
    (which, keys): (&'static str, &[ObjectKey]),
) -> Result<Vec<DeltaRow>> {
    let mut found = Vec::new();
    for keys in key_lists(keys) {
        let mut sql = QueryBuilder::<Sqlite>::new(DELTA);
        let _ = sql.push_bind(tenant.0).push(which);
        push_keys(&mut sql, keys);
        let rows = sql.build().fetch_all(pool).await.map_err(failed("looking up deltas"))?;
        for row in &rows {
            found.push(delta_row(row)?);
        }
    }
    Ok(found)
}

async fn delta_page(
    pool: &SqlitePool,
    tenant: TenantKey,
    after: ObjectKey,
    limit: u32,
) -> Result<Vec<DeltaRow>> {
    let mut sql = QueryBuilder::<Sqlite>::new(DELTA);
    let _ = sql.push_bind(tenant.0).push(" AND d.object_id > ").push_bind(after.0);
    let _ = sql.push(" ORDER BY d.object_id LIMIT ").push_bind(i64::from(limit));
    let rows = sql.build().fetch_all(pool).await.map_err(failed("reading deltas"))?;
    rows.iter().map(delta_row).collect()
}

async fn unreferenced_bases(pool: &SqlitePool, tenant: TenantKey) -> Result<Vec<ObjectKey>> {
    let rows = sqlx::query(
        "SELECT DISTINCT d.base_id FROM content_deltas d JOIN content_objects o ON o.id = d.base_id \
         WHERE o.tenant_id = ? AND NOT EXISTS (SELECT 1 FROM email_content c WHERE c.object_id = d.base_id) \
         ORDER BY d.base_id",
    )
    .bind(tenant.0)
    .fetch_all(pool)
    .await
    .map_err(failed("looking for bases"))?;
    rows.iter().map(|row| Ok(ObjectKey(get(row, 0)?))).collect()
}

async fn note_deltas(pool: &SqlitePool, rows: &[DeltaRow]) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("noting deltas"))?;
    for row in rows {
        note_delta(&mut tx, row).await?;
    }
    tx.commit().await.map_err(failed("noting deltas"))
}

async fn note_delta(tx: &mut SqliteConnection, row: &DeltaRow) -> Result<()> {
    let _ = sqlx::query(
        "INSERT INTO content_deltas (object_id, base_id, bytes) VALUES (?, ?, ?) \
         ON CONFLICT DO UPDATE SET base_id = excluded.base_id, bytes = excluded.bytes",
    )
    .bind(row.object.0)
    .bind(row.base.0)
    .bind(int(row.bytes))
    .execute(tx)
    .await
    .map_err(failed("noting deltas"))?;
    Ok(())
}

/// Whether an object may be stored in that form: chains are one long, and a base is there and whole.
pub(super) async fn may_take(
    tx: &mut SqliteConnection,
    tenant: TenantKey,
    object: ObjectKey,
    form: Form,
) -> Result<bool> {
    let Form::Delta { base, .. } = form else {
        return Ok(true);
    };
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM content_objects WHERE id = ?1 AND tenant_id = ?3 AND quarantined IS NULL) \
         AND NOT EXISTS (SELECT 1 FROM content_deltas WHERE object_id = ?1 OR base_id = ?2) AND ?1 <> ?2",
    )
    .bind(base.0)
    .bind(object.0)
    .bind(tenant.0)
    .fetch_one(tx)
    .await
    .map_err(failed("moving"))?;
    Ok(get::<i64, _>(&row, 0)? != 0)
}

/// Notes the form that an object has at its new place.
pub(super) async fn take_form(tx: &mut SqliteConnection, object: ObjectKey, form: Form) -> Result<()> {
    match form {
        Form::Kept => Ok(()),
        Form::Whole => {
            let _ = sqlx::query("DELETE FROM content_deltas WHERE object_id = ?")
                .bind(object.0)
                .execute(tx)
                .await
                .map_err(failed("moving"))?;
            Ok(())
        }
        Form::Delta { base, bytes } => note_delta(tx, &DeltaRow { object, base, bytes }).await,
    }
}
