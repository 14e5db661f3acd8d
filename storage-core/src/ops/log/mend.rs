//! A put whose item is stored already and that brings bytes which can be read nowhere: quarantined objects, or the item's own
//! skeleton. They are written again in one block, and nothing else of the put is. A skeleton comes with the item's record, as it
//! stands in the catalog, and its row is pointed to it, durably, before the put is answered: replaying the log passes over an
//! item that is there.

use crate::catalog::rows::ItemRow;
use crate::catalog::rows::NewObject;
use crate::catalog::rows::PartRow;
use crate::catalog::rows::Place;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::UnitKey;
use crate::catalog::similar::Form;
use crate::clock::Timestamp;
use crate::codec::Codec;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::Tier;
use crate::ops::log::group::Group;
use crate::ops::log::group::Waiting;
use crate::ops::log::group::push_object;
use crate::ops::log::known::Known;
use crate::ops::log::pack::OpenPack;
use crate::ops::prepared::ObjectBytes;
use crate::ops::prepared::PreparedPut;
use crate::ops::read::moved_away;
use crate::ops::survey::is_damage;
use crate::pack::BlockBuilder;
use crate::pack::MessageRecord;
use crate::store::Store;

/// A skeleton that was written again, and the row that is to point to it.
pub(super) type Mended = (TenantKey, Relocation);

impl Group {
    /// Writes the lost skeleton and the quarantined objects of a put that are not in the group yet.
    pub(super) fn mend(&mut self, open: &mut OpenPack, put: &PreparedPut) -> Result<()> {
        let tenant = put.tenant.key;
        let mut block = BlockBuilder::new(put.tenant.id);
        let mut written = Vec::new();
        for object in &put.objects {
            let sent = matches!(object.data, ObjectBytes::Whole(_));
            let wanted = sent && self.known.is_quarantined(tenant, object.sha256);
            if !wanted || self.find(tenant, object.sha256).is_some() {
                continue;
            }
            let entry = push_object(open, put, &mut block, object)?;
            let index = self.commit.objects.len() + written.len();
            let _ = self.fresh.insert((tenant, object.sha256), index);
            written.push((object, entry));
        }
        // Taken out: of two such puts in a group one is enough.
        let broken = put.caller_key().and_then(|key| self.known.broken.remove(&key));
        let skeleton = broken.map(|row| (block.push_message(&record(put, &row), &put.skeleton), row));
        if written.is_empty() && skeleton.is_none() {
            return Ok(());
        }
        let frame = open.place(block.finish(&Codec::None, &Codec::None)?)?;
        for (object, entry) in written {
            self.commit.objects.push(NewObject {
                tenant,
                sha256: object.sha256,
                bytes: object.bytes,
                class: object.class.code(),
                place: open.entry_place(frame, entry),
            });
        }
        let place = |entry| open.entry_place(frame, entry);
        self.mended.extend(skeleton.map(|(entry, row)| (tenant, relocation(&row, place(entry)))));
        Ok(())
    }
}

/// The record of an item as it is now; its bytes and parts are those of the put.
fn record(put: &PreparedPut, row: &ItemRow) -> MessageRecord {
    let created = row.id.get_timestamp().map(|time| time.to_unix());
    let millis = created.map(|(seconds, nanos)| {
        i64::try_from(seconds).unwrap_or(i64::MAX) * 1_000 + i64::from(nanos / 1_000_000)
    });
    MessageRecord {
        id: row.id,
        caller_id: row.caller_id.clone(),
        external: row.external,
        created: millis.map_or(put.created, Timestamp),
        retention_end: row.expires,
        hold: row.hold,
        pin: row.pin,
        labels: row.labels.clone(),
        ..put.record()
    }
}

fn relocation(row: &ItemRow, to: Place) -> Relocation {
    Relocation {
        unit: UnitKey::Skeleton(row.key),
        copy: false,
        bytes: row.skeleton_bytes,
        from: row.location.place,
        from_tier: row.location.tier,
        to,
        to_tier: Tier::Hot,
        form: Form::Kept,
    }
}

/// Looks at the skeletons of items that puts repeat. One that is whole takes a block that is read and kept for the next ones.
pub(super) async fn find_broken(store: &Store, puts: &[Waiting], known: &mut Known) -> Result<()> {
    for (put, _) in puts {
        let Some(key) = put.caller_key() else {
            continue;
        };
        let Some(row) = known.item(&key).filter(|row| row.sha256 == put.sha256) else {
            continue;
        };
        if is_lost(store, put.tenant.key, row).await?
            && is_split_alike(put, row, &store.catalog.parts(row.key).await?)
        {
            let row = row.clone();
            let _ = known.broken.insert(key, row);
        }
    }
    Ok(())
}

/// Whether no place of a skeleton can be read. One that moved meanwhile is not lost.
async fn is_lost(store: &Store, tenant: TenantKey, row: &ItemRow) -> Result<bool> {
    for location in row.copy.iter().chain([&row.location]) {
        match store.skeleton(location, row.id).await {
            Ok(_) => return Ok(false),
            Err(error) if moved_away(&error) && has_moved(store, tenant, row).await? => return Ok(false),
            Err(error) if moved_away(&error) || is_damage(&error) => {}
            // What cannot be read just now may be read later, and is nothing that other puts should wait for.
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

async fn has_moved(store: &Store, tenant: TenantKey, row: &ItemRow) -> Result<bool> {
    let now = store.catalog.item_by_uuid(tenant, row.kind, row.id).await?;
    Ok(now.is_none_or(|now| (now.location, now.copy) != (row.location, row.copy)))
}

/// Whether the put's skeleton fits the item's parts: another version of the splitter may have cut it otherwise.
fn is_split_alike(put: &PreparedPut, row: &ItemRow, parts: &[PartRow]) -> bool {
    let same = put.objects.iter().zip(parts).all(|(object, part)| {
        (object.part, object.role, object.sha256) == (part.part, part.role, part.object.sha256)
            && Some(&object.media_type) == part.media_type.as_ref()
            && object.file_name == part.file_name
    });
    same && put.objects.len() == parts.len() && put.skeleton.len() as u64 == row.skeleton_bytes
}
