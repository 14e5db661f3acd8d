//! Which bytes of the packs are whose: by media class, and by what is not mail. Changes nothing.
//!
//! By media class it reads header and table of every block, so it takes as long as reading a few percent of the store.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::rows::TenantRow;
use crate::error::Result;
use crate::media::MediaClass;
use crate::ops::read::moved_away;
use crate::ops::survey::is_unreadable;
use crate::pack::BlockTable;
use crate::pack::EntryBody;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::report::StatsRow;
use crate::store::Store;

/// Stored bytes by media class.
#[derive(Debug, Default)]
pub(crate) struct Weights(BTreeMap<MediaClass, u64>);

impl Weights {
    pub(crate) fn of(&self, class: MediaClass) -> u64 {
        self.0.get(&class).copied().unwrap_or(0)
    }

    fn add(&mut self, class: MediaClass, bytes: u64) {
        *self.0.entry(class).or_default() += bytes;
    }

    /// Shares a block's bytes among its entries, in proportion to their bytes in the stream. Blocks of the tiers below hot
    /// are of one class each, so there is seldom more than one to share with.
    fn add_block(&mut self, table: &BlockTable, stored: u64) {
        let decoded: u64 = table.entries.iter().map(|entry| u64::from(entry.bytes)).sum();
        let mut classes: BTreeMap<MediaClass, u64> = BTreeMap::new();
        for entry in &table.entries {
            *classes.entry(class_of(&entry.body)).or_default() += u64::from(entry.bytes);
        }
        let Some((last, _)) = classes.pop_last() else { return };
        let mut left = stored;
        for (class, bytes) in classes {
            let share = u128::from(stored) * u128::from(bytes) / u128::from(decoded.max(1));
            let share = u64::try_from(share).unwrap_or(stored).min(left);
            self.add(class, share);
            left -= share;
        }
        self.add(last, left);
    }
}

fn class_of(body: &EntryBody) -> MediaClass {
    match body {
        EntryBody::Message(_) => MediaClass::Skeleton,
        EntryBody::Object(object) => MediaClass::of_code(object.class),
        EntryBody::Segmented(object) => MediaClass::of_code(object.class),
    }
}

/// Blocks and segments of one tenant or all, with their headers and tables, by media class.
pub(crate) async fn by_media(store: &Arc<Store>, tenant: Option<&TenantRow>) -> Result<Weights> {
    let mut weights = Weights::default();
    let only = tenant.map(|tenant| tenant.id);
    for pack in store.catalog.packs().await? {
        match weigh_pack(store, pack.name, only, &mut weights).await {
            // Swept meanwhile: its bytes are gone.
            Err(error) if moved_away(&error) => {}
            weighed => weighed?,
        }
    }
    Ok(weights)
}

async fn weigh_pack(store: &Arc<Store>, pack: Uuid, only: Option<Uuid>, weights: &mut Weights) -> Result<()> {
    let mut segments = Vec::new();
    let mut classes: HashMap<u32, MediaClass> = HashMap::new();
    for entry in store.entries_of(pack).await? {
        if only.is_some_and(|only| only != entry.tenant) {
            continue;
        }
        match entry.kind {
            FrameKind::Segment => segments.push(entry),
            FrameKind::Block => {
                let table = match store.head_at(pack, &entry).await.and_then(|head| head.block_table()) {
                    Ok(table) => table,
                    // Nobody can tell whose its bytes are; a scrub tells of the damage.
                    Err(error) if is_unreadable(&error) => continue,
                    Err(error) => return Err(error),
                };
                weights.add_block(&table, u64::from(entry.bytes()));
                classes.extend(table.entries.iter().flat_map(|entry| segments_of(&entry.body)));
            }
            _ => {}
        }
    }
    for entry in segments {
        // A segment that no object lists is of a put that was never finished.
        let class = classes.get(&entry.ordinal).copied().unwrap_or(MediaClass::Binary);
        weights.add(class, u64::from(entry.bytes()));
    }
    Ok(())
}

fn segments_of(body: &EntryBody) -> Vec<(u32, MediaClass)> {
    match body {
        EntryBody::Segmented(object) => {
            let class = MediaClass::of_code(object.class);
            object.segments.iter().map(|segment| (segment.ordinal, class)).collect()
        }
        EntryBody::Message(_) | EntryBody::Object(_) => Vec::new(),
    }
}

/// What the files hold, kind by kind: compressed mail first, then everything that is not mail. `objects` counts frames.
pub(crate) async fn by_overhead(store: &Arc<Store>, tenant: Option<&TenantRow>) -> Result<Vec<StatsRow>> {
    const KEYS: [&str; 9] = [
        "streams",
        "tables of blocks",
        "records of segments",
        "dictionaries",
        "tombstones",
        "policies",
        "tenants",
        "pack headers and indexes",
        "catalog",
    ];
    let mut sums = [(0_u64, 0_u64); KEYS.len()];
    let [streams, tables, segments, dictionaries, tombstones, policies, tenants, indexes, catalog] =
        &mut sums;
    for pack in store.catalog.packs().await? {
        for entry in store.entries_of(pack.name).await? {
            if tenant.is_some_and(|tenant| tenant.id != entry.tenant) {
                continue;
            }
            let (slot, stream) = match entry.kind {
                FrameKind::Block => (&mut *tables, stream(&entry)),
                FrameKind::Segment => (&mut *segments, stream(&entry)),
                FrameKind::Dictionary => (&mut *dictionaries, 0),
                FrameKind::Tombstone => (&mut *tombstones, 0),
                FrameKind::Policy => (&mut *policies, 0),
                FrameKind::Tenant => (&mut *tenants, 0),
            };
            slot.0 += 1;
            slot.1 += u64::from(entry.bytes()) - stream;
            streams.0 += u64::from(stream > 0);
            streams.1 += stream;
        }
        // Headers and indexes belong to no tenant, and neither does the catalog.
        if tenant.is_none() {
            indexes.0 += 1;
            indexes.1 += pack.progress.bytes.index;
        }
    }
    if tenant.is_none() {
        *catalog = (1, store.catalog.bytes().await?);
    }
    let rows = KEYS.into_iter().zip(sums).map(|(key, (objects, stored_bytes))| StatsRow {
        key: key.to_owned(),
        objects,
        stored_bytes,
        ..StatsRow::default()
    });
    Ok(rows.filter(|row| row.objects > 0).collect())
}

fn stream(entry: &IndexEntry) -> u64 {
    u64::from(entry.stream_stored)
}

#[cfg(test)]
mod tests {
    use super::Weights;
    use crate::media::MediaClass;
    use crate::model::Sha256;
    use crate::pack::BlockTable;
    use crate::pack::Entry;
    use crate::pack::EntryBody;
    use crate::pack::Fields;
    use crate::pack::ObjectEntry;
    use crate::pack::TransformId;

    fn entry(class: MediaClass, bytes: u32) -> Entry {
        let object = ObjectEntry {
            sha256: Sha256([0; 32]),
            bytes: bytes.into(),
            class: class.code(),
            transform: TransformId::NONE,
            params: Vec::new(),
            gain: 0,
            unknown: Fields::default(),
        };
        Entry { offset: 0, bytes, body: EntryBody::Object(object) }
    }

    #[test]
    fn a_block_is_shared_to_the_last_byte() {
        let mut weights = Weights::default();
        let entries =
            vec![entry(MediaClass::Text, 100), entry(MediaClass::Html, 200), entry(MediaClass::Text, 1)];
        weights.add_block(&BlockTable { entries }, 1000);
        weights.add_block(&BlockTable { entries: vec![entry(MediaClass::Jpeg, 0)] }, 77);
        weights.add_block(&BlockTable { entries: Vec::new() }, 5);
        assert_eq!(weights.of(MediaClass::Text), 335);
        assert_eq!(weights.of(MediaClass::Html), 665);
        assert_eq!(weights.of(MediaClass::Jpeg), 77);
        assert_eq!(weights.of(MediaClass::Pdf), 0);
    }
}
