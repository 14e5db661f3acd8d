//! The other direction: every row must point to a place that holds what it says, and say what is written there.

use crate::catalog::integrity::CheckedItem;
use crate::catalog::rows::ItemRow;
use crate::catalog::rows::Location;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::PartRow;
use crate::catalog::rows::TenantRow;
use crate::codec::DictionaryKind;
use crate::error::Result;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::uuid_v7_time;
use crate::model::Sha256;
use crate::ops::read::moved_away;
use crate::ops::scrub::ITEMS_LISTED_MAX;
use crate::ops::scrub::Scrub;
use crate::ops::scrub::deltas::same_base;
use crate::ops::scrub::questions::as_it_came;
use crate::ops::survey::is_damage;
use crate::pack::Entry;
use crate::pack::EntryBody;
use crate::pack::FrameKind;
use crate::pack::MessageRecord;
use crate::report::Finding;
use crate::report::FindingKind;

/// Rows of a page.
const PAGE_ROWS: u32 = 500;

/// What a frame holds instead of what a row expects.
const OTHER: &str = "The place holds something else.";

impl Scrub<'_> {
    /// All items of a tenant.
    pub(super) async fn items(&mut self, tenant: &TenantRow) -> Result<()> {
        let mut after = ItemKey(0);
        loop {
            let page = self.store.catalog.item_page(tenant.key, after, PAGE_ROWS).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.row.key;
            for item in &page {
                if self.stopped() {
                    return Ok(());
                }
                self.report.items += 1;
                self.item(tenant, item).await?;
            }
            self.ask_if_many().await?;
            self.tell();
        }
    }

    /// The entry at a location, or why there is none.
    pub(super) async fn entry_at(&mut self, location: &Location) -> Result<Result<Entry, String>> {
        let table = match self.tables.at(self.store, location).await? {
            Ok(table) => table,
            Err(damage) => return Ok(Err(damage)),
        };
        let number = usize::try_from(location.place.entry).ok();
        let entry = number.and_then(|number| table.entries.get(number)).cloned();
        Ok(entry.ok_or_else(|| "The frame there has fewer entries.".to_owned()))
    }

    async fn item(&mut self, tenant: &TenantRow, item: &CheckedItem) -> Result<()> {
        let row = &item.row;
        let place = row.location;
        let at_place = |finding: Finding, place: Location| {
            finding
                .of_tenant(tenant.name.clone())
                .in_frame(place.pack, place.place.frame)
                .in_entry(place.place.entry)
                .about_item(row.id)
        };
        match message_at(self.entry_at(&place).await?, row) {
            Err(why) => {
                if self.still(tenant, item).await? {
                    let finding = at_place(Finding::new(FindingKind::ItemMisplaced, why), place);
                    self.found(finding).await;
                }
            }
            Ok((record, skeleton_bytes)) => {
                let parts = self.store.catalog.parts(row.key).await?;
                let differs = differences(item, &record, skeleton_bytes, &parts);
                if !differs.is_empty() && self.still(tenant, item).await? {
                    let what = format!("The row's {} are not those of its record.", differs.join(", "));
                    let finding = at_place(Finding::new(FindingKind::ItemDiffers, what), place);
                    self.found(finding).await;
                }
                if !as_it_came(row, &record) {
                    self.questions.unlike((tenant.id, row.id));
                }
            }
        }
        if let Some(copy) = row.copy
            && let Err(why) = message_at(self.entry_at(&copy).await?, row)
            && self.still(tenant, item).await?
        {
            let finding = at_place(Finding::new(FindingKind::CopyDamaged, why), copy);
            self.found(finding).await;
        }
        Ok(())
    }

    /// Whether the row still says the same: it may have been changed or deleted since it was read.
    async fn still(&self, tenant: &TenantRow, item: &CheckedItem) -> Result<bool> {
        let rows = self.store.catalog.items_by_uuid(tenant.key, &[item.row.id]).await?;
        Ok(rows.contains(item))
    }

    /// All objects of a tenant.
    pub(super) async fn objects(&mut self, tenant: &TenantRow) -> Result<()> {
        let mut after = ObjectKey(0);
        loop {
            let page = self.store.catalog.object_page(tenant.key, after, PAGE_ROWS).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.key;
            let bases = self.bases_of(tenant, &page).await?;
            for row in &page {
                if self.stopped() {
                    return Ok(());
                }
                self.report.objects += 1;
                self.object(tenant, row, bases.get(&row.key).copied()).await?;
            }
            self.tell();
        }
    }

    async fn object(&mut self, tenant: &TenantRow, row: &ObjectRow, base: Option<Sha256>) -> Result<()> {
        let mut wrong = Vec::new();
        if row.quarantined {
            let what = "It can be read nowhere, as a repair found.";
            wrong.push((FindingKind::ObjectQuarantined, what.to_owned(), row.location));
        } else {
            let entry = self.entry_at(&row.location).await?;
            let same_base = entry.as_ref().map_or(true, |entry| same_base(entry, base));
            match object_at(entry, row) {
                Err(why) => wrong.push((FindingKind::ObjectMisplaced, why, row.location)),
                Ok((bytes, class)) if (bytes, class) != (row.bytes, row.class) => {
                    let what = "The row's length or media class are not those of the object.";
                    wrong.push((FindingKind::ObjectDiffers, what.to_owned(), row.location));
                }
                Ok(_) if !same_base => {
                    let what =
                        "The catalog does not say which object it is a difference from, or names another.";
                    wrong.push((FindingKind::DeltaDiffers, what.to_owned(), row.location));
                }
                Ok(_) => {}
            }
            if let Some(copy) = row.copy
                && let Err(why) = object_at(self.entry_at(&copy).await?, row)
            {
                wrong.push((FindingKind::CopyDamaged, why, copy));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        // A put may have mended it, or a sweep of another process forgotten it.
        if !self.store.catalog.objects_by_hash(tenant.key, &[row.sha256]).await?.contains(row) {
            return Ok(());
        }
        let items = self.store.catalog.items_of_object(row.key, ITEMS_LISTED_MAX).await?;
        for (kind, what, place) in wrong {
            let finding = Finding::new(kind, what)
                .of_tenant(tenant.name.clone())
                .in_frame(place.pack, place.place.frame)
                .in_entry(place.place.entry)
                .about_object(row.sha256, items.clone());
            self.found(finding).await;
        }
        Ok(())
    }

    /// Every dictionary must lie where its row says.
    pub(super) async fn dictionary_places(&mut self) -> Result<()> {
        let rows = self.store.catalog.dictionaries(None).await?;
        for row in rows {
            let (pack, frame) = (row.pack_name, row.dictionary.frame);
            let head = match self.store.index_entry(pack, frame).await {
                Ok(entry) if entry.kind == FrameKind::Dictionary => self.store.head_at(pack, &entry).await,
                Ok(_) => Err(crate::error::Error::corrupt(OTHER)),
                Err(error) => Err(error),
            };
            let why = match head.and_then(|head| head.dictionary()) {
                Ok(record) => {
                    let trained = record.kind == DictionaryKind::Trained;
                    let said = (record.id, record.class, trained, record.created);
                    let kept = &row.dictionary;
                    if said == (kept.id, kept.class, kept.trained, kept.created) {
                        continue;
                    }
                    OTHER.to_owned()
                }
                Err(error) if is_damage(&error) || moved_away(&error) => error.message().to_owned(),
                Err(error) => return Err(error),
            };
            let what = format!("Dictionary {}: {why}", row.dictionary.id);
            let finding = Finding::new(FindingKind::DictionaryMisplaced, what).in_frame(pack, frame);
            let tenant = self.tenants.values().find(|tenant| tenant.key == row.dictionary.tenant);
            let name = tenant.map_or_else(String::new, |tenant| tenant.name.clone());
            self.found(finding.of_tenant(name)).await;
        }
        Ok(())
    }
}

/// The record at an item's place and the bytes of its skeleton.
fn message_at(entry: Result<Entry, String>, row: &ItemRow) -> Result<(MessageRecord, u64), String> {
    let Entry { bytes, body, .. } = entry?;
    match body {
        EntryBody::Message(message) if message.record.id == row.id => Ok((message.record, u64::from(bytes))),
        _ => Err(OTHER.to_owned()),
    }
}

/// Length and class of the object at an object's place.
fn object_at(entry: Result<Entry, String>, row: &ObjectRow) -> Result<(u64, u8), String> {
    match entry?.body {
        EntryBody::Object(object) if object.sha256 == row.sha256 => Ok((object.bytes, object.class)),
        EntryBody::Segmented(object) if object.sha256 == row.sha256 => Ok((object.bytes, object.class)),
        _ => Err(OTHER.to_owned()),
    }
}

/// What a row and its record disagree on, apart from what changes later.
fn differences(
    item: &CheckedItem,
    record: &MessageRecord,
    skeleton_bytes: u64,
    parts: &[PartRow],
) -> Vec<&'static str> {
    let row = &item.row;
    let same_parts = parts.len() == record.parts.len()
        && parts.iter().zip(&record.parts).all(|(part, said)| {
            let (media_type, file_name) = (part.media_type.as_deref(), part.file_name.as_deref());
            (part.part, part.role, media_type, file_name)
                == (said.index, said.role, Some(said.media_type.as_str()), said.file_name.as_deref())
                && (part.object.sha256, part.object.bytes) == (said.object, said.decoded_bytes)
        });
    let compared = [
        ("kind", row.kind == record.kind),
        ("hash", row.sha256 == record.sha256),
        ("length", row.bytes == record.bytes),
        ("caller's id", row.caller_id == record.caller_id),
        ("hash that its caller's id is found by", item.is_found),
        ("external ids", row.external == record.external),
        ("Message-ID's hash", item.message_id_hash == record.message_id_hash),
        ("date", uuid_v7_time(row.id) == record.created),
        ("skeleton's length", row.skeleton_bytes == skeleton_bytes),
        ("parts", same_parts),
    ];
    compared.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
}
