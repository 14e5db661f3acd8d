//! Checking, mending and rebuilding, as the catalog in memory does it.

use std::collections::BTreeMap;

use futures::FutureExt;
use uuid::Uuid;

use crate::catalog::Answer;
use crate::catalog::integrity::CheckedItem;
use crate::catalog::integrity::Integrity;
use crate::catalog::integrity::Restored;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::Statistics;
use crate::catalog::rows::StatisticsRow;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Tier;
use crate::testing::memory_catalog::MemoryCatalog;
use crate::testing::memory_catalog::state::Item;
use crate::testing::memory_catalog::state::State;

impl Integrity for MemoryCatalog {
    fn self_check(&self) -> Answer<'_, Vec<String>> {
        // Every transaction looked whether what its rows refer to is there.
        async move { self.read(|_| Ok(Vec::new())) }.boxed()
    }

    fn items_by_uuid<'a>(&'a self, tenant: TenantKey, ids: &'a [Uuid]) -> Answer<'a, Vec<CheckedItem>> {
        async move { self.read(|state| state.checked_items(tenant, |_, item| ids.contains(&item.new.id))) }
            .boxed()
    }

    fn item_page(&self, tenant: TenantKey, after: ItemKey, limit: u32) -> Answer<'_, Vec<CheckedItem>> {
        async move {
            let mut items = self.read(|state| state.checked_items(tenant, |key, _| key > after))?;
            items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(items)
        }
        .boxed()
    }

    fn object_page(&self, tenant: TenantKey, after: ObjectKey, limit: u32) -> Answer<'_, Vec<ObjectRow>> {
        async move { self.read(|state| state.object_page(tenant, after, limit)) }.boxed()
    }

    fn items_of_object(&self, object: ObjectKey, limit: u32) -> Answer<'_, Vec<Uuid>> {
        async move { self.read(|state| Ok(state.items_of_object(object, limit))) }.boxed()
    }

    fn objects_inside<'a>(&'a self, objects: &'a [ObjectKey]) -> Answer<'a, Vec<ObjectKey>> {
        async move {
            self.read(|state| {
                let inside = |object: &&ObjectKey| {
                    let bytes = state.objects.get(*object).map_or(0, |object| object.bytes);
                    let refers = |item: &Item| item.parts.iter().any(|part| part.object == **object);
                    state.items.values().any(|item| item.new.bytes > bytes && refers(item))
                };
                Ok(objects.iter().filter(inside).copied().collect())
            })
        }
        .boxed()
    }

    fn dictionaries_of_pack(&self, pack: PackKey) -> Answer<'_, Vec<DictionaryKey>> {
        async move {
            self.read(|state| {
                let needed = state.needed.iter().filter(|(other, _)| *other == pack);
                Ok(needed.map(|(_, dictionary)| *dictionary).collect())
            })
        }
        .boxed()
    }

    fn checked_packs(&self) -> Answer<'_, Vec<(PackKey, Timestamp)>> {
        async move { self.read(|state| Ok(state.checked.iter().map(|(key, at)| (*key, *at)).collect())) }
            .boxed()
    }

    fn mark_checked(&self, pack: PackKey, at: Timestamp) -> Answer<'_, ()> {
        async move {
            self.write(|state, _| {
                if state.packs.contains_key(&pack) {
                    let _before = state.checked.insert(pack, at);
                }
                Ok(())
            })
        }
        .boxed()
    }

    fn statistics_drift(&self) -> Answer<'_, Vec<StatisticsRow>> {
        let row = |((tenant, tier), sums)| StatisticsRow { tenant, day: 0, tier, sums };
        async move { self.read(|state| Ok(state.drift()?.into_iter().map(row).collect())) }.boxed()
    }

    fn recount(&self, day: i64) -> Answer<'_, u64> {
        async move {
            self.write(|state, _| {
                let drift = state.drift()?;
                for ((tenant, tier), sums) in &drift {
                    add(state.sum(*tenant, day, *tier), sums, 1);
                }
                Ok(drift.len() as u64)
            })
        }
        .boxed()
    }

    fn quarantine<'a>(&'a self, objects: &'a [ObjectKey], _at: Timestamp) -> Answer<'a, ()> {
        async move {
            self.write(|state, _| {
                for key in objects {
                    if let Some(object) = state.objects.get_mut(key) {
                        object.quarantined = true;
                    }
                }
                Ok(())
            })
        }
        .boxed()
    }

    fn restore<'a>(&'a self, restored: &'a Restored) -> Answer<'a, ()> {
        async move {
            self.write(|state, _| {
                for (tenant, policy) in &restored.policies {
                    if let Some(row) = state.tenants.get_mut(tenant) {
                        row.policy = Some(policy.clone());
                    }
                }
                restored.deleted.iter().for_each(|delete| state.keep_gone(delete));
                restored.erased.iter().for_each(|erase| state.add_erasure(erase));
                state.sequence = state.sequence.max(restored.sequence);
                Ok(())
            })
        }
        .boxed()
    }

    fn sequence(&self) -> Answer<'_, u64> {
        async move { self.read(|state| Ok(state.sequence)) }.boxed()
    }
}

impl State {
    fn checked_items(
        &self,
        tenant: TenantKey,
        wanted: impl Fn(ItemKey, &Item) -> bool,
    ) -> Result<Vec<CheckedItem>> {
        let found = self.items.iter().filter(|(key, item)| item.new.tenant == tenant && wanted(**key, item));
        let checked = |(key, item): (&ItemKey, &Item)| {
            let message_id_hash = item.new.message_id_hash;
            Ok(CheckedItem { row: self.item_row(*key, item)?, message_id_hash, is_found: true })
        };
        found.map(checked).collect()
    }

    fn object_page(&self, tenant: TenantKey, after: ObjectKey, limit: u32) -> Result<Vec<ObjectRow>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let of = |key: ObjectKey, other| other == tenant && key > after;
        let found = self.objects.iter().filter(|(key, object)| of(**key, object.tenant));
        found.take(limit).map(|(key, _)| self.object_row(*key)).collect()
    }

    fn items_of_object(&self, object: ObjectKey, limit: u32) -> Vec<Uuid> {
        let refers = |item: &&Item| item.parts.iter().any(|part| part.object == object);
        let mut ids: Vec<Uuid> = self.items.values().filter(refers).map(|item| item.new.id).collect();
        ids.sort_unstable();
        ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        ids
    }

    /// Counted rows less increments.
    fn drift(&self) -> Result<BTreeMap<(TenantKey, Tier), Statistics>> {
        let mut sums: BTreeMap<(TenantKey, Tier), Statistics> = BTreeMap::new();
        for (rows, sign) in [(self.counted(None)?, 1), (self.statistics_rows(None), -1)] {
            for row in rows {
                add(sums.entry((row.tenant, row.tier)).or_default(), &row.sums, sign);
            }
        }
        sums.retain(|_, sum| *sum != Statistics::default());
        Ok(sums)
    }
}

/// Adds what describes the present state.
fn add(sum: &mut Statistics, other: &Statistics, sign: i64) {
    sum.messages += sign * other.messages;
    sum.contents += sign * other.contents;
    sum.logical_bytes += sign * other.logical_bytes;
    sum.referenced_bytes += sign * other.referenced_bytes;
    sum.objects += sign * other.objects;
    sum.object_bytes += sign * other.object_bytes;
    sum.skeletons += sign * other.skeletons;
    sum.skeleton_bytes += sign * other.skeleton_bytes;
    sum.copy_bytes += sign * other.copy_bytes;
}
