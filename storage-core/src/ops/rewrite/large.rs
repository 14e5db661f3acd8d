//! Moving a large object: segment by segment into the new pack, then a block with its manifest. On its way to a tier
//! that recodes, an object that fits into memory is cut anew between its compressed streams, and each segment is recoded
//! by itself: reading a range still takes no more than the segments it touches.

use bytes::Bytes;
use uuid::Uuid;

use crate::catalog::rows::TenantRow;
use crate::codec::Codec;
use crate::codec::probe;
use crate::error::Error;
use crate::error::Result;
use crate::media::MediaClass;
use crate::model::Sha256;
use crate::ops::read::sha256;
use crate::ops::rewrite::encode::Draft;
use crate::ops::rewrite::encode::UnitBytes;
use crate::ops::rewrite::pending::Pending;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::pack::EncodedFrame;
use crate::pack::Fields;
use crate::pack::SegmentForm;
use crate::pack::SegmentPlace;
use crate::pack::SegmentRecord;
use crate::pack::SegmentedEntry;
use crate::pack::recoded_segment_frame;
use crate::pack::segment_frame;
use crate::recode;
use crate::recode::Limits;
use crate::store::Store;
use crate::tier::recipe::BlockRecipe;

/// Bytes of a segment at most.
const SEGMENT_BYTES_MAX: usize = 1 << 20;

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
    let LargeMove { tenant, recipe, pack, entry, as_stored } = large;
    let cutter = Cutter { store, tenant: tenant.id, class: unit.class, recipe };
    let fits = usize::try_from(entry.bytes).is_ok_and(|bytes| bytes <= recode::OBJECT_BYTES_MAX);
    let segments = match recipe.recode_level {
        _ if as_stored => copied(store, pending, (pack, &entry)).await?,
        Some(level) if fits && recode::applies(unit.class) => {
            cutter.recoded(pending, (pack, &entry), level).await?
        }
        _ => cutter.as_they_are(pending, (pack, &entry)).await?,
    };
    let manifest = SegmentedEntry { segments, ..entry };
    let mut draft = Draft::default();
    draft.push(unit, UnitBytes::Segmented(pack, Box::new(manifest)));
    let (frame, encoded) = draft.encode(tenant.id, recipe)?;
    pending.add_block(tenant.key, frame, encoded).await
}

/// Writes the frames of the segments as they are stored.
async fn copied(
    store: &Store,
    pending: &mut Pending,
    (pack, entry): (Uuid, &SegmentedEntry),
) -> Result<Vec<SegmentPlace>> {
    let mut places = Vec::with_capacity(entry.segments.len());
    for segment in &entry.segments {
        drop(store.segment(pack, segment).await?);
        let frame = EncodedFrame::of(&store.frame(pack, segment.ordinal).await?);
        places.push(pending.add_segment(frame, segment.sha256, segment.bytes).await?);
    }
    Ok(places)
}

/// How the segments of an object are written.
struct Cutter<'a> {
    store: &'a Store,
    tenant: Uuid,
    class: MediaClass,
    recipe: &'a BlockRecipe,
}

impl Cutter<'_> {
    async fn as_they_are(
        &self,
        pending: &mut Pending,
        (pack, entry): (Uuid, &SegmentedEntry),
    ) -> Result<Vec<SegmentPlace>> {
        let mut places = Vec::with_capacity(entry.segments.len());
        for (index, segment) in (0_u32..).zip(&entry.segments) {
            let bytes = self.store.segment(pack, segment).await?;
            places.push(self.write(pending, (index, segment.sha256, bytes), None).await?.0);
        }
        Ok(places)
    }

    async fn recoded(
        &self,
        pending: &mut Pending,
        (pack, entry): (Uuid, &SegmentedEntry),
        level: i32,
    ) -> Result<Vec<SegmentPlace>> {
        let mut object = Vec::new();
        for segment in &entry.segments {
            object.extend_from_slice(&self.store.segment(pack, segment).await?);
        }
        if sha256(&object) != entry.sha256 {
            return Err(Error::corrupt("The segments of an object do not make it. Restore from a backup."));
        }
        let object = Bytes::from(object);
        let whole = object.clone();
        let lengths = self.store.background.run(move || Ok(recode::cuts(&whole, SEGMENT_BYTES_MAX))).await?;
        let limits = Limits::at_level(level);
        let mut nanos_left = recode::pieces_nanos_max(object.len());
        let (mut places, mut rest) = (Vec::with_capacity(lengths.len()), object);
        for (index, length) in (0_u32..).zip(lengths) {
            let piece = rest.split_to(length);
            let hash = sha256(&piece);
            let limits = limits.of_piece(nanos_left);
            let (place, nanos) = self.write(pending, (index, hash, piece), Some(limits)).await?;
            nanos_left = nanos_left.saturating_sub(nanos);
            places.push(place);
        }
        Ok(places)
    }

    /// Writes one segment, recoded where that pays. With its place: how long making it again takes.
    async fn write(
        &self,
        pending: &mut Pending,
        (index, hash, bytes): (u32, Sha256, Bytes),
        limits: Option<Limits>,
    ) -> Result<(SegmentPlace, u64)> {
        let (codec, tenant, class) = (self.recipe.stream.clone(), self.tenant, self.class);
        let length = u32::try_from(bytes.len()).map_err(|_| Error::internal("a segment is over 4 GiB"))?;
        let work = move || encode_segment((tenant, &codec), (index, hash, &bytes), (class, limits));
        let (frame, nanos) = self.store.background.run(work).await?;
        Ok((pending.add_segment(frame, hash, length).await?, nanos))
    }
}

/// The frame of a segment, and how long making it again takes.
fn encode_segment(
    (tenant, codec): (Uuid, &Codec),
    (index, hash, bytes): (u32, Sha256, &Bytes),
    (class, limits): (MediaClass, Option<Limits>),
) -> Result<(EncodedFrame, u64)> {
    let length =
        |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| Error::internal("a segment is over 4 GiB"));
    let codec_for = |stored: &[u8]| if probe(stored) { Codec::None } else { codec.clone() };
    let recoded = limits.and_then(|limits| recode::encode(class, bytes, &limits));
    let Some(recoded) = recoded else {
        let record = SegmentRecord { sha256: hash, bytes: length(bytes)?, index, unknown: Fields::default() };
        return Ok((segment_frame(tenant, &record, bytes, &codec_for(bytes))?, 0));
    };
    let form = SegmentForm {
        transform: recoded.transform,
        bytes: length(bytes)?,
        gain: recoded.gain,
        params: recoded.parameters,
    };
    let stored = recoded.stored;
    let record =
        SegmentRecord { sha256: sha256(&stored), bytes: length(&stored)?, index, unknown: Fields::default() };
    let frame = recoded_segment_frame(tenant, &record, &form, &stored, &codec_for(&stored))?;
    Ok((frame, recoded.nanos))
}
