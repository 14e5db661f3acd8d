//! What is known about one connection beyond its bytes: how many requests it has, since when it has none, and whether it
//! is to be closed. The connection and its requests share it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One connection. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    requests: Arc<Mutex<Requests>>,
    closing: CancellationToken,
}

#[derive(Debug)]
struct Requests {
    count: usize,
    idle_since: Instant,
}

/// A request of a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Peer);

impl Peer {
    /// A connection without a request that is closed with `closing`.
    pub(crate) fn new(closing: CancellationToken) -> Self {
        let requests = Requests { count: 0, idle_since: Instant::now() };
        Self { requests: Arc::new(Mutex::new(requests)), closing }
    }

    /// Counts a request.
    pub(crate) fn begin(&self) -> InFlight {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).count += 1;
        InFlight(self.clone())
    }

    /// How long the connection has been without a request; none where it has one.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        (requests.count == 0).then(|| requests.idle_since.elapsed())
    }

    /// Asks for the connection to be closed, whatever is under way on it.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Cancelled when the connection is to be closed.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut requests = self.0.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.count = requests.count.saturating_sub(1);
        requests.idle_since = Instant::now();
    }
}
