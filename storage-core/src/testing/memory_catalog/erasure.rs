//! Erasures, as the catalog in memory does them.

use futures::FutureExt;
use uuid::Uuid;

use crate::catalog::Answer;
use crate::catalog::erasure::Erasures;
use crate::catalog::rows::ErasureRow;
use crate::catalog::rows::GoneId;
use crate::catalog::rows::ItemErase;
use crate::clock::Timestamp;
use crate::ids::DictionaryKey;
use crate::ids::TenantKey;
use crate::model::ItemKind;
use crate::testing::memory_catalog::MemoryCatalog;
use crate::testing::memory_catalog::state::State;

impl Erasures for MemoryCatalog {
    fn pending_erasures(&self) -> Answer<'_, Vec<ErasureRow>> {
        async move {
            self.read(|state| Ok(state.erasures.iter().filter(|row| row.erased.is_none()).cloned().collect()))
        }
        .boxed()
    }

    fn erasure(&self, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Answer<'_, Option<ErasureRow>> {
        let same = move |row: &&ErasureRow| (row.tenant, row.kind, row.id) == (tenant, kind, id);
        async move { self.read(|state| Ok(state.erasures.iter().find(same).cloned())) }.boxed()
    }

    fn end_erasures<'a>(&'a self, items: &'a [(TenantKey, ItemKind, Uuid)], at: Timestamp) -> Answer<'a, ()> {
        async move {
            self.write(|state, _| {
                for row in state.erasures.iter_mut().filter(|row| row.erased.is_none()) {
                    if items.contains(&(row.tenant, row.kind, row.id)) {
                        row.erased = Some(at);
                        row.hashes.clear();
                    }
                }
                Ok(())
            })
        }
        .boxed()
    }

    fn hide_gone_ids<'a>(&'a self, ids: &'a [GoneId]) -> Answer<'a, ()> {
        async move {
            self.write(|state, _| {
                for id in ids {
                    state.hide(id);
                }
                Ok(())
            })
        }
        .boxed()
    }

    fn retire_dictionaries<'a>(&'a self, dictionaries: &'a [DictionaryKey]) -> Answer<'a, ()> {
        async move {
            self.write(|state, _| {
                for key in dictionaries {
                    if let Some(dictionary) = state.dictionaries.get_mut(key) {
                        dictionary.active = false;
                    }
                }
                Ok(())
            })
        }
        .boxed()
    }

    fn expunge(&self) -> Answer<'_, u64> {
        // A state holds the rows that are there and no others; those before it go when it is durable.
        async move { self.make_durable(false).map(|()| 0) }.boxed()
    }
}

impl State {
    /// Notes that an item is to be erased. One that is noted already stays as it is.
    pub(super) fn add_erasure(&mut self, erase: &ItemErase) {
        self.keep_gone(&erase.delete);
        let delete = &erase.delete;
        let same =
            |row: &ErasureRow| (row.tenant, row.kind, row.id) == (delete.tenant, delete.kind, delete.id);
        if !self.erasures.iter().any(same) {
            self.erasures.push(ErasureRow {
                tenant: delete.tenant,
                kind: delete.kind,
                id: delete.id,
                requested: delete.deleted,
                erased: None,
                hashes: erase.hashes.clone(),
            });
        }
    }

    fn hide(&mut self, id: &GoneId) {
        if let Some(deleted) = self.gone.remove(&(id.tenant, id.kind, id.from.clone())) {
            let kept = self.gone.entry((id.tenant, id.kind, id.to.clone())).or_insert(deleted);
            *kept = (*kept).max(deleted);
        }
    }
}
