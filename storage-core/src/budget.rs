//! A budget that tenants share: bytes, or requests. Guarantees that never more than the whole is held, and by no tenant
//! more than its share, so that one of them cannot starve the others. What is held comes back when [`Held`] is dropped.
//!
//! A waiter takes its tenant's part first and the common part second, and whoever holds both needs nothing more: nobody
//! waits for somebody who waits.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Shares that nobody holds any more are forgotten when there are this many entries.
const PRUNE_ENTRIES: usize = 64;

/// A budget shared by tenants that are named by `K`.
pub struct Budget<K> {
    all: Arc<Semaphore>,
    total: usize,
    share: usize,
    shares: Mutex<HashMap<K, Weak<Semaphore>>>,
    waiting: AtomicUsize,
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    own: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
}

impl Held {
    /// Adds what `other` holds of the same budget for the same tenant.
    pub fn merge(&mut self, other: Self) {
        self.own.merge(other.own);
        self.all.merge(other.all);
    }

    /// How much it is.
    pub fn amount(&self) -> usize {
        self.all.num_permits()
    }

    /// Gives back what is above `amount`.
    pub fn shrink(&mut self, amount: usize) {
        let surplus = self.amount().saturating_sub(amount);
        drop(self.own.split(surplus));
        drop(self.all.split(surplus));
    }
}

impl<K> fmt::Debug for Budget<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Budget({} of {} held)", self.held(), self.total)
    }
}

impl<K> Budget<K> {
    /// A budget of `total`, of which one tenant holds at most `share_percent`.
    pub fn new(total: usize, share_percent: u8) -> Self {
        let total = total.clamp(1, Semaphore::MAX_PERMITS);
        let share = (total / 100).saturating_mul(usize::from(share_percent))
            + (total % 100) * usize::from(share_percent) / 100;
        Self {
            all: Arc::new(Semaphore::new(total)),
            total,
            share: share.clamp(1, total),
            shares: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// All of it.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The most that one tenant holds.
    pub fn share(&self) -> usize {
        self.share
    }

    /// What is held.
    pub fn held(&self) -> usize {
        self.total.saturating_sub(self.all.available_permits())
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl<K: Hash + Eq + Clone> Budget<K> {
    /// Whether `amount` could be held now.
    pub fn has_room(&self, tenant: &K, amount: usize) -> bool {
        let amount = amount.min(self.share);
        self.all.available_permits() >= amount && self.share_of(tenant).available_permits() >= amount
    }

    /// Holds `amount`, or the tenant's whole share where that is less; none if it is not free now.
    pub fn try_hold(&self, tenant: &K, amount: usize) -> Option<Held> {
        let amount = self.permits(amount);
        let own = self.share_of(tenant).try_acquire_many_owned(amount).ok()?;
        let all = Arc::clone(&self.all).try_acquire_many_owned(amount).ok()?;
        Some(Held { own, all })
    }

    /// The same, but waits its turn; none if it did not come within `longest`.
    pub async fn hold(&self, tenant: &K, amount: usize, longest: Duration) -> Option<Held> {
        if let Some(held) = self.try_hold(tenant, amount) {
            return Some(held);
        }
        let _counted = Waiting::count(&self.waiting);
        let amount = self.permits(amount);
        let (own, all) = (self.share_of(tenant), Arc::clone(&self.all));
        let taken = async {
            let own = own.acquire_many_owned(amount).await.ok()?;
            let all = all.acquire_many_owned(amount).await.ok()?;
            Some(Held { own, all })
        };
        timeout(longest, taken).await.ok().flatten()
    }

    fn permits(&self, amount: usize) -> u32 {
        u32::try_from(amount.min(self.share)).unwrap_or(u32::MAX)
    }

    fn share_of(&self, tenant: &K) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= PRUNE_ENTRIES {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.share));
        let _gone = shares.insert(tenant.clone(), Arc::downgrade(&share));
        share
    }
}

/// Counts a waiter until it is dropped, also when it gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicUsize) -> Self {
        let _before = waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let _before = self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Budget;

    const LONG: Duration = Duration::from_hours(1);

    #[test]
    fn no_tenant_gets_more_than_its_share() {
        let budget = Budget::new(100, 75);
        let mut first = budget.try_hold(&"a", 70).unwrap();
        assert!(budget.try_hold(&"a", 10).is_none(), "70 and 10 are above its share of 75");
        assert!(budget.has_room(&"b", 30) && !budget.has_room(&"b", 31));
        first.merge(budget.try_hold(&"a", 5).unwrap());
        let second = budget.try_hold(&"b", 25).unwrap();
        assert_eq!(budget.held(), 100);
        assert!(budget.try_hold(&"c", 1).is_none(), "the whole is held");
        drop(first);
        assert_eq!(budget.held(), 25);
        let mut second = second;
        second.shrink(30);
        assert_eq!(second.amount(), 25);
        second.shrink(5);
        assert_eq!(budget.held(), 5);
        drop(second);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn what_is_larger_than_the_share_takes_all_of_it() {
        let budget = Budget::new(100, 50);
        let held = budget.try_hold(&"a", 1_000_000_000_000).unwrap();
        assert_eq!(budget.held(), 50);
        assert!(budget.try_hold(&"a", 1).is_none());
        drop(held);
        // A share is never nothing.
        assert!(Budget::new(1, 1).try_hold(&"a", 5).is_some());
    }

    #[test]
    fn forgotten_shares_do_not_pile_up() {
        let budget = Budget::new(1_000, 50);
        let kept = budget.try_hold(&0, 400).unwrap();
        for tenant in 1..1_000 {
            assert!(budget.try_hold(&tenant, 1).is_some());
        }
        assert!(budget.shares.lock().unwrap().len() <= super::PRUNE_ENTRIES);
        assert!(budget.try_hold(&0, 101).is_none(), "what is held is not forgotten");
        drop(kept);
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_get_their_turn_or_give_up() {
        let budget = Budget::new(100, 75);
        let held = budget.try_hold(&"a", 75).unwrap();
        assert!(budget.hold(&"a", 1, Duration::from_secs(1)).await.is_none());
        assert_eq!(budget.waiting(), 0);
        let waited = async {
            let second = budget.hold(&"a", 75, LONG).await;
            assert!(second.is_some());
        };
        let freed = async {
            tokio::task::yield_now().await;
            assert_eq!(budget.waiting(), 1);
            assert!(budget.try_hold(&"b", 25).is_some(), "another tenant does not wait behind it");
            drop(held);
        };
        let ((), ()) = tokio::join!(waited, freed);
        assert_eq!(budget.held(), 0);
    }
}
