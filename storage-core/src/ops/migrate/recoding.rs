//! Objects on their way into a block: each is recoded, or made a difference from another one, on the background pool,
//! several at a time, and comes out in the order in which it went in. What a warmer tier gets is plain again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::error::Result;
use crate::media::MediaClass;
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

    /// Adds a unit with bases to try. With `patient`, making it again may take long.
    pub(super) fn push(&mut self, unit: PlannedUnit, bytes: UnitBytes, bases: Vec<Candidate>, patient: bool) {
        let (class, store) = (self.class, Arc::clone(&self.store));
        let other = !bases.is_empty() || recode::applies(class);
        let worth_it = other && matches!(bytes, UnitBytes::Object(..));
        let waiting = match self.level.filter(|_| worth_it) {
            Some(level) => {
                let limits = Limits::at_level(level);
                let limits = if patient { limits.patient() } else { limits };
                let work = move || Ok(other_form(class, limits, bytes, &bases));
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

/// An object in another form, where that pays: as its difference from one of these bases, or recoded.
fn other_form(class: MediaClass, limits: Limits, bytes: UnitBytes, bases: &[Candidate]) -> UnitBytes {
    let UnitBytes::Object(sha256, object) = &bytes else {
        return bytes;
    };
    if bases.is_empty() {
        return recoded_unit(class, Some(limits), bytes);
    }
    let (sha256, object) = (*sha256, object.clone());
    let recoded = recoded_unit(class, Some(limits), bytes);
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
