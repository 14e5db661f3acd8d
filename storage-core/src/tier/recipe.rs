//! How each tier writes a block: codec, level, block size. Pure data; `docs/decisions/` has the measurements.

use crate::codec::Codec;
use crate::media::MediaClass;
use crate::model::Tier;

/// How blocks of a tier and class are written, but for a dictionary.
#[derive(Debug, Clone)]
pub struct BlockRecipe {
    /// Decoded bytes after which a block is full.
    pub block_bytes: usize,
    /// The codec of its stream.
    pub stream: Codec,
    /// The codec of its table.
    pub table: Codec,
}

/// The zstd level of the archive tier.
pub const ARCHIVE_LEVEL: i32 = 19;

/// The zstd level of the cold tier.
pub const COLD_LEVEL: i32 = 9;

/// The recipe of a tier and class.
pub fn block_recipe(tier: Tier, class: MediaClass) -> BlockRecipe {
    match tier {
        Tier::Hot => BlockRecipe { block_bytes: 64 << 10, stream: Codec::None, table: Codec::None },
        Tier::Warm => BlockRecipe {
            block_bytes: 64 << 10,
            stream: Codec::Lz4,
            table: Codec::Zstd { level: COLD_LEVEL },
        },
        Tier::Cold => BlockRecipe {
            block_bytes: 128 << 10,
            stream: Codec::Zstd { level: COLD_LEVEL },
            table: Codec::Zstd { level: COLD_LEVEL },
        },
        Tier::Archive => BlockRecipe {
            block_bytes: if class.is_text() { 256 << 10 } else { 1 << 20 },
            stream: Codec::Zstd { level: ARCHIVE_LEVEL },
            table: Codec::Zstd { level: ARCHIVE_LEVEL },
        },
    }
}
