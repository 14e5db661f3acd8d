//! From planned units to one encoded block: read the units, then compress on the background pool.
//!
//! A migration asks for a unit's bytes; a compaction for its stored form, which keeps the transform and the parameters
//! of its entry as they are. Both are verified by the unit's hash.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::caches::Block;
use crate::catalog::similar::Form;
use crate::codec::Codec;
use crate::codec::probe;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::media::MediaClass;
use crate::model::Sha256;
use crate::ops::read::StoredObject;
use crate::ops::read::message_in;
use crate::ops::read::object_in;
use crate::ops::read::sha256;
use crate::ops::read::stored_form_in;
use crate::ops::read::transform_in;
use crate::ops::rewrite::unit::Identity;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::pack::BlockBuilder;
use crate::pack::EncodedFrame;
use crate::pack::Fields;
use crate::pack::MessageRecord;
use crate::pack::ObjectEntry;
use crate::pack::SegmentedEntry;
use crate::pack::TransformId;
use crate::recode;
use crate::recode::Limits;
use crate::store::Store;
use crate::tier::recipe::BlockRecipe;

/// The bytes of a unit, verified.
#[derive(Debug)]
pub(crate) enum UnitBytes {
    Skeleton(Box<MessageRecord>, Bytes),
    Object(Sha256, Bytes),
    /// An object in its stored form, as its entry describes it. What it decodes to was verified.
    Stored(Box<ObjectEntry>, Bytes),
    /// An object as its difference from the object with that key.
    Delta(Box<ObjectEntry>, Bytes, ObjectKey),
    /// A large object: it is moved by itself.
    Segmented(Uuid, Box<SegmentedEntry>),
}

impl UnitBytes {
    /// What it takes in a block.
    pub(crate) fn stored_bytes(&self) -> usize {
        match self {
            Self::Skeleton(_, bytes)
            | Self::Object(_, bytes)
            | Self::Stored(_, bytes)
            | Self::Delta(_, bytes, _) => bytes.len(),
            Self::Segmented(..) => 0,
        }
    }

    /// Whether it is a difference from something else.
    pub(crate) fn is_delta(&self) -> bool {
        match self {
            Self::Delta(..) => true,
            Self::Stored(entry, _) => entry.transform == TransformId::DELTA,
            Self::Skeleton(..) | Self::Object(..) | Self::Segmented(..) => false,
        }
    }

    /// How the catalog is told that it is stored now.
    fn form(&self) -> Form {
        match self {
            Self::Delta(_, stored, base) => Form::Delta { base: *base, bytes: stored.len() as u64 },
            stored if stored.is_delta() => Form::Kept,
            _ => Form::Whole,
        }
    }
}

/// Reads a unit at its present location, and, where it is an object in one piece, that object. With `keep`, one that is
/// recoded stays in its stored form.
pub(crate) async fn read_unit_as(
    store: &Store,
    unit: &PlannedUnit,
    keep: bool,
) -> Result<(UnitBytes, Option<Bytes>)> {
    let bytes = read_unit(store, unit).await?;
    let UnitBytes::Object(_, object) = &bytes else {
        return Ok((bytes, None));
    };
    let object = object.clone();
    if !keep {
        return Ok((bytes, Some(object)));
    }
    let block = store.block(unit.from.pack, unit.from.place.frame).await?;
    if transform_in(&block, &unit.from)? == TransformId::NONE {
        return Ok((bytes, Some(object)));
    }
    let (entry, stored) = stored_form_in(&block, &unit.from)?;
    Ok((UnitBytes::Stored(Box::new(entry.clone()), stored), Some(object)))
}

/// Reads a unit at its present location.
pub(crate) async fn read_unit(store: &Store, unit: &PlannedUnit) -> Result<UnitBytes> {
    match unit.identity {
        Identity::Skeleton(id) => {
            let block = store.block(unit.from.pack, unit.from.place.frame).await?;
            skeleton_unit(&block, unit, id)
        }
        Identity::Object(expected) => match store.object(&unit.from, expected).await? {
            StoredObject::Whole(bytes) => Ok(UnitBytes::Object(expected, bytes)),
            StoredObject::Segmented(pack, entry) => Ok(UnitBytes::Segmented(pack, entry)),
        },
    }
}

fn skeleton_unit(block: &Block, unit: &PlannedUnit, id: Uuid) -> Result<UnitBytes> {
    let (record, skeleton) = message_in(block, &unit.from, id)?;
    Ok(UnitBytes::Skeleton(Box::new(record.clone()), skeleton))
}

/// A unit's bytes in a block that is decoded already, in their stored form. A delta needs its base.
pub(crate) fn stored_unit(block: &Block, unit: &PlannedUnit, base: Option<&[u8]>) -> Result<UnitBytes> {
    match unit.identity {
        Identity::Skeleton(id) => skeleton_unit(block, unit, id),
        Identity::Object(expected) => match object_in(block, &unit.from, expected, base)? {
            StoredObject::Whole(_) => {
                let (entry, stored) = stored_form_in(block, &unit.from)?;
                Ok(UnitBytes::Stored(Box::new(entry.clone()), stored))
            }
            StoredObject::Segmented(pack, entry) => Ok(UnitBytes::Segmented(pack, entry)),
        },
    }
}

/// A unit in a block that was encoded, with the hash its bytes must have when they are read back.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    pub(crate) unit: PlannedUnit,
    pub(crate) entry: u32,
    pub(crate) sha256: Sha256,
    pub(crate) form: Form,
}

/// Units that go into one block.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    units: Vec<(PlannedUnit, UnitBytes)>,
    bytes: usize,
}

impl Draft {
    pub(crate) fn push(&mut self, unit: PlannedUnit, bytes: UnitBytes) {
        self.bytes += bytes.stored_bytes();
        self.units.push((unit, bytes));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Encodes the block. Pure.
    pub(crate) fn encode(self, tenant: Uuid, recipe: &BlockRecipe) -> Result<(EncodedFrame, Vec<Encoded>)> {
        let mut block = BlockBuilder::new(tenant);
        let mut encoded = Vec::with_capacity(self.units.len());
        let mut compressed = true;
        for (unit, bytes) in self.units {
            let form = bytes.form();
            let (entry, sha256) = match &bytes {
                UnitBytes::Skeleton(record, skeleton) => {
                    compressed = false;
                    (block.push_message(record, skeleton), sha256(skeleton))
                }
                UnitBytes::Object(hash, object) => {
                    compressed = compressed && probe(object);
                    (block.push_object(*hash, unit.class.code(), object), *hash)
                }
                UnitBytes::Stored(entry, stored) | UnitBytes::Delta(entry, stored, _) => {
                    compressed = compressed && probe(stored);
                    (block.push_transformed(entry, stored), entry.sha256)
                }
                UnitBytes::Segmented(_, manifest) => (block.push_segmented(manifest), manifest.sha256),
            };
            encoded.push(Encoded { unit, entry, sha256, form });
        }
        if recipe.arranged {
            block.arrange();
        }
        let stream = if compressed { Codec::None } else { recipe.stream.clone() };
        Ok((block.finish(&recipe.table, &stream)?, encoded))
    }
}

/// An object in another form, where the tier recodes and that pays; anything else as it is.
pub(crate) fn recoded_unit(class: MediaClass, limits: Option<Limits>, bytes: UnitBytes) -> UnitBytes {
    let (UnitBytes::Object(sha256, object), Some(limits)) = (&bytes, limits) else {
        return bytes;
    };
    let Some(form) = recode::encode(class, object, &limits) else {
        return bytes;
    };
    let entry = ObjectEntry {
        sha256: *sha256,
        bytes: object.len() as u64,
        class: class.code(),
        transform: form.transform,
        params: form.parameters,
        gain: form.gain,
        unknown: Fields::default(),
    };
    UnitBytes::Stored(Box::new(entry), Bytes::from(form.stored))
}

/// Encodes on the background pool.
pub(crate) async fn encode_draft(
    store: Arc<Store>,
    draft: Draft,
    tenant: Uuid,
    recipe: BlockRecipe,
) -> Result<(EncodedFrame, Vec<Encoded>)> {
    store.background.run(move || draft.encode(tenant, &recipe)).await
}
