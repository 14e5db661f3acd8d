//! Dictionaries on request, and the list of them. Order of effects as in `ops/rewrite/dictionary.rs`.

use std::sync::Arc;

use crate::catalog::rows::TenantRow;
use crate::error::Error;
use crate::error::Result;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::migrate::plan;
use crate::ops::migrate::plan::Cursor;
use crate::ops::migrate::plan::Rules;
use crate::ops::rewrite::dictionary::Trial;
use crate::ops::rewrite::dictionary::sample;
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
