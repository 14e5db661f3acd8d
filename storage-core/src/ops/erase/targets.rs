//! What must not be in any pack any more: the items to erase, and what only they had.

use std::collections::HashMap;
use std::collections::HashSet;

use uuid::Uuid;

use crate::catalog::rows::ErasureRow;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::ops::words::ItemName;
use crate::store::Store;

/// What is searched for. Tenants by their permanent ids.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    pub(crate) tenants: HashMap<Uuid, TenantKey>,
    pub(crate) items: HashSet<ItemName>,
    /// Skeletons and objects that no item refers to.
    pub(crate) hashes: HashSet<(Uuid, Sha256)>,
    /// Tenants of items of which no record was left to tell their hashes, and when the last one was asked for: every
    /// object that no item refers to may be theirs, and every dictionary of before may have sampled them.
    pub(crate) unknown: HashMap<Uuid, Timestamp>,
}

impl Targets {
    /// What these erasures are about. Objects that have a row are referred to by another item: they stay.
    pub(crate) async fn of(store: &Store, erasures: &[ErasureRow]) -> Result<Self> {
        let ids: HashMap<TenantKey, Uuid> =
            store.catalog.tenants().await?.into_iter().map(|row| (row.key, row.id)).collect();
        let mut targets = Self::default();
        let mut hashes: HashMap<TenantKey, HashSet<Sha256>> = HashMap::new();
        for erasure in erasures {
            let Some(tenant) = ids.get(&erasure.tenant) else {
                continue;
            };
            let _ = targets.tenants.insert(*tenant, erasure.tenant);
            let _ = targets.items.insert((*tenant, erasure.id));
            if erasure.hashes.is_empty() {
                let last = targets.unknown.entry(*tenant).or_insert(erasure.requested);
                *last = erasure.requested.max(*last);
            }
            hashes.entry(erasure.tenant).or_default().extend(&erasure.hashes);
        }
        for (key, hashes) in hashes {
            let Some(tenant) = ids.get(&key) else {
                continue;
            };
            let shared = known_hashes(store, key, &hashes).await?;
            targets.hashes.extend(hashes.difference(&shared).map(|hash| (*tenant, *hash)));
        }
        Ok(targets)
    }
}

/// Those of these hashes that are objects of the catalog.
pub(super) async fn known_hashes(
    store: &Store,
    tenant: TenantKey,
    hashes: &HashSet<Sha256>,
) -> Result<HashSet<Sha256>> {
    let mut asked: Vec<Sha256> = hashes.iter().copied().collect();
    asked.sort_unstable();
    let rows = store.catalog.objects_by_hash(tenant, &asked).await?;
    Ok(rows.into_iter().map(|row| row.sha256).collect())
}
