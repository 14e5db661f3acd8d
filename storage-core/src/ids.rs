//! Newtypes for the numbers and names used inside the engine, and the making of ids (UUIDv7) from a time and randomness
//! that are both passed in.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;

/// A tenant's row in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantKey(pub i64);

/// An item's (message's or content's) row in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey(pub i64);

/// An object's row in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(pub i64);

/// A pack's row in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackKey(pub i64);

/// A dictionary's row in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DictionaryKey(pub i64);

/// A job's row in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(pub i64);

/// The last millisecond that a UUIDv7 can name.
const UUID_MILLIS_MAX: i64 = (1 << 48) - 1;

/// A UUIDv7 (RFC 9562) of that moment: 48 bits of milliseconds, 74 bits of `random`.
pub fn uuid_v7(at: Timestamp, random: [u8; 10]) -> Result<Uuid> {
    if !(0..=UUID_MILLIS_MAX).contains(&at.0) {
        return Err(Error::invalid("The created time must lie between 1970 and the year 10889."));
    }
    let millis = at.0.cast_unsigned();
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// The first UUIDv7 of that moment in sort order; moments outside the range are cut to it.
pub fn uuid_v7_floor(at: Timestamp) -> Uuid {
    let millis = at.0.clamp(0, UUID_MILLIS_MAX).cast_unsigned();
    Uuid::from_u128(u128::from(millis) << 80)
}

/// The moment a UUIDv7 names.
pub fn uuid_v7_time(id: Uuid) -> Timestamp {
    let millis = u64::try_from(id.as_u128() >> 80).unwrap_or(0);
    Timestamp(millis.cast_signed())
}

/// The short hash that Message-IDs are found by: the first 8 bytes of the SHA-256 of the id without angle brackets
/// and surrounding white space.
pub fn message_id_hash(message_id: &str) -> i64 {
    let bare = message_id.trim();
    let bare = bare.strip_prefix('<').unwrap_or(bare);
    let bare = bare.strip_suffix('>').unwrap_or(bare);
    let digest = <sha2::Sha256 as sha2::Digest>::digest(bare.as_bytes());
    digest.first_chunk::<8>().map_or(0, |prefix| i64::from_le_bytes(*prefix))
}

/// Makes the server's ids. Its randomness comes from a seed that is passed in, so that a simulation repeats.
#[derive(Debug)]
pub struct IdSource {
    seed: [u8; 32],
    made: std::sync::atomic::AtomicU64,
}

impl IdSource {
    /// Ids that follow from this seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed, made: std::sync::atomic::AtomicU64::new(0) }
    }

    /// A fresh UUIDv7 of that moment.
    pub fn next(&self, at: Timestamp) -> Result<Uuid> {
        let number = self.made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut hasher = <sha2::Sha256 as sha2::Digest>::new();
        sha2::Digest::update(&mut hasher, self.seed);
        sha2::Digest::update(&mut hasher, number.to_le_bytes());
        let digest: [u8; 32] = sha2::Digest::finalize(hasher).into();
        let random = digest.first_chunk::<10>().copied().unwrap_or_default();
        uuid_v7(at, random)
    }
}
