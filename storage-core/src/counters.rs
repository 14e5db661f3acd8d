//! What the engine counts while it runs, in memory only: for whoever watches it. Counting is one atomic addition.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::activity::Activity;
use crate::activity::Done;
use crate::error::Error;
use crate::error::Kind;
use crate::model::ItemKind;
use crate::model::PutReceipt;
use crate::model::Tier;

/// A number of operations and their bytes.
#[derive(Debug, Default)]
struct Sum {
    count: AtomicU64,
    bytes: AtomicU64,
}

impl Sum {
    fn add(&self, bytes: u64) {
        let _before = self.count.fetch_add(1, Ordering::Relaxed);
        let _before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn done(&self) -> Done {
        Done { count: self.count.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// Counters since the engine was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    messages_put: Sum,
    contents_put: Sum,
    known_put: Sum,
    reads: [Sum; 4],
    groups: Sum,
    damaged: AtomicU64,
}

impl Counters {
    /// An acknowledged put.
    pub(crate) fn put(&self, kind: ItemKind, receipt: &PutReceipt) {
        let sum = match (receipt.created, kind) {
            (false, _) => &self.known_put,
            (true, ItemKind::Message) => &self.messages_put,
            (true, ItemKind::Content) => &self.contents_put,
        };
        sum.add(receipt.bytes);
    }

    /// A read that has begun to yield `bytes`.
    pub(crate) fn read(&self, tier: Tier, bytes: u64) {
        let [hot, warm, cold, archive] = &self.reads;
        let sum = match tier {
            Tier::Hot => hot,
            Tier::Warm => warm,
            Tier::Cold => cold,
            Tier::Archive => archive,
        };
        sum.add(bytes);
    }

    /// A group of the log with so many requests.
    pub(crate) fn group(&self, requests: usize) {
        self.groups.add(u64::try_from(requests).unwrap_or(u64::MAX));
    }

    /// Units found damaged.
    pub(crate) fn damaged(&self, units: u64) {
        let _before = self.damaged.fetch_add(units, Ordering::Relaxed);
    }

    /// Counts the error of a read that found damage.
    pub(crate) fn failed(&self, error: &Error) {
        if error.kind() == Kind::Corrupt {
            self.damaged(1);
        }
    }

    pub(crate) fn activity(&self) -> Activity {
        let [hot, warm, cold, archive] = &self.reads;
        Activity {
            messages_put: self.messages_put.done(),
            contents_put: self.contents_put.done(),
            known_put: self.known_put.done(),
            reads: [
                (Tier::Hot, hot.done()),
                (Tier::Warm, warm.done()),
                (Tier::Cold, cold.done()),
                (Tier::Archive, archive.done()),
            ],
            groups: self.groups.count.load(Ordering::Relaxed),
            group_requests: self.groups.bytes.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
        }
    }
}
