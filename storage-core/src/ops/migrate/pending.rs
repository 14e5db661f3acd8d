//! A pack of a migration until it counts: what was written into it, its proof, its commit.

use std::collections::BTreeMap;

use crate::catalog::rows::CopyChange;
use crate::catalog::rows::Location;
use crate::catalog::rows::Place;
use crate::catalog::rows::Relocation;
use crate::codec::CodecId;
use crate::error::Error;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::model::Tier;
use crate::ops::migrate::encode::Encoded;
use crate::ops::migrate::plan::Identity;
use crate::ops::read::StoredObject;
use crate::ops::read::object_in;
use crate::ops::read::sha256;
use crate::ops::read::skeleton_in;
use crate::ops::rewrite::Rewrite;
use crate::ops::rewrite::Rewritten;
use crate::ops::rewrite::discard;
use crate::pack::EncodedFrame;
use crate::pack::SegmentPlace;
use crate::report::MigrateReport;
use crate::report::Move;
use crate::store::Store;

/// Relocations of one catalog transaction.
const COMMIT_UNITS: usize = 2_000;

/// A block of the pack.
#[derive(Debug)]
struct PendingBlock {
    tenant: TenantKey,
    frame: u32,
    stored_bytes: u64,
    units: Vec<Encoded>,
}

/// A pack that is being written.
#[derive(Debug)]
pub(crate) struct Pending {
    rewrite: Rewrite,
    blocks: Vec<PendingBlock>,
    segments: Vec<SegmentPlace>,
    segment_bytes: u64,
    dictionaries: Vec<DictionaryKey>,
}

impl Pending {
    pub(super) async fn begin(store: &Store, tier: Tier) -> Result<Self> {
        let rewrite = Rewrite::begin(store, tier).await?;
        Ok(Self {
            rewrite,
            blocks: Vec::new(),
            segments: Vec::new(),
            segment_bytes: 0,
            dictionaries: Vec::new(),
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.rewrite.bytes()
    }

    pub(super) async fn add_block(
        &mut self,
        tenant: TenantKey,
        frame: EncodedFrame,
        units: Vec<Encoded>,
    ) -> Result<()> {
        let stored_bytes = frame.bytes().len() as u64 + std::mem::take(&mut self.segment_bytes);
        let frame = self.rewrite.add(frame).await?;
        self.blocks.push(PendingBlock { tenant, frame, stored_bytes, units });
        Ok(())
    }

    pub(super) async fn add_segment(&mut self, frame: EncodedFrame, sha256: Sha256) -> Result<SegmentPlace> {
        self.segment_bytes += frame.bytes().len() as u64;
        let bytes = frame.stream_decoded();
        let place = SegmentPlace { ordinal: self.rewrite.add(frame).await?, bytes, sha256 };
        self.segments.push(place);
        Ok(place)
    }

    /// Notes that a block of this pack needs a dictionary.
    pub(super) fn needs(&mut self, dictionary: DictionaryKey) {
        if !self.dictionaries.contains(&dictionary) {
            self.dictionaries.push(dictionary);
        }
    }

    /// Makes the pack durable, proves it, commits the new locations.
    pub(super) async fn finish(self, store: &Store, report: &mut MigrateReport) -> Result<()> {
        let Self { rewrite, blocks, segments, dictionaries, .. } = self;
        let written = rewrite.finish(store).await?;
        if let Err(error) = prove(store, &written, &blocks, &segments).await {
            discard(store, written.name).await;
            return Err(error);
        }
        let pack = written.register(store).await?;
        store.catalog.add_pack_dictionaries(pack, &dictionaries).await?;
        commit(store, (pack, written.pack.tier), blocks, report).await?;
        report.packs += 1;
        Ok(())
    }
}

/// Reads the pack back and compares every hash.
async fn prove(
    store: &Store,
    written: &Rewritten,
    blocks: &[PendingBlock],
    segments: &[SegmentPlace],
) -> Result<()> {
    for place in segments {
        drop(store.segment(written.name, place).await?);
    }
    for block in blocks {
        let decoded = store.block_once(written.name, block.frame).await?;
        for unit in &block.units {
            let location = Location {
                place: Place { pack: PackKey(0), frame: block.frame, entry: unit.entry },
                pack: written.name,
                tier: written.pack.tier,
            };
            let proved = match unit.unit.identity {
                Identity::Skeleton(id) => sha256(&skeleton_in(&decoded, &location, id)?) == unit.sha256,
                Identity::Object(expected) => match object_in(&decoded, &location, expected)? {
                    StoredObject::Whole(_) | StoredObject::Segmented(..) => true,
                },
            };
            if !proved {
                return Err(Error::corrupt(
                    "A block did not read back as it was written. Nothing was moved.",
                ));
            }
        }
    }
    Ok(())
}

/// Commits the new locations, tenant by tenant.
async fn commit(
    store: &Store,
    (pack, tier): (PackKey, Tier),
    blocks: Vec<PendingBlock>,
    report: &mut MigrateReport,
) -> Result<()> {
    let day = store.now().day();
    let mut moves: BTreeMap<TenantKey, Vec<Relocation>> = BTreeMap::new();
    let mut copies: BTreeMap<TenantKey, Vec<CopyChange>> = BTreeMap::new();
    for block in blocks {
        count(report, &block, tier);
        for encoded in block.units {
            let to = Place { pack, frame: block.frame, entry: encoded.entry };
            let unit = encoded.unit;
            if unit.copy {
                let change = CopyChange { unit: unit.key, bytes: unit.bytes, copy: Some(to), tier };
                copies.entry(block.tenant).or_default().push(change);
            } else {
                moves.entry(block.tenant).or_default().push(Relocation {
                    unit: unit.key,
                    bytes: unit.bytes,
                    from: unit.from.place,
                    from_tier: unit.from.tier,
                    to,
                    to_tier: tier,
                });
            }
        }
    }
    for (tenant, moves) in moves {
        for chunk in moves.chunks(COMMIT_UNITS) {
            let done = store.catalog.relocate(tenant, chunk, day).await?;
            report.overtaken += (chunk.len() as u64).saturating_sub(done);
        }
    }
    for (tenant, changes) in copies {
        for chunk in changes.chunks(COMMIT_UNITS) {
            let _ = store.catalog.change_copies(tenant, chunk, day).await?;
        }
    }
    Ok(())
}

/// Adds a block to the report. Its stored bytes are shared out among the tiers its units came from, by decoded bytes.
fn count(report: &mut MigrateReport, block: &PendingBlock, to: Tier) {
    let total: u64 = block.units.iter().map(|unit| unit.unit.bytes).sum();
    let mut left = block.stored_bytes;
    for (index, encoded) in block.units.iter().enumerate() {
        let share = if index + 1 == block.units.len() {
            left
        } else {
            block.stored_bytes.saturating_mul(encoded.unit.bytes) / total.max(1)
        };
        left = left.saturating_sub(share);
        add_move(report, &encoded.unit, to, share);
    }
}

/// Adds one unit to a report.
pub(super) fn add_move(
    report: &mut MigrateReport,
    unit: &crate::ops::migrate::plan::PlannedUnit,
    to: Tier,
    stored_bytes: u64,
) {
    let name = format!("{} -> {}", unit.from.tier.name(), to.name());
    let moves = if unit.copy { &mut report.copies } else { &mut report.moves };
    let sum: &mut Move = moves.entry(name).or_default();
    sum.objects += 1;
    sum.decoded_bytes += unit.bytes;
    sum.stored_bytes += stored_bytes;
}

/// The codec of blocks that need a dictionary.
pub(super) fn needs_dictionary(frame: &EncodedFrame) -> bool {
    frame.stream_codec() == CodecId::ZSTD_DICTIONARY
}
