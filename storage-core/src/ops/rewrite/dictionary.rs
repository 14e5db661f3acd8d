//! Which dictionary a class of a tenant is compressed with in the archive tier: its active one; else a new one sampled
//! from what is about to move, if a held-out sample shows that it saves more than it costs; else the built-in one, if
//! that helps; else none.
//!
//! A dictionary's order of effects: sample -> measure -> its pack durable -> registered in the catalog -> used.

use std::sync::Arc;

use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::NewDictionary;
use crate::catalog::rows::TenantRow;
use crate::codec::Codec;
use crate::codec::Dictionary;
use crate::codec::DictionaryEncoder;
use crate::codec::DictionaryKind;
use crate::codec::builtin;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::rewrite::pack::Rewrite;
use crate::ops::rewrite::sample::Sample;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::pack::DictionaryRecord;
use crate::pack::Fields;
use crate::pack::dictionary_frame;
use crate::store::Store;
use crate::tier::recipe::ARCHIVE_LEVEL;
use crate::tier::recipe::block_recipe;

/// Largest dictionary. Above it, gains per byte fall quickly (`docs/decisions/`).
pub(crate) const DICTIONARY_BYTES_MAX: u64 = 8 << 20;

/// A dictionary takes one byte for so many bytes of the class it serves.
pub(crate) const BYTES_PER_DICTIONARY_BYTE: u64 = 6;

/// Below this many bytes of a class no dictionary of its own is sampled.
pub(crate) const SAMPLED_BYTES_MIN: u64 = 1 << 20;

/// A dictionary must save this share of what it serves, its own stored bytes counted.
const GAIN_MIN: f64 = 0.01;

/// How many bytes a dictionary of a class takes that has so many bytes.
pub(crate) fn wanted_bytes(served: u64) -> u64 {
    (served / BYTES_PER_DICTIONARY_BYTE).min(DICTIONARY_BYTES_MAX)
}

/// The active dictionary of a tenant's class.
pub(crate) async fn active(
    store: &Store,
    tenant: &TenantRow,
    class: MediaClass,
) -> Result<Option<DictionaryRow>> {
    let rows = store.catalog.dictionaries(Some(tenant.key)).await?;
    Ok(rows.into_iter().find(|row| row.active && row.dictionary.class == class.code()))
}

/// The codec with a registered dictionary; none where the dictionary cannot be read.
pub(crate) async fn codec_of(store: &Store, row: &DictionaryRow) -> Result<Option<Codec>> {
    match store.dictionary(row.dictionary.id).await {
        Ok(dictionary) => encoder(store, dictionary).await.map(Some),
        Err(error) if error.kind() == Kind::Corrupt => {
            let class = MediaClass::of_code(row.dictionary.class).name();
            tracing::error!(%error, class, "a dictionary cannot be read; blocks are written without");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The codec with the dictionary for units of one class that are about to move to the archive.
pub(crate) async fn choose(
    store: &Arc<Store>,
    tenant: &TenantRow,
    class: MediaClass,
    units: &[PlannedUnit],
) -> Result<Option<Codec>> {
    if !class.is_text() {
        return Ok(None);
    }
    if let Some(row) = active(store, tenant, class).await? {
        return codec_of(store, &row).await;
    }
    let served = units.iter().map(|unit| unit.bytes).sum();
    let trial = Trial { tenant, class, units, served, replaced: None };
    match sample(store, trial).await? {
        Some(codec) => Ok(Some(codec)),
        None => try_builtin(store, class, units).await,
    }
}

async fn encoder(store: &Store, dictionary: Arc<Dictionary>) -> Result<Codec> {
    let prepare =
        move || Ok(Codec::ZstdDictionary(Arc::new(DictionaryEncoder::new(dictionary, ARCHIVE_LEVEL)?)));
    store.background.run(prepare).await
}

/// A dictionary to try.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    pub(crate) tenant: &'a TenantRow,
    pub(crate) class: MediaClass,
    /// What it is sampled from.
    pub(crate) units: &'a [PlannedUnit],
    /// Decoded bytes it would serve.
    pub(crate) served: u64,
    /// What they are encoded with now, and the stored bytes of the dictionary that goes. None means no dictionary.
    pub(crate) replaced: Option<(Codec, u64)>,
}

/// What the held-out blocks came to, summed up.
#[derive(Debug, Clone, Copy)]
struct Measured {
    decoded: usize,
    /// Without a dictionary.
    plain: usize,
    /// As they are encoded now, or without a dictionary where that is less.
    before: usize,
    after: usize,
    /// The dictionary itself.
    dictionary: usize,
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more precision")]
impl Measured {
    /// The share that the dictionary saves against the same level without one.
    fn gain(&self) -> f64 {
        1.0 - self.after as f64 / self.plain.max(1) as f64
    }

    /// Whether it saves more of `served` bytes than it costs.
    fn pays(&self, served: u64, given_back: u64) -> bool {
        let stored = |bytes: usize| served as f64 * bytes as f64 / self.decoded.max(1) as f64;
        let (before, after) = (stored(self.before), stored(self.after));
        let cost = self.dictionary as f64 - given_back as f64;
        before - after - cost > before * GAIN_MIN
    }
}

async fn measure(
    store: &Store,
    held_out: Vec<Vec<u8>>,
    codecs: [Codec; 3],
    bytes: Arc<[u8]>,
) -> Result<Measured> {
    let work = move || {
        let [plain, before, after] = &codecs;
        let sum = |codec: &Codec| {
            held_out.iter().map(|block| codec.encode(block).map(|stored| stored.len())).sum::<Result<usize>>()
        };
        let without = sum(plain)?;
        Ok(Measured {
            decoded: held_out.iter().map(Vec::len).sum(),
            plain: without,
            before: if before.id() == plain.id() { without } else { without.min(sum(before)?) },
            after: sum(after)?,
            dictionary: plain.encode(&bytes)?.len(),
        })
    };
    store.background.run(work).await
}

/// Samples a dictionary and keeps it if it pays; the codec with it.
pub(crate) async fn sample(store: &Arc<Store>, trial: Trial<'_>) -> Result<Option<Codec>> {
    let Trial { tenant, class, units, served, replaced } = trial;
    if served < SAMPLED_BYTES_MIN {
        return Ok(None);
    }
    let recipe = block_recipe(Tier::Archive, class);
    let sample = Sample::take(store, units, wanted_bytes(served), &recipe).await?;
    if sample.dictionary.len() < 8 {
        return Ok(None);
    }
    let created = store.now();
    let id = store.ids.next(created)?;
    let bytes: Arc<[u8]> = Arc::from(sample.dictionary);
    let dictionary = Arc::new(Dictionary::new(id, DictionaryKind::RawContent, Arc::clone(&bytes))?);
    let codec = encoder(store, dictionary).await?;
    let plain = recipe.stream;
    let (before, given_back) = replaced.unwrap_or_else(|| (plain.clone(), 0));
    let codecs = [plain, before, codec.clone()];
    let measured = measure(store, sample.held_out, codecs, Arc::clone(&bytes)).await?;
    let (gain, pays) = (measured.gain(), measured.pays(served, given_back));
    tracing::info!(
        tenant = tenant.name,
        class = class.name(),
        gain,
        bytes = bytes.len(),
        pays,
        "a dictionary was sampled"
    );
    if !pays {
        return Ok(None);
    }
    let record = DictionaryRecord {
        id,
        class: class.code(),
        kind: DictionaryKind::RawContent,
        version: next_version(store, tenant, class).await?,
        created,
        gain,
        sampled: sample.sampled,
        unknown: Fields::default(),
    };
    let _ = keep(store, tenant, record, bytes).await?;
    Ok(Some(codec))
}

/// The number of a tenant's next dictionary of a class.
async fn next_version(store: &Store, tenant: &TenantRow, class: MediaClass) -> Result<u32> {
    let rows = store.catalog.dictionaries(Some(tenant.key)).await?;
    let of_class = rows.iter().filter(|row| row.dictionary.class == class.code());
    Ok(of_class.map(|row| row.dictionary.version).max().unwrap_or(0).saturating_add(1))
}

/// The share that a dictionary saves on some units, by blocks of them; none where there is nothing to try it on.
pub(crate) async fn gain_on(
    store: &Arc<Store>,
    class: MediaClass,
    codec: Codec,
    units: &[PlannedUnit],
) -> Result<Option<f64>> {
    let recipe = block_recipe(Tier::Archive, class);
    let sample = Sample::take(store, units, 0, &recipe).await?;
    let plain = recipe.stream;
    let measured = measure(store, sample.held_out, [plain.clone(), plain, codec], Arc::from([])).await?;
    Ok((measured.decoded > 0).then(|| measured.gain()))
}

/// Makes a dictionary durable in a pack of its own and registers it.
async fn keep(
    store: &Arc<Store>,
    tenant: &TenantRow,
    record: DictionaryRecord,
    bytes: Arc<[u8]>,
) -> Result<DictionaryKey> {
    let recipe = block_recipe(Tier::Archive, MediaClass::of_code(record.class));
    let tenant_id = tenant.id;
    let (to_encode, length) = (record.clone(), bytes.len() as u64);
    let frame =
        store.background.run(move || dictionary_frame(tenant_id, &to_encode, &bytes, &recipe.stream)).await?;
    let stored_bytes = frame.bytes().len() as u64;
    let mut rewrite = Rewrite::begin(store, Tier::Archive).await?;
    let ordinal = rewrite.add(frame).await?;
    let written = rewrite.finish(store).await?;
    let pack = written.register(store).await?;
    let new = NewDictionary {
        tenant: tenant.key,
        id: record.id,
        class: record.class,
        trained: record.kind == DictionaryKind::Trained,
        version: record.version,
        pack,
        frame: ordinal,
        bytes: length,
        stored_bytes,
        gain: record.gain,
        created: record.created,
    };
    store.catalog.add_dictionary(&new).await
}

/// The codec with the built-in dictionary.
pub(crate) async fn builtin_codec(store: &Store) -> Result<Option<Codec>> {
    match builtin::dictionary(builtin::BUILTIN_V1)? {
        Some(dictionary) => encoder(store, dictionary).await.map(Some),
        None => Ok(None),
    }
}

/// The built-in dictionary, where it helps this class.
pub(crate) async fn try_builtin(
    store: &Arc<Store>,
    class: MediaClass,
    units: &[PlannedUnit],
) -> Result<Option<Codec>> {
    let Some(codec) = builtin_codec(store).await? else {
        return Ok(None);
    };
    let recipe = block_recipe(Tier::Archive, class);
    let sample = Sample::take(store, units, 0, &recipe).await?;
    let plain = recipe.stream;
    let codecs = [plain.clone(), plain, codec.clone()];
    let measured = measure(store, sample.held_out, codecs, Arc::from([])).await?;
    Ok((measured.gain() > GAIN_MIN).then_some(codec))
}
