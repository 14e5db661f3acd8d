//! A put of a quarantined object's bytes mends it: the row that is there refers to the new place, and with it every item
//! that refers to the row.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::catalog::rows::NewObject;
use crate::catalog::similar::Form;
use crate::catalog::sqlite::commit::Increments;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::int;
use crate::catalog::sqlite::fields::tier_of;
use crate::catalog::sqlite::similar;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::model::Tier;

/// Gives quarantined objects among `objects` their new places. Returns their keys by their index in `objects`.
pub(super) async fn mend(
    tx: &mut SqliteConnection,
    objects: &[NewObject],
    sums: &mut Increments,
) -> Result<HashMap<usize, i64>> {
    let mut mended = HashMap::new();
    if objects.is_empty() || !any_quarantined(tx).await? {
        return Ok(mended);
    }
    for (index, object) in objects.iter().enumerate() {
        if let Some(key) = mend_one(tx, object, sums).await? {
            let _ = mended.insert(index, key);
        }
    }
    Ok(mended)
}

/// Hardly ever: one probe of an index that is empty.
async fn any_quarantined(tx: &mut SqliteConnection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM content_objects WHERE quarantined IS NOT NULL)";
    let row = sqlx::query(sql).fetch_one(tx).await.map_err(failed("looking up objects"))?;
    Ok(get::<i64, _>(&row, 0)? != 0)
}

async fn mend_one(
    tx: &mut SqliteConnection,
    object: &NewObject,
    sums: &mut Increments,
) -> Result<Option<i64>> {
    let found = sqlx::query(
        "SELECT o.id, o.bytes, p.tier, cp.tier AS copy_tier FROM content_objects o \
         JOIN content_packs p ON p.id = o.pack_id LEFT JOIN content_packs cp ON cp.id = o.copy_pack_id \
         WHERE o.tenant_id = ? AND substr(o.sha256, 1, 16) = substr(?, 1, 16) AND o.quarantined IS NOT NULL",
    )
    .bind(object.tenant.0)
    .bind(object.sha256.0.to_vec())
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed("looking up objects"))?;
    let Some(row) = found else {
        return Ok(None);
    };
    let (key, bytes): (i64, i64) = (get(&row, "id")?, get(&row, "bytes")?);
    let sql = "UPDATE content_objects SET bytes = ?, class = ?, pack_id = ?, frame = ?, entry = ?, \
         copy_pack_id = NULL, copy_frame = NULL, copy_entry = NULL, quarantined = NULL WHERE id = ?";
    let _ = sqlx::query(sql)
        .bind(int(object.bytes))
        .bind(i64::from(object.class))
        .bind(object.place.pack.0)
        .bind(i64::from(object.place.frame))
        .bind(i64::from(object.place.entry))
        .bind(key)
        .execute(&mut *tx)
        .await
        .map_err(failed("mending an object"))?;
    similar::take_form(tx, ObjectKey(key), Form::Whole).await?;
    let old = sums.entry((object.tenant, tier_of(get(&row, "tier")?)?)).or_default();
    old.objects -= 1;
    old.object_bytes -= bytes;
    if let Some(code) = get::<Option<i64>, _>(&row, "copy_tier")? {
        sums.entry((object.tenant, tier_of(code)?)).or_default().copy_bytes -= bytes;
    }
    let new = sums.entry((object.tenant, Tier::Hot)).or_default();
    new.objects += 1;
    new.object_bytes += int(object.bytes);
    Ok(Some(key))
}
