//! A catalog in memory: the same contract as the one on SQLite, with plain maps. It models durability, so that tests and
//! simulations are fast and repeat: what was committed after the last barrier may be lost by a power cut, and what
//! survives is a prefix of the commits.
//!
//! A transaction works on a copy of all rows, which becomes the present state if nothing in it is refused. The states
//! since the last barrier are kept; a power cut chooses one of them.

mod commit;
mod door;
mod erasure;
mod integrity;
mod locations;
mod similar;
mod state;
mod tiering;
mod upkeep;

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::testing::memory_catalog::commit::Keys;
use crate::testing::memory_catalog::state::State;

/// States kept since the last barrier. Beyond it the oldest one becomes durable, as a database's log is written back
/// when it has grown.
const STATES_MAX: usize = 512;

/// A catalog in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryCatalog {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// The durable state, and one more for every commit since. Never empty.
    states: VecDeque<Arc<State>>,
    keys: Keys,
    closed: bool,
}

impl fmt::Debug for MemoryCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryCatalog({} commits not durable)", self.pending())
    }
}

impl Default for MemoryCatalog {
    fn default() -> Self {
        Self::of(VecDeque::from([Arc::new(State::default())]))
    }
}

/// Tells catalogs apart that differ in anything, also in which of their commits are durable.
impl Hash for MemoryCatalog {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let inner = self.lock();
        inner.closed.hash(state);
        for rows in &inner.states {
            format!("{rows:?}").hash(state);
        }
    }
}

impl MemoryCatalog {
    /// One without rows.
    pub fn new() -> Self {
        Self::default()
    }

    fn of(states: VecDeque<Arc<State>>) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { states, keys: Keys::default(), closed: false })) }
    }

    /// How many commits are not durable.
    pub fn pending(&self) -> usize {
        self.lock().states.len() - 1
    }

    /// What is found when it is opened again and the first `survivors` of the commits that were not durable are there.
    /// From now on it changes apart from this one.
    #[must_use]
    pub fn reopened(&self, survivors: usize) -> Self {
        let inner = self.lock();
        let state = inner.states.get(survivors).or(inner.states.back());
        Self::of(state.cloned().into_iter().collect())
    }

    /// The same catalog with everything that is and is not durable, which from now on changes apart from this one.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.lock().states.clone())
    }

    /// All rows as text: equal texts are equal catalogs.
    pub fn told(&self) -> String {
        self.lock().states.back().map_or_else(String::new, |state| format!("{state:?}"))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        let inner = self.lock();
        match inner.states.back() {
            Some(state) if !inner.closed => look(state),
            _ => Err(closed()),
        }
    }

    /// One transaction: all of it or nothing.
    fn write<T>(&self, change: impl FnOnce(&mut State, &mut Keys) -> Result<T>) -> Result<T> {
        let mut inner = self.lock();
        let mut state = match inner.states.back() {
            Some(state) if !inner.closed => State::clone(state),
            _ => return Err(closed()),
        };
        let answer = change(&mut state, &mut inner.keys)?;
        inner.states.push_back(Arc::new(state));
        if inner.states.len() > STATES_MAX {
            let _durable = inner.states.pop_front();
        }
        Ok(answer)
    }

    fn make_durable(&self, last: bool) -> Result<()> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(closed());
        }
        let older = inner.states.len() - 1;
        drop(inner.states.drain(..older));
        inner.closed = last;
        Ok(())
    }
}

fn closed() -> Error {
    Error::new(Kind::Io, "The catalog in memory is closed.")
}
