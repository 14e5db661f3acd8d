//! How each tier writes a block: codec, level, block size. Pure data; `docs/decisions/` has the measurements.

use crate::codec::Codec;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::recode::UNPACKED_RATIO_MAX;
use crate::recode::applies;

/// How blocks of a tier and class are written, but for a dictionary.
#[derive(Debug, Clone)]
pub struct BlockRecipe {
    /// Decoded bytes after which a block is full.
    pub block_bytes: usize,
    /// Bytes that its objects have at least when it is full: what is recoded unpacks to more.
    pub full_object_bytes: usize,
    /// The codec of its stream.
    pub stream: Codec,
    /// The codec of its table.
    pub table: Codec,
    /// Whether the bytes of its entries may be compressed in another order.
    pub arranged: bool,
    /// The zstd level that recoding an object must pay at; none where the tier keeps objects as they are.
    pub recode_level: Option<i32>,
}

/// Bytes after which a block of deltas is full. They do not compress together, and reading one should not take many.
pub const DELTA_BLOCK_BYTES: usize = 64 << 10;

/// The zstd level of the archive tier where there is a dictionary, and that recoding must pay at.
pub const ARCHIVE_LEVEL: i32 = 19;

/// The zstd level of the archive tier without a dictionary.
const ARCHIVE_LEVEL_ALONE: i32 = 22;

/// The zstd level of the cold tier.
pub const COLD_LEVEL: i32 = 9;

/// The recipe of a tier and class.
pub fn block_recipe(tier: Tier, class: MediaClass) -> BlockRecipe {
    let recipe = |block_bytes: usize, stream, table, recode_level: Option<i32>| {
        let unpacks = recode_level.is_some() && applies(class);
        let full_object_bytes = if unpacks { block_bytes / UNPACKED_RATIO_MAX / 2 } else { block_bytes };
        BlockRecipe { block_bytes, full_object_bytes, stream, table, arranged: false, recode_level }
    };
    let zstd = |level| Codec::Zstd { level };
    match tier {
        Tier::Hot => recipe(64 << 10, Codec::None, Codec::None, None),
        Tier::Warm => recipe(64 << 10, Codec::Lz4, zstd(COLD_LEVEL), None),
        Tier::Cold => recipe(128 << 10, zstd(COLD_LEVEL), zstd(COLD_LEVEL), Some(COLD_LEVEL)),
        Tier::Archive => {
            let stream = zstd(ARCHIVE_LEVEL_ALONE);
            let recipe = recipe(archive_block_bytes(class), stream.clone(), stream, Some(ARCHIVE_LEVEL));
            BlockRecipe { arranged: class == MediaClass::Skeleton, ..recipe }
        }
    }
}

/// Documents and archives become several times as long when their streams are undone; a block of them is as much
/// longer, so that versions of one still lie in the same.
fn archive_block_bytes(class: MediaClass) -> usize {
    match class {
        MediaClass::Pdf | MediaClass::Zip | MediaClass::Compressed => 4 << 20,
        class if class.is_text() => 256 << 10,
        _ => 1 << 20,
    }
}
