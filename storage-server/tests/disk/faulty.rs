//! A backend over another one that fails, or waits, when it is told to: a disk that is full, that lost its permissions, or
//! that is slow, without touching one.

use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use storage_core::backend::Backend;
use storage_core::backend::BoxFuture;
use storage_core::backend::LogBackend;
use storage_core::backend::LogFile;
use storage_core::backend::Source;
use storage_core::error::Error;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::pack::PackName;
use tokio::sync::Semaphore;

/// How writes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Full,
    Denied,
}

/// What a test tells the disk.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    fault: Arc<Mutex<Option<Fault>>>,
    /// Writes pass one at a time through what is here.
    passes: Arc<Semaphore>,
}

impl Switch {
    pub(crate) fn new() -> Self {
        Self { fault: Arc::default(), passes: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) }
    }

    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Writes wait from now on.
    pub(crate) fn stall(&self) {
        self.passes.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Writes go on.
    pub(crate) fn go_on(&self) {
        self.passes.add_permits(Semaphore::MAX_PERMITS);
    }

    async fn check(&self) -> Result<()> {
        drop(self.passes.acquire().await.unwrap());
        let io = |kind| std::io::Error::from(kind);
        match *self.fault.lock().unwrap() {
            None => Ok(()),
            Some(Fault::Full) => Err(Error::new(
                Kind::ResourceExhausted,
                "could not append to a pack, the disk is full: free some space, then reopen the store",
            )
            .with_source(io(std::io::ErrorKind::StorageFull))),
            Some(Fault::Denied) => Err(Error::io(
                "could not append to a pack: check the disk and the directory's permissions",
                io(std::io::ErrorKind::PermissionDenied),
            )),
        }
    }
}

/// The backend.
#[derive(Debug)]
pub(crate) struct FaultyBackend<B> {
    pub(crate) inner: B,
    pub(crate) switch: Switch,
}

impl<B: Backend> Backend for FaultyBackend<B> {
    fn put<'a>(&'a self, name: PackName, source: &'a mut dyn Source) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            self.switch.check().await?;
            self.inner.put(name, source).await
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

impl<B: LogBackend> LogBackend for FaultyBackend<B> {
    fn create_log(&self, name: PackName) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        Box::pin(async move {
            self.switch.check().await?;
            let inner = self.inner.create_log(name).await?;
            let log: Box<dyn LogFile> = Box::new(FaultyLog { inner, switch: self.switch.clone() });
            Ok(log)
        })
    }

    fn open_log(&self, name: PackName, bytes: u64) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        Box::pin(async move {
            self.switch.check().await?;
            let inner = self.inner.open_log(name, bytes).await?;
            let log: Box<dyn LogFile> = Box::new(FaultyLog { inner, switch: self.switch.clone() });
            Ok(log)
        })
    }
}

#[derive(Debug)]
struct FaultyLog {
    inner: Box<dyn LogFile>,
    switch: Switch,
}

impl FaultyLog {
    /// A full disk takes a part of what is written.
    async fn write(&mut self, parts: Vec<Bytes>, sync: bool) -> Result<u64> {
        if let Err(error) = self.switch.check().await {
            let mut half = parts.concat();
            half.truncate(half.len() / 2);
            let _torn = self.inner.append(vec![Bytes::from(half)]).await?;
            return Err(error);
        }
        if sync { self.inner.append_sync(parts).await } else { self.inner.append(parts).await }
    }
}

impl LogFile for FaultyLog {
    fn append(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>> {
        Box::pin(self.write(parts, false))
    }

    fn append_sync(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>> {
        Box::pin(self.write(parts, true))
    }

    fn sync(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.switch.check().await?;
            self.inner.sync().await
        })
    }

    fn length(&self) -> u64 {
        self.inner.length()
    }
}
