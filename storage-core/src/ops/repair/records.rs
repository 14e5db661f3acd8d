//! Rows that packs speak of: made again, removed, given their newest change. All through the log, which is the one writer
//! of items; the packs say it already, so no frame is written.

use std::collections::HashMap;

use crate::catalog::rows::ItemChange;
use crate::catalog::rows::LogChange;
use crate::catalog::rows::LogCommit;
use crate::catalog::rows::NewObject;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::Place;
use crate::catalog::rows::TenantRow;
use crate::catalog::similar::DeltaRow;
use crate::catalog::similar::Form;
use crate::error::Result;
use crate::model::Sha256;
use crate::ops::log::Request;
use crate::ops::read::message_in;
use crate::ops::rebuild::with_change;
use crate::ops::repair::Deed;
use crate::ops::repair::Repair;
use crate::ops::replay::deletion;
use crate::ops::replay::item;
use crate::pack::EntryBody;
use crate::pack::MessageRecord;
use crate::report::Finding;

impl Repair<'_> {
    /// The record at the place that a finding names.
    pub(super) async fn record_at(&self, finding: &Finding) -> Result<Option<MessageRecord>> {
        let (Some(pack), Some(frame), Some(entry)) = (finding.pack, finding.frame, finding.entry) else {
            return Ok(None);
        };
        let found = self.store.index_entry(pack, frame).await?;
        let table = self.store.head_at(pack, &found).await?.block_table()?;
        let entry = usize::try_from(entry).ok().and_then(|entry| table.entries.into_iter().nth(entry));
        Ok(entry.and_then(|entry| match entry.body {
            EntryBody::Message(message) => Some(message.record),
            _ => None,
        }))
    }

    async fn commit(&self, commit: LogCommit) -> Result<()> {
        if !self.apply {
            return Ok(());
        }
        self.log.ask(|reply| Request::Adopt(Box::new(commit), reply)).await
    }

    /// Makes the row of a record again.
    pub(super) async fn lost_row(&mut self, tenant: &TenantRow, finding: &Finding) -> Result<Deed> {
        let Some(record) = self.record_at(finding).await? else {
            return Ok(("Nothing: its record cannot be read.".to_owned(), false));
        };
        let claims = self.places.items.get(&(tenant.id, record.id)).cloned().unwrap_or_default();
        let Some(place) = self.skeleton_place(record.id, &claims).await? else {
            let _ = self.damaged.insert(record.id);
            return Ok(("Nothing: its skeleton can be read nowhere.".to_owned(), false));
        };
        let block = self.store.block_once(place.pack, place.place.frame).await?;
        let (record, skeleton) = message_in(&block, &place, record.id)?;
        let mut commit = LogCommit { at: self.store.now(), ..LogCommit::default() };
        let Some(objects) = self.objects_of(tenant, record, &mut commit).await? else {
            let _ = self.damaged.insert(record.id);
            return Ok(("Nothing: an object that it refers to can be read nowhere.".to_owned(), false));
        };
        let mut new = item(record, (tenant.key, place.place, skeleton.len() as u64), &objects)?;
        if let Some(change) = self.words.change_of(tenant.id, (record.kind, record.id)) {
            with_change(&mut new, change);
        }
        commit.items.push(new);
        let made: Vec<(Sha256, Place)> =
            commit.objects.iter().map(|object| (object.sha256, object.place)).collect();
        self.commit(commit).await?;
        self.note_deltas(tenant, &made).await?;
        Ok(("Its row is made again.".to_owned(), true))
    }

    /// Notes the bases of objects whose rows were just made.
    async fn note_deltas(&self, tenant: &TenantRow, made: &[(Sha256, Place)]) -> Result<()> {
        if !self.apply || made.is_empty() {
            return Ok(());
        }
        let hashes: Vec<Sha256> = made.iter().map(|(hash, _)| *hash).collect();
        let mut deltas = Vec::new();
        for row in self.store.catalog.objects_by_hash(tenant.key, &hashes).await? {
            if let Form::Delta { base, bytes } = self.store.form_at(tenant.key, &row.location).await? {
                deltas.push(DeltaRow { object: row.key, base, bytes });
            }
        }
        self.store.catalog.note_deltas(&deltas).await
    }

    /// The objects of a record: rows that are there, and new ones for those that a pack holds.
    async fn objects_of(
        &self,
        tenant: &TenantRow,
        record: &MessageRecord,
        commit: &mut LogCommit,
    ) -> Result<Option<HashMap<Sha256, ObjectRef>>> {
        let hashes: Vec<Sha256> = record.parts.iter().map(|part| part.object).collect();
        let rows = self.store.catalog.objects_by_hash(tenant.key, &hashes).await?;
        let mut objects: HashMap<Sha256, ObjectRef> =
            rows.into_iter().map(|row| (row.sha256, ObjectRef::Known(row.key))).collect();
        for part in &record.parts {
            if objects.contains_key(&part.object) {
                continue;
            }
            let claims = self.places.objects.get(&(tenant.id, part.object)).cloned().unwrap_or_default();
            let Some((place, class)) = self.object_place(part.object, &claims).await? else {
                return Ok(None);
            };
            let _ = objects.insert(part.object, ObjectRef::New(commit.objects.len()));
            commit.objects.push(NewObject {
                tenant: tenant.key,
                sha256: part.object,
                bytes: part.decoded_bytes,
                class,
                place: place.place,
            });
        }
        Ok(Some(objects))
    }

    /// Removes the row of an item that a tombstone speaks of.
    pub(super) async fn deleted_item(&mut self, tenant: &TenantRow, finding: &Finding) -> Result<Deed> {
        let (Some(pack), Some(frame), Some(id)) = (finding.pack, finding.frame, finding.item) else {
            return Ok(("Nothing: the tombstone is gone.".to_owned(), false));
        };
        let entry = self.store.index_entry(pack, frame).await?;
        let tombstones = self.store.head_at(pack, &entry).await?.tombstones()?;
        let Some(tombstone) = tombstones.into_iter().find(|tombstone| tombstone.item == id) else {
            return Ok(("Nothing: the tombstone is gone.".to_owned(), false));
        };
        let changes = vec![deletion(tenant.key, tombstone)];
        self.commit(LogCommit { changes, at: self.store.now(), ..LogCommit::default() }).await?;
        Ok(("Its row is removed.".to_owned(), true))
    }

    /// Gives a row the values of its newest change; those of its record where no pack holds a change.
    pub(super) async fn change(&mut self, tenant: &TenantRow, finding: &Finding) -> Result<Deed> {
        let Some(id) = finding.item else {
            return Ok(("Nothing: it names no item.".to_owned(), false));
        };
        let rows = self.store.catalog.items_by_uuid(tenant.key, &[id]).await?;
        let Some(row) = rows.into_iter().next().map(|item| item.row) else {
            return Ok(("Nothing: it was deleted.".to_owned(), false));
        };
        let mut change = ItemChange {
            tenant: tenant.key,
            kind: row.kind,
            id,
            expires: None,
            hold: false,
            pin: None,
            labels: std::collections::BTreeMap::new(),
        };
        if let Some(said) = self.words.change_of(tenant.id, (row.kind, id)) {
            (change.expires, change.hold, change.pin) = (said.retention_end, said.hold, said.pin);
            change.labels.clone_from(&said.labels);
        } else {
            let block = self.store.block_once(row.location.pack, row.location.place.frame).await?;
            let (record, _) = message_in(&block, &row.location, id)?;
            (change.expires, change.hold, change.pin) = (record.retention_end, record.hold, record.pin);
            change.labels.clone_from(&record.labels);
        }
        let changes = vec![LogChange::Update(change)];
        self.commit(LogCommit { changes, at: self.store.now(), ..LogCommit::default() }).await?;
        Ok(("Its row has the values of the newest change that the packs hold.".to_owned(), true))
    }
}
