//! The first bytes of a pack: its name, what it was written for, and when. Fixed length, checksummed.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::model::Tier;
use crate::pack::names::Origin;
use crate::pack::names::PackName;
use crate::pack::names::tier_code;
use crate::pack::names::tier_from_code;
use crate::pack::names::unknown;
use crate::pack::wire::Cursor;

const MAGIC: [u8; 8] = *b"TIERPACK";
const VERSION: u16 = 1;

/// Offsets, each derived from the one before.
pub(super) mod at {
    pub(in crate::pack) const MAGIC: usize = 0;
    pub(in crate::pack) const VERSION: usize = MAGIC + 8;
    pub(in crate::pack) const ORIGIN: usize = VERSION + 2;
    pub(in crate::pack) const TIER: usize = ORIGIN + 1;
    pub(in crate::pack) const RESERVED: usize = TIER + 1;
    pub(in crate::pack) const NAME: usize = RESERVED + 4;
    pub(in crate::pack) const CREATED: usize = NAME + 16;
    pub(in crate::pack) const CHECKSUM: usize = CREATED + 8;
    pub(in crate::pack) const END: usize = CHECKSUM + 4;
}

const _: () = assert!(at::END == 44);

/// What a pack says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackHeader {
    /// Its name, which is also that of its file.
    pub name: PackName,
    /// What it was written for.
    pub origin: Origin,
    /// The tier its blocks belong to.
    pub tier: Tier,
    /// When it was begun.
    pub created: Timestamp,
}

impl PackHeader {
    /// Its length.
    pub const BYTES: usize = at::END;

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.push(self.origin.code());
        bytes.push(tier_code(self.tier));
        bytes.extend_from_slice(&[0; at::NAME - at::RESERVED]);
        bytes.extend_from_slice(self.name.0.as_bytes());
        bytes.extend_from_slice(&self.created.0.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        let covered = cursor.clone().take(at::CHECKSUM as u64)?;
        if cursor.array()? != MAGIC {
            return Err(Error::corrupt("this is not a pack: its first bytes are others"));
        }
        let version = cursor.u16()?;
        let origin = cursor.u8()?;
        let tier = cursor.u8()?;
        let reserved = cursor.u32()?;
        let name = PackName(Uuid::from_bytes(cursor.array()?));
        let created = Timestamp(cursor.u64()?.cast_signed());
        if cursor.u32()? != crc32c::crc32c(covered) {
            return Err(Error::corrupt("the header of a pack does not match its checksum"));
        }
        if version != VERSION {
            return Err(unknown("pack version", u64::from(version)));
        }
        if reserved != 0 {
            return Err(unknown("pack flag", u64::from(reserved)));
        }
        let origin = Origin::from_code(origin)?;
        let tier = tier_from_code(u64::from(tier))?;
        Ok(Self { name, origin, tier, created })
    }
}
