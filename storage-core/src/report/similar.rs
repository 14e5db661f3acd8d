//! What is nearly the same as an item.

use uuid::Uuid;

use crate::model::Sha256;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimilarOptions {
    /// How many at most.
    pub limit: u32,
    /// Only those whose score or shared part is at least that, 0 to 100.
    pub score_min: u32,
}

/// An object that is nearly the same as one of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Similar {
    /// The part of the item.
    pub part: u32,
    /// SHA-256 of the similar object.
    pub sha256: Sha256,
    /// Its bytes.
    pub bytes: u64,
    /// Its bytes less those of the item's part.
    pub bytes_more: i64,
    /// What ssdeep says: 0 to 100.
    pub score: u32,
    /// The percentage of both contents that is the same, as their windows tell.
    pub shared: u32,
    /// Bytes of the difference, where it is stored as one.
    pub delta_bytes: Option<u64>,
    /// Items that contain it, at most 10.
    pub items: Vec<Uuid>,
}
