//! A group of puts: look-ups, frames, sync, commit, answers. See the order in the module above.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::rows::LogCommit;
use crate::catalog::rows::NewItem;
use crate::catalog::rows::NewObject;
use crate::catalog::rows::NewPart;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::Place;
use crate::clock::DAY_MILLIS;
use crate::clock::Timestamp;
use crate::codec::Codec;
use crate::error::Error;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::ItemKind;
use crate::model::PutReceipt;
use crate::model::Sha256;
use crate::ops::log::Landed;
use crate::ops::log::LargePut;
use crate::ops::log::Log;
use crate::ops::log::Reply;
use crate::ops::log::answer;
use crate::ops::log::commit::Durable;
use crate::ops::log::commit::commit_all;
use crate::ops::log::known::Known;
use crate::ops::log::known::Sorted;
use crate::ops::log::known::look_up;
use crate::ops::log::known::removed_meanwhile;
use crate::ops::log::known::sort_out;
use crate::ops::log::mend::Mended;
use crate::ops::log::mend::find_broken;
use crate::ops::log::pack::OpenPack;
use crate::ops::prepared::ObjectBytes;
use crate::ops::prepared::PreparedObject;
use crate::ops::prepared::PreparedPut;
use crate::pack::BlockBuilder;
use crate::pack::SegmentPlace;
use crate::pack::SegmentRecord;
use crate::pack::segment_frame;

/// Objects above this many bytes are stored in segments of this many bytes, each with a hash of its own.
pub(crate) const SEGMENT_BYTES: usize = 1 << 20;

/// How long a deleted caller's id stays gone.
pub(crate) const GONE_MILLIS: i64 = 30 * DAY_MILLIS;

/// An id of a caller's.
pub(crate) type CallerKey = (TenantKey, ItemKind, String);

/// What identifies an object.
pub(super) type ObjectHash = (TenantKey, Sha256);

/// A put that is being committed, with who waits for it.
pub(super) type Waiting = (PreparedPut, Reply<PutReceipt>);

impl Log {
    /// Looks up, appends and syncs a group of puts; the other half of the log commits and answers it.
    pub(super) async fn apply_puts(&mut self, puts: Vec<Waiting>) {
        if puts.is_empty() {
            return;
        }
        let now = self.store.now();
        if puts.iter().any(|(put, _)| self.committer.is_awaited_by(put)) {
            self.committer.settle().await;
        }
        let known = match self.prepare_group(&puts, now).await {
            Ok(known) => known,
            Err(error) => return refuse_all(puts.into_iter().map(|(_, reply)| reply), &error),
        };
        let Sorted { fresh, repeats, menders } = sort_out(puts, &known);
        if fresh.is_empty() && menders.is_empty() {
            return;
        }
        match self.append_group(&fresh, &menders, known, now).await {
            Ok((commit, receipts, mended)) => {
                let puts = fresh.into_iter().zip(receipts).chain(menders).collect();
                self.committer.send(Durable { commit, mended, puts, repeats }).await;
            }
            Err(error) => {
                let menders = menders.into_iter().map(|(mender, _)| mender);
                refuse_all(fresh.into_iter().chain(repeats).chain(menders).map(|(_, reply)| reply), &error);
            }
        }
    }

    async fn prepare_group(&self, puts: &[Waiting], now: Timestamp) -> Result<Known> {
        self.store.check_writable()?;
        let mut known = look_up(&self.store, puts.iter().map(|(put, _)| put), now).await?;
        find_broken(&self.store, puts.iter().map(|(put, _)| put), &mut known, now).await?;
        Ok(known)
    }

    /// Makes the frames of a group durable. What it returns must be committed before anybody is told.
    async fn append_group(
        &mut self,
        fresh: &[Waiting],
        menders: &[(Waiting, PutReceipt)],
        known: Known,
        now: Timestamp,
    ) -> Result<(LogCommit, Vec<PutReceipt>, Vec<Mended>)> {
        let store = Arc::clone(&self.store);
        let open = self.open_pack(now).await?;
        let mut group = Group::new(known, now);
        let written = async {
            let mut receipts = Vec::with_capacity(fresh.len());
            for (put, _) in fresh {
                receipts.push(group.add(open, put)?);
            }
            for ((put, _), _) in menders {
                group.mend(open, put)?;
            }
            let progress = open.append_sync().await?;
            group.commit.packs.push((open.key, progress));
            Ok((group.commit, receipts, group.mended))
        };
        written.await.inspect_err(|_| store.shut_for_writes())
    }

    /// Commits a put whose frames lie in a pack of their own: the end of the pack, durable, then the catalog. A pack
    /// counts from its end on, so one whose put is refused here never does.
    pub(super) async fn apply_large(&mut self, large: LargePut) -> Result<Landed> {
        self.store.check_writable()?;
        let now = self.store.now();
        let known = look_up(&self.store, std::iter::once(&large.put), now).await?;
        let mends = large.put.lost.as_ref().is_some_and(|lost| !lost.is_nothing());
        let mut group = Group::new(known, now);
        let receipt = match group.known.answer(&large.put) {
            Some(answer) if mends => {
                let receipt = answer?;
                group.mend_large(&large)?;
                receipt
            }
            Some(answer) => return answer.map(|receipt| Landed { receipt, kept: false }),
            // The item that it was to mend is gone, and with it the id that its record has.
            None if mends => return Err(removed_meanwhile()),
            None => group.refer(&large.put, &large.places, large.skeleton),
        };
        let key = large.open.key;
        let written = async {
            let progress = large.open.finish().await?;
            group.commit.packs.push((key, progress));
            commit_all(&self.store, &group.commit, group.mended.iter()).await?;
            self.store.catalog.seal_pack(key, progress).await
        };
        written.await.inspect_err(|_| self.store.shut_for_writes())?;
        if mends {
            // A replay takes nothing from the pack of a large put whose item is there.
            self.store.settle_rows().await?;
        }
        Ok(Landed { receipt, kept: true })
    }
}

/// One error for everybody who waits.
pub(super) fn refuse_all<T>(replies: impl Iterator<Item = Reply<T>>, error: &Error) {
    tracing::error!(%error, "a group was refused");
    for reply in replies {
        answer(reply, Err(Error::new(error.kind(), error.message().to_owned())));
    }
}

/// A group while its frames are made.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) known: Known,
    pub(super) fresh: HashMap<ObjectHash, usize>,
    pub(super) commit: LogCommit,
    pub(super) mended: Vec<Mended>,
}

impl Group {
    fn new(known: Known, now: Timestamp) -> Self {
        Self {
            known,
            fresh: HashMap::new(),
            commit: LogCommit { at: now, ..LogCommit::default() },
            mended: Vec::new(),
        }
    }

    pub(super) fn find(&self, tenant: TenantKey, sha256: Sha256) -> Option<ObjectRef> {
        let key = (tenant, sha256);
        let known = self.known.objects.get(&key).map(|(object, _)| ObjectRef::Known(*object));
        known.or_else(|| self.fresh.get(&key).map(|index| ObjectRef::New(*index)))
    }

    /// Puts a message's frames into the open pack: segments of large objects, then one block with the rest.
    fn add(&mut self, open: &mut OpenPack, put: &PreparedPut) -> Result<PutReceipt> {
        let tenant = put.tenant.key;
        let mut block = BlockBuilder::new(put.tenant.id);
        let mut places = Vec::with_capacity(put.objects.len());
        let mut entries: HashMap<Sha256, u32> = HashMap::new();
        for object in &put.objects {
            if self.find(tenant, object.sha256).is_some() {
                places.push(None);
                continue;
            }
            let entry = match entries.get(&object.sha256) {
                Some(entry) => *entry,
                None => push_object(open, put, &mut block, object)?,
            };
            let _ = entries.insert(object.sha256, entry);
            places.push(Some(entry));
        }
        let skeleton = block.push_message(&put.record(), &put.skeleton);
        let frame = open.place(block.finish(&Codec::None, &Codec::None)?)?;
        let unused = Place { pack: open.key, frame, entry: 0 };
        let places: Vec<Place> = places
            .into_iter()
            .map(|entry| entry.map_or(unused, |entry| open.entry_place(frame, entry)))
            .collect();
        Ok(self.refer(put, &places, open.entry_place(frame, skeleton)))
    }

    /// Rows of a put whose objects, where they are not known, lie at `places`.
    fn refer(&mut self, put: &PreparedPut, places: &[Place], skeleton: Place) -> PutReceipt {
        let tenant = put.tenant.key;
        let mut known = 0;
        let mut parts = Vec::with_capacity(put.objects.len());
        for (object, place) in put.objects.iter().zip(places) {
            let reference = self.find(tenant, object.sha256).inspect(|_| known += 1).unwrap_or_else(|| {
                let index = self.commit.objects.len();
                self.commit.objects.push(NewObject {
                    tenant,
                    sha256: object.sha256,
                    bytes: object.bytes,
                    class: object.class.code(),
                    place: *place,
                });
                let _ = self.fresh.insert((tenant, object.sha256), index);
                ObjectRef::New(index)
            });
            parts.push(NewPart {
                part: object.part,
                role: object.role,
                media_type: Some(object.media_type.clone()),
                file_name: object.file_name.clone(),
                object: reference,
            });
        }
        self.commit.items.push(new_item(put, skeleton, parts));
        put.receipt(known)
    }
}

fn new_item(put: &PreparedPut, place: Place, parts: Vec<NewPart>) -> NewItem {
    NewItem {
        tenant: put.tenant.key,
        kind: put.kind,
        id: put.id,
        caller_id: put.options.caller_id.clone(),
        external: put.options.external,
        message_id_hash: put.message_id_hash,
        bytes: put.bytes,
        sha256: put.sha256,
        skeleton_bytes: put.skeleton.len() as u64,
        referenced_bytes: put.referenced_bytes(),
        place,
        expires: put.options.retention_end,
        hold: put.options.hold,
        pin: put.options.pin,
        labels: put.options.labels.clone(),
        parts,
    }
}

/// Adds an object to the block; a large one as segments before it and a manifest inside.
pub(super) fn push_object(
    open: &mut OpenPack,
    put: &PreparedPut,
    block: &mut BlockBuilder,
    object: &PreparedObject,
) -> Result<u32> {
    let data = match &object.data {
        ObjectBytes::Whole(data) => data,
        ObjectBytes::Segmented(_) | ObjectBytes::Placed(..) => return Err(removed_meanwhile()),
    };
    if data.len() <= SEGMENT_BYTES {
        return Ok(block.push_object(object.sha256, object.class.code(), data));
    }
    let mut segments = Vec::new();
    for (index, bytes) in data.chunks(SEGMENT_BYTES).enumerate() {
        segments.push(push_segment(open, put.tenant.id, index, bytes)?);
    }
    Ok(block.push_segmented(&object.manifest(&segments)))
}

/// Places one segment frame, uncompressed.
pub(crate) fn push_segment(
    open: &mut OpenPack,
    tenant: uuid::Uuid,
    index: usize,
    bytes: &[u8],
) -> Result<SegmentPlace> {
    let record = SegmentRecord {
        sha256: crate::ops::read::sha256(bytes),
        bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        index: u32::try_from(index).unwrap_or(u32::MAX),
        unknown: crate::pack::Fields::default(),
    };
    let ordinal = open.place(segment_frame(tenant, &record, bytes, &Codec::None)?)?;
    Ok(SegmentPlace { ordinal, bytes: record.bytes, sha256: record.sha256 })
}
