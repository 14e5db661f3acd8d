//! Moving a large object: segment by segment into the new pack, then a block with its manifest.

use crate::codec::Codec;
use crate::codec::probe;
use crate::error::Result;
use crate::ops::migrate::encode::Draft;
use crate::ops::migrate::encode::UnitBytes;
use crate::ops::migrate::pending::Pending;
use crate::ops::migrate::plan::PlannedUnit;
use crate::pack::SegmentRecord;
use crate::pack::SegmentedEntry;
use crate::pack::segment_frame;
use crate::store::Store;
use crate::tier::recipe::BlockRecipe;

/// Writes the object's segments and manifest into the pending pack.
pub(super) async fn move_large(
    store: &Store,
    pending: &mut Pending,
    unit: PlannedUnit,
    (pack, entry): (uuid::Uuid, SegmentedEntry),
    (tenant, recipe): (&crate::catalog::rows::TenantRow, &BlockRecipe),
) -> Result<()> {
    let mut segments = Vec::with_capacity(entry.segments.len());
    for (index, segment) in (0_u32..).zip(&entry.segments) {
        let bytes = store.segment(pack, segment).await?;
        let record = SegmentRecord {
            sha256: segment.sha256,
            bytes: segment.bytes,
            index,
            unknown: crate::pack::Fields::default(),
        };
        let (codec, id) = (recipe.stream.clone(), tenant.id);
        let frame = store
            .background
            .run(move || {
                let codec = if probe(&bytes) { Codec::None } else { codec };
                segment_frame(id, &record, &bytes, &codec)
            })
            .await?;
        segments.push(pending.add_segment(frame, segment.sha256).await?);
    }
    let manifest = SegmentedEntry { segments, ..entry };
    let mut draft = Draft::default();
    draft.push(unit, UnitBytes::Segmented(pack, Box::new(manifest)));
    let (frame, encoded) = draft.encode(tenant.id, recipe)?;
    pending.add_block(tenant.key, frame, encoded).await
}
