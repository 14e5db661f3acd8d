//! Which dictionary a class of a tenant is compressed with in the archive tier: its active one; else a new one sampled
//! from what is about to move, if a held-out sample shows that it saves more than it costs; else the built-in one, if
//! that helps; else none.
//!
//! A dictionary's order of effects: sample -> measure -> its pack durable -> registered in the catalog -> used.

use std::sync::Arc;

use crate::catalog::rows::NewDictionary;
use crate::catalog::rows::TenantRow;
use crate::codec::Codec;
use crate::codec::Dictionary;
use crate::codec::DictionaryEncoder;
use crate::codec::DictionaryKind;
use crate::codec::builtin;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::media::MediaClass;
use crate::model::Sha256;
use crate::model::Tier;
use crate::ops::migrate::encode::UnitBytes;
use crate::ops::migrate::encode::read_unit;
use crate::ops::migrate::plan;
use crate::ops::migrate::plan::Cursor;
use crate::ops::migrate::plan::PlannedUnit;
use crate::ops::migrate::plan::Rules;
use crate::ops::read::sha256;
use crate::ops::rewrite::Rewrite;
use crate::pack::DictionaryRecord;
use crate::pack::Fields;
use crate::pack::dictionary_frame;
use crate::report::DictionaryInfo;
use crate::store::Store;
use crate::tier::recipe::ARCHIVE_LEVEL;
use crate::tier::recipe::block_recipe;

/// Largest dictionary. Above it, gains per byte fall quickly (`docs/decisions/`).
const DICTIONARY_BYTES_MAX: u64 = 4 << 20;

/// A dictionary takes one byte for so many bytes of the class it serves.
const BYTES_PER_DICTIONARY_BYTE: u64 = 12;

/// Below this many bytes of a class no dictionary of its own is sampled.
const SAMPLED_BYTES_MIN: u64 = 1 << 20;

/// Bytes taken from one unit at most, so that no single message fills the dictionary.
const UNIT_SAMPLE_BYTES_MAX: usize = 32 << 10;

/// Held-out blocks that decide.
const HELD_OUT_BLOCKS: usize = 4;

/// A dictionary must save this share of what it serves, its own stored bytes counted.
const GAIN_MIN: f64 = 0.01;

/// The dictionary chosen for a class: how to encode with it, and its row (none for the built-in one).
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) codec: Codec,
    pub(super) row: Option<DictionaryKey>,
}

/// The dictionary for units of one class that are about to move to the archive.
pub(super) async fn choose(
    store: &Arc<Store>,
    tenant: &TenantRow,
    class: MediaClass,
    units: &[PlannedUnit],
) -> Result<Option<Chosen>> {
    if !class.is_text() {
        return Ok(None);
    }
    let rows = store.catalog.dictionaries(Some(tenant.key)).await?;
    let mut of_class = rows.into_iter().filter(|row| row.active && row.dictionary.class == class.code());
    if let Some(row) = of_class.next() {
        return match store.dictionary(row.dictionary.id).await {
            Ok(dictionary) => {
                let codec = encoder(store, dictionary).await?;
                Ok(Some(Chosen { codec, row: Some(row.key) }))
            }
            Err(error) if error.kind() == Kind::Corrupt => {
                tracing::error!(%error, class = class.name(), "a dictionary cannot be read; blocks are written without");
                Ok(None)
            }
            Err(error) => Err(error),
        };
    }
    match sample(store, tenant, class, units).await? {
        Some(chosen) => Ok(Some(chosen)),
        None => try_builtin(store, class, units).await,
    }
}

async fn encoder(store: &Store, dictionary: Arc<Dictionary>) -> Result<Codec> {
    let prepare =
        move || Ok(Codec::ZstdDictionary(Arc::new(DictionaryEncoder::new(dictionary, ARCHIVE_LEVEL)?)));
    store.background.run(prepare).await
}

/// Bytes of evenly spaced units: a dictionary's content, and blocks that are not in it.
#[derive(Debug, Default)]
struct Sample {
    dictionary: Vec<u8>,
    sampled: Vec<Sha256>,
    held_out: Vec<Vec<u8>>,
}

fn unit_bytes(bytes: &UnitBytes) -> &[u8] {
    match bytes {
        UnitBytes::Skeleton(_, bytes) | UnitBytes::Object(_, bytes) => bytes,
        UnitBytes::Segmented(..) => &[],
    }
}

/// A unit's bytes; none where it is damaged: its move reports that.
async fn sampled(store: &Store, unit: &PlannedUnit) -> Result<Option<UnitBytes>> {
    match read_unit(store, unit).await {
        Err(error) if error.kind() == Kind::Corrupt => Ok(None),
        read => read.map(Some),
    }
}

impl Sample {
    /// Reads runs of units alternately: one for the held-out blocks, the others spread over all units.
    async fn take(
        store: &Store,
        units: &[PlannedUnit],
        dictionary_bytes: u64,
        block_bytes: usize,
    ) -> Result<Self> {
        let mut sample = Self::default();
        let blocks = (units.len() / 64).clamp(1, HELD_OUT_BLOCKS);
        let mut held = vec![false; units.len()];
        for block in 0..blocks {
            let mut content = Vec::new();
            let start = units.len() * (2 * block + 1) / (2 * blocks);
            for (unit, held) in units.iter().zip(&mut held).skip(start) {
                if content.len() >= block_bytes {
                    break;
                }
                *held = true;
                if let Some(bytes) = sampled(store, unit).await? {
                    content.extend_from_slice(unit_bytes(&bytes));
                }
            }
            sample.held_out.push(content);
        }
        let wanted = usize::try_from(dictionary_bytes).unwrap_or(usize::MAX);
        let total: u64 = units.iter().map(|unit| unit.bytes.min(UNIT_SAMPLE_BYTES_MAX as u64)).sum();
        let (mut passed, mut taken) = (0, 0);
        for (unit, held) in units.iter().zip(held) {
            passed += unit.bytes.min(UNIT_SAMPLE_BYTES_MAX as u64);
            let due = passed.saturating_mul(dictionary_bytes) / total.max(1);
            if held || taken >= due || sample.dictionary.len() >= wanted {
                continue;
            }
            let Some(bytes) = sampled(store, unit).await? else {
                continue;
            };
            let bytes = unit_bytes(&bytes);
            let part = bytes.get(..UNIT_SAMPLE_BYTES_MAX).unwrap_or(bytes);
            sample.sampled.push(sha256(bytes));
            sample.dictionary.extend_from_slice(part);
            taken += part.len() as u64;
        }
        sample.dictionary.truncate(wanted);
        Ok(sample)
    }
}

/// The share that `with` saves on the held-out blocks against the same level without a dictionary.
async fn gain(store: &Store, held_out: Vec<Vec<u8>>, plain: Codec, with: Codec) -> Result<f64> {
    let measure = move || {
        let (mut before, mut after) = (0_usize, 0_usize);
        for block in &held_out {
            before += plain.encode(block)?.len();
            after += with.encode(block)?.len();
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more precision")]
        let saved = 1.0 - after as f64 / before.max(1) as f64;
        Ok(saved)
    };
    store.background.run(measure).await
}

/// Samples a dictionary and keeps it if it pays.
async fn sample(
    store: &Arc<Store>,
    tenant: &TenantRow,
    class: MediaClass,
    units: &[PlannedUnit],
) -> Result<Option<Chosen>> {
    let total: u64 = units.iter().map(|unit| unit.bytes).sum();
    if total < SAMPLED_BYTES_MIN {
        return Ok(None);
    }
    let recipe = block_recipe(Tier::Archive, class);
    let wanted = (total / BYTES_PER_DICTIONARY_BYTE).min(DICTIONARY_BYTES_MAX);
    let sample = Sample::take(store, units, wanted, recipe.block_bytes).await?;
    if sample.dictionary.len() < 8 {
        return Ok(None);
    }
    let created = store.now();
    let id = store.ids.next(created)?;
    let bytes: Arc<[u8]> = Arc::from(sample.dictionary);
    let dictionary = Arc::new(Dictionary::new(id, DictionaryKind::RawContent, Arc::clone(&bytes))?);
    let codec = encoder(store, Arc::clone(&dictionary)).await?;
    let plain = recipe.stream.clone();
    let held_out: usize = sample.held_out.iter().map(Vec::len).sum();
    let stored_plain = {
        let (plain, held_out) = (plain.clone(), sample.held_out.clone());
        let encode =
            move || held_out.iter().map(|block| plain.encode(block).map(|b| b.len())).sum::<Result<usize>>();
        store.background.run(encode).await?
    };
    let gain = gain(store, sample.held_out, plain.clone(), codec.clone()).await?;
    let stored = {
        let bytes = Arc::clone(&bytes);
        store.background.run(move || plain.encode(&bytes).map(|stored| stored.len())).await?
    };
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more precision")]
    let (served, cost) = (total as f64 * stored_plain as f64 / held_out.max(1) as f64, stored as f64);
    let pays = served * gain - cost > served * GAIN_MIN;
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
        created,
        gain,
        sampled: sample.sampled,
        unknown: Fields::default(),
    };
    let row = keep(store, tenant, record, bytes).await?;
    Ok(Some(Chosen { codec, row: Some(row) }))
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
        pack,
        frame: ordinal,
        bytes: length,
        stored_bytes,
        gain: record.gain,
        created: record.created,
    };
    store.catalog.add_dictionary(&new).await
}

/// The built-in dictionary, where it helps this class.
async fn try_builtin(store: &Arc<Store>, class: MediaClass, units: &[PlannedUnit]) -> Result<Option<Chosen>> {
    let Some(dictionary) = builtin::dictionary(builtin::BUILTIN_V1)? else {
        return Ok(None);
    };
    let recipe = block_recipe(Tier::Archive, class);
    let sample = Sample::take(store, units, 0, recipe.block_bytes).await?;
    let codec = encoder(store, dictionary).await?;
    let gain = gain(store, sample.held_out, recipe.stream, codec.clone()).await?;
    Ok((gain > GAIN_MIN).then_some(Chosen { codec, row: None }))
}

/// Samples dictionaries for every text class of a tenant from what is not archived yet; the older ones retire.
pub(crate) async fn train_tenant(store: &Arc<Store>, tenant: &TenantRow) -> Result<Vec<DictionaryInfo>> {
    store.check_writable()?;
    let rules = Rules { policy: store.policy_of(tenant)?, now: store.now(), forced: Some(Tier::Archive) };
    let mut cursor = Some(Cursor::START);
    let mut made = 0_u32;
    while let Some(at) = cursor {
        let (plan, next) = plan::page(store, tenant, &rules, at).await?;
        for ((_, class), units) in plan.groups {
            if class.is_text() && sample(store, tenant, class, &units).await?.is_some() {
                made += 1;
            }
        }
        cursor = next;
    }
    if made == 0 {
        return Err(Error::precondition(
            "No dictionary would save more than it costs: there is too little mail that is not archived yet.",
        ));
    }
    list(store, Some(tenant)).await
}

/// All dictionaries, or a tenant's.
pub(crate) async fn list(store: &Store, tenant: Option<&TenantRow>) -> Result<Vec<DictionaryInfo>> {
    let tenants = store.catalog.tenants().await?;
    let name =
        |key| tenants.iter().find(|row| row.key == key).map_or_else(String::new, |row| row.name.clone());
    let rows = store.catalog.dictionaries(tenant.map(|tenant| tenant.key)).await?;
    Ok(rows
        .into_iter()
        .map(|row| DictionaryInfo {
            id: row.dictionary.id,
            tenant: name(row.dictionary.tenant),
            class: MediaClass::of_code(row.dictionary.class).name().to_owned(),
            origin: if row.dictionary.trained { "trained" } else { "sampled" }.to_owned(),
            bytes: row.dictionary.bytes,
            stored_bytes: row.dictionary.stored_bytes,
            gain: row.dictionary.gain,
            created: row.dictionary.created.0,
            packs: row.packs,
        })
        .collect())
}
