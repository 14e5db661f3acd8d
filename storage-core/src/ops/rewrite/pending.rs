//! A pack that is being rewritten, until it counts: what was written into it, its proof, its commit.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::caches::Block;
use crate::catalog::rows::CopyChange;
use crate::catalog::rows::DictionaryMove;
use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::Location;
use crate::catalog::rows::Place;
use crate::catalog::rows::Relocation;
use crate::codec::builtin;
use crate::error::Error;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::model::Tier;
use crate::ops::read::StoredObject;
use crate::ops::read::object_in;
use crate::ops::read::sha256;
use crate::ops::read::skeleton_in;
use crate::ops::read::transform_in;
use crate::ops::rewrite::encode::Encoded;
use crate::ops::rewrite::pack::Rewrite;
use crate::ops::rewrite::pack::Rewritten;
use crate::ops::rewrite::pack::discard;
use crate::ops::rewrite::unit::Change;
use crate::ops::rewrite::unit::Identity;
use crate::ops::rewrite::unit::Tally;
use crate::pack::EncodedFrame;
use crate::pack::SegmentPlace;
use crate::pack::TransformId;
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

/// A dictionary that moves into the pack.
#[derive(Debug)]
struct PendingDictionary {
    row: DictionaryRow,
    frame: u32,
    sha256: Sha256,
}

/// A pack that is being written.
#[derive(Debug)]
pub(crate) struct Pending {
    rewrite: Rewrite,
    blocks: Vec<PendingBlock>,
    segments: Vec<SegmentPlace>,
    segment_bytes: u64,
    dictionaries: Vec<PendingDictionary>,
    /// The dictionaries that its frames need.
    needed: BTreeSet<Uuid>,
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
            needed: BTreeSet::new(),
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.rewrite.bytes()
    }

    async fn add(&mut self, frame: EncodedFrame) -> Result<u32> {
        self.needed.extend(frame.dictionary());
        self.rewrite.add(frame).await
    }

    pub(super) async fn add_block(
        &mut self,
        tenant: TenantKey,
        frame: EncodedFrame,
        units: Vec<Encoded>,
    ) -> Result<()> {
        let stored_bytes = frame.bytes().len() as u64 + std::mem::take(&mut self.segment_bytes);
        let frame = self.add(frame).await?;
        self.blocks.push(PendingBlock { tenant, frame, stored_bytes, units });
        Ok(())
    }

    /// Adds the frame of a segment of `bytes` bytes, which its stream holds or stands for.
    pub(super) async fn add_segment(
        &mut self,
        frame: EncodedFrame,
        sha256: Sha256,
        bytes: u32,
    ) -> Result<SegmentPlace> {
        self.segment_bytes += frame.bytes().len() as u64;
        let place = SegmentPlace { ordinal: self.add(frame).await?, bytes, sha256 };
        self.segments.push(place);
        Ok(place)
    }

    /// Adds a dictionary's frame as it is stored; `bytes` is what it decodes to.
    pub(super) async fn add_dictionary(
        &mut self,
        row: DictionaryRow,
        frame: EncodedFrame,
        bytes: &Bytes,
    ) -> Result<()> {
        let frame = self.add(frame).await?;
        self.dictionaries.push(PendingDictionary { row, frame, sha256: sha256(bytes) });
        Ok(())
    }

    /// Makes the pack durable, proves it, commits the new locations.
    pub(super) async fn finish(self, store: &Store, tally: &mut (impl Tally + Send)) -> Result<()> {
        let Self { rewrite, blocks, segments, dictionaries, needed, .. } = self;
        let written = rewrite.finish(store).await?;
        let proved = async {
            prove(store, &written, &blocks, &segments).await?;
            prove_dictionaries(store, &written, &dictionaries).await?;
            rows_of(store, needed).await
        };
        let needed = match proved.await {
            Ok(needed) => needed,
            Err(error) => {
                discard(store, written.name).await;
                return Err(error);
            }
        };
        let pack = written.register(store).await?;
        store.catalog.add_pack_dictionaries(pack, &needed).await?;
        commit(store, (pack, written.pack.tier), blocks, tally).await?;
        commit_dictionaries(store, pack, &dictionaries).await?;
        tally.pack();
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
        let decoded = Arc::new(store.block_once(written.name, block.frame).await?);
        let (pack, frame, tier) = (written.name, block.frame, written.pack.tier);
        let location = move |entry| Location { place: Place { pack: PackKey(0), frame, entry }, pack, tier };
        let is_delta = |unit: &&Encoded| {
            transform_in(&decoded, &location(unit.entry)).is_ok_and(|form| form == TransformId::DELTA)
        };
        let (deltas, units): (Vec<&Encoded>, Vec<&Encoded>) = block.units.iter().partition(is_delta);
        for unit in deltas {
            let at = location(unit.entry);
            let base = store.base_in(&decoded, &at).await?;
            let (decoded, unit) = (Arc::clone(&decoded), unit.clone());
            let prove = move || prove_unit(&decoded, (&at, base.as_deref()), &unit);
            store.background.run(prove).await?;
        }
        let units: Vec<Encoded> = units.into_iter().cloned().collect();
        // Recoded objects take their time, which is nobody else's.
        let prove = move || {
            units.iter().try_for_each(|unit| prove_unit(&decoded, (&location(unit.entry), None), unit))
        };
        store.background.run(prove).await?;
    }
    Ok(())
}

fn prove_unit(decoded: &Block, (location, base): (&Location, Option<&[u8]>), unit: &Encoded) -> Result<()> {
    let proved = match unit.unit.identity {
        Identity::Skeleton(id) => sha256(&skeleton_in(decoded, location, id)?) == unit.sha256,
        Identity::Object(expected) => match object_in(decoded, location, expected, base)? {
            StoredObject::Whole(_) | StoredObject::Segmented(..) => true,
        },
    };
    if proved { Ok(()) } else { Err(unproved()) }
}

async fn prove_dictionaries(
    store: &Store,
    written: &Rewritten,
    dictionaries: &[PendingDictionary],
) -> Result<()> {
    for dictionary in dictionaries {
        let frame = store.frame(written.name, dictionary.frame).await?;
        let same = frame.head().dictionary()?.id == dictionary.row.dictionary.id
            && sha256(&frame.stream(None)?) == dictionary.sha256;
        if !same {
            return Err(unproved());
        }
    }
    Ok(())
}

fn unproved() -> Error {
    Error::corrupt("A pack did not read back as it was written. Nothing was moved.")
}

/// The rows of the dictionaries that a pack needs. The built-in one has none.
async fn rows_of(store: &Store, mut needed: BTreeSet<Uuid>) -> Result<Vec<DictionaryKey>> {
    let _ = needed.remove(&builtin::BUILTIN_V1);
    if needed.is_empty() {
        return Ok(Vec::new());
    }
    let rows = store.catalog.dictionaries(None).await?;
    let keys: Vec<_> =
        rows.iter().filter(|row| needed.contains(&row.dictionary.id)).map(|row| row.key).collect();
    if keys.len() == needed.len() {
        return Ok(keys);
    }
    Err(Error::internal("A pack was written with a dictionary that the catalog does not know."))
}

/// Commits the new locations, tenant by tenant.
async fn commit(
    store: &Store,
    (pack, tier): (PackKey, Tier),
    blocks: Vec<PendingBlock>,
    tally: &mut (impl Tally + Send),
) -> Result<()> {
    let day = store.now().day();
    let mut moves: BTreeMap<TenantKey, Vec<Relocation>> = BTreeMap::new();
    let mut copies: BTreeMap<TenantKey, Vec<CopyChange>> = BTreeMap::new();
    for block in blocks {
        tally.block(&mut block.units.iter().map(|encoded| &encoded.unit), block.stored_bytes);
        for encoded in block.units {
            let to = Place { pack, frame: block.frame, entry: encoded.entry };
            let unit = encoded.unit;
            if unit.change == Change::AddCopy {
                let change = CopyChange { unit: unit.key, bytes: unit.bytes, copy: Some(to), tier };
                copies.entry(block.tenant).or_default().push(change);
            } else {
                moves.entry(block.tenant).or_default().push(Relocation {
                    unit: unit.key,
                    copy: unit.change == Change::MoveCopy,
                    bytes: unit.bytes,
                    from: unit.from.place,
                    from_tier: unit.from.tier,
                    to,
                    to_tier: tier,
                    form: encoded.form,
                });
            }
        }
    }
    for (tenant, moves) in moves {
        for chunk in moves.chunks(COMMIT_UNITS) {
            let done = store.catalog.relocate(tenant, chunk, day).await?;
            tally.overtaken((chunk.len() as u64).saturating_sub(done));
        }
    }
    for (tenant, changes) in copies {
        for chunk in changes.chunks(COMMIT_UNITS) {
            let _ = store.catalog.change_copies(tenant, chunk, day).await?;
        }
    }
    Ok(())
}

/// Commits the new places of dictionaries. One that moved or went meanwhile stays as it is.
async fn commit_dictionaries(store: &Store, pack: PackKey, dictionaries: &[PendingDictionary]) -> Result<()> {
    for moved in dictionaries {
        let dictionary = &moved.row.dictionary;
        let change = DictionaryMove {
            dictionary: moved.row.key,
            from: (dictionary.pack, dictionary.frame),
            to: (pack, moved.frame),
        };
        let _ = store.catalog.move_dictionary(&change).await?;
    }
    Ok(())
}
