//! The part of the catalog's door that tells of what is similar, wrapped as the rest of it.

use crate::catalog::Answer;
use crate::catalog::rows::ObjectRow;
use crate::catalog::similar::DeltaRow;
use crate::catalog::similar::Similarity;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::similarity::Feature;
use crate::testing::faulty_catalog::FaultyCatalog;

impl Similarity for FaultyCatalog {
    fn add_features<'a>(&'a self, tenant: TenantKey, rows: &'a [(ObjectKey, Feature)]) -> Answer<'a, ()> {
        self.write("add_features", self.inner.add_features(tenant, rows))
    }

    fn holders<'a>(
        &'a self,
        tenant: TenantKey,
        features: &'a [Feature],
    ) -> Answer<'a, Vec<(Feature, ObjectKey)>> {
        self.read("holders", self.inner.holders(tenant, features))
    }

    fn feature_page(
        &self,
        tenant: TenantKey,
        after: Option<(Feature, ObjectKey)>,
        limit: u32,
    ) -> Answer<'_, Vec<(Feature, ObjectKey)>> {
        self.read("feature_page", self.inner.feature_page(tenant, after, limit))
    }

    fn forget_features(&self) -> Answer<'_, u64> {
        self.write("forget_features", self.inner.forget_features())
    }

    fn objects_by_key<'a>(&'a self, tenant: TenantKey, keys: &'a [ObjectKey]) -> Answer<'a, Vec<ObjectRow>> {
        self.read("objects_by_key", self.inner.objects_by_key(tenant, keys))
    }

    fn deltas_of<'a>(&'a self, tenant: TenantKey, objects: &'a [ObjectKey]) -> Answer<'a, Vec<DeltaRow>> {
        self.read("deltas_of", self.inner.deltas_of(tenant, objects))
    }

    fn deltas_on<'a>(&'a self, tenant: TenantKey, bases: &'a [ObjectKey]) -> Answer<'a, Vec<DeltaRow>> {
        self.read("deltas_on", self.inner.deltas_on(tenant, bases))
    }

    fn delta_page(&self, tenant: TenantKey, after: ObjectKey, limit: u32) -> Answer<'_, Vec<DeltaRow>> {
        self.read("delta_page", self.inner.delta_page(tenant, after, limit))
    }

    fn unreferenced_bases(&self, tenant: TenantKey) -> Answer<'_, Vec<ObjectKey>> {
        self.read("unreferenced_bases", self.inner.unreferenced_bases(tenant))
    }

    fn note_deltas<'a>(&'a self, rows: &'a [DeltaRow]) -> Answer<'a, ()> {
        self.write("note_deltas", self.inner.note_deltas(rows))
    }
}
