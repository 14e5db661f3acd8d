//! The one crossing from async to threads. CPU-heavy work runs on a bounded pool: reads have places of their own, so
//! that a migration that compresses on every core does not keep a reader waiting for a place, and on Linux threads of a
//! higher priority, so that it does not keep one waiting for a core. A pool without places does all work where it stands:
//! then nothing depends on how threads are scheduled.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

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

/// The niceness of threads in the background: where readers want all cores, such a thread gets a tenth of one.
const BACKGROUND_NICENESS: i32 = 10;

/// A bounded number of threads of a blocking pool.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    /// None where work is done where it stands.
    places: Option<Arc<Semaphore>>,
    count: usize,
    /// Threads of its own; none where they are those of the caller's runtime.
    threads: Option<Arc<Threads>>,
}

/// A runtime of nothing but blocking threads.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Threads {
    fn of_low_priority(count: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(count)
            .thread_name("background")
            .on_thread_start(lower_priority)
            .build()?;
        Ok(Self(Some(runtime)))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Waiting for what runs is not allowed where this may be dropped. Nobody waits for its result any more.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Elsewhere than on Linux a priority belongs to the whole process.
#[cfg(target_os = "linux")]
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, BACKGROUND_NICENESS) {
        tracing::warn!(%error, "a background thread keeps its priority; reads will wait for it");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {
    tracing::debug!(BACKGROUND_NICENESS, "threads have no priority of their own on this system");
}

impl Workers {
    /// A pool that runs `count` pieces of work at once; for 0, without threads.
    pub(crate) fn new(count: usize) -> Self {
        Self { places: (count > 0).then(|| Arc::new(Semaphore::new(count))), count, threads: None }
    }

    /// The same for work that nobody waits for.
    pub(crate) fn in_background(count: usize) -> Self {
        let workers = Self::new(count);
        if count == 0 {
            return workers;
        }
        match Threads::of_low_priority(count) {
            Ok(threads) => Self { threads: Some(Arc::new(threads)), ..workers },
            Err(error) => {
                tracing::warn!(%error, "background work has no threads of its own; reads will wait for it");
                workers
            }
        }
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
        let work = move || {
            let result = work();
            drop(place);
            result
        };
        match self.spawn(work).await {
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
        let done = self.spawn(move || {
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

    fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match self.threads.as_ref().and_then(|threads| threads.0.as_ref()) {
            Some(runtime) => runtime.spawn_blocking(work),
            None => tokio::task::spawn_blocking(work),
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

#[cfg(test)]
mod tests {
    use super::Workers;
    use crate::error::Error;

    #[cfg(target_os = "linux")]
    fn niceness() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_background_gives_way() {
        let own = niceness();
        assert_eq!(Workers::new(1).run(|| Ok(niceness())).await.unwrap(), own);
        let lower = Workers::in_background(1).run(|| Ok(niceness())).await.unwrap();
        assert_eq!(lower, super::BACKGROUND_NICENESS.max(own));
        assert_eq!(niceness(), own, "only its own threads");
    }

    #[tokio::test]
    async fn every_pool_does_its_work_and_survives_a_panic() {
        for pool in [Workers::new(0), Workers::new(2), Workers::in_background(0), Workers::in_background(2)] {
            assert_eq!(pool.run(|| Ok(7)).await.unwrap(), 7);
            let failed = pool.run(|| Err::<(), Error>(Error::corrupt("so"))).await.unwrap_err();
            assert_eq!(failed.message(), "so");
            let _panicked =
                pool.run(|| -> crate::error::Result<()> { panic!("on purpose") }).await.unwrap_err();
            assert_eq!(pool.run(|| Ok(8)).await.unwrap(), 8);
            assert_eq!(pool.running(), 0);
        }
    }
}
