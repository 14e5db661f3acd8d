//! What is nearly the same: the index of features, and which objects are stored as deltas of which. The features are not
//! part of the truth: they only say where to look, and can be made again from the objects. The deltas are: as long as a
//! row says that an object is a delta, its base has a row, too, and is whole.
//!
//! The contract is that of [`crate::catalog::Catalog`].

use std::fmt;

use crate::catalog::Answer;
use crate::catalog::rows::ObjectRow;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::similarity::Feature;

/// An object that is stored as its difference from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaRow {
    /// The object.
    pub object: ObjectKey,
    /// The object it needs.
    pub base: ObjectKey,
    /// Bytes of the difference.
    pub bytes: u64,
}

/// How an object is stored at the place it moves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// As it was, whole or a delta of the same base.
    #[default]
    Kept,
    /// By itself.
    Whole,
    /// As its difference from another object. The move is not made where that object is not there, is a delta itself or
    /// cannot be read, or where others are deltas of the one that moves.
    Delta {
        /// The object it needs.
        base: ObjectKey,
        /// Bytes of the difference.
        bytes: u64,
    },
}

/// The index of features, and the deltas.
pub trait Similarity: Send + Sync + fmt::Debug {
    /// Adds features of objects; those that are there stay.
    fn add_features<'a>(&'a self, tenant: TenantKey, rows: &'a [(ObjectKey, Feature)]) -> Answer<'a, ()>;
    /// Which objects have one of these features, in any order.
    fn holders<'a>(
        &'a self,
        tenant: TenantKey,
        features: &'a [Feature],
    ) -> Answer<'a, Vec<(Feature, ObjectKey)>>;
    /// All features of a tenant in an order of the catalog's own, those of a feature together, `limit` at most.
    fn feature_page(
        &self,
        tenant: TenantKey,
        after: Option<(Feature, ObjectKey)>,
        limit: u32,
    ) -> Answer<'_, Vec<(Feature, ObjectKey)>>;
    /// Forgets features of objects that are not there any more, and returns how many. In several transactions.
    fn forget_features(&self) -> Answer<'_, u64>;
    /// The objects with these keys that are there, in any order.
    fn objects_by_key<'a>(&'a self, tenant: TenantKey, keys: &'a [ObjectKey]) -> Answer<'a, Vec<ObjectRow>>;
    /// The deltas among these objects, in any order.
    fn deltas_of<'a>(&'a self, tenant: TenantKey, objects: &'a [ObjectKey]) -> Answer<'a, Vec<DeltaRow>>;
    /// The deltas that need one of these objects, in any order.
    fn deltas_on<'a>(&'a self, tenant: TenantKey, bases: &'a [ObjectKey]) -> Answer<'a, Vec<DeltaRow>>;
    /// A tenant's deltas by object, `limit` at most.
    fn delta_page(&self, tenant: TenantKey, after: ObjectKey, limit: u32) -> Answer<'_, Vec<DeltaRow>>;
    /// Objects that only deltas need: no item refers to them.
    fn unreferenced_bases(&self, tenant: TenantKey) -> Answer<'_, Vec<ObjectKey>>;
    /// Notes deltas that packs hold and no row tells of: for a catalog that is rebuilt.
    fn note_deltas<'a>(&'a self, rows: &'a [DeltaRow]) -> Answer<'a, ()>;
}

/// Reads all pages of a tenant's features and gives each to `see`.
pub async fn each_feature(
    catalog: &(impl Similarity + ?Sized),
    tenant: TenantKey,
    mut see: impl FnMut(Feature, ObjectKey) + Send,
) -> Result<()> {
    const PAGE: u32 = 10_000;
    let mut after = None;
    loop {
        let page = catalog.feature_page(tenant, after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(*last);
        for (feature, object) in page {
            see(feature, object);
        }
    }
}
