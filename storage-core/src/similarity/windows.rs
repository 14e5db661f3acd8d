//! A sketch of some bytes: a rolling hash runs over them, windows of 64 bytes are chosen by their own content, and the
//! highest hashes are kept. Two objects that share a part share the windows in it, and so the highest of those.

use std::collections::BTreeSet;

use crate::similarity::Feature;
use crate::similarity::mixed;
use crate::similarity::upper;

/// Hashes that are kept.
pub(super) const SKETCH_HASHES: usize = 64;

/// Of so many windows about one is looked at.
const SAMPLED: u64 = 32;

/// The highest hashes, highest first. Windows of nothing but one byte say nothing and are left out.
pub(super) fn sketch(parts: &[&[u8]]) -> Vec<u64> {
    let table = table();
    let mut highest: BTreeSet<u64> = BTreeSet::new();
    for part in parts {
        let (mut rolling, mut same, mut before) = (0_u64, 0_u32, 0_u8);
        for (at, byte) in part.iter().enumerate() {
            let number = table.get(usize::from(*byte)).copied().unwrap_or_default();
            rolling = (rolling << 1).wrapping_add(number);
            same = if *byte == before { same + 1 } else { 0 };
            before = *byte;
            // The upper bits depend on all of the last 64 bytes.
            if at < 63 || same >= 48 || rolling >> 59 != SAMPLED - 1 {
                continue;
            }
            let hash = mixed(rolling);
            if highest.len() < SKETCH_HASHES || highest.first().is_some_and(|lowest| hash > *lowest) {
                let _new = highest.insert(hash);
                if highest.len() > SKETCH_HASHES {
                    let _lowest = highest.pop_first();
                }
            }
        }
    }
    highest.into_iter().rev().collect()
}

/// The feature of a hash.
pub(super) fn feature(hash: u64) -> Feature {
    Feature(upper(mixed(hash)) | 1)
}

/// How much of two contents is the same, in percent, as their sketches tell: of the highest hashes of both together, the
/// share that both have.
pub(super) fn shared(one: &[u64], other: &[u64]) -> u32 {
    let mut both: Vec<u64> = one.iter().chain(other).copied().collect();
    both.sort_unstable_by(|a, b| b.cmp(a));
    both.dedup();
    both.truncate(SKETCH_HASHES);
    if both.is_empty() {
        return 0;
    }
    let common = both.iter().filter(|hash| one.contains(hash) && other.contains(hash)).count();
    u32::try_from(common * 100 / both.len()).unwrap_or(100)
}

/// A number for each byte. Fixed for ever: rows of the index were made with them.
fn table() -> [u64; 256] {
    let mut table = [0; 256];
    for (place, index) in table.iter_mut().zip(1_u64..) {
        *place = mixed(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
    table
}
