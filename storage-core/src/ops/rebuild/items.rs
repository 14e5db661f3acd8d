//! Rows of objects and items, from the tables of blocks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use crate::catalog::rows::LogCommit;
use crate::catalog::rows::NewItem;
use crate::catalog::rows::NewObject;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::Place;
use crate::catalog::rows::TenantRow;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::media::MediaClass;
use crate::model::Sha256;
use crate::ops::rebuild::Rebuild;
use crate::ops::rebuild::packs::Found;
use crate::ops::replay::item;
use crate::ops::replay_checks;
use crate::pack::BlockTable;
use crate::pack::Entry as PackEntry;
use crate::pack::EntryBody;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::pack::ItemRecord;
use crate::pack::MessageRecord;
use crate::pack::PartRecord;

/// Gives an item the values of its newest change.
pub(crate) fn with_change(new: &mut NewItem, change: &ItemRecord) {
    new.hold = change.hold;
    new.pin = change.pin;
    new.expires = change.retention_end;
    new.labels.clone_from(&change.labels);
}

impl Rebuild<'_> {
    async fn table(&mut self, pack: &Found, entry: &IndexEntry) -> Result<Option<BlockTable>> {
        if entry.kind != FrameKind::Block {
            return Ok(None);
        }
        match self.store.head_at(pack.name, entry).await.and_then(|head| head.block_table()) {
            Ok(table) => Ok(Some(table)),
            Err(error) if error.kind() == Kind::Corrupt => {
                tracing::error!(%error, pack = %pack.name, frame = entry.ordinal, "a block's table cannot be read");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Objects of the pack that have no row yet.
    pub(super) async fn objects(&mut self, pack: &Found) -> Result<()> {
        for frame in &pack.entries {
            let Some(table) = self.table(pack, frame).await? else {
                self.report.frames_damaged += u64::from(frame.kind == FrameKind::Block);
                continue;
            };
            let tenant = self.tenant(frame.tenant)?.key;
            let mut new: HashMap<Sha256, NewObject> = HashMap::new();
            let mut seen: Vec<(Sha256, Place, &PackEntry)> = Vec::new();
            for (number, entry) in (0_u32..).zip(&table.entries) {
                let (sha256, bytes, class) = match &entry.body {
                    EntryBody::Object(object) => (object.sha256, object.bytes, object.class),
                    EntryBody::Segmented(object) => (object.sha256, object.bytes, object.class),
                    EntryBody::Message(_) => continue,
                };
                if replay_checks::length(bytes).is_err() {
                    continue;
                }
                let place = Place { pack: pack.key, frame: frame.ordinal, entry: number };
                seen.push((sha256, place, entry));
                let _ = new.entry(sha256).or_insert(NewObject { tenant, sha256, bytes, class, place });
            }
            let hashes: Vec<Sha256> = new.keys().copied().collect();
            for known in self.store.catalog.objects_by_hash(tenant, &hashes).await? {
                let _ = new.remove(&known.sha256);
            }
            for (sha256, place, entry) in seen {
                let taken = new.get(&sha256).is_some_and(|object| object.place == place);
                self.differences.see((tenant, sha256), entry, ((place, pack.tier), taken));
            }
            self.report.objects += new.len() as u64;
            self.commit(new.into_values().collect(), Vec::new()).await?;
        }
        Ok(())
    }

    /// Items of the pack that have neither a row yet nor a tombstone.
    pub(super) async fn items(&mut self, pack: &Found) -> Result<()> {
        for frame in &pack.entries {
            let Some(table) = self.table(pack, frame).await? else {
                continue;
            };
            let tenant = self.tenant(frame.tenant)?;
            let mut ids: Vec<Uuid> = Vec::new();
            for entry in &table.entries {
                if let EntryBody::Message(message) = &entry.body {
                    ids.push(message.record.id);
                }
            }
            let known = self.store.catalog.items_by_uuid(tenant.key, &ids).await?;
            for (number, entry) in (0_u32..).zip(&table.entries) {
                let EntryBody::Message(message) = &entry.body else {
                    continue;
                };
                let record = &message.record;
                if self.words.is_gone(tenant.id, record.id) {
                    self.report.deleted += 1;
                    continue;
                }
                if known.iter().any(|item| item.row.id == record.id) {
                    continue;
                }
                let place = Place { pack: pack.key, frame: frame.ordinal, entry: number };
                match self.item(&tenant, record, (place, u64::from(entry.bytes))).await {
                    Err(error) if error.kind() == Kind::Corrupt => {
                        tracing::error!(%error, item = %record.id, "a record is left out");
                        self.report.damaged_items.push(record.id);
                    }
                    made => made?,
                }
            }
        }
        Ok(())
    }

    async fn item(&mut self, tenant: &TenantRow, record: &MessageRecord, at: (Place, u64)) -> Result<()> {
        let _parts_bytes = replay_checks::item(record)?;
        if let Some(id) = record.caller_id.clone() {
            let taken = self.store.catalog.items_by_caller_id(tenant.key, record.kind, &[id]).await?;
            if !taken.is_empty() {
                // It was refused when it came, after its pack was complete.
                tracing::warn!(item = %record.id, "an item is left out: its id belongs to another one");
                return Ok(());
            }
        }
        let (place, skeleton_bytes) = at;
        let mut objects = self.known_objects(tenant, record).await?;
        for part in &record.parts {
            let Entry::Vacant(vacant) = objects.entry(part.object) else {
                continue;
            };
            let _ = vacant.insert(self.missing_object(tenant, part, place).await?);
            self.report.objects_missing += 1;
            if self.report.damaged_items.last() != Some(&record.id) {
                self.report.damaged_items.push(record.id);
            }
        }
        if record.parts.iter().any(|part| self.lost.contains(&(tenant.key, part.object))) {
            self.report.objects_missing += 1;
            if self.report.damaged_items.last() != Some(&record.id) {
                self.report.damaged_items.push(record.id);
            }
        }
        let mut new = item(record, (tenant.key, place, skeleton_bytes), &objects)?;
        if let Some(change) = self.words.change_of(tenant.id, (record.kind, record.id)) {
            with_change(&mut new, change);
        }
        self.report.items += 1;
        self.commit(Vec::new(), vec![new]).await
    }

    async fn known_objects(
        &self,
        tenant: &TenantRow,
        record: &MessageRecord,
    ) -> Result<HashMap<Sha256, ObjectRef>> {
        let mut hashes: Vec<Sha256> = record.parts.iter().map(|part| part.object).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let rows = self.store.catalog.objects_by_hash(tenant.key, &hashes).await?;
        Ok(rows.into_iter().map(|row| (row.sha256, ObjectRef::Known(row.key))).collect())
    }

    /// A quarantined row for an object that no pack holds: the item is listed with what is left of it, and a put of the
    /// same bytes mends it.
    async fn missing_object(
        &mut self,
        tenant: &TenantRow,
        part: &PartRecord,
        place: Place,
    ) -> Result<ObjectRef> {
        let class = MediaClass::of(&part.media_type, &[]).code();
        let object =
            NewObject { tenant: tenant.key, sha256: part.object, bytes: part.decoded_bytes, class, place };
        self.commit(vec![object], Vec::new()).await?;
        let rows = self.store.catalog.objects_by_hash(tenant.key, &[part.object]).await?;
        let row = rows.first().ok_or_else(|| Error::internal("A row that was just made is not there."))?;
        self.store.catalog.quarantine(&[row.key], self.store.now()).await?;
        self.report.objects += 1;
        Ok(ObjectRef::Known(row.key))
    }

    async fn commit(&self, objects: Vec<NewObject>, items: Vec<NewItem>) -> Result<()> {
        if objects.is_empty() && items.is_empty() {
            return Ok(());
        }
        let commit = LogCommit { objects, items, at: self.store.now(), ..LogCommit::default() };
        self.store.catalog.commit(&commit).await
    }
}
