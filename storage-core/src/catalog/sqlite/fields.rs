//! Between SQLite's values and ours. A value that does not fit is `Corrupt`.

use std::collections::BTreeMap;

use sqlx::ColumnIndex;
use sqlx::Decode;
use sqlx::Row;
use sqlx::Sqlite;
use sqlx::Type;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::catalog::rows::Location;
use crate::catalog::rows::Place;
use crate::error::Error;
use crate::error::Result;
use crate::ids::PackKey;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::model::Tier;

/// The largest power of two of rows in one statement. Few distinct statement texts keep the statement cache useful.
const CHUNK_ROWS_MAX: usize = 256;

/// Cuts `rows` into runs whose lengths are powers of two, so that multi-row statements repeat and stay prepared.
pub(super) fn chunks<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let fitting = usize::try_from(1_u64 << rest.len().ilog2()).unwrap_or(1).min(CHUNK_ROWS_MAX);
        let (chunk, after) = rest.split_at(fitting);
        rest = after;
        Some(chunk)
    })
}

/// Cuts the keys of an `IN (...)` list like [`chunks`], but into as few lists as there can be: the last one is filled up
/// to a power of two with a key it has.
pub(super) fn key_lists<T>(keys: &[T]) -> impl Iterator<Item = impl Iterator<Item = &T>> {
    keys.chunks(CHUNK_ROWS_MAX).map(|list| {
        let missing = list.len().next_power_of_two() - list.len();
        list.iter().chain(list.last().into_iter().cycle().take(missing))
    })
}

/// A column's value.
pub(super) fn get<'r, T, I>(row: &'r SqliteRow, index: I) -> Result<T>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
    I: ColumnIndex<SqliteRow>,
{
    row.try_get(index)
        .map_err(|source| Error::corrupt("A row of the catalog cannot be read.").with_source(source))
}

/// A number that is there. The driver reads NULL as 0, so it is asked for.
fn get_i64(row: &SqliteRow, index: &str) -> Result<i64> {
    get::<Option<i64>, _>(row, index)?.ok_or_else(|| corrupt(index))
}

/// A count or length.
pub(super) fn get_u64(row: &SqliteRow, index: &str) -> Result<u64> {
    u64::try_from(get_i64(row, index)?).map_err(|_| corrupt(index))
}

/// An ordinal.
pub(super) fn get_u32(row: &SqliteRow, index: &str) -> Result<u32> {
    u32::try_from(get_i64(row, index)?).map_err(|_| corrupt(index))
}

/// A small code.
pub(super) fn get_u8(row: &SqliteRow, index: &str) -> Result<u8> {
    u8::try_from(get_i64(row, index)?).map_err(|_| corrupt(index))
}

/// A code that is 0 or 1.
pub(super) fn get_flag(row: &SqliteRow, index: &str) -> Result<bool> {
    match get_i64(row, index)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(corrupt(index)),
    }
}

/// The error for a value out of range.
pub(super) fn corrupt(column: &str) -> Error {
    Error::corrupt(format!("The catalog holds an impossible value in {column}. Restore from a backup."))
}

/// A length or counter as SQLite keeps it. Nothing here comes near 2^63.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A UUID column.
pub(super) fn get_uuid(row: &SqliteRow, index: &str) -> Result<Uuid> {
    Uuid::from_slice(get::<&[u8], _>(row, index)?).map_err(|_| corrupt(index))
}

/// An optional UUID column.
pub(super) fn get_uuid_opt(row: &SqliteRow, index: &str) -> Result<Option<Uuid>> {
    let bytes: Option<&[u8]> = get(row, index)?;
    bytes.map(Uuid::from_slice).transpose().map_err(|_| corrupt(index))
}

/// A SHA-256 column.
pub(super) fn get_sha(row: &SqliteRow, index: &str) -> Result<Sha256> {
    let bytes: &[u8] = get(row, index)?;
    Ok(Sha256(bytes.try_into().map_err(|_| corrupt(index))?))
}

/// A tier as stored.
pub(super) fn tier_code(tier: Tier) -> i64 {
    match tier {
        Tier::Hot => 0,
        Tier::Warm => 1,
        Tier::Cold => 2,
        Tier::Archive => 3,
    }
}

/// The tier of a code.
pub(super) fn tier_of(code: i64) -> Result<Tier> {
    usize::try_from(code).ok().and_then(|index| Tier::ALL.get(index).copied()).ok_or_else(|| corrupt("tier"))
}

/// A kind as stored.
pub(super) fn kind_code(kind: ItemKind) -> i64 {
    match kind {
        ItemKind::Message => 0,
        ItemKind::Content => 1,
    }
}

/// The kind of a code.
pub(super) fn kind_of(code: i64) -> Result<ItemKind> {
    match code {
        0 => Ok(ItemKind::Message),
        1 => Ok(ItemKind::Content),
        _ => Err(corrupt("kind")),
    }
}

/// Labels as stored: JSON, or NULL for none.
pub(super) fn labels_text(labels: &BTreeMap<String, String>) -> Option<String> {
    if labels.is_empty() { None } else { serde_json::to_string(labels).ok() }
}

/// Labels of a column.
pub(super) fn labels_of(text: Option<&str>) -> Result<BTreeMap<String, String>> {
    text.map_or_else(|| Ok(BTreeMap::new()), |text| serde_json::from_str(text).map_err(|_| corrupt("labels")))
}

/// The columns `pack_id, frame, entry, pack_uuid, pack_tier`.
pub(super) fn location(row: &SqliteRow) -> Result<Location> {
    Ok(Location {
        place: Place {
            pack: PackKey(get(row, "pack_id")?),
            frame: get_u32(row, "frame")?,
            entry: get_u32(row, "entry")?,
        },
        pack: get_uuid(row, "pack_uuid")?,
        tier: tier_of(get_i64(row, "pack_tier")?)?,
    })
}

/// The columns `copy_pack_id, copy_frame, copy_entry, copy_pack_uuid, copy_pack_tier`.
pub(super) fn copy_location(row: &SqliteRow) -> Result<Option<Location>> {
    let Some(pack) = get::<Option<i64>, _>(row, "copy_pack_id")? else {
        return Ok(None);
    };
    Ok(Some(Location {
        place: Place {
            pack: PackKey(pack),
            frame: get_u32(row, "copy_frame")?,
            entry: get_u32(row, "copy_entry")?,
        },
        pack: get_uuid(row, "copy_pack_uuid")?,
        tier: tier_of(get_i64(row, "copy_pack_tier")?)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::chunks;
    use super::key_lists;

    #[test]
    fn key_lists_are_powers_of_two_and_hold_no_foreign_key() {
        for count in [0_usize, 1, 2, 3, 5, 256, 300] {
            let keys: Vec<usize> = (0..count).collect();
            let lists: Vec<Vec<usize>> = key_lists(&keys).map(|list| list.copied().collect()).collect();
            assert!(lists.iter().all(|list| list.len().is_power_of_two()));
            let mut found = lists.concat();
            found.dedup();
            assert_eq!(found, keys);
        }
    }

    #[test]
    fn chunks_are_powers_of_two_and_cover_everything() {
        let rows: Vec<u32> = (0..1_000).collect();
        let lengths: Vec<usize> = chunks(&rows).map(<[u32]>::len).collect();
        assert_eq!(lengths, [256, 256, 256, 128, 64, 32, 8]);
        assert_eq!(chunks(&rows).flatten().copied().collect::<Vec<_>>(), rows);
        assert_eq!(chunks::<u32>(&[]).count(), 0);
    }
}
