//! Rows of packs and of dictionaries.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use uuid::Uuid;

use crate::catalog::rows::NewDictionary;
use crate::catalog::rows::NewPack;
use crate::catalog::rows::PackBytes;
use crate::catalog::rows::PackOrigin;
use crate::catalog::rows::PackProgress;
use crate::clock::Timestamp;
use crate::codec::DictionaryKind;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::ids::PackKey;
use crate::ids::uuid_v7_time;
use crate::model::Tier;
use crate::ops::log::pack::pack_bytes;
use crate::ops::rebuild::Rebuild;
use crate::ops::recoded::note_recoding;
use crate::ops::survey::Survey;
use crate::pack::DictionaryRecord;
use crate::pack::EntryBody;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::pack::Origin;
use crate::pack::PackHeader;
use crate::pack::PackName;

/// A pack that the new catalog takes in.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: Uuid,
    pub(super) key: PackKey,
    pub(super) tier: Tier,
    pub(super) entries: Vec<IndexEntry>,
    origin: PackOrigin,
    created: Timestamp,
    bytes: PackBytes,
}

impl Found {
    /// Where content is looked for first: the coldest tier, and in it the newest pack. A large put's pack comes last:
    /// one that was refused after it was complete must not take the id of the item that was there before.
    pub(super) fn rank(&self) -> (Reverse<Tier>, bool, Reverse<Uuid>) {
        (Reverse(self.tier), self.origin == PackOrigin::Large, Reverse(self.name))
    }
}

impl Rebuild<'_> {
    /// All packs that count. The others are left to recovery.
    pub(super) async fn survey(&mut self, files: &[(PackName, u64)]) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for (name, bytes) in files {
            let survey = match self.store.survey(name.0, *bytes).await {
                Ok(survey) => survey,
                // A file that is shorter than a header: its creation was interrupted.
                Err(error) if error.kind() == Kind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if survey.newer {
                return Err(Error::new(
                    Kind::Unimplemented,
                    format!("Pack {name} was written by a newer version. Rebuild with that version."),
                ));
            }
            if self.is_left(name.0, &survey).await? {
                self.report.packs_left += 1;
                continue;
            }
            self.report.packs_damaged += u64::from(survey.index.is_err() || survey.header.is_err());
            found.push(taken_in(name.0, *bytes, survey));
        }
        Ok(found)
    }

    /// Whether a pack is one that was never ended: a log, or a large put that did not come to its record. A pack that
    /// was rewritten appears as a whole; without an end it is damaged, not unfinished.
    async fn is_left(&self, name: Uuid, survey: &Survey) -> Result<bool> {
        if survey.entries.is_empty() && survey.footer.is_err() {
            return Ok(true);
        }
        match (&survey.header, &survey.footer) {
            (_, Ok(_)) | (Err(_), _) => Ok(false),
            (Ok(header), Err(_)) => match header.origin {
                // Recovery would cut it off where the first frame is torn: never what lies behind.
                Origin::Log => Ok(!survey.resumed),
                Origin::Rewrite => Ok(false),
                Origin::Large => Ok(!self.holds_a_record(name, &survey.entries).await?),
            },
        }
    }

    async fn holds_a_record(&self, name: Uuid, entries: &[IndexEntry]) -> Result<bool> {
        for entry in entries.iter().rev().filter(|entry| entry.kind == FrameKind::Block) {
            match self.store.head_at(name, entry).await.and_then(|head| head.block_table()) {
                Ok(table) => {
                    let record = |entry: &crate::pack::Entry| matches!(entry.body, EntryBody::Message(_));
                    if table.entries.iter().any(record) {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == Kind::Corrupt => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Adds the packs, oldest first.
    pub(super) async fn make_packs(&mut self, found: &mut [Found]) -> Result<()> {
        for pack in found {
            let new = NewPack {
                name: pack.name,
                origin: pack.origin,
                tier: pack.tier,
                sealed: true,
                progress: PackProgress::of(pack.bytes),
                created: pack.created,
            };
            pack.key = self.store.catalog.add_pack(&new).await?;
            if pack.origin == PackOrigin::Rewrite {
                note_recoding(self.store, (pack.key, pack.name), &pack.entries).await?;
            }
            self.report.packs += 1;
        }
        Ok(())
    }

    /// Adds dictionaries in the order of their making, so that the newest one of a class is the active one; then which
    /// packs need them.
    pub(super) async fn make_dictionaries(&mut self, found: &[Found]) -> Result<()> {
        let mut rows: BTreeMap<Uuid, (DictionaryRecord, NewDictionary)> = BTreeMap::new();
        for pack in found {
            for entry in pack.entries.iter().filter(|entry| entry.kind == FrameKind::Dictionary) {
                let head = self.store.head_at(pack.name, entry).await;
                match head.and_then(|head| head.dictionary()) {
                    Ok(record) => {
                        let new = self.dictionary(pack, entry, &record)?;
                        // A later pack holds it since it was rewritten.
                        let _ = rows.insert(record.id, (record, new));
                    }
                    Err(error) if error.kind() == Kind::Corrupt => self.report.frames_damaged += 1,
                    Err(error) => return Err(error),
                }
            }
        }
        let mut rows: Vec<NewDictionary> = rows.into_values().map(|(_, new)| new).collect();
        rows.sort_by_key(|row| (row.created, row.pack.0));
        let mut keys: BTreeMap<Uuid, DictionaryKey> = BTreeMap::new();
        for row in rows {
            let _ = keys.insert(row.id, self.store.catalog.add_dictionary(&row).await?);
            self.report.dictionaries += 1;
        }
        for pack in found {
            let needed: BTreeSet<Uuid> = pack.entries.iter().filter_map(|entry| entry.dictionary).collect();
            let needed: Vec<_> = needed.iter().filter_map(|id| keys.get(id).copied()).collect();
            if !needed.is_empty() {
                self.store.catalog.add_pack_dictionaries(pack.key, &needed).await?;
            }
        }
        Ok(())
    }

    fn dictionary(
        &self,
        pack: &Found,
        entry: &IndexEntry,
        record: &DictionaryRecord,
    ) -> Result<NewDictionary> {
        Ok(NewDictionary {
            tenant: self.tenant(entry.tenant)?.key,
            id: record.id,
            class: record.class,
            trained: record.kind == DictionaryKind::Trained,
            version: record.version,
            pack: pack.key,
            frame: entry.ordinal,
            bytes: u64::from(entry.stream_decoded),
            stored_bytes: u64::from(entry.bytes()),
            gain: if record.gain.is_finite() { record.gain } else { 0.0 },
            created: record.created,
        })
    }
}

/// The counters of the frames that a scan found.
fn counted(entries: &[IndexEntry]) -> PackBytes {
    let mut sum = PackBytes::default();
    for entry in entries {
        let around = u64::from(entry.header_bytes) + u64::from(entry.table_bytes);
        let stored = u64::from(entry.stream_stored);
        match entry.kind {
            FrameKind::Block | FrameKind::Segment => {
                sum.decoded += u64::from(entry.stream_decoded);
                sum.stream += stored;
                sum.record += around;
            }
            FrameKind::Dictionary => sum.dictionary += around + stored,
            FrameKind::Tombstone | FrameKind::Policy | FrameKind::Tenant => sum.record += around + stored,
        }
    }
    sum
}

/// A pack with its counters. What the frames of a damaged one do not account for is counted as its index, so that the
/// sum stays the length of the file.
fn taken_in(name: Uuid, length: u64, survey: Survey) -> Found {
    // A header that cannot be read tells neither tier nor origin: its content is found again as hot, and moves on.
    let header = survey.header.unwrap_or(PackHeader {
        name: PackName(name),
        origin: Origin::Rewrite,
        tier: Tier::Hot,
        created: uuid_v7_time(name),
    });
    let mut bytes = match &survey.index {
        Ok(index) => pack_bytes(&index.counters()),
        Err(_) => counted(&survey.entries),
    };
    bytes.index = length.saturating_sub(bytes.total() - bytes.index);
    let origin = match header.origin {
        Origin::Log => PackOrigin::Log,
        Origin::Rewrite => PackOrigin::Rewrite,
        Origin::Large => PackOrigin::Large,
    };
    let (tier, created, entries) = (header.tier, header.created, survey.entries);
    Found { name, key: PackKey(0), tier, entries, origin, created, bytes }
}
