//! A backend that waits at the pack it is told to wait at, so that a test can do something meanwhile.

use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use storage_core::backend::Backend;
use storage_core::backend::BoxFuture;
use storage_core::backend::LocalBackend;
use storage_core::backend::LogBackend;
use storage_core::backend::LogFile;
use storage_core::backend::Source;
use storage_core::error::Result;
use storage_core::pack::PackName;
use tokio::sync::oneshot;

/// Where a put of a pack waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Before its first byte.
    Begin,
    /// When it is durable, before anybody is told.
    Durable,
}

/// The test's end of a wait.
#[derive(Debug)]
pub(crate) struct Gate {
    reached: oneshot::Receiver<()>,
    open: oneshot::Sender<()>,
}

impl Gate {
    /// Waits until the put waits; then does `meanwhile`, and lets it go on.
    pub(crate) async fn while_waiting<T>(self, meanwhile: impl Future<Output = T>) -> T {
        self.reached.await.unwrap();
        let done = meanwhile.await;
        self.open.send(()).unwrap();
        done
    }
}

#[derive(Debug)]
struct Wait {
    at: At,
    reached: oneshot::Sender<()>,
    open: oneshot::Receiver<()>,
}

/// A local backend with at most one gate.
#[derive(Debug)]
pub(crate) struct Gated {
    inner: LocalBackend,
    wait: Mutex<Option<Wait>>,
}

impl Gated {
    pub(crate) fn new(inner: LocalBackend) -> Arc<Self> {
        Arc::new(Self { inner, wait: Mutex::new(None) })
    }

    /// The next pack that is put waits there.
    pub(crate) fn gate(&self, at: At) -> Gate {
        let (reached, watched) = oneshot::channel();
        let (open, waiting) = oneshot::channel();
        *self.wait.lock().unwrap() = Some(Wait { at, reached, open: waiting });
        Gate { reached: watched, open }
    }

    async fn pass(&self, at: At) {
        let wait = self.wait.lock().unwrap().take_if(|wait| wait.at == at);
        if let Some(wait) = wait {
            wait.reached.send(()).unwrap();
            wait.open.await.unwrap();
        }
    }
}

impl Backend for Gated {
    fn put<'a>(&'a self, name: PackName, source: &'a mut dyn Source) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            self.pass(At::Begin).await;
            let bytes = self.inner.put(name, source).await?;
            self.pass(At::Durable).await;
            Ok(bytes)
        })
    }

    fn read(&self, name: PackName, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.inner.read(name, range)
    }

    fn length(&self, name: PackName) -> BoxFuture<'_, Result<u64>> {
        self.inner.length(name)
    }

    fn delete(&self, name: PackName) -> BoxFuture<'_, Result<()>> {
        self.inner.delete(name)
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<(PackName, u64)>>> {
        self.inner.list()
    }
}

impl LogBackend for Gated {
    fn create_log(&self, name: PackName) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        self.inner.create_log(name)
    }

    fn open_log(&self, name: PackName, bytes: u64) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        self.inner.open_log(name, bytes)
    }
}
