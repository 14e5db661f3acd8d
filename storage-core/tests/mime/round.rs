//! One message through split and assemble.

use storage_core::error::Result;
use storage_core::mime;
use storage_core::mime::PartInfo;
use storage_core::mime::Sink;
use storage_core::mime::Skeleton;
use storage_core::mime::Split;
use storage_core::mime::SplitLimits;
use storage_core::mime::Splitter;
use storage_fixtures::rng::Rng;

#[derive(Default)]
struct Objects(Vec<Vec<u8>>);

impl Sink for Objects {
    fn part_begin(&mut self, _index: u32, _info: &PartInfo) -> Result<()> {
        self.0.push(Vec::new());
        Ok(())
    }

    fn part_data(&mut self, decoded: &[u8]) -> Result<()> {
        self.0.last_mut().expect("a part that began").extend_from_slice(decoded);
        Ok(())
    }

    fn part_end(&mut self, _index: u32, decoded_bytes: u64, _encoded_bytes: u64) -> Result<()> {
        assert_eq!(self.0.last().map(Vec::len), usize::try_from(decoded_bytes).ok());
        Ok(())
    }
}

/// Splits what is fed in pieces of the lengths that `piece` gives, in bytes.
fn split(message: &[u8], limits: &SplitLimits, mut piece: impl FnMut() -> usize) -> (Split, Objects) {
    let mut objects = Objects::default();
    let mut splitter = Splitter::new(limits.clone());
    let mut rest = message;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        splitter.push(now, &mut objects).expect("any bytes are mail");
        rest = later;
    }
    (splitter.finish(&mut objects).expect("any bytes are mail"), objects)
}

/// Splits and rebuilds a message as a whole. Panics where other bytes come back.
pub(crate) fn exact(message: &[u8], limits: &SplitLimits) {
    let (split, objects) = split(message, limits, || usize::MAX);
    rebuilt(message, &split, &objects);
}

/// The same, fed in pieces of random lengths as well: the pieces must make no difference.
pub(crate) fn exact_in_pieces(message: &[u8], limits: &SplitLimits, rng: &mut Rng) {
    let (whole, objects) = split(message, limits, || usize::MAX);
    rebuilt(message, &whole, &objects);
    let longest = *rng.pick(&[1, 3, 17, 100, 4_000, 70_000]);
    let (pieces, again) = split(message, limits, || 1 + rng.below(longest));
    assert!(whole == pieces && objects.0 == again.0, "the pieces made a difference");
}

fn rebuilt(message: &[u8], split: &Split, objects: &Objects) {
    let parsed = Skeleton::parse(&split.skeleton).expect("a skeleton of our own");
    assert_eq!(parsed.total_bytes(), message.len() as u64);
    let object = |index: u32| objects.0.get(index as usize).map(Vec::as_slice);
    let rebuilt = mime::assemble(&split.skeleton, &object).expect("a skeleton of our own");
    assert!(rebuilt == message, "other bytes came back");
}

/// Limits under which short messages meet all of them.
pub(crate) fn tight() -> SplitLimits {
    SplitLimits {
        body_object_bytes: 60,
        attachment_object_bytes: 20,
        literal_run_bytes_max: 200,
        skeleton_bytes_max: 1_500,
        parts_max: 6,
        depth_max: 2,
        recipe_bytes_base: 64,
    }
}
