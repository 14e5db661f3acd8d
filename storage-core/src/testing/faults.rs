//! The plan that both wrapped doors follow: every call through either of them is counted by one counter, and at a chosen
//! one something happens. A call can also be held until a test lets it go, and a door can be made to lie.
//!
//! Without a plan, a gate or a lie the wrapped doors do exactly what the doors do.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio::sync::oneshot;

use crate::catalog::Catalog;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::store::Doors;
use crate::testing::chance::Chance;
use crate::testing::faulty_backend::FaultyBackend;
use crate::testing::faulty_catalog::FaultyCatalog;

/// A call through a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// The method.
    pub name: &'static str,
    /// What it does to what is behind the door.
    pub effect: Effect,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It looks.
    Read,
    /// It changes something, as a whole or not at all.
    Whole,
    /// It changes something, and a crash may leave a part of it.
    Parts,
}

/// A call that was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The call.
    pub call: Call,
    /// Effects of calls, and acknowledgements, that came before it. Where two calls have the same number, a crash
    /// before the one and a crash before the other leave the same.
    pub mark: u64,
}

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// It fails and has no effect. The next one succeeds.
    FailOnce,
    /// It has its effect and says that it failed: an answer that was lost. The next one succeeds.
    FailOnceAfter,
    /// It fails and has no effect, and so does every later one that reads as it reads, or writes as it writes.
    FailForEver,
    /// The process ends before it. Every later call fails without an effect.
    CrashBefore,
    /// The process ends after it has had its effect and before anybody is told.
    CrashAfter,
    /// The process ends while it writes: a part of what it writes is there, not durably.
    Tear,
}

/// A promise that a door breaks, to prove that a test notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lie {
    /// `append_sync` appends and does not sync.
    AppendIsNotSynced,
    /// `append_sync` syncs what came before it, and itself only with the next call.
    AppendIsSyncedLate,
    /// `put` stores the pack and does not sync it.
    PutIsNotSynced,
    /// `put` returns before the pack is durable; the next `put` makes it so. New locations are committed before that.
    PutIsSyncedLate,
    /// `barrier` and `close` return and make nothing durable.
    BarrierDoesNothing,
    /// `open_log` does not cut the torn tail off.
    TailIsNotCut,
}

/// When a held call stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before its effect.
    Before,
    /// After it, before its caller is told.
    After,
}

type Matches = Box<dyn Fn(&Call) -> bool + Send>;

struct Waiting {
    when: When,
    matches: Matches,
    arrived: oneshot::Sender<()>,
    release: oneshot::Receiver<()>,
}

/// A call that is held. Dropping it lets the call go.
#[derive(Debug)]
pub struct Gate {
    arrived: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Gate {
    /// Returns when the call has come. It stands still until [`Gate::release`].
    pub async fn arrived(&mut self) {
        let _gone = (&mut self.arrived).await;
    }

    /// Lets the call go on.
    pub fn release(self) {
        let _gone = self.release.send(());
    }
}

#[derive(Default)]
struct Inner {
    calls: Vec<Counted>,
    /// Effects and acknowledgements so far.
    marks: u64,
    plan: Option<(usize, Fault)>,
    struck: Option<Call>,
    gone: bool,
    /// Whether calls that read, or that write, fail from now on.
    reads_fail: bool,
    writes_fail: bool,
    gates: Vec<Waiting>,
    lies: BTreeSet<Lie>,
    pauses: Option<Chance>,
    /// Methods whose next call fails, whatever the plan says, and how.
    failing: BTreeMap<&'static str, Kind>,
}

/// The plan of a pair of wrapped doors. Clones share it.
#[derive(Clone, Default)]
pub struct Faults {
    inner: Arc<Mutex<Inner>>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        write!(f, "Faults({} calls, plan {:?}, struck {:?})", inner.calls.len(), inner.plan, inner.struck)
    }
}

/// How a call goes on.
#[derive(Debug)]
pub(super) enum Passage {
    /// As it should.
    Through,
    /// It has its effect, and this error is its answer.
    ThenFail(Error),
    /// A part of it is carried out, and this error is its answer.
    Torn(Error),
}

impl Faults {
    /// A plan in which nothing happens.
    pub fn new() -> Self {
        Self::default()
    }

    /// These doors, wrapped.
    pub fn wrap(&self, doors: Doors) -> Doors {
        Doors {
            backend: Arc::new(FaultyBackend::new(doors.backend, self.clone())),
            catalog: self.wrap_catalog(doors.catalog),
        }
    }

    /// This catalog, wrapped: for a backend whose disk follows the plan itself.
    pub fn wrap_catalog(&self, catalog: Arc<dyn Catalog>) -> Arc<dyn Catalog> {
        Arc::new(FaultyCatalog::new(catalog, self.clone()))
    }

    /// Counts from 0 again.
    pub fn watch(&self) {
        self.lock().calls.clear();
    }

    /// Counts from 0 again; the call of number `at` meets `fault`.
    pub fn arm(&self, at: usize, fault: Fault) {
        let mut inner = self.lock();
        inner.calls.clear();
        inner.struck = None;
        inner.plan = Some((at, fault));
    }

    /// Makes the next call of that method fail so without an effect, whatever the plan says besides.
    pub fn fail_next(&self, name: &'static str, kind: Kind) {
        let _before = self.lock().failing.insert(name, kind);
    }

    /// Ends every failure but a crash, and forgets the plan.
    pub fn mend(&self) {
        let mut inner = self.lock();
        inner.failing.clear();
        (inner.plan, inner.reads_fail, inner.writes_fail) = (None, false, false);
    }

    /// The process ends now.
    pub fn crash(&self) {
        self.lock().gone = true;
    }

    /// The calls since counting began.
    pub fn calls(&self) -> Vec<Counted> {
        self.lock().calls.clone()
    }

    /// Notes that somebody was told that something is durable.
    pub fn acknowledged(&self) {
        self.lock().marks += 1;
    }

    /// The call that met the planned fault, if it came.
    pub fn struck(&self) -> Option<Call> {
        self.lock().struck
    }

    /// Makes the doors break a promise.
    pub fn lie(&self, lie: Lie) {
        let _new = self.lock().lies.insert(lie);
    }

    /// Lets other tasks run before a call, as often as the seed says: other orders of steps, which repeat.
    pub fn pause_by(&self, seed: u64) {
        self.lock().pauses = Some(Chance::new(seed));
    }

    /// Holds the next call that matches.
    pub fn hold(&self, when: When, matches: impl Fn(&Call) -> bool + Send + 'static) -> Gate {
        let (arrived, has_arrived) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let matches: Matches = Box::new(matches);
        self.lock().gates.push(Waiting { when, matches, arrived, release: released });
        Gate { arrived: has_arrived, release }
    }

    /// Holds the next call of that method.
    pub fn hold_call(&self, when: When, name: &'static str) -> Gate {
        self.hold(when, move |call| call.name == name)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lies(&self, lie: Lie) -> bool {
        self.lock().lies.contains(&lie)
    }

    /// Whether the process has ended by plan.
    pub fn has_crashed(&self) -> bool {
        self.lock().gone
    }

    /// Carries a call out according to the plan. One that a crash may tear is torn by `part`.
    pub(super) async fn pass<T>(
        &self,
        call: Call,
        whole: impl Future<Output = Result<T>>,
        part: impl Future<Output = ()>,
    ) -> Result<T> {
        self.linger().await;
        match self.enter(call).await? {
            Passage::Through => {
                let answer = whole.await;
                if call.effect != Effect::Read {
                    self.lock().marks += 1;
                }
                self.stop_at(call, When::After).await;
                // A crash may have come while the call was under way: nobody is told any more.
                if self.has_crashed() { Err(gone()) } else { answer }
            }
            Passage::ThenFail(error) => {
                // The effect is what counts; the answer is lost.
                drop(whole.await);
                Err(error)
            }
            Passage::Torn(error) => {
                part.await;
                Err(error)
            }
        }
    }

    async fn linger(&self) {
        let times = self.lock().pauses.as_mut().map_or(0, |chance| chance.below(3));
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }

    /// The same for a call that stands still for nobody: gates and pauses are not for it.
    pub(super) fn pass_now<T>(
        &self,
        call: Call,
        whole: impl FnOnce() -> io::Result<T>,
        part: impl FnOnce(),
    ) -> io::Result<T> {
        match self.decide(call).map_err(io::Error::other)? {
            Passage::Through => {
                let answer = whole();
                if call.effect != Effect::Read {
                    self.lock().marks += 1;
                }
                answer
            }
            Passage::ThenFail(error) => {
                drop(whole());
                Err(io::Error::other(error))
            }
            Passage::Torn(error) => {
                part();
                Err(io::Error::other(error))
            }
        }
    }

    async fn enter(&self, call: Call) -> Result<Passage> {
        self.stop_at(call, When::Before).await;
        self.decide(call)
    }

    fn decide(&self, call: Call) -> Result<Passage> {
        let mut inner = self.lock();
        if inner.gone {
            return Err(gone());
        }
        let (number, mark) = (inner.calls.len(), inner.marks);
        inner.calls.push(Counted { call, mark });
        let reads = call.effect == Effect::Read;
        if if reads { inner.reads_fail } else { inner.writes_fail } {
            return Err(failed(call));
        }
        let planned = inner.plan.filter(|(at, _)| *at == number);
        let unplanned = planned.is_none().then(|| inner.failing.remove(call.name)).flatten();
        if let Some(kind) = unplanned {
            return Err(Error::new(kind, format!("{} failed by plan", call.name)));
        }
        let Some((_, fault)) = planned else {
            return Ok(Passage::Through);
        };
        inner.struck = Some(call);
        match fault {
            Fault::FailOnce => Err(failed(call)),
            Fault::FailOnceAfter => Ok(Passage::ThenFail(failed(call))),
            Fault::FailForEver => {
                inner.reads_fail |= reads;
                inner.writes_fail |= !reads;
                Err(failed(call))
            }
            Fault::CrashBefore => {
                inner.gone = true;
                Err(gone())
            }
            Fault::CrashAfter | Fault::Tear => {
                // Nothing else passes from here on; this one call still has its effect.
                inner.gone = true;
                if fault == Fault::Tear { Ok(Passage::Torn(gone())) } else { Ok(Passage::ThenFail(gone())) }
            }
        }
    }

    /// Stands still where a gate waits for this call.
    async fn stop_at(&self, call: Call, when: When) {
        let found = {
            let mut inner = self.lock();
            let at = inner.gates.iter().position(|gate| gate.when == when && (gate.matches)(&call));
            at.map(|at| inner.gates.remove(at))
        };
        if let Some(gate) = found {
            let _gone = gate.arrived.send(());
            let _released = gate.release.await;
        }
    }
}

/// The error of a failure that the plan wants.
fn failed(call: Call) -> Error {
    Error::io(format!("{} failed by plan", call.name), io::Error::other("an injected failure"))
}

/// The error of a call of a process that has ended. Nobody is there to see it.
pub(super) fn gone() -> Error {
    Error::new(Kind::Unavailable, "the process has ended by plan")
}
