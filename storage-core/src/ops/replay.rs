//! Turns a frame of a log back into the catalog commit it belonged to. Replaying what the catalog has already changes
//! nothing.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::rows::ItemChange;
use crate::catalog::rows::ItemDelete;
use crate::catalog::rows::ItemErase;
use crate::catalog::rows::LogChange;
use crate::catalog::rows::LogCommit;
use crate::catalog::rows::NewItem;
use crate::catalog::rows::NewObject;
use crate::catalog::rows::NewPart;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::Place;
use crate::error::Error;
use crate::error::Result;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::ops::replay_checks;
use crate::pack::Entry;
use crate::pack::EntryBody;
use crate::pack::FrameKind;
use crate::pack::MessageRecord;
use crate::pack::Origin;
use crate::pack::PolicyRecord;
use crate::pack::ScannedFrame;
use crate::pack::TenantRecord;
use crate::pack::Tombstone;
use crate::store::Store;

/// Replays the frames of one pack.
#[derive(Debug)]
pub(crate) struct Replayer<'a> {
    store: &'a Arc<Store>,
    pack: PackKey,
    origin: Origin,
}

impl<'a> Replayer<'a> {
    pub(crate) fn new(store: &'a Arc<Store>, pack: PackKey, origin: Origin) -> Self {
        Self { store, pack, origin }
    }

    /// Commits what a frame says, together with the watermark behind it.
    pub(crate) async fn replay(&mut self, frame: &ScannedFrame, progress: PackProgress) -> Result<()> {
        let mut commit =
            LogCommit { at: self.store.now(), packs: vec![(self.pack, progress)], ..LogCommit::default() };
        let tenant = frame.head.header().tenant;
        match frame.head.header().kind {
            FrameKind::Block => self.block(frame, tenant, &mut commit).await?,
            FrameKind::Tombstone => {
                let tenant = self.tenant(tenant).await?;
                for tombstone in frame.head.tombstones()? {
                    tombstone.caller_id.as_deref().map_or(Ok(()), replay_checks::name)?;
                    commit.changes.push(deletion(tenant, tombstone));
                }
            }
            FrameKind::Policy => {
                let tenant = self.tenant(tenant).await?;
                for record in frame.head.policies()? {
                    commit.sequence = commit.sequence.max(record.sequence());
                    commit.changes.push(policy(tenant, record));
                }
            }
            FrameKind::Tenant => {
                commit.changes.push(tenant_change(frame.head.tenant()?)?);
            }
            FrameKind::Segment | FrameKind::Dictionary => {}
        }
        self.store.catalog.commit(&commit).await
    }

    async fn tenant(&self, id: Uuid) -> Result<TenantKey> {
        let rows = self.store.catalog.tenants().await?;
        rows.iter().find(|row| row.id == id).map(|row| row.key).ok_or_else(|| {
            Error::corrupt(format!(
                "The log speaks of tenant {id} before it was created. Restore from a backup."
            ))
        })
    }

    async fn block(&self, frame: &ScannedFrame, tenant: Uuid, commit: &mut LogCommit) -> Result<()> {
        let tenant = self.tenant(tenant).await?;
        let table = frame.head.block_table()?;
        let mut objects = Objects::load(self.store, tenant, &table.entries).await?;
        for (number, entry) in (0_u32..).zip(&table.entries) {
            let place = Place { pack: self.pack, frame: frame.place.ordinal, entry: number };
            match &entry.body {
                EntryBody::Object(object) => {
                    let bytes = replay_checks::length(object.bytes)?;
                    objects.add(commit, (object.sha256, bytes, object.class), place);
                }
                EntryBody::Segmented(object) => {
                    let bytes = replay_checks::length(object.bytes)?;
                    objects.add(commit, (object.sha256, bytes, object.class), place);
                }
                EntryBody::Message(_) => {}
            }
        }
        for (number, entry) in (0_u32..).zip(&table.entries) {
            let EntryBody::Message(message) = &entry.body else {
                continue;
            };
            let record = &message.record;
            if !self.is_settled(tenant, record).await? {
                let place = Place { pack: self.pack, frame: frame.place.ordinal, entry: number };
                commit.items.push(item(record, (tenant, place, u64::from(entry.bytes)), &objects.found)?);
            }
        }
        // A large put that does not count brings nothing. (A block of one without a message waits for the message that
        // comes later.) What a log's block brings may be needed by messages after it, also where its own message does
        // not count; what nobody needs, the next sweep forgets.
        let speaks = table.entries.iter().any(|entry| matches!(entry.body, EntryBody::Message(_)));
        if self.origin == Origin::Large && speaks && commit.items.is_empty() {
            commit.objects.clear();
        }
        Ok(())
    }

    /// Whether a message is not to be added: it is there, or its caller's id is: taken by a large put, whose packs are
    /// replayed first, after the item of this message had been deleted for long enough.
    async fn is_settled(&self, tenant: TenantKey, record: &MessageRecord) -> Result<bool> {
        if self.store.catalog.item_by_uuid(tenant, record.kind, record.id).await?.is_some() {
            return Ok(true);
        }
        let Some(id) = record.caller_id.clone() else {
            return Ok(false);
        };
        Ok(!self.store.catalog.items_by_caller_id(tenant, record.kind, &[id]).await?.is_empty())
    }
}

/// The objects a block's messages may refer to.
struct Objects {
    tenant: TenantKey,
    found: HashMap<Sha256, ObjectRef>,
}

impl Objects {
    async fn load(store: &Store, tenant: TenantKey, entries: &[Entry]) -> Result<Self> {
        let mut hashes = Vec::new();
        for entry in entries {
            match &entry.body {
                EntryBody::Object(object) => hashes.push(object.sha256),
                EntryBody::Segmented(object) => hashes.push(object.sha256),
                EntryBody::Message(message) => {
                    hashes.extend(message.record.parts.iter().map(|part| part.object));
                }
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        let rows = store.catalog.objects_by_hash(tenant, &hashes).await?;
        let known = rows.into_iter().filter(|row| !row.quarantined);
        let found = known.map(|row| (row.sha256, ObjectRef::Known(row.key))).collect();
        Ok(Self { tenant, found })
    }

    fn add(&mut self, commit: &mut LogCommit, (sha256, bytes, class): (Sha256, u64, u8), place: Place) {
        if self.found.contains_key(&sha256) {
            return;
        }
        let _ = self.found.insert(sha256, ObjectRef::New(commit.objects.len()));
        commit.objects.push(NewObject { tenant: self.tenant, sha256, bytes, class, place });
    }
}

/// The row that a message's record describes, referring to these objects.
pub(crate) fn item(
    record: &MessageRecord,
    (tenant, place, skeleton_bytes): (TenantKey, Place, u64),
    objects: &HashMap<Sha256, ObjectRef>,
) -> Result<NewItem> {
    let part = |part: &crate::pack::PartRecord| {
        let object = objects.get(&part.object).copied().ok_or_else(|| {
            Error::corrupt(format!(
                "Message {} refers to object {}, which is nowhere. Restore from a backup.",
                record.id, part.object
            ))
        })?;
        Ok(NewPart {
            part: part.index,
            role: part.role,
            media_type: Some(part.media_type.clone()),
            file_name: part.file_name.clone(),
            object,
        })
    };
    let parts_bytes = replay_checks::item(record)?;
    Ok(NewItem {
        tenant,
        kind: record.kind,
        id: record.id,
        caller_id: record.caller_id.clone(),
        external: record.external,
        message_id_hash: record.message_id_hash,
        bytes: record.bytes,
        sha256: record.sha256,
        skeleton_bytes,
        referenced_bytes: skeleton_bytes + parts_bytes,
        place,
        expires: record.retention_end,
        hold: record.hold,
        pin: record.pin,
        labels: record.labels.clone(),
        parts: record.parts.iter().map(part).collect::<Result<_>>()?,
    })
}

/// What a tombstone says.
pub(crate) fn deletion(tenant: TenantKey, tombstone: Tombstone) -> LogChange {
    let delete = ItemDelete {
        tenant,
        kind: tombstone.kind,
        id: tombstone.item,
        caller_id: tombstone.caller_id,
        deleted: tombstone.deleted,
    };
    match tombstone.erase {
        Some(hashes) => LogChange::Erase(ItemErase { delete, hashes }),
        None => LogChange::Delete(delete),
    }
}

/// What a tenant's record says.
pub(crate) fn tenant_change(record: TenantRecord) -> Result<LogChange> {
    replay_checks::name(&record.name)?;
    Ok(LogChange::Tenant { id: record.id, name: record.name, created: record.created })
}

fn policy(tenant: TenantKey, record: PolicyRecord) -> LogChange {
    match record {
        PolicyRecord::Tier(record) => LogChange::Policy { tenant, policy: record.json },
        PolicyRecord::Item(record) => LogChange::Update(ItemChange {
            tenant,
            kind: record.kind,
            id: record.item,
            expires: record.retention_end,
            hold: record.hold,
            pin: record.pin,
            labels: record.labels,
        }),
    }
}
