//! Questions that one place cannot answer: a record without a row needs a tombstone, a row unlike its record needs a
//! change. They are gathered, a bounded number at a time, and answered by what all packs say about just these items.
//!
//! A row is read before and after the packs are: only where it stayed the same did it have to agree with them.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use uuid::Uuid;

use crate::catalog::rows::ItemRow;
use crate::catalog::rows::Location;
use crate::catalog::rows::Place;
use crate::error::Result;
use crate::ids::PackKey;
use crate::model::Tier;
use crate::ops::scrub::Scrub;
use crate::ops::words::About;
use crate::ops::words::ItemName;
use crate::ops::words::Words;
use crate::ops::words::listen;
use crate::ops::words::speakers;
use crate::pack::EntryBody;
use crate::pack::ItemRecord;
use crate::pack::MessageRecord;
use crate::report::Finding;
use crate::report::FindingKind;

/// Questions that are kept before they are answered.
const QUESTIONS_MAX: usize = 50_000;

/// A place by its pack's name: pack, frame, entry.
type NamedPlace = (Uuid, u32, u32);

/// What is not answered yet.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// Records without a row, and where one of them is.
    records: BTreeMap<ItemName, NamedPlace>,
    /// Rows that do not show a change, or are not as their record says (true).
    changes: BTreeMap<ItemName, bool>,
}

impl Questions {
    /// Why has this record no row?
    pub(super) fn record(&mut self, name: ItemName, place: NamedPlace) {
        let _ = self.records.entry(name).or_insert(place);
    }

    /// Why does this row not show a change that a pack holds?
    pub(super) fn change(&mut self, name: ItemName) {
        let _ = self.changes.entry(name).or_insert(false);
    }

    /// Why is this row not as its record says?
    pub(super) fn unlike(&mut self, name: ItemName) {
        let _ = self.changes.insert(name, true);
    }

    fn len(&self) -> usize {
        self.records.len() + self.changes.len()
    }
}

/// Whether a row has the values of a change.
pub(super) fn shows(row: &ItemRow, record: &ItemRecord) -> bool {
    (row.hold, row.pin, row.expires, &row.labels)
        == (record.hold, record.pin, record.retention_end, &record.labels)
}

/// Whether a row has the values that its record came with.
pub(super) fn as_it_came(row: &ItemRow, record: &MessageRecord) -> bool {
    (row.hold, row.pin, row.expires, &row.labels)
        == (record.hold, record.pin, record.retention_end, &record.labels)
}

impl Scrub<'_> {
    pub(super) async fn ask_if_many(&mut self) -> Result<()> {
        if self.questions.len() < QUESTIONS_MAX {
            return Ok(());
        }
        self.ask().await
    }

    /// Answers the questions so far.
    pub(super) async fn ask(&mut self) -> Result<()> {
        let Questions { records, changes } = std::mem::take(&mut self.questions);
        if records.is_empty() && changes.is_empty() {
            return Ok(());
        }
        let names: HashSet<ItemName> = records.keys().chain(changes.keys()).copied().collect();
        let before = self.rows_of(&names).await?;
        let speakers = speakers(self.store, &self.unknown).await?;
        let words = listen(self.store, &speakers, About::Items(&names)).await?;
        let after = self.rows_of(&names).await?;
        for (name, place) in records {
            let known = before.contains_key(&name) || after.contains_key(&name);
            if !known && !words.gone.contains(&name) {
                self.without_row(name, place).await?;
            }
        }
        for (name, unlike) in changes {
            if let Some(row) = after.get(&name).filter(|row| before.get(&name) == Some(row)) {
                self.unlike_its_change((name, row), &words, unlike).await;
            }
        }
        Ok(())
    }

    async fn rows_of(&self, names: &HashSet<ItemName>) -> Result<HashMap<ItemName, ItemRow>> {
        let mut by_tenant: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for (tenant, item) in names {
            by_tenant.entry(*tenant).or_default().push(*item);
        }
        let mut rows = HashMap::new();
        for (tenant, ids) in by_tenant {
            let Some(key) = self.tenants.get(&tenant).map(|row| row.key) else {
                continue;
            };
            let found = self.store.catalog.items_by_uuid(key, &ids).await?;
            rows.extend(found.into_iter().map(|item| ((tenant, item.row.id), item.row)));
        }
        Ok(rows)
    }

    /// A record that no row and no tombstone speaks of. One whose caller's id another item took first never counted: a
    /// large put may be refused after its pack is complete.
    async fn without_row(
        &mut self,
        (tenant, item): ItemName,
        (pack, frame, entry): NamedPlace,
    ) -> Result<()> {
        let location = Location { place: Place { pack: PackKey(0), frame, entry }, pack, tier: Tier::Hot };
        let table = self.tables.at(self.store, &location).await?;
        let record = table.ok().and_then(|table| {
            let entry = usize::try_from(entry).ok().and_then(|index| table.entries.get(index)).cloned();
            entry.and_then(|entry| match entry.body {
                EntryBody::Message(message) => Some(message.record),
                _ => None,
            })
        });
        let key = self.tenants.get(&tenant).map(|row| row.key);
        if let (Some(record), Some(key)) = (record, key)
            && let Some(id) = record.caller_id
        {
            let taken = self.store.catalog.items_by_caller_id(key, record.kind, &[id]).await?;
            if !taken.is_empty() {
                return Ok(());
            }
        }
        let what =
            "A pack holds its record, no tombstone says that it is deleted, and the catalog has no row.";
        let finding = Finding::new(FindingKind::RecordWithoutRow, what)
            .in_frame(pack, frame)
            .in_entry(entry)
            .about_item(item);
        self.found(self.of(finding, tenant)).await;
        Ok(())
    }

    async fn unlike_its_change(
        &mut self,
        ((tenant, item), row): (ItemName, &ItemRow),
        words: &Words,
        unlike: bool,
    ) {
        let what = match words.change_of(tenant, (row.kind, item)) {
            Some(record) if !shows(row, record) => {
                "Hold, retention end, pin or labels are not those of the newest change that the packs hold."
            }
            None if unlike => {
                "Hold, retention end, pin or labels are not those of its record, and no pack holds a change of them."
            }
            _ => return,
        };
        let finding = Finding::new(FindingKind::PolicyDiffers, what).about_item(item);
        self.found(self.of(finding, tenant)).await;
    }
}
