//! What a record of a pack must satisfy before recovery writes it into the catalog. A record whose checksum is right and
//! whose values no version writes is `Corrupt`; the catalog's own constraints would refuse it, too, but as a failure of
//! the database, or after an overflow. Pure.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::error::Result;
use crate::mime::Role;
use crate::pack::MessageRecord;

/// No length of anything stored comes near this; sums of such lengths stay far below 2^63.
const LENGTH_MAX: u64 = 1 << 48;
/// Letters of callers' ids and of tenants' names at most.
const NAME_LETTERS_MAX: usize = 128;

fn impossible(what: &str) -> Error {
    Error::corrupt(format!("The log holds a record with an impossible {what}. Restore from a backup."))
}

/// A length.
pub(crate) fn length(bytes: u64) -> Result<u64> {
    if bytes < LENGTH_MAX { Ok(bytes) } else { Err(impossible("length")) }
}

/// The name of a tenant, or a caller's id.
pub(crate) fn name(name: &str) -> Result<()> {
    let possible = (1..=NAME_LETTERS_MAX).contains(&name.chars().count()) && !name.contains('\0');
    if possible { Ok(()) } else { Err(impossible("name")) }
}

/// What a record says of an item; returns the bytes of its parts.
pub(crate) fn item(record: &MessageRecord) -> Result<u64> {
    let _bytes = length(record.bytes)?;
    record.caller_id.as_deref().map_or(Ok(()), name)?;
    let mut indexes = BTreeSet::new();
    let mut parts_bytes = 0_u64;
    for part in &record.parts {
        if Role::from_id(part.role).is_none() {
            return Err(impossible("role of a part"));
        }
        if !indexes.insert(part.index) {
            return Err(impossible("list of parts"));
        }
        parts_bytes = length(parts_bytes.saturating_add(part.decoded_bytes))?;
    }
    Ok(parts_bytes)
}
