//! Dictionaries on request, and the list of them. Order of effects as in `ops/rewrite/dictionary.rs`.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::TenantRow;
use crate::codec::builtin;
use crate::error::Error;
use crate::error::Result;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::migrate::plan;
use crate::ops::migrate::plan::Cursor;
use crate::ops::migrate::plan::Rules;
use crate::ops::rewrite::dictionary::Trial;
use crate::ops::rewrite::dictionary::sample;
use crate::ops::survey::is_unreadable;
use crate::pack::IndexEntry;
use crate::report::DictionaryInfo;
use crate::store::Store;

/// Samples dictionaries for every text class of a tenant from what is not archived yet; the older ones retire.
pub(crate) async fn train_tenant(store: &Arc<Store>, tenant: &TenantRow) -> Result<Vec<DictionaryInfo>> {
    store.check_writable()?;
    let policy = store.policy_of(tenant)?;
    let rules = Rules { policy, now: store.now(), forced: Some(Tier::Archive), wait: false };
    let mut cursor = Some(Cursor::START);
    let mut made = 0_u32;
    while let Some(at) = cursor {
        let (plan, next) = plan::page(store, tenant, &rules, at).await?;
        for ((_, class), units) in plan.groups {
            let served = units.iter().map(|unit| unit.bytes).sum();
            let trial = Trial { tenant, class, units: &units, served, replaced: None };
            if class.is_text() && sample(store, trial).await?.is_some() {
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
    let served = served(store, tenant.map(|tenant| tenant.key)).await?;
    let served = |id| served.get(&id).copied().unwrap_or_default();
    let mut list = Vec::new();
    for row in store.catalog.dictionaries(tenant.map(|tenant| tenant.key)).await? {
        let samples = samples(store, &row).await?;
        let state = match samples {
            None => "damaged",
            Some(_) if row.active => "active",
            Some(_) => "retired",
        };
        list.push(DictionaryInfo {
            id: row.dictionary.id,
            tenant: name(row.dictionary.tenant),
            class: MediaClass::of_code(row.dictionary.class).name().to_owned(),
            origin: if row.dictionary.trained { "trained" } else { "sampled" }.to_owned(),
            version: row.dictionary.version,
            state: state.to_owned(),
            samples: samples.unwrap_or(0),
            served_bytes: served(row.dictionary.id).bytes,
            bytes: row.dictionary.bytes,
            stored_bytes: row.dictionary.stored_bytes,
            gain: row.dictionary.gain,
            created: row.dictionary.created.0,
            packs: row.packs,
        });
    }
    Ok(list)
}

/// What needs a dictionary.
#[derive(Debug, Clone, Copy, Default)]
struct Served {
    bytes: u64,
    packs: u64,
}

/// The built-in dictionary, and what of all tenants or one needs it.
pub(crate) async fn built_in(store: &Store, tenant: Option<&TenantRow>) -> Result<Option<DictionaryInfo>> {
    let served = served(store, tenant.map(|tenant| tenant.key)).await?;
    let served = served.get(&builtin::BUILTIN_V1).copied().unwrap_or_default();
    let dictionary = builtin::dictionary(builtin::BUILTIN_V1)?;
    Ok(dictionary.map(|dictionary| DictionaryInfo {
        id: builtin::BUILTIN_V1,
        tenant: String::new(),
        class: "all text".to_owned(),
        origin: "built in".to_owned(),
        version: 1,
        state: "active".to_owned(),
        samples: 0,
        served_bytes: served.bytes,
        bytes: dictionary.bytes().len() as u64,
        stored_bytes: 0,
        gain: 0.0,
        created: 0,
        packs: served.packs,
    }))
}

/// How many units a dictionary was sampled from; none where its frame cannot be read.
async fn samples(store: &Store, row: &DictionaryRow) -> Result<Option<u64>> {
    let read = async {
        let entry = store.index_entry(row.pack_name, row.dictionary.frame).await?;
        store.head_at(row.pack_name, &entry).await?.dictionary()
    };
    match read.await {
        Ok(record) => Ok(Some(record.sampled.len() as u64)),
        Err(error) if is_unreadable(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is in use in blocks that need a dictionary, by dictionary.
async fn served(store: &Store, tenant: Option<TenantKey>) -> Result<HashMap<Uuid, Served>> {
    let packs: HashMap<PackKey, Uuid> =
        store.catalog.packs().await?.into_iter().map(|row| (row.key, row.name)).collect();
    let mut needed: HashMap<PackKey, HashMap<u32, Uuid>> = HashMap::new();
    let mut served: HashMap<Uuid, Served> = HashMap::new();
    let mut users: HashSet<(Uuid, PackKey)> = HashSet::new();
    for used in store.catalog.frames_in_use().await? {
        let (Some(frame), Some(name)) = (used.frame, packs.get(&used.pack)) else {
            continue;
        };
        if tenant.is_some_and(|tenant| tenant != used.tenant) {
            continue;
        }
        if let Entry::Vacant(vacant) = needed.entry(used.pack) {
            let entries = store.entries_of(*name).await?;
            let by_frame = |entry: IndexEntry| entry.dictionary.map(|id| (entry.ordinal, id));
            let _ = vacant.insert(entries.into_iter().filter_map(by_frame).collect());
        }
        if let Some(id) = needed.get(&used.pack).and_then(|frames| frames.get(&frame)) {
            let sum = served.entry(*id).or_default();
            sum.bytes += used.bytes;
            sum.packs += u64::from(users.insert((*id, used.pack)));
        }
    }
    Ok(served)
}
