//! One group of the log, applied to the rows in memory with the constraints that a database has.

use crate::catalog::rows::ItemChange;
use crate::catalog::rows::ItemDelete;
use crate::catalog::rows::LogChange;
use crate::catalog::rows::LogCommit;
use crate::catalog::rows::NewItem;
use crate::catalog::rows::NewObject;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::Statistics;
use crate::catalog::rows::TenantRow;
use crate::catalog::similar::Form;
use crate::error::Error;
use crate::error::Result;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::ItemKind;
use crate::model::Tier;
use crate::testing::memory_catalog::state::Item;
use crate::testing::memory_catalog::state::Object;
use crate::testing::memory_catalog::state::Part;
use crate::testing::memory_catalog::state::State;
use crate::testing::memory_catalog::state::refused;

/// Bytes of a hash that must differ.
const HASH_PREFIX_BYTES: usize = 16;

/// The first keys not given yet: none is given twice while the catalog is open.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keys {
    items: i64,
    objects: i64,
}

/// A length as a sum counts it.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The count of a kind.
pub(super) fn by_kind(sum: &mut Statistics, kind: ItemKind) -> &mut i64 {
    match kind {
        ItemKind::Message => &mut sum.messages,
        ItemKind::Content => &mut sum.contents,
    }
}

impl State {
    pub(super) fn sum(&mut self, tenant: TenantKey, day: i64, tier: Tier) -> &mut Statistics {
        self.statistics.entry((tenant, day, tier)).or_default()
    }

    pub(super) fn commit(&mut self, keys: &mut Keys, group: &LogCommit) -> Result<()> {
        let day = group.at.day();
        let after = |last: Option<i64>| last.map_or(1, |key| key + 1);
        let first_object = keys.objects.max(after(self.objects.keys().last().map(|key| key.0)));
        keys.objects = first_object + signed(group.objects.len() as u64);
        let mut objects = Vec::with_capacity(group.objects.len());
        for (key, object) in (first_object..).map(ObjectKey).zip(&group.objects) {
            objects.push(match self.mend(object, day)? {
                Some(mended) => mended,
                None => self.insert_object(key, object, day)?,
            });
        }
        let first_item = keys.items.max(after(self.items.keys().last().map(|key| key.0)));
        keys.items = first_item + signed(group.items.len() as u64);
        for (key, item) in (first_item..).map(ItemKey).zip(&group.items) {
            self.insert_item(key, item, &objects, day)?;
        }
        for change in &group.changes {
            match change {
                LogChange::Tenant { id, name, created } => {
                    self.insert_tenant(TenantRow {
                        key: TenantKey(after(self.tenants.keys().last().map(|key| key.0))),
                        id: *id,
                        name: name.clone(),
                        policy: None,
                        created: *created,
                    });
                }
                LogChange::Policy { tenant, policy } => {
                    let row =
                        self.tenants.get_mut(tenant).ok_or_else(|| refused("there is no such tenant"))?;
                    row.policy.clone_from(policy);
                }
                LogChange::Delete(delete) => self.delete(delete, day)?,
                LogChange::Erase(erase) => {
                    self.delete(&erase.delete, day)?;
                    self.add_erasure(erase);
                }
                LogChange::Update(update) => self.update(update),
            }
        }
        self.sequence = self.sequence.max(group.sequence);
        for (pack, progress) in &group.packs {
            self.set_progress(*pack, *progress)?;
        }
        Ok(())
    }

    /// The watermark says what the counters add up to.
    pub(super) fn set_progress(&mut self, pack: PackKey, progress: PackProgress) -> Result<()> {
        if progress.committed_bytes != progress.bytes.total() {
            return Err(refused("a watermark that is not the sum of its counters"));
        }
        if let Some(row) = self.packs.get_mut(&pack) {
            row.progress = progress;
        }
        Ok(())
    }

    /// One that is there already stays as it is.
    fn insert_tenant(&mut self, row: TenantRow) {
        if !self.tenants.values().any(|other| other.id == row.id || other.name == row.name) {
            let _none = self.tenants.insert(row.key, row);
        }
    }

    /// A quarantined object whose bytes come again: its row refers to the new place.
    fn mend(&mut self, new: &NewObject, day: i64) -> Result<Option<ObjectKey>> {
        let same = |object: &Object| {
            object.tenant == new.tenant && object.sha256 == new.sha256 && object.quarantined
        };
        let Some((key, old)) = self.objects.iter().find(|(_, object)| same(object)) else {
            return Ok(None);
        };
        let (key, old) = (*key, *old);
        let (tier, copy) = (self.tier(old.place)?, old.copy.map(|copy| self.tier(copy)).transpose()?);
        let sum = self.sum(new.tenant, day, tier);
        sum.objects -= 1;
        sum.object_bytes -= signed(old.bytes);
        if let Some(tier) = copy {
            self.sum(new.tenant, day, tier).copy_bytes -= signed(old.bytes);
        }
        let _quarantined = self.objects.remove(&key);
        self.take_form(key, Form::Whole);
        self.insert_object(key, new, day).map(Some)
    }

    fn insert_object(&mut self, key: ObjectKey, new: &NewObject, day: i64) -> Result<ObjectKey> {
        let _pack = self.pack(new.place.pack)?;
        let prefix = |object: &Object| object.sha256.0.first_chunk::<HASH_PREFIX_BYTES>().copied();
        let (tenant, wanted) = (new.tenant, new.sha256.0.first_chunk::<HASH_PREFIX_BYTES>().copied());
        if self.objects.values().any(|object| object.tenant == tenant && prefix(object) == wanted) {
            return Err(refused("an object is there already"));
        }
        if !self.tenants.contains_key(&tenant) {
            return Err(refused("there is no such tenant"));
        }
        let object = Object {
            tenant,
            sha256: new.sha256,
            bytes: new.bytes,
            class: new.class,
            place: new.place,
            copy: None,
            quarantined: false,
        };
        let _none = self.objects.insert(key, object);
        let sum = self.sum(tenant, day, Tier::Hot);
        sum.objects += 1;
        sum.object_bytes += signed(new.bytes);
        Ok(key)
    }

    fn insert_item(&mut self, key: ItemKey, new: &NewItem, objects: &[ObjectKey], day: i64) -> Result<()> {
        let _pack = self.pack(new.place.pack)?;
        if !self.tenants.contains_key(&new.tenant) {
            return Err(refused("there is no such tenant"));
        }
        let same = |item: &Item| {
            item.new.id == new.id || (new.caller_id.is_some() && item.new.caller_id == new.caller_id)
        };
        if self.items_of(new.tenant, new.kind).any(|(_, item)| same(item)) {
            return Err(refused("an id is there already"));
        }
        let mut parts = Vec::with_capacity(new.parts.len());
        for part in &new.parts {
            let object = match part.object {
                ObjectRef::Known(key) => key,
                ObjectRef::New(index) => *objects
                    .get(index)
                    .ok_or_else(|| Error::internal("A part refers to an object outside its group."))?,
            };
            if !self.objects.contains_key(&object) {
                return Err(refused("there is no such object"));
            }
            parts.push(Part {
                index: part.part,
                role: part.role,
                media_type: part.media_type.clone(),
                file_name: part.file_name.clone(),
                object,
            });
        }
        let item = Item { new: NewItem { parts: Vec::new(), ..new.clone() }, copy: None, parts };
        let _none = self.items.insert(key, item);
        let sum = self.sum(new.tenant, day, Tier::Hot);
        *by_kind(sum, new.kind) += 1;
        sum.logical_bytes += signed(new.bytes);
        sum.referenced_bytes += signed(new.referenced_bytes);
        sum.skeletons += 1;
        sum.skeleton_bytes += signed(new.skeleton_bytes);
        Ok(())
    }

    /// Removes the item, its references and its reads, counts it out and keeps the caller's id gone.
    fn delete(&mut self, delete: &ItemDelete, day: i64) -> Result<()> {
        let Some(key) = self.key_of(delete.tenant, delete.kind, delete.id) else {
            return Ok(());
        };
        let Some(item) = self.items.remove(&key) else {
            return Ok(());
        };
        self.reads.retain(|(item, _), _| *item != key);
        let objects = item.parts.iter().filter_map(|part| self.objects.get(&part.object));
        let referenced = objects.map(|object| object.bytes).sum::<u64>() + item.new.skeleton_bytes;
        let (skeleton, bytes) = (signed(item.new.skeleton_bytes), signed(item.new.bytes));
        let tier = self.tier(item.new.place)?;
        let copy = item.copy.map(|place| self.tier(place)).transpose()?;
        let sum = self.sum(delete.tenant, day, Tier::Hot);
        *by_kind(sum, delete.kind) -= 1;
        sum.logical_bytes -= bytes;
        sum.deleted_bytes += bytes;
        sum.referenced_bytes -= signed(referenced);
        let sum = self.sum(delete.tenant, day, tier);
        sum.skeletons -= 1;
        sum.skeleton_bytes -= skeleton;
        if let Some(tier) = copy {
            self.sum(delete.tenant, day, tier).copy_bytes -= skeleton;
        }
        self.keep_gone(delete);
        Ok(())
    }

    /// Keeps a deleted item's caller's id gone.
    pub(super) fn keep_gone(&mut self, delete: &ItemDelete) {
        if let Some(id) = &delete.caller_id {
            let key = (delete.tenant, delete.kind, id.clone());
            let deleted = self.gone.entry(key).or_insert(delete.deleted);
            *deleted = (*deleted).max(delete.deleted);
        }
    }

    fn update(&mut self, update: &ItemChange) {
        let found = self.key_of(update.tenant, update.kind, update.id);
        if let Some(item) = found.and_then(|key| self.items.get_mut(&key)) {
            item.new.expires = update.expires;
            item.new.hold = update.hold;
            item.new.pin = update.pin;
            item.new.labels.clone_from(&update.labels);
        }
    }
}
