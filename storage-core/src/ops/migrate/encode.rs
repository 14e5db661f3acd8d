//! From planned units to one encoded block: read the units, then compress on the background pool.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::codec::Codec;
use crate::codec::probe;
use crate::error::Result;
use crate::model::Sha256;
use crate::ops::migrate::plan::Identity;
use crate::ops::migrate::plan::PlannedUnit;
use crate::ops::read::StoredObject;
use crate::ops::read::message_in;
use crate::ops::read::sha256;
use crate::pack::BlockBuilder;
use crate::pack::EncodedFrame;
use crate::pack::MessageRecord;
use crate::store::Store;
use crate::tier::recipe::BlockRecipe;

/// The bytes of a unit, verified.
#[derive(Debug)]
pub(super) enum UnitBytes {
    Skeleton(Box<MessageRecord>, Bytes),
    Object(Sha256, Bytes),
    /// A large object: it is moved by itself.
    Segmented(Uuid, Box<crate::pack::SegmentedEntry>),
}

/// Reads a unit at its present location.
pub(super) async fn read_unit(store: &Store, unit: &PlannedUnit) -> Result<UnitBytes> {
    match unit.identity {
        Identity::Skeleton(id) => {
            let block = store.block(unit.from.pack, unit.from.place.frame).await?;
            let (record, skeleton) = message_in(&block, &unit.from, id)?;
            Ok(UnitBytes::Skeleton(Box::new(record.clone()), skeleton))
        }
        Identity::Object(expected) => match store.object(&unit.from, expected).await? {
            StoredObject::Whole(bytes) => Ok(UnitBytes::Object(expected, bytes)),
            StoredObject::Segmented(pack, entry) => Ok(UnitBytes::Segmented(pack, entry)),
        },
    }
}

/// A unit in a block that was encoded, with the hash its bytes must have when they are read back.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) unit: PlannedUnit,
    pub(super) entry: u32,
    pub(super) sha256: Sha256,
}

/// Units that go into one block.
#[derive(Debug, Default)]
pub(super) struct Draft {
    units: Vec<(PlannedUnit, UnitBytes)>,
    bytes: usize,
}

impl Draft {
    pub(super) fn push(&mut self, unit: PlannedUnit, bytes: UnitBytes) {
        self.bytes += match &bytes {
            UnitBytes::Skeleton(_, bytes) | UnitBytes::Object(_, bytes) => bytes.len(),
            UnitBytes::Segmented(..) => 0,
        };
        self.units.push((unit, bytes));
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Encodes the block. Pure.
    pub(super) fn encode(self, tenant: Uuid, recipe: &BlockRecipe) -> Result<(EncodedFrame, Vec<Encoded>)> {
        let mut block = BlockBuilder::new(tenant);
        let mut encoded = Vec::with_capacity(self.units.len());
        let mut compressed = true;
        for (unit, bytes) in self.units {
            let (entry, sha256) = match &bytes {
                UnitBytes::Skeleton(record, skeleton) => {
                    compressed = false;
                    (block.push_message(record, skeleton), sha256(skeleton))
                }
                UnitBytes::Object(hash, object) => {
                    compressed = compressed && probe(object);
                    (block.push_object(*hash, unit.class.code(), object), *hash)
                }
                UnitBytes::Segmented(_, manifest) => (block.push_segmented(manifest), manifest.sha256),
            };
            encoded.push(Encoded { unit, entry, sha256 });
        }
        let stream = if compressed { Codec::None } else { recipe.stream.clone() };
        Ok((block.finish(&recipe.table, &stream)?, encoded))
    }
}

/// Encodes on the background pool.
pub(super) async fn encode_draft(
    store: Arc<Store>,
    draft: Draft,
    tenant: Uuid,
    recipe: BlockRecipe,
) -> Result<(EncodedFrame, Vec<Encoded>)> {
    store.background.run(move || draft.encode(tenant, &recipe)).await
}
