//! Names, places and the permanent small numbers of the format. An id that is taken is never reused.

use std::fmt;

use uuid::Uuid;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::model::ItemKind;
use crate::model::Tier;

/// The name of a pack, a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackName(pub Uuid);

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a pack was written for, and so whether recovery replays it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Written by puts; replayed.
    Log,
    /// Made from other packs; its frames are known already.
    Rewrite,
    /// One object streamed into a pack of its own; replayed.
    Large,
}

impl Origin {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Rewrite => 2,
            Self::Large => 3,
        }
    }

    pub(super) fn from_code(code: u8) -> Result<Self> {
        match code {
            1 => Ok(Self::Log),
            2 => Ok(Self::Rewrite),
            3 => Ok(Self::Large),
            other => Err(unknown("pack origin", u64::from(other))),
        }
    }
}

/// The name of an origin in docs and output.
pub(super) fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Log => "log",
        Origin::Rewrite => "rewrite",
        Origin::Large => "large",
    }
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameKind {
    /// Messages and objects compressed together.
    Block,
    /// A piece of a large object.
    Segment,
    /// Deletes.
    Tombstone,
    /// Changes of a tenant's tier policy or of an item.
    Policy,
    /// A tenant's name.
    Tenant,
    /// A dictionary.
    Dictionary,
}

impl FrameKind {
    /// Every kind of this version.
    pub const ALL: [Self; 6] =
        [Self::Block, Self::Segment, Self::Tombstone, Self::Policy, Self::Tenant, Self::Dictionary];

    /// The permanent number.
    pub fn code(self) -> u8 {
        match self {
            Self::Block => 1,
            Self::Segment => 2,
            Self::Tombstone => 3,
            Self::Policy => 4,
            Self::Tenant => 5,
            Self::Dictionary => 6,
        }
    }

    /// The kind of that number; a number this version does not know is refused.
    pub fn from_code(code: u64) -> Result<Self> {
        match code {
            1 => Ok(Self::Block),
            2 => Ok(Self::Segment),
            3 => Ok(Self::Tombstone),
            4 => Ok(Self::Policy),
            5 => Ok(Self::Tenant),
            6 => Ok(Self::Dictionary),
            other => Err(unknown("frame kind", other)),
        }
    }

    /// The name used in docs and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Segment => "segment",
            Self::Tombstone => "tombstone",
            Self::Policy => "policy",
            Self::Tenant => "tenant",
            Self::Dictionary => "dictionary",
        }
    }
}

/// Where a frame lies in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FramePlace {
    /// Its number in the pack, from 0.
    pub ordinal: u32,
    /// Its first byte.
    pub offset: u64,
    /// All its bytes.
    pub bytes: u32,
}

pub(super) fn tier_code(tier: Tier) -> u8 {
    match tier {
        Tier::Hot => 1,
        Tier::Warm => 2,
        Tier::Cold => 3,
        Tier::Archive => 4,
    }
}

pub(super) fn tier_from_code(code: u64) -> Result<Tier> {
    match code {
        1 => Ok(Tier::Hot),
        2 => Ok(Tier::Warm),
        3 => Ok(Tier::Cold),
        4 => Ok(Tier::Archive),
        other => Err(unknown("tier", other)),
    }
}

pub(super) fn item_code(kind: ItemKind) -> u64 {
    match kind {
        ItemKind::Message => 0,
        ItemKind::Content => 1,
    }
}

pub(super) fn item_from_code(code: u64) -> Result<ItemKind> {
    match code {
        0 => Ok(ItemKind::Message),
        1 => Ok(ItemKind::Content),
        other => Err(unknown("item kind", other)),
    }
}

pub(super) fn unknown(what: &str, number: u64) -> Error {
    Error::new(Kind::Unimplemented, format!("{what} {number} is unknown to this version"))
}
