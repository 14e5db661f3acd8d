//! Objects on their way into a block: each is recoded, or made a difference from another one, on the background pool,
//! several at a time, and comes out in the order in which it went in. What a warmer tier gets is plain again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::error::Result;
use crate::media::MediaClass;
use crate::ops::migrate::allowance::Place;
use crate::ops::migrate::similar::Candidate;
use crate::ops::rewrite::encode::UnitBytes;
use crate::ops::rewrite::encode::recoded_unit;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::pack::Fields;
use crate::pack::ObjectEntry;
use crate::pack::TransformId;
use crate::recode;
use crate::recode::Limits;
use crate::similarity;
use crate::store::Store;

/// A unit that waits for its turn.
#[derive(Debug)]
enum Waiting {
    Ready(PlannedUnit, UnitBytes),
    Running(PlannedUnit, JoinHandle<Result<UnitBytes>>),
}

/// Units that wait for their turn.
#[derive(Debug)]
pub(super) struct Recoding {
    store: Arc<Store>,
    class: MediaClass,
    /// The level that recoding must pay at; none where the tier keeps objects as they are.
    level: Option<i32>,
    waiting: VecDeque<Waiting>,
}

impl Recoding {
    pub(super) fn new(store: &Arc<Store>, class: MediaClass, level: Option<i32>) -> Self {
        Self { store: Arc::clone(store), class, level, waiting: VecDeque::new() }
    }

    /// Adds a unit with bases to try; making it again may take as long as `place` says.
    pub(super) fn push(
        &mut self,
        (unit, bytes): (PlannedUnit, UnitBytes),
        object: Option<Bytes>,
        bases: Vec<Candidate>,
        place: Place,
    ) {
        let (class, store) = (self.class, Arc::clone(&self.store));
        let recodable = recode::applies(class) && matches!(bytes, UnitBytes::Object(..));
        let worth_it = recodable || !bases.is_empty();
        let waiting = match self.level.filter(|_| worth_it) {
            Some(level) => {
                let limits = place.limits(Limits::at_level(level));
                let work = move || Ok(other_form((class, limits), bytes, object, &bases));
                Waiting::Running(unit, tokio::spawn(async move { store.background.run(work).await }))
            }
            None => Waiting::Ready(unit, bytes),
        };
        self.waiting.push_back(waiting);
    }

    /// The unit whose turn it is, once more than `left` wait.
    pub(super) async fn next(&mut self, left: usize) -> Result<Option<(PlannedUnit, UnitBytes)>> {
        if self.waiting.len() <= left {
            return Ok(None);
        }
        match self.waiting.pop_front() {
            None => Ok(None),
            Some(Waiting::Ready(unit, bytes)) => Ok(Some((unit, bytes))),
            Some(Waiting::Running(unit, task)) => {
                let panicked = |failure| Err(Error::internal("Recoding panicked.").with_source(failure));
                Ok(Some((unit, task.await.unwrap_or_else(panicked)?)))
            }
        }
    }
}

/// An object in another form, where that pays: as its difference from one of these bases, or recoded. One that comes in
/// another form keeps it, unless it becomes a difference.
fn other_form(
    (class, limits): (MediaClass, Limits),
    bytes: UnitBytes,
    object: Option<Bytes>,
    bases: &[Candidate],
) -> UnitBytes {
    let sha256 = match &bytes {
        UnitBytes::Object(sha256, _) => *sha256,
        UnitBytes::Stored(entry, _) => entry.sha256,
        UnitBytes::Skeleton(..) | UnitBytes::Delta(..) | UnitBytes::Segmented(..) => return bytes,
    };
    let recoded = recoded_unit(class, Some(limits), bytes);
    let Some(object) = object.filter(|_| !bases.is_empty()) else {
        return recoded;
    };
    let stored = match &recoded {
        UnitBytes::Stored(_, stored) => Some(&**stored),
        _ => None,
    };
    let alone = similarity::alone(&object, stored, limits.level);
    let deltas = bases.iter().filter_map(|(key, base)| {
        let delta = base.encode(class, &object, limits.level, alone)?;
        Some((*key, delta))
    });
    let Some((key, delta)) = deltas.min_by_key(|(_, delta)| delta.params.len() + delta.stored.len()) else {
        return recoded;
    };
    let entry = ObjectEntry {
        sha256,
        bytes: object.len() as u64,
        class: class.code(),
        transform: TransformId::DELTA,
        params: delta.params,
        gain: delta.gain,
        unknown: Fields::default(),
    };
    UnitBytes::Delta(Box::new(entry), Bytes::from(delta.stored), key)
}
