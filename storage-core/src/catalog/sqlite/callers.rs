//! How callers' ids are kept: an id of a usual shape as the bytes that it stands for, any other as its text; and the short
//! hash that it is found by. Every id is kept in one way only, so two rows hold the same id where they hold the same bytes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::catalog::sqlite::failed;
use crate::catalog::sqlite::fields::corrupt;
use crate::catalog::sqlite::fields::get;
use crate::error::Result;

/// Digits of base64url that stand for 16 bytes.
const BASE64URL_DIGITS: usize = 22;

/// Rows that get their hash in one transaction.
const PAGE_ROWS: i64 = 10_000;

/// The version of the catalog's file in which every caller's id has its hash.
const HASHED_VERSION: i64 = 1;

/// A caller's id as a row keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its text, where that has no other form.
    pub(super) text: Option<String>,
    /// What it stands for.
    pub(super) key: Option<Vec<u8>>,
    /// What it is found by.
    pub(super) hash: Option<i64>,
}

impl Kept {
    pub(super) fn of(id: Option<&str>) -> Self {
        let Some(id) = id else {
            return Self::default();
        };
        let key = key_of(id);
        let text = key.is_none().then(|| id.to_owned());
        Self { text, key, hash: Some(hash(id)) }
    }
}

/// What a caller's id is found by.
pub(super) fn hash(id: &str) -> i64 {
    let digest = <[u8; 32]>::from(sha2::Sha256::digest(id.as_bytes()));
    digest.first_chunk().map_or(0, |first| i64::from(i32::from_le_bytes(*first)))
}

/// The caller's id of a row.
pub(super) fn caller_id(row: &SqliteRow) -> Result<Option<String>> {
    match get::<Option<Vec<u8>>, _>(row, "caller_key")? {
        Some(key) => text_of(&key).map(Some).ok_or_else(|| corrupt("caller's id")),
        None => get(row, "caller_id"),
    }
}

/// Whether a row keeps its caller's id in the one way that it is found by.
pub(super) fn is_kept(row: &SqliteRow, id: Option<&str>) -> Result<bool> {
    let kept =
        Kept { text: get(row, "caller_id")?, key: get(row, "caller_key")?, hash: get(row, "caller_hash")? };
    Ok(kept == Kept::of(id))
}

/// The bytes that an id stands for, if the same id comes out of them.
fn key_of(id: &str) -> Option<Vec<u8>> {
    let key = match id.len() {
        BASE64URL_DIGITS => URL_SAFE_NO_PAD.decode(id).ok()?,
        uuid::fmt::Hyphenated::LENGTH => [&[0], Uuid::try_parse(id).ok()?.as_bytes().as_slice()].concat(),
        _ => return None,
    };
    (text_of(&key).as_deref() == Some(id)).then_some(key)
}

fn text_of(key: &[u8]) -> Option<String> {
    match key.len() {
        16 => Some(URL_SAFE_NO_PAD.encode(key)),
        17 => key
            .strip_prefix(&[0])
            .and_then(|id| Uuid::from_slice(id).ok())
            .map(|id| id.hyphenated().to_string()),
        _ => None,
    }
}

/// Gives rows of an older version their hash and the form that ids have now, page by page. It can be repeated.
pub(super) async fn hash_older(writer: &SqlitePool) -> Result<()> {
    let row = sqlx::query("PRAGMA user_version").fetch_one(writer).await.map_err(failed("opening"))?;
    if get::<i64, _>(&row, 0)? >= HASHED_VERSION {
        return Ok(());
    }
    let mut after = 0;
    loop {
        let rows = sqlx::query(
            "SELECT id, caller_id FROM email_messages \
             WHERE id > ? AND caller_id IS NOT NULL AND caller_hash IS NULL ORDER BY id LIMIT ?",
        )
        .bind(after)
        .bind(PAGE_ROWS)
        .fetch_all(writer)
        .await
        .map_err(failed("reading callers' ids"))?;
        let Some(last) = rows.last() else {
            break;
        };
        after = get(last, "id")?;
        hash_page(writer, &rows).await?;
    }
    let sql = format!("PRAGMA user_version = {HASHED_VERSION}");
    let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(writer).await.map_err(failed("opening"))?;
    Ok(())
}

async fn hash_page(writer: &SqlitePool, rows: &[SqliteRow]) -> Result<()> {
    let mut tx = writer.begin().await.map_err(failed("hashing callers' ids"))?;
    for row in rows {
        let kept = Kept::of(Some(&get::<String, _>(row, "caller_id")?));
        let _ = sqlx::query(
            "UPDATE email_messages SET caller_id = ?, caller_key = ?, caller_hash = ? WHERE id = ?",
        )
        .bind(kept.text)
        .bind(kept.key)
        .bind(kept.hash)
        .bind(get::<i64, _>(row, "id")?)
        .execute(&mut *tx)
        .await
        .map_err(failed("hashing callers' ids"))?;
    }
    tx.commit().await.map_err(failed("hashing callers' ids"))
}

#[cfg(test)]
mod tests {
    use super::Kept;
    use super::key_of;
    use super::text_of;

    #[test]
    fn usual_ids_are_kept_as_bytes_and_come_back() {
        let usual =
            [("tz3IPgK8DrpyxaXfoijlqA", 16), ("AAAAAAAAAAAAAAAAAAAAAA", 16), ("--------------------_w", 16)];
        for (id, bytes) in usual.into_iter().chain([("0193c0de-0000-7abc-8def-0123456789ab", 17)]) {
            let key = key_of(id).expect(id);
            assert_eq!(key.len(), bytes);
            assert_eq!(text_of(&key).as_deref(), Some(id));
            assert_eq!(Kept::of(Some(id)).text, None);
        }
    }

    #[test]
    fn other_ids_stay_as_they_are() {
        // Upper case, bits that base64url of 16 bytes does not use, other digits, other lengths.
        let others =
            ["0193C0DE-0000-7ABC-8DEF-0123456789AB", "tz3IPgK8DrpyxaXfoijlqB", "tz3IPgK8DrpyxaXfoijl+A"];
        for id in
            others.into_iter().chain(["0193c0de00007abc8def0123456789ab", "caller 1", "", "ÄÄÄÄÄÄÄÄÄÄÄ"])
        {
            assert_eq!(key_of(id), None, "{id}");
            assert_eq!(Kept::of(Some(id)).text.as_deref(), Some(id));
        }
        assert_eq!(Kept::of(None), Kept::default());
    }
}
