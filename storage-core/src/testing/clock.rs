//! A clock that moves when it is told to.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Clock;
use crate::clock::Timestamp;

/// A clock that stands still until it is moved, forwards or backwards.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    /// How far it was moved in all: what never goes back.
    moved: AtomicI64,
}

impl ManualClock {
    /// One that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.0), moved: AtomicI64::new(0) }
    }

    /// Moves it by so many milliseconds; below zero, backwards.
    pub fn advance(&self, millis: i64) {
        let _ = self.now.fetch_add(millis, Ordering::SeqCst);
        let _ = self.moved.fetch_add(millis.max(0), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// One that stands somewhere in 2023.
    fn default() -> Self {
        Self::at(Timestamp(1_700_000_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.moved.load(Ordering::SeqCst).unsigned_abs())
    }
}
