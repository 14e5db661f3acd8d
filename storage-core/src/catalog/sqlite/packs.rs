//! Rows of packs.

use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use crate::catalog::rows::NewPack;
use crate::catalog::rows::PackBytes;
use crate::catalog::rows::PackOrigin;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::PackRow;
use crate::catalog::rows::PackState;
use crate::catalog::sqlite::commit::blob;
use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::corrupt;
use crate::catalog::sqlite::fields::get;
use crate::catalog::sqlite::fields::get_u64;
use crate::catalog::sqlite::fields::get_uuid;
use crate::catalog::sqlite::fields::int;
use crate::catalog::sqlite::fields::tier_code;
use crate::catalog::sqlite::fields::tier_of;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::PackKey;

const OPEN: i64 = 0;
const SEALED: i64 = 1;

fn origin_code(origin: PackOrigin) -> i64 {
    match origin {
        PackOrigin::Log => 0,
        PackOrigin::Rewrite => 1,
        PackOrigin::Large => 2,
    }
}

/// A row of `content_packs`.
pub(super) fn pack(row: &SqliteRow) -> Result<PackRow> {
    let origin = match get::<i64, _>(row, "origin")? {
        0 => PackOrigin::Log,
        1 => PackOrigin::Rewrite,
        2 => PackOrigin::Large,
        _ => return Err(corrupt("origin")),
    };
    let state = match (get::<i64, _>(row, "state")?, get::<Option<i64>, _>(row, "condemned")?) {
        (OPEN, None) => PackState::Open,
        (SEALED, None) => PackState::Sealed,
        (2, Some(at)) => PackState::Condemned(Timestamp(at)),
        _ => return Err(corrupt("state")),
    };
    let bytes = PackBytes {
        decoded: get_u64(row, "decoded_bytes")?,
        stream: get_u64(row, "stream_bytes")?,
        record: get_u64(row, "record_bytes")?,
        dictionary: get_u64(row, "dictionary_bytes")?,
        index: get_u64(row, "index_bytes")?,
    };
    Ok(PackRow {
        key: PackKey(get(row, "id")?),
        name: get_uuid(row, "uuid")?,
        origin,
        tier: tier_of(get(row, "tier")?)?,
        state,
        progress: PackProgress { committed_bytes: get_u64(row, "committed_bytes")?, bytes },
        created: Timestamp(get(row, "created")?),
    })
}

pub(super) async fn all(pool: &SqlitePool) -> Result<Vec<PackRow>> {
    let rows = sqlx::query("SELECT * FROM content_packs ORDER BY id")
        .fetch_all(pool)
        .await
        .map_err(failed("listing packs"))?;
    rows.iter().map(pack).collect()
}

pub(super) async fn add(pool: &SqlitePool, pack: &NewPack) -> Result<PackKey> {
    let bytes = pack.progress.bytes;
    let row = sqlx::query(
        "INSERT INTO content_packs (uuid, origin, tier, state, committed_bytes, decoded_bytes, stream_bytes, \
         record_bytes, dictionary_bytes, index_bytes, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(blob(pack.name))
    .bind(origin_code(pack.origin))
    .bind(tier_code(pack.tier))
    .bind(if pack.sealed { SEALED } else { OPEN })
    .bind(int(pack.progress.committed_bytes))
    .bind(int(bytes.decoded))
    .bind(int(bytes.stream))
    .bind(int(bytes.record))
    .bind(int(bytes.dictionary))
    .bind(int(bytes.index))
    .bind(pack.created.0)
    .fetch_one(pool)
    .await
    .map_err(failed("adding a pack"))?;
    Ok(PackKey(get(&row, 0)?))
}

/// Moves the watermark of an open pack.
pub(super) async fn set_progress(
    tx: &mut SqliteConnection,
    pack: PackKey,
    progress: PackProgress,
) -> Result<()> {
    let bytes = progress.bytes;
    let _ = sqlx::query(
        "UPDATE content_packs SET committed_bytes = ?, decoded_bytes = ?, stream_bytes = ?, record_bytes = ?, \
         dictionary_bytes = ?, index_bytes = ? WHERE id = ?",
    )
    .bind(int(progress.committed_bytes))
    .bind(int(bytes.decoded))
    .bind(int(bytes.stream))
    .bind(int(bytes.record))
    .bind(int(bytes.dictionary))
    .bind(int(bytes.index))
    .bind(pack.0)
    .execute(tx)
    .await
    .map_err(failed("moving the watermark"))?;
    Ok(())
}

pub(super) async fn seal(pool: &SqlitePool, pack: PackKey, progress: PackProgress) -> Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("sealing a pack"))?;
    set_progress(&mut tx, pack, progress).await?;
    let _ = sqlx::query("UPDATE content_packs SET state = 1 WHERE id = ? AND state = 0")
        .bind(pack.0)
        .execute(&mut *tx)
        .await
        .map_err(failed("sealing a pack"))?;
    tx.commit().await.map_err(failed("sealing a pack"))
}

pub(super) async fn remove(pool: &SqlitePool, pack: PackKey) -> Result<()> {
    let _ = sqlx::query("DELETE FROM content_packs WHERE id = ?")
        .bind(pack.0)
        .execute(pool)
        .await
        .map_err(failed("forgetting a pack"))?;
    Ok(())
}
