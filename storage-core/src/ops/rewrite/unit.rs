//! What moves, as plain data: a skeleton or an object, where it is, and what becomes of its location.

use uuid::Uuid;

use crate::catalog::rows::Location;
use crate::catalog::rows::UnitKey;
use crate::media::MediaClass;
use crate::model::Sha256;
use crate::model::Tier;

/// What identifies a unit's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    Skeleton(Uuid),
    Object(Sha256),
}

/// What becomes of a unit's locations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its primary location moves.
    Move,
    /// A second location is added; the first one stays.
    AddCopy,
    /// Its second location moves.
    MoveCopy,
}

/// A unit that is written again.
#[derive(Debug, Clone)]
pub(crate) struct PlannedUnit {
    pub(crate) key: UnitKey,
    pub(crate) identity: Identity,
    pub(crate) bytes: u64,
    pub(crate) class: MediaClass,
    pub(crate) from: Location,
    pub(crate) to: Tier,
    pub(crate) change: Change,
}

/// What a run tells of the packs it writes.
pub(crate) trait Tally {
    /// A block was written into a pack that counts now.
    fn block(&mut self, units: &mut dyn Iterator<Item = &PlannedUnit>, stored_bytes: u64);
    /// A pack was written.
    fn pack(&mut self);
    /// Units that another change overtook stayed where they were.
    fn overtaken(&mut self, units: u64);
    /// A unit cannot be read back and stays where it is.
    fn damaged(&mut self);
    /// The run ended before its plan was done.
    fn stop(&mut self);
}
