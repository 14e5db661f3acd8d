//! The ssdeep digest of some bytes: a block size and two strings of characters, each of which stands for a piece of the
//! content between two places that the content itself chooses. The second string uses pieces twice as long.

use crate::similarity::Feature;
use crate::similarity::mixed;
use crate::similarity::upper;

/// Characters in a row that two digests must share to score above zero.
const GRAM_CHARACTERS: usize = 7;

/// Of a run of one character, so many count: what a run says, its first ones say.
const RUN_CHARACTERS: usize = 3;

/// A digest as ssdeep writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// The digest of at most 4 GiB; none where the library refuses them.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let fits = u32::try_from(bytes.len()).is_ok();
        fits.then(|| ssdeep::hash(bytes).ok().map(Self)).flatten()
    }

    /// `block size:pieces:pieces twice as long`.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// How alike two are: 0 to 100.
    pub fn score(&self, other: &Self) -> u32 {
        ssdeep::compare(&self.0, &other.0).map_or(0, u32::from)
    }

    /// Its grams, each bound to the length of the pieces it stands for.
    pub(super) fn grams(&self) -> Vec<Feature> {
        let mut parts = self.0.splitn(3, ':');
        let block = parts.next().and_then(|block| block.parse::<u64>().ok()).unwrap_or_default();
        let mut grams = Vec::new();
        for (pieces, block) in parts.zip([block, block.saturating_mul(2)]) {
            for gram in without_runs(pieces).windows(GRAM_CHARACTERS) {
                let packed = gram.iter().fold(block, |packed, character| {
                    mixed(packed.wrapping_mul(0x100).wrapping_add(u64::from(*character)))
                });
                grams.push(Feature(upper(packed) & !1));
            }
        }
        grams.sort_unstable();
        grams.dedup();
        grams
    }
}

fn without_runs(pieces: &str) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::with_capacity(pieces.len());
    for byte in pieces.bytes() {
        let run = kept.iter().rev().take_while(|before| **before == byte).count();
        if run < RUN_CHARACTERS {
            kept.push(byte);
        }
    }
    kept
}
