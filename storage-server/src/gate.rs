//! The bounds that all requests share, each with a share per tenant: requests in flight, and bytes of requests that are
//! being received. It knows no service and no transport.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use storage_core::budget::Budget;
use storage_core::budget::Held;
use tonic::Status;

use crate::limits;
use crate::tenant::TENANT_KEY;

/// Whom a budget counts something for: a tenant's name, or nobody's.
pub(crate) type Key = Arc<str>;

/// The shared bounds of one server.
pub(crate) struct Gate {
    requests: Budget<Key>,
    /// For health checks and reflection, which are answered however busy the server is.
    exempt: Budget<Key>,
    receiving: Arc<Budget<Key>>,
    /// Which tenants there are. All names that are none count as one, so that inventing names gains nothing.
    known: Box<dyn Fn(&str) -> bool + Send + Sync>,
    nobody: Key,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({:?}, {:?})", self.requests, self.receiving)
    }
}

impl Gate {
    /// Bounds of `requests_max` requests and `receive_bytes`, of which a tenant gets at most `share_percent`.
    pub(crate) fn new(
        requests_max: usize,
        receive_bytes: usize,
        share_percent: u8,
        known: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            requests: Budget::new(requests_max, share_percent),
            exempt: Budget::new(requests_max, 100),
            receiving: Arc::new(Budget::new(receive_bytes, share_percent)),
            known: Box::new(known),
            nobody: Key::from(""),
        }
    }

    /// Whom a request counts for.
    pub(crate) fn key(&self, headers: &HeaderMap) -> Key {
        let name = headers.get(TENANT_KEY).and_then(|name| name.to_str().ok());
        name.filter(|name| (self.known)(name)).map_or_else(|| Arc::clone(&self.nobody), Key::from)
    }

    /// A place for a request; none where all, or all of this tenant's, are taken.
    pub(crate) fn admit(&self, key: &Key) -> Option<Held> {
        self.requests.try_hold(key, 1)
    }

    /// A place for a request that is answered however busy the server is.
    pub(crate) fn admit_exempt(&self) -> Option<Held> {
        self.exempt.try_hold(&self.nobody, 1)
    }

    /// Requests in flight.
    pub(crate) fn requests(&self) -> usize {
        self.requests.held()
    }

    /// Bytes of requests that are being received, or wait.
    pub(crate) fn receiving_bytes(&self) -> usize {
        self.receiving.held()
    }

    /// Memory for what a request of `key` brings.
    pub(crate) fn memory(&self, key: Key) -> ReceiveMemory {
        ReceiveMemory { budget: Arc::clone(&self.receiving), key, held: None }
    }
}

/// The memory that one request holds for what it has brought and what is not handed on yet.
#[derive(Debug)]
pub(crate) struct ReceiveMemory {
    budget: Arc<Budget<Key>>,
    key: Key,
    held: Option<Held>,
}

impl ReceiveMemory {
    /// Whether `bytes` in all would fit now.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let held = self.held.as_ref().map_or(0, Held::amount);
        bytes <= limits::UNCOUNTED_BYTES_MAX.max(held)
            || self.budget.has_room(&self.key, bytes.min(self.budget.share()).saturating_sub(held))
    }

    /// Holds memory for `bytes` in all, in steps. Where there is none, what was held stays held.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), Status> {
        if bytes <= limits::UNCOUNTED_BYTES_MAX {
            self.held = None;
            return Ok(());
        }
        // What is larger than the share may use all of it.
        let wanted = bytes.next_multiple_of(limits::RECEIVE_STEP_BYTES).min(self.budget.share());
        match &mut self.held {
            Some(held) if held.amount() >= wanted => held.shrink(wanted),
            Some(held) => {
                let more = self.budget.try_hold(&self.key, wanted - held.amount());
                held.merge(more.ok_or_else(no_memory)?);
            }
            None => self.held = Some(self.budget.try_hold(&self.key, wanted).ok_or_else(no_memory)?),
        }
        Ok(())
    }
}

/// The answer where too much is being received.
pub(crate) fn no_memory() -> Status {
    Status::resource_exhausted(
        "The server has no memory left for further requests; send this one again in a moment.",
    )
}

/// The answer where too many requests are in flight.
pub(crate) fn busy() -> Status {
    Status::resource_exhausted("The server has as many requests in hand as it takes; try again in a moment.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(tenant: &str) -> HeaderMap {
        [(TENANT_KEY.parse().unwrap(), tenant.parse().unwrap())].into_iter().collect()
    }

    fn gate(requests: usize, bytes: usize) -> Gate {
        Gate::new(requests, bytes, 75, |name| name == "a" || name == "b")
    }

    #[test]
    fn a_tenant_gets_its_share_and_invented_names_get_one_together() {
        let gate = gate(8, 1 << 20);
        let (a, b) = (gate.key(&headers("a")), gate.key(&headers("b")));
        let held: Vec<Held> = std::iter::from_fn(|| gate.admit(&a)).collect();
        assert_eq!(held.len(), 6);
        let others: Vec<Held> = std::iter::from_fn(|| gate.admit(&b)).collect();
        assert_eq!(others.len(), 2);
        drop((held, others));
        let invented = (0..20).map(|n| gate.admit(&gate.key(&headers(&format!("x{n}")))));
        assert_eq!(invented.flatten().count(), 20, "each was given back at once");
        let invented: Vec<Held> =
            (0..20).filter_map(|n| gate.admit(&gate.key(&headers(&format!("x{n}"))))).collect();
        assert_eq!(invented.len(), 6);
        assert_eq!(gate.requests(), 6);
        assert!(gate.admit_exempt().is_some());
    }

    #[test]
    fn memory_is_held_in_steps_and_given_back() {
        let gate = gate(8, 4 << 20);
        let mut memory = gate.memory(gate.key(&headers("a")));
        memory.resize(limits::UNCOUNTED_BYTES_MAX).unwrap();
        assert_eq!(gate.receiving_bytes(), 0);
        memory.resize(limits::UNCOUNTED_BYTES_MAX + 1).unwrap();
        assert_eq!(gate.receiving_bytes(), limits::RECEIVE_STEP_BYTES);
        memory.resize(3 << 20).unwrap();
        assert_eq!(gate.receiving_bytes(), 3 << 20);
        let mut second = gate.memory(gate.key(&headers("a")));
        assert!(memory.has_room(3 << 20) && !second.has_room(5_000));
        assert!(second.resize(5_000).is_err(), "the share is used up");
        memory.resize(4 << 20).unwrap();
        assert_eq!(gate.receiving_bytes(), 3 << 20, "one request alone may be larger than the share");
        let mut other = gate.memory(gate.key(&headers("b")));
        other.resize(1 << 20).unwrap();
        memory.resize(5_000).unwrap();
        assert_eq!(gate.receiving_bytes(), (1 << 20) + limits::RECEIVE_STEP_BYTES);
        drop((memory, second, other));
        assert_eq!(gate.receiving_bytes(), 0);
    }
}
