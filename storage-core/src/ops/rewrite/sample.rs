//! A sample of units for a dictionary: evenly spaced bytes that become it, and blocks that are held out to try it on.

use std::borrow::Cow;

use crate::error::Kind;
use crate::error::Result;
use crate::model::Sha256;
use crate::ops::read::sha256;
use crate::ops::rewrite::encode::UnitBytes;
use crate::ops::rewrite::encode::read_unit;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::pack::arrange;
use crate::store::Store;
use crate::tier::recipe::BlockRecipe;

/// Bytes taken from one unit at most, so that no single message fills the dictionary.
const UNIT_SAMPLE_BYTES_MAX: usize = 32 << 10;

/// Held-out blocks that decide.
const HELD_OUT_BLOCKS: usize = 4;

/// A block that is being held out.
#[derive(Debug, Default)]
struct HeldOut {
    units: Vec<UnitBytes>,
    bytes: usize,
}

impl HeldOut {
    fn push(&mut self, unit: UnitBytes) {
        self.bytes += unit_bytes(&unit).len();
        self.units.push(unit);
    }

    /// What would be compressed.
    fn stream(&self, recipe: &BlockRecipe) -> Vec<u8> {
        let units: Vec<&[u8]> = self.units.iter().map(unit_bytes).collect();
        let arranged = if recipe.arranged { arrange::arrange(&units) } else { None };
        arranged.unwrap_or_else(|| units.concat())
    }
}

/// Bytes of evenly spaced units: a dictionary's content, and blocks that are not in it.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) dictionary: Vec<u8>,
    /// The hashes of what is in it.
    pub(super) sampled: Vec<Sha256>,
    pub(super) held_out: Vec<Vec<u8>>,
}

fn unit_bytes(bytes: &UnitBytes) -> &[u8] {
    match bytes {
        UnitBytes::Skeleton(_, bytes) | UnitBytes::Object(_, bytes) | UnitBytes::Stored(_, bytes) => bytes,
        UnitBytes::Delta(..) | UnitBytes::Segmented(..) => &[],
    }
}

/// A unit's bytes; none where it is damaged: its move reports that.
async fn sampled(store: &Store, unit: &PlannedUnit) -> Result<Option<UnitBytes>> {
    match read_unit(store, unit).await {
        Err(error) if error.kind() == Kind::Corrupt => Ok(None),
        read => read.map(Some),
    }
}

impl Sample {
    /// Reads runs of units alternately: one for the held-out blocks, the others spread over all units.
    pub(super) async fn take(
        store: &Store,
        units: &[PlannedUnit],
        dictionary_bytes: u64,
        recipe: &BlockRecipe,
    ) -> Result<Self> {
        let mut sample = Self::default();
        let blocks = (units.len() / 64).clamp(1, HELD_OUT_BLOCKS);
        let mut held = vec![false; units.len()];
        for block in 0..blocks {
            let mut content = HeldOut::default();
            let start = units.len() * (2 * block + 1) / (2 * blocks);
            for (unit, held) in units.iter().zip(&mut held).skip(start) {
                if content.bytes >= recipe.block_bytes {
                    break;
                }
                *held = true;
                if let Some(bytes) = sampled(store, unit).await? {
                    content.push(bytes);
                }
            }
            sample.held_out.push(content.stream(recipe));
        }
        let wanted = usize::try_from(dictionary_bytes).unwrap_or(usize::MAX);
        let total: u64 = units.iter().map(|unit| unit.bytes.min(UNIT_SAMPLE_BYTES_MAX as u64)).sum();
        let (mut passed, mut taken) = (0, 0);
        for (unit, held) in units.iter().zip(held) {
            passed += unit.bytes.min(UNIT_SAMPLE_BYTES_MAX as u64);
            let due = passed.saturating_mul(dictionary_bytes) / total.max(1);
            if held || taken >= due || sample.dictionary.len() >= wanted {
                continue;
            }
            let Some(bytes) = sampled(store, unit).await? else {
                continue;
            };
            let bytes = unit_bytes(&bytes);
            let part = bytes.get(..UNIT_SAMPLE_BYTES_MAX).unwrap_or(bytes);
            let part = if recipe.arranged { Cow::Owned(arrange::text(part)) } else { Cow::Borrowed(part) };
            sample.sampled.push(sha256(bytes));
            sample.dictionary.extend_from_slice(&part);
            taken += part.len() as u64;
        }
        sample.dictionary.truncate(wanted);
        Ok(sample)
    }
}
