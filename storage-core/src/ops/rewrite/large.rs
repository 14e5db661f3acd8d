//! Moving a large object: segment by segment into the new pack, then a block with its manifest.

use uuid::Uuid;

use crate::catalog::rows::TenantRow;
use crate::codec::Codec;
use crate::codec::probe;
use crate::error::Result;
use crate::ops::rewrite::encode::Draft;
use crate::ops::rewrite::encode::UnitBytes;
use crate::ops::rewrite::pending::Pending;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::pack::EncodedFrame;
use crate::pack::Fields;
use crate::pack::SegmentPlace;
use crate::pack::SegmentRecord;
use crate::pack::SegmentedEntry;
use crate::pack::segment_frame;
use crate::store::Store;
use crate::tier::recipe::BlockRecipe;

/// Where a large object is, and how it is written.
#[derive(Debug)]
pub(crate) struct LargeMove<'a> {
    pub(crate) tenant: &'a TenantRow,
    pub(crate) recipe: &'a BlockRecipe,
    /// The pack its segments are in.
    pub(crate) pack: Uuid,
    pub(crate) entry: SegmentedEntry,
    /// Its segments are written as they are stored: it stays in its tier.
    pub(crate) as_stored: bool,
}

/// Writes the object's segments and manifest into the pending pack.
pub(super) async fn move_large(
    store: &Store,
    pending: &mut Pending,
    unit: PlannedUnit,
    large: LargeMove<'_>,
) -> Result<()> {
    let mut segments = Vec::with_capacity(large.entry.segments.len());
    for (index, segment) in (0_u32..).zip(&large.entry.segments) {
        let frame = if large.as_stored {
            drop(store.segment(large.pack, segment).await?);
            EncodedFrame::of(&store.frame(large.pack, segment.ordinal).await?)
        } else {
            encode_segment(store, &large, index, segment).await?
        };
        segments.push(pending.add_segment(frame, segment.sha256).await?);
    }
    let (tenant, recipe) = (large.tenant, large.recipe);
    let manifest = SegmentedEntry { segments, ..large.entry };
    let mut draft = Draft::default();
    draft.push(unit, UnitBytes::Segmented(large.pack, Box::new(manifest)));
    let (frame, encoded) = draft.encode(tenant.id, recipe)?;
    pending.add_block(tenant.key, frame, encoded).await
}

async fn encode_segment(
    store: &Store,
    large: &LargeMove<'_>,
    index: u32,
    segment: &SegmentPlace,
) -> Result<EncodedFrame> {
    let bytes = store.segment(large.pack, segment).await?;
    let record =
        SegmentRecord { sha256: segment.sha256, bytes: segment.bytes, index, unknown: Fields::default() };
    let (codec, id) = (large.recipe.stream.clone(), large.tenant.id);
    let encode = move || {
        let codec = if probe(&bytes) { Codec::None } else { codec };
        segment_frame(id, &record, &bytes, &codec)
    };
    store.background.run(encode).await
}
