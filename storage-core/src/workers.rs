//! The one crossing from async to threads. CPU-heavy work runs on a bounded pool: reads have places of their own, so
//! that a migration that compresses on every core does not keep a reader waiting for a place. A pool without places
//! does all work where it stands: then nothing depends on how threads are scheduled.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;

/// Work on at most this many bytes is done where it stands: a thread switch would cost more.
pub(crate) const INLINE_BYTES_MAX: usize = 32 << 10;

/// What came of work behind a read.
enum After<R, T, W> {
    Done(T),
    /// There was no place for it.
    Waits(R, W),
}

/// A bounded number of threads of the runtime's blocking pool.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    /// None where work is done where it stands.
    places: Option<Arc<Semaphore>>,
    count: usize,
}

impl Workers {
    /// A pool that runs `count` pieces of work at once; for 0, without threads.
    pub(crate) fn new(count: usize) -> Self {
        Self { places: (count > 0).then(|| Arc::new(Semaphore::new(count))), count }
    }

    /// How many pieces of work run now.
    pub(crate) fn running(&self) -> usize {
        self.places.as_ref().map_or(0, |places| self.count.saturating_sub(places.available_permits()))
    }

    /// Runs `work` on a thread of the pool.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Some(places) = &self.places else {
            return here(work);
        };
        let place = Arc::clone(places)
            .acquire_owned()
            .await
            .map_err(|_| Error::new(Kind::Unavailable, "The store is closing."))?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        match done.await {
            Ok(result) => result,
            Err(failure) => Err(panicked().with_source(failure)),
        }
    }

    /// Reads on a thread that may block, and goes on with `work` there if the pool has a place at that moment; else
    /// `work` waits for one.
    pub(crate) async fn run_after<R: Send + 'static, T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<R> + Send + 'static,
        work: impl FnOnce(R) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Some(places) = self.places.clone() else {
            return here(|| work(read()?));
        };
        let done = tokio::task::spawn_blocking(move || {
            let found = read()?;
            match places.try_acquire() {
                Ok(_place) => work(found).map(After::Done),
                Err(_) => Ok(After::Waits(found, work)),
            }
        });
        match done.await.map_err(|failure| panicked().with_source(failure))?? {
            After::Done(result) => Ok(result),
            After::Waits(found, work) => self.run(move || work(found)).await,
        }
    }

    /// Runs `work` here where it handles few bytes, on the pool otherwise.
    pub(crate) async fn run_sized<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if bytes > INLINE_BYTES_MAX {
            return self.run(work).await;
        }
        here(work)
    }
}

/// As on the pool, a defect costs this piece of work and not whoever drives it. What it owns goes with it.
fn here<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> Error {
    Error::internal("A piece of work panicked. Nothing was changed.")
}
