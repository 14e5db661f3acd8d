//! Where else something lies: the tables of all packs are read once for everything that is looked for.

use std::collections::HashMap;
use std::collections::HashSet;

use uuid::Uuid;

use crate::catalog::rows::Location;
use crate::catalog::rows::Place;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::PackKey;
use crate::model::Sha256;
use crate::model::Tier;
use crate::ops::read::message_in;
use crate::ops::read::object_in;
use crate::ops::repair::Repair;
use crate::ops::scrub::blocks::verify;
use crate::ops::survey::is_damage;
use crate::pack::BlockTable;
use crate::pack::EntryBody;
use crate::pack::FrameKind;
use crate::report::Finding;
use crate::report::FindingKind;
use crate::store::Store;

/// Places of one thing that are remembered.
const PLACES_MAX: usize = 16;

/// What is looked for, by tenant.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    items: HashSet<(Uuid, Uuid)>,
    objects: HashSet<(Uuid, Sha256)>,
}

/// A place that claims to hold it: pack, frame, entry, media class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) pack: Uuid,
    pub(super) frame: u32,
    pub(super) entry: u32,
    pub(super) class: u8,
}

/// What was found. Every place has to be read before it is believed.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) items: HashMap<(Uuid, Uuid), Vec<Claim>>,
    pub(super) objects: HashMap<(Uuid, Sha256), Vec<Claim>>,
}

/// Reads the tables of all packs, and of these besides.
pub(super) async fn search(store: &Store, wanted: Wanted, besides: &[Uuid]) -> Result<Places> {
    let mut places = Places::default();
    if wanted.items.is_empty() && wanted.objects.is_empty() {
        return Ok(places);
    }
    let mut names: Vec<Uuid> = store.catalog.packs().await?.into_iter().map(|row| row.name).collect();
    names.extend(besides);
    for name in names {
        for frame in store.entries_of(name).await? {
            if frame.kind != FrameKind::Block {
                continue;
            }
            match store.head_at(name, &frame).await.and_then(|head| head.block_table()) {
                Ok(table) => places.note(&wanted, (name, frame.ordinal, frame.tenant), &table),
                Err(error) if is_damage(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(places)
}

impl Places {
    fn note(&mut self, wanted: &Wanted, (pack, frame, tenant): (Uuid, u32, Uuid), table: &BlockTable) {
        for (entry, found) in (0_u32..).zip(&table.entries) {
            let claim = |class| Claim { pack, frame, entry, class };
            let (hash, class) = match &found.body {
                EntryBody::Message(message) => {
                    let name = (tenant, message.record.id);
                    if wanted.items.contains(&name) {
                        keep(self.items.entry(name).or_default(), claim(0));
                    }
                    continue;
                }
                EntryBody::Object(object) => (object.sha256, object.class),
                EntryBody::Segmented(object) => (object.sha256, object.class),
            };
            if wanted.objects.contains(&(tenant, hash)) {
                keep(self.objects.entry((tenant, hash)).or_default(), claim(class));
            }
        }
    }
}

fn keep(claims: &mut Vec<Claim>, claim: Claim) {
    if claims.len() < PLACES_MAX {
        claims.push(claim);
    }
}

impl Repair<'_> {
    /// What the findings make look for.
    pub(super) async fn wanted(&self, findings: &[Finding]) -> Result<Wanted> {
        let mut wanted = Wanted::default();
        for finding in findings {
            let Some(tenant) = self.tenant(finding) else {
                continue;
            };
            if let Some(object) = finding.object {
                let _ = wanted.objects.insert((tenant.id, object));
            }
            if let Some(item) = finding.item {
                let _ = wanted.items.insert((tenant.id, item));
            }
            if finding.kind == FindingKind::RecordWithoutRow
                && let Some(record) = self.record_at(finding).await?
            {
                wanted.objects.extend(record.parts.iter().map(|part| (tenant.id, part.object)));
            }
        }
        Ok(wanted)
    }

    /// A claim as a location. Without a row of its pack (in a dry run) it has no key yet.
    fn location(&self, claim: Claim) -> Location {
        let row = self.packs.get(&claim.pack);
        let key = row.map_or(PackKey(0), |row| row.key);
        let tier = row.map_or(Tier::Hot, |row| row.tier);
        let place = Place { pack: key, frame: claim.frame, entry: claim.entry };
        Location { place, pack: claim.pack, tier }
    }

    /// The first of these places that holds the skeleton of an item, coldest tier first.
    pub(super) async fn skeleton_place(&self, item: Uuid, claims: &[Claim]) -> Result<Option<Location>> {
        for location in self.by_tier(claims) {
            if self.holds_skeleton(&location, item).await? {
                return Ok(Some(location));
            }
        }
        Ok(None)
    }

    /// The first of these places that holds an object, coldest tier first, and its media class.
    pub(super) async fn object_place(
        &self,
        object: Sha256,
        claims: &[Claim],
    ) -> Result<Option<(Location, u8)>> {
        for location in self.by_tier(claims) {
            if self.holds_object(&location, object).await? {
                let at = |claim: &&Claim| {
                    (claim.pack, claim.frame, claim.entry)
                        == (location.pack, location.place.frame, location.place.entry)
                };
                let class = claims.iter().find(at).map_or(0, |claim| claim.class);
                return Ok(Some((location, class)));
            }
        }
        Ok(None)
    }

    fn by_tier(&self, claims: &[Claim]) -> Vec<Location> {
        let mut locations: Vec<Location> = claims.iter().map(|claim| self.location(*claim)).collect();
        locations.sort_by_key(|location| std::cmp::Reverse(location.tier));
        locations
    }

    /// Reads and hashes.
    pub(super) async fn holds_skeleton(&self, location: &Location, item: Uuid) -> Result<bool> {
        let block = self.store.block_once(location.pack, location.place.frame).await;
        holds(block.and_then(|block| message_in(&block, location, item).map(drop)))
    }

    /// Reads and hashes, a large object over all of its segments.
    pub(super) async fn holds_object(&self, location: &Location, object: Sha256) -> Result<bool> {
        let read = async {
            let block = self.store.block_once(location.pack, location.place.frame).await?;
            let base = self.store.base_in(&block, location).await?;
            object_in(&block, location, object, base.as_deref())
        };
        match read.await {
            Ok(stored) => holds(verify(self.store, &stored, object).await),
            Err(error) => holds(Err(error)),
        }
    }
}

/// What a newer version wrote is not damaged, and what the disk refuses now may be there later: neither is an answer.
fn holds(read: Result<()>) -> Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == Kind::Corrupt => Ok(false),
        Err(error) => Err(error),
    }
}
