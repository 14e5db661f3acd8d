//! The index of features, and the deltas, as the catalog in memory keeps them.

use futures::FutureExt;

use crate::catalog::Answer;
use crate::catalog::rows::ObjectRow;
use crate::catalog::similar::DeltaRow;
use crate::catalog::similar::Form;
use crate::catalog::similar::Similarity;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::similarity::Feature;
use crate::testing::memory_catalog::MemoryCatalog;
use crate::testing::memory_catalog::state::State;
use crate::testing::memory_catalog::state::refused;

impl Similarity for MemoryCatalog {
    fn add_features<'a>(&'a self, tenant: TenantKey, rows: &'a [(ObjectKey, Feature)]) -> Answer<'a, ()> {
        async move {
            self.write(|state, _| {
                state.features.extend(rows.iter().map(|(object, feature)| (tenant, *feature, *object)));
                Ok(())
            })
        }
        .boxed()
    }

    fn holders<'a>(
        &'a self,
        tenant: TenantKey,
        features: &'a [Feature],
    ) -> Answer<'a, Vec<(Feature, ObjectKey)>> {
        async move { self.read(|state| Ok(state.feature_rows(tenant, |feature, _| features.contains(&feature)))) }
            .boxed()
    }

    fn feature_page(
        &self,
        tenant: TenantKey,
        after: Option<(Feature, ObjectKey)>,
        limit: u32,
    ) -> Answer<'_, Vec<(Feature, ObjectKey)>> {
        async move {
            self.read(|state| {
                let mut rows = state.feature_rows(tenant, |feature, object| {
                    after.is_none_or(|after| (feature, object) > after)
                });
                rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                Ok(rows)
            })
        }
        .boxed()
    }

    fn forget_features(&self) -> Answer<'_, u64> {
        async move {
            self.write(|state, _| {
                let before = state.features.len();
                let objects = &state.objects;
                state.features.retain(|(_, _, object)| objects.contains_key(object));
                Ok((before - state.features.len()) as u64)
            })
        }
        .boxed()
    }

    fn objects_by_key<'a>(&'a self, tenant: TenantKey, keys: &'a [ObjectKey]) -> Answer<'a, Vec<ObjectRow>> {
        async move {
            self.read(|state| {
                let of =
                    |key: &&ObjectKey| state.objects.get(*key).is_some_and(|object| object.tenant == tenant);
                keys.iter().filter(of).map(|key| state.object_row(*key)).collect()
            })
        }
        .boxed()
    }

    fn deltas_of<'a>(&'a self, tenant: TenantKey, objects: &'a [ObjectKey]) -> Answer<'a, Vec<DeltaRow>> {
        async move { self.read(|state| Ok(state.delta_rows(tenant, |row| objects.contains(&row.object)))) }
            .boxed()
    }

    fn deltas_on<'a>(&'a self, tenant: TenantKey, bases: &'a [ObjectKey]) -> Answer<'a, Vec<DeltaRow>> {
        async move { self.read(|state| Ok(state.delta_rows(tenant, |row| bases.contains(&row.base)))) }
            .boxed()
    }

    fn delta_page(&self, tenant: TenantKey, after: ObjectKey, limit: u32) -> Answer<'_, Vec<DeltaRow>> {
        async move {
            let mut rows = self.read(|state| Ok(state.delta_rows(tenant, |row| row.object > after)))?;
            rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(rows)
        }
        .boxed()
    }

    fn unreferenced_bases(&self, tenant: TenantKey) -> Answer<'_, Vec<ObjectKey>> {
        async move {
            self.read(|state| {
                let rows = state.delta_rows(tenant, |row| state.references(row.base) == 0);
                let mut bases: Vec<ObjectKey> = rows.into_iter().map(|row| row.base).collect();
                bases.sort_unstable();
                bases.dedup();
                Ok(bases)
            })
        }
        .boxed()
    }

    fn note_deltas<'a>(&'a self, rows: &'a [DeltaRow]) -> Answer<'a, ()> {
        async move {
            self.write(|state, _| {
                for row in rows {
                    if !state.objects.contains_key(&row.object) || !state.objects.contains_key(&row.base) {
                        return Err(refused("there is no such object"));
                    }
                    let _before = state.deltas.insert(row.object, (row.base, row.bytes));
                }
                Ok(())
            })
        }
        .boxed()
    }
}

impl State {
    fn feature_rows(
        &self,
        tenant: TenantKey,
        wanted: impl Fn(Feature, ObjectKey) -> bool,
    ) -> Vec<(Feature, ObjectKey)> {
        let of = self
            .features
            .iter()
            .filter(|(owner, feature, object)| *owner == tenant && wanted(*feature, *object));
        of.map(|(_, feature, object)| (*feature, *object)).collect()
    }

    fn delta_rows(&self, tenant: TenantKey, wanted: impl Fn(&DeltaRow) -> bool) -> Vec<DeltaRow> {
        let of = |key: &ObjectKey| self.objects.get(key).is_some_and(|object| object.tenant == tenant);
        let row = |(object, (base, bytes)): (&ObjectKey, &(ObjectKey, u64))| DeltaRow {
            object: *object,
            base: *base,
            bytes: *bytes,
        };
        self.deltas.iter().filter(|(object, _)| of(object)).map(row).filter(wanted).collect()
    }

    pub(super) fn is_base(&self, object: ObjectKey) -> bool {
        self.deltas.values().any(|(base, _)| *base == object)
    }

    pub(super) fn may_take(&self, tenant: TenantKey, object: ObjectKey, form: Form) -> bool {
        let Form::Delta { base, .. } = form else {
            return true;
        };
        let there = self.objects.get(&base).is_some_and(|row| row.tenant == tenant && !row.quarantined);
        there && base != object && !self.deltas.contains_key(&base) && !self.is_base(object)
    }

    pub(super) fn take_form(&mut self, object: ObjectKey, form: Form) {
        match form {
            Form::Kept => {}
            Form::Whole => {
                let _delta = self.deltas.remove(&object);
            }
            Form::Delta { base, bytes } => {
                let _before = self.deltas.insert(object, (base, bytes));
            }
        }
    }
}
