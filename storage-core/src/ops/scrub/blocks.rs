//! What is inside a frame: every entry of a block is cut and hashed, a large object over all of its segments, and records
//! are looked for in the catalog.

use std::sync::Arc;

use sha2::Digest;
use uuid::Uuid;

use crate::caches::Block;
use crate::catalog::rows::ItemRow;
use crate::catalog::rows::Location;
use crate::catalog::rows::Place;
use crate::codec::Dictionary;
use crate::error::Error;
use crate::error::Result;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::model::Tier;
use crate::ops::read::StoredObject;
use crate::ops::read::message_in;
use crate::ops::read::object_in;
use crate::ops::read::sha256;
use crate::ops::scrub::ITEMS_LISTED_MAX;
use crate::ops::scrub::Scrub;
use crate::ops::scrub::Target;
use crate::ops::survey::is_damage;
use crate::pack::BlockTable;
use crate::pack::EntryBody;
use crate::pack::Frame;
use crate::pack::IndexEntry;
use crate::pack::PolicyRecord;
use crate::pack::TransformId;
use crate::report::Finding;
use crate::report::FindingKind;
use crate::store::Store;

/// An entry that is not what it should be, and why.
pub(super) type Wrong = (u32, String);

impl Scrub<'_> {
    pub(super) async fn block(&mut self, target: &Target, entry: &IndexEntry, frame: Frame) -> Result<()> {
        let head = frame.head().clone();
        let block = match self.store.decoded(frame).await {
            Ok(block) => Arc::new(block),
            Err(error) if is_damage(&error) => {
                let kind = self.kind_of_damage(target, entry, FindingKind::FrameDamaged).await?;
                let finding = Finding::new(kind, error.message().to_owned());
                self.found(self.of(finding.in_frame(target.name, entry.ordinal), entry.tenant)).await;
                return match head.block_table() {
                    Ok(table) => self.lost_entries(target, entry, &table, &all(&table, "")).await,
                    Err(_) => Ok(()),
                };
            }
            Err(error) => return Err(error),
        };
        let mut wrong = self.wrong_entries(target, entry, &block).await?;
        wrong.extend(self.wrong_large(target, &block).await?);
        wrong.extend(self.wrong_deltas((target.name, entry), &block).await?);
        if !wrong.is_empty() {
            self.lost_entries(target, entry, &block.table, &wrong).await?;
        }
        self.records(target, entry, &block.table).await
    }

    /// A frame that is not whole: if its table is, what lies in it is known.
    pub(super) async fn lost_frame(&mut self, target: &Target, entry: &IndexEntry) -> Result<()> {
        if entry.kind != crate::pack::FrameKind::Block {
            return Ok(());
        }
        let Ok(table) = self.store.head_at(target.name, entry).await.and_then(|head| head.block_table())
        else {
            // The rows that point here are found later, one by one.
            return Ok(());
        };
        self.lost_entries(target, entry, &table, &all(&table, "")).await?;
        self.records(target, entry, &table).await
    }

    /// Cuts and hashes every entry, on the background pool.
    async fn wrong_entries(
        &self,
        target: &Target,
        entry: &IndexEntry,
        block: &Arc<Block>,
    ) -> Result<Vec<Wrong>> {
        let (block, pack, frame) = (Arc::clone(block), target.name, entry.ordinal);
        let check = move || {
            let mut wrong = Vec::new();
            for (number, found) in (0_u32..).zip(&block.table.entries) {
                let location = location(pack, frame, number);
                let checked = match &found.body {
                    EntryBody::Message(message) => message_in(&block, &location, message.record.id).map(drop),
                    // Those that need another object are checked one by one.
                    EntryBody::Object(object) if object.transform == TransformId::DELTA => Ok(()),
                    EntryBody::Object(object) => object_in(&block, &location, object.sha256, None).map(drop),
                    EntryBody::Segmented(_) => Ok(()),
                };
                match checked {
                    Err(error) if is_damage(&error) => wrong.push((number, error.message().to_owned())),
                    checked => checked?,
                }
            }
            Ok(wrong)
        };
        self.store.background.run(check).await
    }

    /// Large objects, hashed over their segments.
    async fn wrong_large(&self, target: &Target, block: &Block) -> Result<Vec<Wrong>> {
        let mut wrong = Vec::new();
        for (number, found) in (0_u32..).zip(&block.table.entries) {
            let EntryBody::Segmented(object) = &found.body else {
                continue;
            };
            let stored = StoredObject::Segmented(target.name, Box::new(object.clone()));
            match verify(self.store, &stored, object.sha256).await {
                Err(error) if is_damage(&error) => wrong.push((number, error.message().to_owned())),
                verified => verified?,
            }
        }
        Ok(wrong)
    }

    /// Tells of entries that cannot be read, with the items that suffer where a row points to them.
    async fn lost_entries(
        &mut self,
        target: &Target,
        frame: &IndexEntry,
        table: &BlockTable,
        wrong: &[Wrong],
    ) -> Result<()> {
        let Some(tenant) = self.tenants.get(&frame.tenant).map(|row| row.key) else {
            return Ok(());
        };
        for (number, why) in wrong {
            let found = usize::try_from(*number).ok().and_then(|index| table.entries.get(index));
            let finding = match found.map(|entry| &entry.body) {
                Some(EntryBody::Message(message)) => {
                    self.lost_skeleton(tenant, (target.name, frame.ordinal, *number), message.record.id, why)
                        .await?
                }
                Some(EntryBody::Object(object)) => {
                    self.lost_object(tenant, (target.name, frame.ordinal, *number), object.sha256, why)
                        .await?
                }
                Some(EntryBody::Segmented(object)) => {
                    self.lost_object(tenant, (target.name, frame.ordinal, *number), object.sha256, why)
                        .await?
                }
                None => None,
            };
            if let Some(mut finding) = finding {
                if target.row.is_none() && finding.kind == FindingKind::DamageUnneeded {
                    // Whether a pack that the catalog does not know is needed is what repair looks at.
                    let skeleton = found.is_some_and(|entry| matches!(entry.body, EntryBody::Message(_)));
                    finding.kind =
                        if skeleton { FindingKind::SkeletonDamaged } else { FindingKind::ObjectDamaged };
                }
                let finding = finding.in_frame(target.name, frame.ordinal).in_entry(*number);
                self.found(self.of(finding, frame.tenant)).await;
            }
        }
        Ok(())
    }

    async fn lost_skeleton(
        &self,
        tenant: TenantKey,
        place: (Uuid, u32, u32),
        item: Uuid,
        why: &str,
    ) -> Result<Option<Finding>> {
        let rows = self.store.catalog.items_by_uuid(tenant, &[item]).await?;
        let row = rows.into_iter().next().map(|item| item.row);
        let (primary, copy) = row.as_ref().map_or((false, false), |row| stands(row, place));
        Ok(lost(FindingKind::SkeletonDamaged, (primary, copy), why).map(|finding| finding.about_item(item)))
    }

    async fn lost_object(
        &self,
        tenant: TenantKey,
        place: (Uuid, u32, u32),
        object: Sha256,
        why: &str,
    ) -> Result<Option<Finding>> {
        let rows = self.store.catalog.objects_by_hash(tenant, &[object]).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(lost(FindingKind::ObjectDamaged, (false, false), why)
                .map(|finding| finding.about_object(object, Vec::new())));
        };
        if row.quarantined {
            return Ok(None);
        }
        let at = |location: Location| (location.pack, location.place.frame, location.place.entry) == place;
        let standing = (at(row.location), row.copy.is_some_and(at));
        let items = if standing.0 || standing.1 {
            self.store.catalog.items_of_object(row.key, ITEMS_LISTED_MAX).await?
        } else {
            Vec::new()
        };
        Ok(lost(FindingKind::ObjectDamaged, standing, why).map(|finding| finding.about_object(object, items)))
    }

    /// Records without a row: a tombstone must say why.
    async fn records(&mut self, target: &Target, frame: &IndexEntry, table: &BlockTable) -> Result<()> {
        let Some(tenant) = self.tenants.get(&frame.tenant).cloned() else {
            return Ok(());
        };
        let mut ids = Vec::new();
        for (number, entry) in (0_u32..).zip(&table.entries) {
            if let EntryBody::Message(message) = &entry.body {
                ids.push((message.record.id, number));
            }
        }
        let wanted: Vec<Uuid> = ids.iter().map(|(id, _)| *id).collect();
        let rows = self.store.catalog.items_by_uuid(tenant.key, &wanted).await?;
        for (id, number) in ids {
            if !rows.iter().any(|item| item.row.id == id) {
                self.questions.record((tenant.id, id), (target.name, frame.ordinal, number));
            }
        }
        self.ask_if_many().await
    }

    pub(super) async fn segment(&self, frame: Frame) -> Result<()> {
        let record = frame.head().segment()?;
        let dictionary = self.store.dictionary_of(&frame).await?;
        let check = move || {
            let bytes = frame.stream(dictionary.as_deref())?;
            if sha256(&bytes) == record.sha256 {
                return Ok(());
            }
            Err(Error::corrupt("The segment does not have the hash that its record says."))
        };
        self.store.background.run(check).await
    }

    pub(super) async fn dictionary_frame(&self, frame: Frame) -> Result<()> {
        let record = frame.head().dictionary()?;
        let check = move || {
            let bytes = frame.stream(None)?;
            // Bytes that are no dictionary are damage here, whoever wrote them.
            Dictionary::new(record.id, record.kind, Arc::from(&*bytes))
                .map(drop)
                .map_err(|error| Error::corrupt(error.message().to_owned()))
        };
        self.store.background.run(check).await
    }

    /// Items that are said to be deleted have no row.
    pub(super) async fn tombstones(
        &mut self,
        target: &Target,
        entry: &IndexEntry,
        frame: &Frame,
    ) -> Result<()> {
        let tombstones = frame.head().tombstones()?;
        let Some(tenant) = self.tenants.get(&entry.tenant).cloned() else {
            return Ok(());
        };
        let ids: Vec<Uuid> = tombstones.iter().map(|tombstone| tombstone.item).collect();
        for item in self.store.catalog.items_by_uuid(tenant.key, &ids).await? {
            let what = "A tombstone says that it is deleted, and it has a row.";
            let finding = Finding::new(FindingKind::RowOfDeletedItem, what)
                .of_tenant(tenant.name.clone())
                .in_frame(target.name, entry.ordinal)
                .about_item(item.row.id);
            self.found(finding).await;
        }
        Ok(())
    }

    /// A change that a row does not show must have a newer one.
    pub(super) async fn policies(&mut self, entry: &IndexEntry, frame: &Frame) -> Result<()> {
        let records = frame.head().policies()?;
        let Some(tenant) = self.tenants.get(&entry.tenant).cloned() else {
            return Ok(());
        };
        for record in records {
            let PolicyRecord::Item(record) = record else {
                continue;
            };
            let row = self.store.catalog.item_by_uuid(tenant.key, record.kind, record.item).await?;
            if row.is_some_and(|row| !crate::ops::scrub::questions::shows(&row, &record)) {
                self.questions.change((tenant.id, record.item));
            }
        }
        self.ask_if_many().await
    }
}

/// All entries, for one reason.
fn all(table: &BlockTable, why: &str) -> Vec<Wrong> {
    (0_u32..).zip(&table.entries).map(|(number, _)| (number, why.to_owned())).collect()
}

/// Whether an item's row, or its copy, stands at a place.
fn stands(row: &ItemRow, place: (Uuid, u32, u32)) -> (bool, bool) {
    let at = |location: Location| (location.pack, location.place.frame, location.place.entry) == place;
    (at(row.location), row.copy.is_some_and(at))
}

/// The finding about an entry. Where the frame is lost as a whole (no `why`), entries that nothing refers to are not
/// worth a line each.
fn lost(kind: FindingKind, (primary, copy): (bool, bool), why: &str) -> Option<Finding> {
    let why = if why.is_empty() { "Its frame cannot be read." } else { why };
    match (primary, copy, why) {
        (true, ..) => Some(Finding::new(kind, why)),
        (false, true, _) => Some(Finding::new(FindingKind::CopyDamaged, why)),
        (false, false, "Its frame cannot be read.") => None,
        (false, false, _) => {
            let what = format!("{why} Nothing refers to it here.");
            Some(Finding::new(FindingKind::DamageUnneeded, what))
        }
    }
}

pub(super) fn location(pack: Uuid, frame: u32, entry: u32) -> Location {
    Location { place: Place { pack: PackKey(0), frame, entry }, pack, tier: Tier::Hot }
}

/// Whether an object as found in a block is that one: a large one is read and hashed segment by segment.
pub(crate) async fn verify(store: &Store, stored: &StoredObject, expected: Sha256) -> Result<()> {
    let StoredObject::Segmented(pack, object) = stored else {
        return Ok(());
    };
    let mut hasher = sha2::Sha256::new();
    for segment in &object.segments {
        let bytes = store.segment(*pack, segment).await?;
        hasher = store.background.run(move || Ok(hasher.chain_update(&bytes))).await?;
    }
    if Sha256(hasher.finalize().into()) == expected {
        return Ok(());
    }
    Err(Error::corrupt("A large object does not have its hash over all of its segments."))
}
