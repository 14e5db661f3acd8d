//! Units that may move, and their moves.

use uuid::Uuid;

use crate::catalog::rows::Location;
use crate::catalog::rows::Place;
use crate::catalog::similar::Form;
use crate::clock::Timestamp;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::model::Tier;

/// A unit that may move: everything that policy and planning need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<K> {
    /// Its key.
    pub key: K,
    /// The item's id for a skeleton.
    pub id: Option<Uuid>,
    /// The object's hash.
    pub sha256: Option<Sha256>,
    /// Decoded bytes.
    pub bytes: u64,
    /// Media class; 0 for a skeleton.
    pub class: u8,
    /// Where it is.
    pub location: Location,
    /// Its second location.
    pub copy: Option<Location>,
    /// The newest creation of its references.
    pub created: Timestamp,
    /// The last day it was read.
    pub read_day: Option<i64>,
    /// The most reads of one day.
    pub reads: u32,
    /// The warmest pin among its references.
    pub pin: Option<Tier>,
    /// False for an object without a reference: it is left to sweep.
    pub referenced: bool,
}

/// A page of candidates and the key to continue after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidatePage<K> {
    /// The candidates.
    pub candidates: Vec<Candidate<K>>,
    /// The last key seen; none when there are no more.
    pub next: Option<K>,
}

/// What moves: a skeleton or an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnitKey {
    /// A skeleton.
    Skeleton(ItemKey),
    /// An object.
    Object(ObjectKey),
}

/// A move, conditional on the old place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocation {
    /// What moves.
    pub unit: UnitKey,
    /// Whether it is its second location that moves.
    pub copy: bool,
    /// Decoded bytes, for the statistics.
    pub bytes: u64,
    /// Where it must still be.
    pub from: Place,
    /// The tier of that.
    pub from_tier: Tier,
    /// Where it is now.
    pub to: Place,
    /// The tier of that.
    pub to_tier: Tier,
    /// How it is stored there.
    pub form: Form,
}

/// A second location added (`Some`) or dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyChange {
    /// Of what.
    pub unit: UnitKey,
    /// Decoded bytes, for the statistics.
    pub bytes: u64,
    /// The new second location.
    pub copy: Option<Place>,
    /// The tier of the copy that is added or dropped.
    pub tier: Tier,
}

/// What is located in a frame, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameUse {
    /// Whose it is.
    pub tenant: TenantKey,
    /// The pack.
    pub pack: PackKey,
    /// The frame; none for a pack of the hot tier, whose frames are summed up together.
    pub frame: Option<u32>,
    /// The media class of the units; 0 for skeletons.
    pub class: u8,
    /// Skeletons or objects located there, second locations included.
    pub units: u64,
    /// Their decoded bytes.
    pub bytes: u64,
    /// The smallest of their keys: where the frame stands in the order of arrival.
    pub first: i64,
}

/// A unit at one of its locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedUnit {
    /// Its key.
    pub unit: UnitKey,
    /// The item's id for a skeleton.
    pub id: Option<Uuid>,
    /// The object's hash.
    pub sha256: Option<Sha256>,
    /// Decoded bytes.
    pub bytes: u64,
    /// Media class; 0 for a skeleton.
    pub class: u8,
    /// Where it is.
    pub location: Location,
    /// Whether that is its second location.
    pub copy: bool,
}
