//! External ids, each of which is kept once for its tenant: the numbers by which items refer to them, and their end with
//! the last item that does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use sqlx::QueryBuilder;
use sqlx::Sqlite;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::catalog::rows::NewItem;
use crate::catalog::sqlite::commit::blob;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::chunks;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_uuid;
use crate::catalog::sqlite::fields::key_lists;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::ExternalIds;

/// Numbers of external ids.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<(TenantKey, Uuid), i64>);

impl Numbers {
    /// The number of an external id that is there.
    pub(super) fn of(&self, tenant: TenantKey, id: Option<Uuid>) -> Option<i64> {
        self.0.get(&(tenant, id?)).copied()
    }

    fn add(&mut self, tenant: TenantKey, row: &SqliteRow) -> Result<()> {
        let _ = self.0.insert((tenant, get_uuid(row, "uuid")?), get(row, "id")?);
        Ok(())
    }
}

/// The numbers of the external ids of all these items. Those that are new get one.
pub(super) async fn number(tx: &mut SqliteConnection, items: &[NewItem]) -> Result<Numbers> {
    let mut wanted: BTreeMap<TenantKey, BTreeSet<Uuid>> = BTreeMap::new();
    for item in items {
        let ExternalIds { campaign, account, lead } = item.external;
        for id in [campaign, account, lead].into_iter().flatten() {
            let _ = wanted.entry(item.tenant).or_default().insert(id);
        }
    }
    let mut numbers = Numbers::default();
    for (tenant, ids) in wanted {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        look_up(&mut *tx, tenant, &ids, &mut numbers).await?;
        let new: Vec<Uuid> = ids.into_iter().filter(|id| numbers.of(tenant, Some(*id)).is_none()).collect();
        add(&mut *tx, tenant, &new, &mut numbers).await?;
    }
    Ok(numbers)
}

async fn look_up(
    tx: &mut SqliteConnection,
    tenant: TenantKey,
    ids: &[Uuid],
    numbers: &mut Numbers,
) -> Result<()> {
    for list in key_lists(ids) {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT id, uuid FROM external_ids WHERE tenant_id = ");
        let _ = sql.push_bind(tenant.0).push(" AND uuid IN (");
        let mut values = sql.separated(", ");
        for id in list {
            let _ = values.push_bind(blob(*id));
        }
        let _ = sql.push(")");
        let rows = sql.build().fetch_all(&mut *tx).await.map_err(failed("looking up external ids"))?;
        for row in &rows {
            numbers.add(tenant, row)?;
        }
    }
    Ok(())
}

async fn add(
    tx: &mut SqliteConnection,
    tenant: TenantKey,
    ids: &[Uuid],
    numbers: &mut Numbers,
) -> Result<()> {
    for chunk in chunks(ids) {
        let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO external_ids (tenant_id, uuid) ");
        let _ = sql.push_values(chunk, |mut row, id| {
            let _ = row.push_bind(tenant.0).push_bind(blob(*id));
        });
        let _ = sql.push(" RETURNING id, uuid");
        let rows = sql.build().fetch_all(&mut *tx).await.map_err(failed("adding external ids"))?;
        for row in &rows {
            numbers.add(tenant, row)?;
        }
    }
    Ok(())
}

/// Forgets those of a deleted item's external ids that no other item has. `row` has the columns `campaign`, `account` and
/// `lead`.
pub(super) async fn forget(tx: &mut SqliteConnection, row: &SqliteRow) -> Result<()> {
    for column in ["campaign", "account", "lead"] {
        let Some(number) = get::<Option<i64>, _>(row, column)? else {
            continue;
        };
        let _ = sqlx::query(
            "DELETE FROM external_ids WHERE id = ? \
             AND NOT EXISTS (SELECT 1 FROM email_messages WHERE campaign = external_ids.id) \
             AND NOT EXISTS (SELECT 1 FROM email_messages WHERE account = external_ids.id) \
             AND NOT EXISTS (SELECT 1 FROM email_messages WHERE lead = external_ids.id)",
        )
        .bind(number)
        .execute(&mut *tx)
        .await
        .map_err(failed("deleting"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;
    use sqlx::Row;
    use sqlx::SqliteConnection;

    #[tokio::test]
    async fn external_ids_of_an_older_catalog_are_kept() {
        let schema = [
            include_str!("../migrations/sqlite/0001_catalog.sql"),
            include_str!("../migrations/sqlite/0002_integrity.sql"),
            include_str!("../migrations/sqlite/0004_recoding.sql"),
            include_str!("../migrations/sqlite/0005_similarity.sql"),
            include_str!("../migrations/sqlite/0006_erasures.sql"),
            include_str!("../migrations/sqlite/0007_dictionary_versions.sql"),
        ];
        let rows = "INSERT INTO tenants VALUES (1, zeroblob(16), 'a', NULL, 0), (2, randomblob(16), 'b', NULL, 0);
            INSERT INTO content_packs (id, uuid, origin, tier, state, committed_bytes, decoded_bytes, stream_bytes,
                record_bytes, dictionary_bytes, index_bytes, created) VALUES (1, zeroblob(16), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
            INSERT INTO email_messages (tenant_id, kind, uuid, campaign_id, account_id, lead_id, bytes, sha256,
                skeleton_bytes, pack_id, frame, entry, hold) VALUES
                (1, 0, x'00000000000000000000000000000001', x'0000000000000000000000000000000c', NULL,
                 x'0000000000000000000000000000000d', 1, zeroblob(32), 1, 1, 0, 0, 0),
                (1, 0, x'00000000000000000000000000000002', NULL, NULL, NULL, 1, zeroblob(32), 1, 1, 0, 0, 0),
                (2, 0, x'00000000000000000000000000000003', x'0000000000000000000000000000000c',
                 x'0000000000000000000000000000000c', NULL, 1, zeroblob(32), 1, 1, 0, 0, 0)";
        let mut raw = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let newer = include_str!("../migrations/sqlite/0008_external_ids.sql");
        for sql in schema.into_iter().chain([rows, newer]) {
            let _ = sqlx::query(sql).execute(&mut raw).await.unwrap();
        }
        let found = sqlx::query(
            "SELECT hex(m.uuid) || ' ' || hex(c.uuid) || ' ' || hex(a.uuid) || ' ' || hex(l.uuid) FROM email_messages m
             LEFT JOIN external_ids c ON c.id = m.campaign LEFT JOIN external_ids a ON a.id = m.account
             LEFT JOIN external_ids l ON l.id = m.lead ORDER BY m.uuid",
        );
        let found = found.fetch_all(&mut raw).await.unwrap();
        let found: Vec<String> = found.iter().map(|row| row.get::<String, _>(0).replace("00", "")).collect();
        assert_eq!(found, ["01 0C  0D", "02   ", "03 0C 0C "]);
        let rows = sqlx::query("SELECT count(*) FROM external_ids").fetch_one(&mut raw).await.unwrap();
        assert_eq!(rows.get::<i64, _>(0), 3, "one a tenant and id");
        raw.close().await.unwrap();
    }
}
