//! The second half of the log: groups of puts that are durable in the pack become visible in the catalog and are
//! answered, while the first half looks up and appends the next group.
//!
//! Groups are committed in the order in which they were appended, so a watermark never passes a group that is not in
//! the catalog. After a commit that failed nothing more is committed. A group refers only to what the catalog had when it was looked
//! up: the first half waits ([`Committer::settle`]) where an id or an object of a group is still on its way, and before
//! anything that is not a put.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::catalog::rows::LogCommit;
use crate::catalog::rows::ObjectRef;
use crate::error::Error;
use crate::error::Result;
use crate::model::PutReceipt;
use crate::ops::log::Reply;
use crate::ops::log::answer;
use crate::ops::log::group::CallerKey;
use crate::ops::log::group::ObjectHash;
use crate::ops::log::group::Waiting;
use crate::ops::log::group::refuse_all;
use crate::ops::log::mend::Mended;
use crate::ops::prepared::PreparedPut;
use crate::store::Store;

/// Groups that are durable and not committed yet, besides those being committed. Their puts hold put memory.
const QUEUE_GROUPS: usize = 2;

/// Groups that share a transaction at most.
const MERGED_GROUPS: usize = 4;

/// A group whose frames are durable.
#[derive(Debug)]
pub(super) struct Durable {
    pub(super) commit: LogCommit,
    /// Skeletons that were written again.
    pub(super) mended: Vec<Mended>,
    /// The puts of the group and what they are told, in order. They hold their memory until then.
    pub(super) puts: Vec<(Waiting, PutReceipt)>,
    /// Puts whose id came before in the same group: they find it committed then.
    pub(super) repeats: Vec<Waiting>,
}

/// The sending side of the second half, and what is on its way there.
#[derive(Debug)]
pub(super) struct Committer {
    groups: mpsc::Sender<Durable>,
    /// How many groups were dealt with, in the order they were sent.
    done: watch::Receiver<u64>,
    sent: u64,
    ids: HashSet<CallerKey>,
    objects: HashSet<ObjectHash>,
}

impl Committer {
    /// Starts the second half.
    pub(super) fn start(store: Arc<Store>) -> Self {
        let (groups, queue) = mpsc::channel(QUEUE_GROUPS);
        let (dealt_with, done) = watch::channel(0);
        drop(tokio::spawn(run(store, queue, dealt_with)));
        Self { groups, done, sent: 0, ids: HashSet::new(), objects: HashSet::new() }
    }

    /// Hands a group over; waits while enough of them are on their way.
    pub(super) async fn send(&mut self, group: Durable) {
        self.forget_if_idle();
        let keys = group.puts.iter().filter_map(|((put, _), _)| put.caller_key());
        self.ids.extend(keys);
        self.objects.extend(group.commit.objects.iter().map(|object| (object.tenant, object.sha256)));
        if let Err(mpsc::error::SendError(group)) = self.groups.send(group).await {
            // The other half ends only with this one; whoever waits must not wait for ever.
            group.refuse(&Error::internal("The log lost its second half."));
            return;
        }
        self.sent += 1;
    }

    /// Waits until everything handed over is in the catalog, or has failed.
    pub(super) async fn settle(&mut self) {
        let sent = self.sent;
        // An error means that the other half is gone, and with it everything on its way.
        let _ = self.done.wait_for(|done| *done >= sent).await;
        self.forget_if_idle();
    }

    /// Whether a put has an id or an object that is on its way.
    pub(super) fn is_awaited_by(&self, put: &PreparedPut) -> bool {
        put.caller_key().is_some_and(|key| self.ids.contains(&key))
            || put.objects.iter().any(|object| self.objects.contains(&(put.tenant.key, object.sha256)))
    }

    fn forget_if_idle(&mut self) {
        if *self.done.borrow() >= self.sent {
            self.ids.clear();
            self.objects.clear();
        }
    }
}

impl Durable {
    fn refuse(self, error: &Error) {
        let replies = self.puts.into_iter().map(|((_, reply), _)| reply);
        refuse_all(replies.chain(self.repeats.into_iter().map(|(_, reply)| reply)), error);
    }
}

async fn run(store: Arc<Store>, mut queue: mpsc::Receiver<Durable>, dealt_with: watch::Sender<u64>) {
    let mut groups = Vec::new();
    while queue.recv_many(&mut groups, MERGED_GROUPS).await > 0 {
        let count = groups.len() as u64;
        deal_with(&store, std::mem::take(&mut groups)).await;
        dealt_with.send_modify(|done| *done += count);
    }
}

/// Commits groups in one transaction and answers everybody who waits for them. Rows that point to skeletons written again are
/// settled before their groups hear that these are there, because no replay of the log would write them.
async fn deal_with(store: &Store, mut groups: Vec<Durable>) {
    let commit = merged(groups.iter_mut().map(|group| std::mem::take(&mut group.commit)));
    let committed = match store.check_writable() {
        Ok(()) => {
            let mended = groups.iter().flat_map(|group| &group.mended);
            commit_all(store, &commit, mended).await.inspect_err(|_| store.shut_for_writes())
        }
        Err(error) => Err(error),
    };
    let mends = groups.iter().any(|group| !group.mended.is_empty());
    let settled = if mends && committed.is_ok() { store.settle_rows().await } else { Ok(()) };
    for group in groups {
        let settled = if group.mended.is_empty() { &Ok(()) } else { &settled };
        if let Err(error) = committed.as_ref().and(settled.as_ref()) {
            group.refuse(error);
            continue;
        }
        for ((_, reply), receipt) in group.puts {
            answer(reply, Ok(receipt));
        }
        for (put, reply) in group.repeats {
            answer_repeat(store, &put, reply).await;
        }
    }
}

/// Commits, and points rows to skeletons that were written again, which is to be settled.
pub(super) async fn commit_all(
    store: &Store,
    commit: &LogCommit,
    mended: impl Iterator<Item = &Mended>,
) -> Result<()> {
    store.catalog.commit(commit).await?;
    for skeleton in mended {
        skeleton.apply(store).await?;
    }
    Ok(())
}

/// One commit for several groups, in their order.
fn merged(commits: impl Iterator<Item = LogCommit>) -> LogCommit {
    let mut all = LogCommit::default();
    for mut commit in commits {
        let before = all.objects.len();
        for part in commit.items.iter_mut().flat_map(|item| &mut item.parts) {
            if let ObjectRef::New(index) = &mut part.object {
                *index += before;
            }
        }
        all.objects.append(&mut commit.objects);
        all.items.append(&mut commit.items);
        all.changes.append(&mut commit.changes);
        // A later watermark of the same pack replaces the one before.
        all.packs.retain(|(pack, _)| !commit.packs.iter().any(|(later, _)| later == pack));
        all.packs.append(&mut commit.packs);
        all.at = all.at.max(commit.at);
        all.sequence = all.sequence.max(commit.sequence);
    }
    all
}

/// Answers a put whose id came twice in one group.
async fn answer_repeat(store: &Store, put: &PreparedPut, reply: Reply<PutReceipt>) {
    let ids = put.options.caller_id.clone().into_iter().collect::<Vec<_>>();
    let result = match store.catalog.items_by_caller_id(put.tenant.key, put.kind, &ids).await {
        Ok(found) => found.first().map_or_else(
            || Err(Error::internal("An id that was just stored is not there.")),
            |row| put.repeat(row),
        ),
        Err(error) => Err(error),
    };
    answer(reply, result);
}

#[cfg(test)]
mod tests {
    use super::merged;
    use crate::catalog::rows::LogCommit;
    use crate::catalog::rows::NewItem;
    use crate::catalog::rows::NewObject;
    use crate::catalog::rows::NewPart;
    use crate::catalog::rows::ObjectRef;
    use crate::catalog::rows::PackBytes;
    use crate::catalog::rows::PackProgress;
    use crate::catalog::rows::Place;
    use crate::clock::Timestamp;
    use crate::ids::ObjectKey;
    use crate::ids::PackKey;
    use crate::ids::TenantKey;
    use crate::model::ExternalIds;
    use crate::model::ItemKind;
    use crate::model::Sha256;

    const PLACE: Place = Place { pack: PackKey(1), frame: 0, entry: 0 };

    fn group(number: u8) -> LogCommit {
        let tenant = TenantKey(1);
        let part = |part, object| NewPart { part, role: 0, media_type: None, file_name: None, object };
        LogCommit {
            objects: vec![NewObject {
                tenant,
                sha256: Sha256([number; 32]),
                bytes: 1,
                class: 1,
                place: PLACE,
            }],
            items: vec![NewItem {
                tenant,
                kind: ItemKind::Message,
                id: uuid::Uuid::from_u128(number.into()),
                caller_id: None,
                external: ExternalIds::default(),
                message_id_hash: None,
                bytes: 1,
                sha256: Sha256([0; 32]),
                skeleton_bytes: 1,
                referenced_bytes: 2,
                place: PLACE,
                expires: None,
                hold: false,
                pin: None,
                labels: std::collections::BTreeMap::new(),
                parts: vec![part(0, ObjectRef::New(0)), part(1, ObjectRef::Known(ObjectKey(9)))],
            }],
            changes: Vec::new(),
            packs: vec![(
                PackKey(1),
                PackProgress::of(PackBytes { stream: number.into(), ..PackBytes::default() }),
            )],
            at: Timestamp(number.into()),
            sequence: number.into(),
        }
    }

    #[test]
    fn merged_groups_refer_to_their_own_objects_and_end_at_the_last_watermark() {
        let all = merged([group(1), group(2), group(3)].into_iter());
        assert_eq!((all.objects.len(), all.items.len()), (3, 3));
        assert_eq!((all.at, all.sequence), (Timestamp(3), 3));
        for (index, item) in all.items.iter().enumerate() {
            let objects: Vec<ObjectRef> = item.parts.iter().map(|part| part.object).collect();
            assert_eq!(objects, [ObjectRef::New(index), ObjectRef::Known(ObjectKey(9))]);
        }
        let watermarks: Vec<u64> = all.packs.iter().map(|(_, progress)| progress.committed_bytes).collect();
        assert_eq!(watermarks, [3]);
    }
}
