//! Objects on their way into a block: each is recoded on the background pool, several at a time, and comes out in the
//! order in which it went in. What a warmer tier gets is plain again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::error::Result;
use crate::media::MediaClass;
use crate::model::Sha256;
use crate::ops::rewrite::encode::UnitBytes;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::pack::Fields;
use crate::pack::ObjectEntry;
use crate::recode;
use crate::recode::Limits;
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

    /// Adds a unit.
    pub(super) fn push(&mut self, unit: PlannedUnit, bytes: UnitBytes) {
        let (class, store) = (self.class, Arc::clone(&self.store));
        let waiting = match (bytes, self.level.filter(|_| recode::applies(class))) {
            (UnitBytes::Object(hash, object), Some(level)) => {
                let work = move || Ok(recoded(class, level, (hash, object)));
                Waiting::Running(unit, tokio::spawn(async move { store.background.run(work).await }))
            }
            (bytes, _) => Waiting::Ready(unit, bytes),
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

/// An object in another form, where that pays.
fn recoded(class: MediaClass, level: i32, (sha256, object): (Sha256, Bytes)) -> UnitBytes {
    let Some(form) = recode::encode(class, &object, &Limits::at_level(level)) else {
        return UnitBytes::Object(sha256, object);
    };
    let entry = ObjectEntry {
        sha256,
        bytes: object.len() as u64,
        class: class.code(),
        transform: form.transform,
        params: form.parameters,
        gain: form.gain,
        unknown: Fields::default(),
    };
    UnitBytes::Stored(Box::new(entry), Bytes::from(form.stored))
}
