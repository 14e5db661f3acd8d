//! Finds answers that their clients do not take, and has their connections closed: what such an answer holds (a place,
//! memory, a connection) must come back. An answer that the server itself has nothing to add to is not stalled.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio::time::interval;

use crate::peer::Peer;

/// An answer is looked at so many times before it counts as stalled.
const LOOKS: u32 = 6;

/// The answers under way in one server.
#[derive(Default)]
pub(crate) struct Stalls {
    answers: Mutex<HashMap<u64, Arc<Answer>>>,
    next: AtomicU64,
    closed: AtomicU64,
}

struct Answer {
    peer: Peer,
    /// A frame was handed over, or the answer was begun, and nobody has asked for more since.
    handed: AtomicBool,
    looks: AtomicU32,
}

/// One answer, watched until it is dropped.
pub(crate) struct Watched {
    stalls: Arc<Stalls>,
    id: u64,
    answer: Arc<Answer>,
}

impl fmt::Debug for Stalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stalls({} closed)", self.closed())
    }
}

impl Stalls {
    /// Watches an answer on the connection of `peer`.
    pub(crate) fn watch(self: &Arc<Self>, peer: Peer) -> Watched {
        let answer = Arc::new(Answer { peer, handed: AtomicBool::new(true), looks: AtomicU32::new(0) });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let _none =
            self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&answer));
        Watched { stalls: Arc::clone(self), id, answer }
    }

    /// Connections closed because of an answer that nobody took.
    pub(crate) fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Looks after the answers for ever; one may stay untaken for `longest`.
    pub(crate) async fn run(&self, longest: Duration) {
        let mut ticks = interval((longest / LOOKS).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let _at = ticks.tick().await;
            self.look();
        }
    }

    fn look(&self) {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in answers.values() {
            if !answer.handed.load(Ordering::Relaxed) {
                answer.looks.store(0, Ordering::Relaxed);
            } else if answer.looks.fetch_add(1, Ordering::Relaxed) == LOOKS {
                let _before = self.closed.fetch_add(1, Ordering::Relaxed);
                tracing::info!("a connection is closed: its client does not take an answer");
                answer.peer.close();
            }
        }
    }
}

impl Watched {
    /// Somebody asks for more: the client has room.
    pub(crate) fn asked(&self) {
        self.answer.handed.store(false, Ordering::Relaxed);
        self.answer.looks.store(0, Ordering::Relaxed);
    }

    /// A frame was handed over.
    pub(crate) fn handed(&self) {
        self.answer.handed.store(true, Ordering::Relaxed);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _answer = self.stalls.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::sync::CancellationToken;

    #[test]
    fn only_what_nobody_takes_is_closed() {
        let stalls = Arc::new(Stalls::default());
        let peer = || Peer::new(CancellationToken::new());
        let (untaken, waiting, taken) = (peer(), peer(), peer());
        let kept = stalls.watch(untaken.clone());
        let quiet = stalls.watch(waiting.clone());
        quiet.asked();
        let busy = stalls.watch(taken.clone());
        for look in 0..20 {
            stalls.look();
            assert_eq!(untaken.closing().is_cancelled(), look >= LOOKS);
            busy.asked();
            busy.handed();
        }
        assert!(!waiting.closing().is_cancelled() && !taken.closing().is_cancelled());
        assert_eq!(stalls.closed(), 1);
        drop((quiet, busy, kept));
        assert!(stalls.answers.lock().unwrap().is_empty());
    }
}
