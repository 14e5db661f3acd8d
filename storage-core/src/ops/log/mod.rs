//! The log: the one writer. Every put, delete and change goes through it, in groups that share one sync and one
//! catalog transaction.
//!
//! Order of effects of a group:
//! 1. collect what waits (bounded by count and bytes);
//! 2. look up ids and objects in the catalog: known ids are answered, known objects are not written again;
//! 3. append the frames to the open log pack and sync it: the group is durable;
//! 4. commit the group and the pack's new watermark to the catalog;
//! 5. acknowledge.
//!
//! Steps 4 and 5 of puts run in a task of their own (`commit.rs`), beside steps 1 to 3 of the next group. Everything else
//! waits until the puts before it are committed.
//!
//! A failure in 3 or 4 shuts the store for writes: what reached the disk is unknown until recovery reads it. A crash
//! after 3 is replayed by `ops/recover.rs`; whoever was not acknowledged may then find the put done or not done.

mod carry;
pub(crate) mod changes;
mod commit;
mod erasing;
pub(crate) mod group;
mod known;
mod mend;
pub(crate) mod pack;
mod reopen;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::catalog::rows::Place;
use crate::catalog::rows::TenantRow;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::model::ItemKind;
use crate::model::ItemUpdate;
use crate::model::PutReceipt;
use crate::model::Sha256;
use crate::ops::log::commit::Committer;
use crate::ops::log::pack::OpenPack;
use crate::ops::prepared::PreparedPut;
use crate::ops::recover::Recovered;
use crate::pack::Frame;
use crate::store::Store;
use crate::tier::policy::TierPolicy;

/// Requests that may wait; senders beyond it wait themselves.
const QUEUE_MAX: usize = 1024;

/// Requests in one group at most.
const GROUP_MAX: usize = 256;

/// Bytes in one group at most, about.
const GROUP_BYTES_MAX: usize = 8 << 20;

type Reply<T> = oneshot::Sender<Result<T>>;

/// A put whose frames lie in a pack of their own already, durable. The pack has no end yet, so it does not count.
#[derive(Debug)]
pub(crate) struct LargePut {
    pub(crate) put: PreparedPut,
    pub(crate) open: OpenPack,
    pub(crate) skeleton: Place,
    /// Where the put's objects lie in the pack, in the order of `put.objects`.
    pub(crate) places: Vec<Place>,
}

/// What became of a large put.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) receipt: PutReceipt,
    /// Whether its pack counts.
    pub(crate) kept: bool,
}

/// A change other than a put.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    CreateTenant {
        name: String,
    },
    SetPolicy {
        tenant: Arc<TenantRow>,
        policy: Option<TierPolicy>,
    },
    Delete {
        tenant: Arc<TenantRow>,
        kind: ItemKind,
        id: Uuid,
    },
    Update {
        tenant: Arc<TenantRow>,
        kind: ItemKind,
        id: Uuid,
        update: ItemUpdate,
    },
    /// Deletes the item, if it is there, and notes that its bytes must go.
    Erase {
        tenant: Arc<TenantRow>,
        kind: ItemKind,
        id: Uuid,
        remains: Remains,
    },
}

/// What is known of an item that is to be erased.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Remains {
    /// The hashes of its skeleton and its objects; none where no record of it is left.
    pub(crate) hashes: Vec<Sha256>,
    /// The caller's id of an item that was deleted before.
    pub(crate) caller_id: Option<String>,
}

/// What the log is asked to do.
#[derive(Debug)]
pub(crate) enum Request {
    Put(Box<PreparedPut>, Reply<PutReceipt>),
    Large(Box<LargePut>, Reply<Landed>),
    Change(Change, Reply<()>),
    /// Seals the open pack, so that everything committed so far lies in sealed packs.
    Seal(Reply<()>),
    /// Forgets unreferenced objects; here, because a put may be about to refer to one.
    RemoveUnreferenced {
        dry_run: bool,
        reply: Reply<u64>,
    },
    /// Copies frames that outlive their pack (tombstones, policies, tenants) into the log.
    Carry(Vec<Frame>, Reply<()>),
    /// Recovers what a failed write left and opens the store for writes again.
    Reopen(Reply<Recovered>),
    /// Commits rows that the packs speak of already; here, because a put may be about to bring the same.
    Adopt(Box<crate::catalog::rows::LogCommit>, Reply<()>),
    Close(Reply<()>),
}

impl Request {
    fn bytes(&self) -> usize {
        match self {
            Self::Put(put, _) => put.memory_bytes(),
            _ => 0,
        }
    }
}

/// The sending side.
#[derive(Debug, Clone)]
pub(crate) struct LogHandle {
    requests: mpsc::Sender<Request>,
}

impl LogHandle {
    /// Starts the log.
    pub(crate) fn start(store: Arc<Store>) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE_MAX);
        let committer = Committer::start(Arc::clone(&store));
        drop(tokio::spawn(Log { store, open: None, committer }.run(queue)));
        Self { requests }
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.requests.max_capacity() - self.requests.capacity()
    }

    /// Sends a request and waits for its answer. A request that was sent is carried out even if the caller goes away.
    pub(crate) async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let closed = || Error::new(Kind::Unavailable, "The store is closed.");
        self.requests.send(request(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

/// The writer itself: it alone appends to the open log pack and commits to the catalog.
#[derive(Debug)]
struct Log {
    store: Arc<Store>,
    open: Option<OpenPack>,
    committer: Committer,
}

impl Log {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut waiting = Vec::new();
        while let Some(first) = queue.recv().await {
            collect(first, &mut queue, &mut waiting);
            self.store.counters.group(waiting.len());
            if self.serve(&mut waiting).await {
                return;
            }
        }
        if let Err(error) = self.seal().await {
            tracing::error!(%error, "the open log pack could not be sealed; the next start recovers it");
        }
    }

    /// Serves what was collected, in order: runs of puts as one group, runs of changes as one group, others alone.
    async fn serve(&mut self, waiting: &mut Vec<Request>) -> bool {
        let mut puts = Vec::new();
        let mut changes = Vec::new();
        for request in waiting.drain(..) {
            match request {
                Request::Put(put, reply) => {
                    self.apply_changes(std::mem::take(&mut changes)).await;
                    puts.push((*put, reply));
                    continue;
                }
                Request::Change(change, reply) => {
                    self.apply_puts(std::mem::take(&mut puts)).await;
                    changes.push((change, reply));
                    continue;
                }
                _ => {
                    self.apply_puts(std::mem::take(&mut puts)).await;
                    self.apply_changes(std::mem::take(&mut changes)).await;
                }
            }
            if self.serve_alone(request).await {
                return true;
            }
        }
        self.apply_puts(puts).await;
        self.apply_changes(changes).await;
        false
    }

    async fn serve_alone(&mut self, request: Request) -> bool {
        self.committer.settle().await;
        match request {
            Request::Large(large, reply) => {
                let result = self.apply_large(*large).await;
                answer(reply, result);
            }
            Request::Seal(reply) => answer(reply, self.seal().await),
            Request::RemoveUnreferenced { dry_run, reply } => {
                answer(reply, self.remove_unreferenced(dry_run).await);
            }
            Request::Carry(frames, reply) => answer(reply, self.carry(frames).await),
            Request::Reopen(reply) => {
                let result = self.reopen().await;
                answer(reply, result);
            }
            Request::Adopt(commit, reply) => answer(reply, self.adopt(*commit).await),
            Request::Close(reply) => {
                // A store that is shut leaves its pack open: the next start recovers it.
                let sealed = if self.store.writable() { self.seal().await } else { Ok(()) };
                answer(reply, sealed);
                return true;
            }
            Request::Put(..) | Request::Change(..) => {}
        }
        false
    }

    async fn remove_unreferenced(&self, dry_run: bool) -> Result<u64> {
        const BATCH: u32 = 1_000;
        self.store.check_writable()?;
        let day = self.store.now().day();
        let mut removed = 0;
        loop {
            let batch = self.store.catalog.remove_unreferenced(BATCH, day, dry_run).await?;
            removed += batch;
            if dry_run || batch < u64::from(BATCH) {
                return Ok(removed);
            }
        }
    }

    /// Commits what repair found. A put may have brought an object or an id since: then nothing is changed.
    async fn adopt(&self, commit: crate::catalog::rows::LogCommit) -> Result<()> {
        let changed = || Error::corrupt("A put changed it meanwhile. Run repair again.");
        for object in &commit.objects {
            let known = self.store.catalog.objects_by_hash(object.tenant, &[object.sha256]).await?;
            if known.iter().any(|row| !row.quarantined) {
                return Err(changed());
            }
        }
        for item in &commit.items {
            let ids: Vec<String> = item.caller_id.clone().into_iter().collect();
            let taken = self.store.catalog.items_by_caller_id(item.tenant, item.kind, &ids).await?;
            if !taken.is_empty() {
                return Err(changed());
            }
        }
        self.store.catalog.commit(&commit).await
    }

    /// Ends the open pack with its index. An absent one is left as it is, and so is the pack of a store that is shut: it
    /// may hold frames whose commit failed. Recovery replays those, but only in packs that the catalog has as open; sealed,
    /// the pack would say for ever what the catalog does not.
    async fn seal(&mut self) -> Result<()> {
        // A watermark that is still on its way would undo what sealing says of the pack.
        self.committer.settle().await;
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        self.store.check_writable()?;
        if let Err(error) = open.seal(&self.store).await {
            self.store.shut_for_writes();
            return Err(error);
        }
        Ok(())
    }

    /// The open pack, made if there is none, replaced if it is full.
    async fn open_pack(&mut self, now: Timestamp) -> Result<&mut OpenPack> {
        if self.open.as_ref().is_some_and(OpenPack::is_full) {
            self.seal().await?;
        }
        if self.open.is_none() {
            let open =
                OpenPack::create(&self.store, now).await.inspect_err(|_| self.store.shut_for_writes())?;
            self.open = Some(open);
        }
        self.open.as_mut().ok_or_else(|| Error::internal("The log has no open pack."))
    }
}

/// Takes what waits, up to the bounds of a group.
fn collect(first: Request, queue: &mut mpsc::Receiver<Request>, waiting: &mut Vec<Request>) {
    let mut bytes = first.bytes();
    waiting.push(first);
    while waiting.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
        let Ok(next) = queue.try_recv() else {
            return;
        };
        bytes += next.bytes();
        waiting.push(next);
    }
}

/// Answers a caller. One that went away does not need the answer.
fn answer<T>(reply: Reply<T>, result: Result<T>) {
    drop(reply.send(result));
}
