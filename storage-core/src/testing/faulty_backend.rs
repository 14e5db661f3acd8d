//! The backend's door, wrapped: every call follows the plan of [`crate::testing::faults`]. Every method is forwarded by
//! name, so that none is answered by something else than the backend itself.

use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;

use crate::backend::Backend;
use crate::backend::BoxFuture;
use crate::backend::LogBackend;
use crate::backend::LogFile;
use crate::backend::Source;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::pack::PackName;
use crate::testing::faults::Call;
use crate::testing::faults::Effect;
use crate::testing::faults::Faults;
use crate::testing::faults::Lie;
use crate::testing::faults::gone;

const fn call(name: &'static str, effect: Effect) -> Call {
    Call { name, effect }
}

/// A backend whose calls follow a plan.
#[derive(Debug)]
pub(super) struct FaultyBackend {
    inner: Arc<dyn LogBackend>,
    faults: Faults,
    /// A pack that a lying `put` has yet to sync.
    late: Mutex<Option<Box<dyn LogFile>>>,
}

impl FaultyBackend {
    pub(super) fn new(inner: Arc<dyn LogBackend>, faults: Faults) -> Self {
        Self { inner, faults, late: Mutex::new(None) }
    }

    /// Stores a pack through a log, and keeps the log in order to sync it with the next put, or never.
    async fn put_without_sync(&self, name: PackName, source: &mut dyn Source) -> Result<u64> {
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut late) = late {
            late.sync().await?;
        }
        let mut log = self.inner.create_log(name).await?;
        while let Some(chunk) = source.next().await? {
            let _offset = log.append(vec![chunk]).await?;
        }
        let bytes = log.length();
        if self.faults.lies(Lie::PutIsSyncedLate) {
            *self.late.lock().unwrap_or_else(PoisonError::into_inner) = Some(log);
        }
        Ok(bytes)
    }
}

/// Chunks that end in an error once the process has ended: a put that is under way then leaves nothing.
struct Guarded<'a> {
    inner: &'a mut dyn Source,
    faults: &'a Faults,
}

impl Source for Guarded<'_> {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async move {
            let chunk = self.inner.next().await?;
            // Also where it was the last one: the pack would count from here on.
            if self.faults.has_crashed() { Err(gone()) } else { Ok(chunk) }
        })
    }
}

impl Backend for FaultyBackend {
    fn put<'a>(&'a self, name: PackName, source: &'a mut dyn Source) -> BoxFuture<'a, Result<u64>> {
        let lies = self.faults.lies(Lie::PutIsNotSynced) || self.faults.lies(Lie::PutIsSyncedLate);
        let call = call("put", Effect::Whole);
        Box::pin(async move {
            if lies {
                return self.faults.pass(call, self.put_without_sync(name, source), async {}).await;
            }
            let faults = self.faults.clone();
            let whole = async {
                // The one call that ends the process still has its effect.
                if faults.has_crashed() {
                    return self.inner.put(name, source).await;
                }
                self.inner.put(name, &mut Guarded { inner: source, faults: &faults }).await
            };
            self.faults.pass(call, whole, async {}).await
        })
    }

    fn read(&self, name: PackName, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        let call = call("read", Effect::Read);
        Box::pin(self.faults.pass(call, self.inner.read(name, range), async {}))
    }

    fn length(&self, name: PackName) -> BoxFuture<'_, Result<u64>> {
        let call = call("length", Effect::Read);
        Box::pin(self.faults.pass(call, self.inner.length(name), async {}))
    }

    fn delete(&self, name: PackName) -> BoxFuture<'_, Result<()>> {
        let call = call("delete", Effect::Whole);
        Box::pin(self.faults.pass(call, self.inner.delete(name), async {}))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<(PackName, u64)>>> {
        let call = call("list", Effect::Read);
        Box::pin(self.faults.pass(call, self.inner.list(), async {}))
    }
}

impl FaultyBackend {
    fn log(&self, inner: Box<dyn LogFile>) -> Box<dyn LogFile> {
        Box::new(FaultyLog { inner, faults: self.faults.clone(), shut: false })
    }
}

impl LogBackend for FaultyBackend {
    fn create_log(&self, name: PackName) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        let call = call("create_log", Effect::Whole);
        Box::pin(async move {
            let log = self.faults.pass(call, self.inner.create_log(name), async {}).await?;
            Ok(self.log(log))
        })
    }

    fn open_log(&self, name: PackName, bytes: u64) -> BoxFuture<'_, Result<Box<dyn LogFile>>> {
        let call = call("open_log", Effect::Whole);
        Box::pin(async move {
            let opened = async {
                let bytes =
                    if self.faults.lies(Lie::TailIsNotCut) { self.inner.length(name).await? } else { bytes };
                self.inner.open_log(name, bytes).await
            };
            let log = self.faults.pass(call, opened, async {}).await?;
            Ok(self.log(log))
        })
    }
}

/// A growing pack whose calls follow a plan. Shut after a failure, as the trait wants it.
#[derive(Debug)]
struct FaultyLog {
    inner: Box<dyn LogFile>,
    faults: Faults,
    shut: bool,
}

/// How an append makes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Later,
    Now,
    /// What came before it now, itself with the next call.
    Late,
}

/// The first half of these bytes.
fn half(parts: &[Bytes]) -> Vec<Bytes> {
    let mut left = parts.iter().map(Bytes::len).sum::<usize>() / 2;
    let mut kept = Vec::new();
    for part in parts {
        let taken = part.len().min(left);
        left -= taken;
        kept.push(part.slice(..taken));
    }
    kept
}

impl FaultyLog {
    async fn write(&mut self, call: Call, parts: Vec<Bytes>, durability: Durability) -> Result<u64> {
        if self.shut {
            return Err(Error::new(Kind::Unavailable, "a log is shut after a failure: reopen the store"));
        }
        let (faults, torn) = (self.faults.clone(), half(&parts));
        // Only one of the two runs.
        let inner = tokio::sync::Mutex::new(&mut self.inner);
        let whole = async {
            let mut inner = inner.lock().await;
            if durability == Durability::Late {
                inner.sync().await?;
            }
            match durability {
                Durability::Now => inner.append_sync(parts).await,
                Durability::Later | Durability::Late => inner.append(parts).await,
            }
        };
        let part = async {
            // What a failing write reports does not matter: its process has ended.
            drop(inner.lock().await.append(torn).await);
        };
        let answer = faults.pass(call, whole, part).await;
        self.shut = answer.is_err();
        answer
    }
}

impl LogFile for FaultyLog {
    fn append(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>> {
        Box::pin(self.write(call("append", Effect::Parts), parts, Durability::Later))
    }

    fn append_sync(&mut self, parts: Vec<Bytes>) -> BoxFuture<'_, Result<u64>> {
        let durability = if self.faults.lies(Lie::AppendIsNotSynced) {
            Durability::Later
        } else if self.faults.lies(Lie::AppendIsSyncedLate) {
            Durability::Late
        } else {
            Durability::Now
        };
        Box::pin(self.write(call("append_sync", Effect::Parts), parts, durability))
    }

    fn sync(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let call = call("sync", Effect::Whole);
            if self.shut {
                return Err(Error::new(Kind::Unavailable, "a log is shut after a failure: reopen the store"));
            }
            let answer = self.faults.pass(call, self.inner.sync(), async {}).await;
            self.shut = answer.is_err();
            answer
        })
    }

    fn length(&self) -> u64 {
        self.inner.length()
    }
}
