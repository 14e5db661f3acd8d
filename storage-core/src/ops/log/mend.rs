//! A put whose item is stored already and that brings bytes which can be read nowhere: objects, or the item's own skeleton. They
//! are written again in one block, and nothing else of the put is. Objects are quarantined first, durably, so that a replay of
//! the log takes the new ones, too. A skeleton comes with the item's record, as it stands in the catalog, and its row is pointed
//! to it, durably, before the put is answered: replaying the log passes over an item that is there.

use futures::future::join_all;

use crate::catalog::rows::CopyChange;
use crate::catalog::rows::ItemRow;
use crate::catalog::rows::NewObject;
use crate::catalog::rows::Place;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::UnitKey;
use crate::catalog::similar::Form;
use crate::clock::Timestamp;
use crate::codec::Codec;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::Tier;
use crate::ops::log::LargePut;
use crate::ops::log::group::Group;
use crate::ops::log::group::push_object;
use crate::ops::log::known::Known;
use crate::ops::log::known::removed_meanwhile;
use crate::ops::log::pack::OpenPack;
use crate::ops::lost::Lost;
use crate::ops::lost::find_lost;
use crate::ops::lost::quarantine;
use crate::ops::prepared::ObjectBytes;
use crate::ops::prepared::PreparedPut;
use crate::pack::BlockBuilder;
use crate::store::Store;

/// Repeated puts whose items are read at the same time.
const READ_AT_ONCE: usize = 4;

/// A skeleton that was written again, and the row that is to point to it.
#[derive(Debug)]
pub(super) struct Mended {
    tenant: TenantKey,
    relocation: Relocation,
    /// The second location, which can be read as little.
    copy: Option<CopyChange>,
}

impl Mended {
    pub(super) fn of(tenant: TenantKey, row: &ItemRow, to: Place) -> Self {
        let unit = UnitKey::Skeleton(row.key);
        let bytes = row.skeleton_bytes;
        let relocation = Relocation {
            unit,
            copy: false,
            bytes,
            from: row.location.place,
            from_tier: row.location.tier,
            to,
            to_tier: Tier::Hot,
            form: Form::Kept,
        };
        let copy = row.copy.map(|copy| CopyChange { unit, bytes, copy: None, tier: copy.tier });
        Self { tenant, relocation, copy }
    }

    /// Points the row to the new place, unless it stands elsewhere by now.
    pub(super) async fn apply(&self, store: &Store) -> Result<()> {
        let day = store.now().day();
        let moves = std::slice::from_ref(&self.relocation);
        let rows = store.catalog.relocate(self.tenant, moves, day).await?;
        match &self.copy {
            Some(copy) if rows > 0 => {
                let drops = std::slice::from_ref(copy);
                store.catalog.change_copies(self.tenant, drops, day).await.map(|_dropped| ())
            }
            _ => Ok(()),
        }
    }
}

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
        let skeleton = broken.map(|row| (block.push_message(&put.record_of(&row), &put.skeleton), row));
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
        self.mended.extend(skeleton.map(|(entry, row)| Mended::of(tenant, &row, place(entry))));
        Ok(())
    }

    /// Refers to what a large put brings again of an item that is there. Its pack holds all of it, under the item's own id.
    pub(super) fn mend_large(&mut self, large: &LargePut) -> Result<()> {
        let put = &large.put;
        let row = self.known.repeated(put).filter(|row| row.id == put.id).cloned();
        let row = row.ok_or_else(removed_meanwhile)?;
        let tenant = put.tenant.key;
        for (object, place) in put.objects.iter().zip(&large.places) {
            let wanted = self.known.is_quarantined(tenant, object.sha256);
            if wanted && self.find(tenant, object.sha256).is_none() {
                let _ = self.fresh.insert((tenant, object.sha256), self.commit.objects.len());
                self.commit.objects.push(NewObject {
                    tenant,
                    sha256: object.sha256,
                    bytes: object.bytes,
                    class: object.class.code(),
                    place: *place,
                });
            }
        }
        if put.lost.as_ref().is_some_and(|lost| lost.skeleton) {
            self.mended.push(Mended::of(tenant, &row, large.skeleton));
        }
        Ok(())
    }
}

/// Looks at the items that puts repeat, and quarantines the objects of them that can be read nowhere. One that is whole takes its
/// blocks, read and kept for the next ones.
pub(super) async fn find_broken(
    store: &Store,
    puts: impl Iterator<Item = &PreparedPut>,
    known: &mut Known,
    now: Timestamp,
) -> Result<()> {
    let repeats: Vec<(&PreparedPut, ItemRow)> =
        puts.filter_map(|put| Some((put, known.repeated(put)?.clone()))).collect();
    let mut found = Vec::new();
    for some in repeats.chunks(READ_AT_ONCE) {
        found.extend(join_all(some.iter().map(|(put, row)| look_at(store, put, row))).await);
    }
    let mut looked = Vec::new();
    for ((put, row), lost) in repeats.into_iter().zip(found) {
        // What cannot be looked at stays as it is; only this put hears of it.
        match lost {
            Ok(lost) => looked.push((put, row, lost)),
            Err(error) => known.refuse(put, error),
        }
    }
    quarantine(store, looked.iter().map(|(_, _, lost)| lost), now).await?;
    for (put, row, lost) in looked {
        known.note(put, row, &lost);
    }
    Ok(())
}

/// What the item that a put repeats has lost. A large item was read before it came here, because the log waits for nobody that
/// long; its objects are quarantined by now, or another put has mended them since.
async fn look_at(store: &Store, put: &PreparedPut, row: &ItemRow) -> Result<Lost> {
    match &put.lost {
        Some(lost) => Ok(Lost { objects: Vec::new(), ..lost.clone() }),
        None => find_lost(store, put, row).await,
    }
}
