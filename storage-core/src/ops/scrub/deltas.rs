//! Objects that are differences from others: each is made again from its base and hashed, and its row must name the base
//! that its entry names. A base that cannot be read is damage to all that need it.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::caches::Block;
use crate::catalog::rows::Location;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::TenantRow;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::model::Sha256;
use crate::ops::read::object_in;
use crate::ops::scrub::Scrub;
use crate::ops::scrub::blocks::Wrong;
use crate::ops::scrub::blocks::location;
use crate::ops::survey::is_damage;
use crate::pack::Entry;
use crate::pack::EntryBody;
use crate::pack::IndexEntry;
use crate::pack::TransformId;
use crate::similarity;

/// The bases of a page of objects, by object.
pub(super) type Bases = HashMap<ObjectKey, Sha256>;

impl Scrub<'_> {
    /// Deltas of a block that do not make their objects.
    pub(super) async fn wrong_deltas(
        &self,
        (pack, frame): (Uuid, &IndexEntry),
        block: &Arc<Block>,
    ) -> Result<Vec<Wrong>> {
        let mut wrong = Vec::new();
        for (number, found) in (0_u32..).zip(&block.table.entries) {
            let EntryBody::Object(object) = &found.body else {
                continue;
            };
            if object.transform != TransformId::DELTA {
                continue;
            }
            let at = location(pack, frame.ordinal, number);
            let checked = match self.store.base_in(block, &at).await {
                Ok(base) => {
                    let (block, hash) = (Arc::clone(block), object.sha256);
                    let check = move || object_in(&block, &at, hash, base.as_deref()).map(drop);
                    self.store.background.run(check).await
                }
                // A dead difference outlives its base: nobody will read it.
                Err(error)
                    if is_damage(&error) && !self.stands((frame.tenant, object.sha256), &at).await? =>
                {
                    Ok(())
                }
                Err(error) => Err(error),
            };
            match checked {
                Err(error) if is_damage(&error) => wrong.push((number, error.message().to_owned())),
                checked => checked?,
            }
        }
        Ok(wrong)
    }

    /// Whether an object's row points to that place.
    async fn stands(&self, (tenant, hash): (Uuid, Sha256), at: &Location) -> Result<bool> {
        let Some(tenant) = self.tenants.get(&tenant) else {
            return Ok(false);
        };
        let rows = self.store.catalog.objects_by_hash(tenant.key, &[hash]).await?;
        let at = (at.pack, at.place.frame, at.place.entry);
        let place = |location: Location| (location.pack, location.place.frame, location.place.entry);
        Ok(rows.iter().any(|row| place(row.location) == at || row.copy.map(place) == Some(at)))
    }

    /// Which objects of a page the catalog says are deltas, and of what.
    pub(super) async fn bases_of(&self, tenant: &TenantRow, page: &[ObjectRow]) -> Result<Bases> {
        let keys: Vec<ObjectKey> = page.iter().map(|row| row.key).collect();
        let deltas = self.store.catalog.deltas_of(tenant.key, &keys).await?;
        let bases: Vec<ObjectKey> = deltas.iter().map(|delta| delta.base).collect();
        let rows = self.store.catalog.objects_by_key(tenant.key, &bases).await?;
        let hash = |base| rows.iter().find(|row| row.key == base).map_or(Sha256([0; 32]), |row| row.sha256);
        Ok(deltas.iter().map(|delta| (delta.object, hash(delta.base))).collect())
    }
}

/// Whether an object's row names the base that its entry names.
pub(super) fn same_base(entry: &Entry, noted: Option<Sha256>) -> bool {
    let EntryBody::Object(object) = &entry.body else {
        return noted.is_none();
    };
    let said = (object.transform == TransformId::DELTA).then(|| similarity::base_of(&object.params).ok());
    said.unwrap_or_default() == noted
}
