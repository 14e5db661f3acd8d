//! What packs say about items and tenants besides the items' records: tombstones, changes, tenants. These frames are
//! few and small, so they are read again whenever there is a question, and only answers are kept in memory.
//!
//! Order between packs does not matter: a tombstone is final, and of two changes the one with the higher sequence stands.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use uuid::Uuid;

use crate::catalog::rows::PackRow;
use crate::catalog::rows::PackState;
use crate::error::Kind;
use crate::error::Result;
use crate::model::ItemKind;
use crate::pack::FrameHead;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::pack::ItemRecord;
use crate::pack::PolicyRecord;
use crate::pack::TenantRecord;
use crate::pack::TierPolicyRecord;
use crate::pack::Tombstone;
use crate::store::Store;

/// An item of a tenant, both by their permanent ids.
pub(crate) type ItemName = (Uuid, Uuid);

/// Which items the question is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum About<'a> {
    /// All of them.
    Everything,
    /// These.
    Items(&'a HashSet<ItemName>),
}

impl About<'_> {
    fn includes(self, name: &ItemName) -> bool {
        match self {
            Self::Everything => true,
            Self::Items(items) => items.contains(name),
        }
    }
}

/// The answers.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// Deleted items.
    pub(crate) gone: HashSet<ItemName>,
    /// Deletes that came with a caller's id, and erasures, by their tenant. Only where the question was about everything.
    pub(crate) deletes: Vec<(Uuid, Tombstone)>,
    /// The newest change of each item.
    pub(crate) newest: HashMap<ItemName, ItemRecord>,
    /// Tenants' records.
    pub(crate) tenants: BTreeMap<Uuid, TenantRecord>,
    /// The newest change of each tenant's policy.
    pub(crate) policies: HashMap<Uuid, TierPolicyRecord>,
    /// The highest sequence of a change.
    pub(crate) sequence: u64,
    /// Frames that could not be read.
    pub(crate) damaged: u64,
}

/// A pack to listen to: its name, and where what counts of it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaker {
    pub(crate) name: Uuid,
    pub(crate) end: u64,
}

impl Speaker {
    /// All of a sealed pack; of an open one, what is committed.
    pub(crate) fn of(row: &PackRow) -> Self {
        let end = if row.state == PackState::Open { row.progress.committed_bytes } else { u64::MAX };
        Self { name: row.name, end }
    }
}

/// The packs that the catalog knows, and these besides.
pub(crate) async fn speakers(store: &Store, besides: &[Uuid]) -> Result<Vec<Speaker>> {
    let mut speakers: Vec<Speaker> = store.catalog.packs().await?.iter().map(Speaker::of).collect();
    let known: HashSet<Uuid> = speakers.iter().map(|speaker| speaker.name).collect();
    let unknown = besides.iter().filter(|name| !known.contains(name));
    speakers.extend(unknown.map(|name| Speaker { name: *name, end: u64::MAX }));
    Ok(speakers)
}

/// Reads the words of all these packs.
pub(crate) async fn listen(store: &Store, speakers: &[Speaker], about: About<'_>) -> Result<Words> {
    let mut words = Words::default();
    for speaker in speakers {
        for entry in store.entries_of(speaker.name).await? {
            let before_end = entry.offset.saturating_add(u64::from(entry.bytes())) <= speaker.end;
            if !before_end || !speaks(&entry) {
                continue;
            }
            match store.head_at(speaker.name, &entry).await {
                Ok(head) => match words.hear(&head, about) {
                    Err(error) if error.kind() == Kind::Corrupt => words.damaged += 1,
                    done => done?,
                },
                Err(error) if error.kind() == Kind::Corrupt => words.damaged += 1,
                Err(error) if error.kind() == Kind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(words)
}

fn speaks(entry: &IndexEntry) -> bool {
    matches!(entry.kind, FrameKind::Tombstone | FrameKind::Policy | FrameKind::Tenant)
}

impl Words {
    fn hear(&mut self, head: &FrameHead, about: About<'_>) -> Result<()> {
        let tenant = head.header().tenant;
        match head.header().kind {
            FrameKind::Tombstone => {
                for tombstone in head.tombstones()? {
                    let name = (tenant, tombstone.item);
                    if about.includes(&name) {
                        let _ = self.gone.insert(name);
                    }
                    if matches!(about, About::Everything)
                        && (tombstone.caller_id.is_some() || tombstone.erase.is_some())
                    {
                        self.deletes.push((tenant, tombstone));
                    }
                }
            }
            FrameKind::Policy => {
                for record in head.policies()? {
                    self.hear_policy(tenant, record, about);
                }
            }
            FrameKind::Tenant => {
                let _ = self.tenants.insert(tenant, head.tenant()?);
            }
            FrameKind::Block | FrameKind::Segment | FrameKind::Dictionary => {}
        }
        Ok(())
    }

    fn hear_policy(&mut self, tenant: Uuid, record: PolicyRecord, about: About<'_>) {
        self.sequence = self.sequence.max(record.sequence());
        match record {
            PolicyRecord::Tier(record) => {
                // Of two equal ones the later one in the order of packs stands.
                if self.policies.get(&tenant).is_none_or(|known| known.sequence <= record.sequence) {
                    let _ = self.policies.insert(tenant, record);
                }
            }
            PolicyRecord::Item(record) => {
                let name = (tenant, record.item);
                let newer = self.newest.get(&name).is_none_or(|known| known.sequence <= record.sequence);
                if newer && about.includes(&name) {
                    let _ = self.newest.insert(name, record);
                }
            }
        }
    }

    /// Whether an item is deleted.
    pub(crate) fn is_gone(&self, tenant: Uuid, item: Uuid) -> bool {
        self.gone.contains(&(tenant, item))
    }

    /// The newest change of an item.
    pub(crate) fn change_of(&self, tenant: Uuid, (kind, item): (ItemKind, Uuid)) -> Option<&ItemRecord> {
        self.newest.get(&(tenant, item)).filter(|record| record.kind == kind)
    }
}
