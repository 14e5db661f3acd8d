//! Objects whose coldest place holds a difference from another object. Their bases must be whole, so an object that is
//! both is taken at its coldest whole place instead; and so is one whose base no pack holds. What can be made from
//! nothing is quarantined: a put of the same bytes mends it.

use std::collections::HashMap;
use std::collections::HashSet;

use crate::catalog::rows::Place;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::UnitKey;
use crate::catalog::similar::DeltaRow;
use crate::catalog::similar::Form;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::model::Tier;
use crate::ops::rebuild::Rebuild;
use crate::pack::Entry;
use crate::pack::EntryBody;
use crate::pack::TransformId;
use crate::similarity;

/// Rows looked up in one go.
const BATCH: usize = 256;

/// An object that was taken as a difference.
#[derive(Debug, Clone, Copy)]
struct Difference {
    base: Option<Sha256>,
    bytes: u64,
    /// Its coldest whole place.
    whole: Option<(Place, Tier)>,
}

/// The objects that were taken as differences.
#[derive(Debug, Default)]
pub(super) struct Differences(HashMap<(TenantKey, Sha256), Difference>);

impl Differences {
    /// Takes note of an object's entry; `taken` where its row was made from it. Colder places come first.
    pub(super) fn see(
        &mut self,
        object: (TenantKey, Sha256),
        entry: &Entry,
        (at, taken): ((Place, Tier), bool),
    ) {
        match &entry.body {
            EntryBody::Object(found) if found.transform == TransformId::DELTA && taken => {
                let base = similarity::base_of(&found.params).ok();
                let difference = Difference { base, bytes: u64::from(entry.bytes), whole: None };
                let _none = self.0.insert(object, difference);
            }
            EntryBody::Object(found) if found.transform == TransformId::DELTA => {}
            _ if !taken => {
                if let Some(known) = self.0.get_mut(&object) {
                    known.whole = known.whole.or(Some(at));
                }
            }
            _ => {}
        }
    }
}

impl Rebuild<'_> {
    /// Tells the catalog which objects are differences, and takes those that must not be at another place.
    pub(super) async fn settle_differences(&mut self) -> Result<()> {
        let differences = std::mem::take(&mut self.differences).0;
        let needed: HashSet<(TenantKey, Sha256)> = differences
            .iter()
            .filter_map(|((tenant, _), difference)| Some((*tenant, difference.base?)))
            .collect();
        let (bases, rest): (Vec<_>, Vec<_>) =
            differences.into_iter().partition(|(object, _)| needed.contains(object));
        for (object, difference) in bases {
            let _whole = self.take_whole(object, difference).await?;
        }
        let mut by_tenant: HashMap<TenantKey, Vec<(Sha256, Difference)>> = HashMap::new();
        for ((tenant, hash), difference) in rest {
            by_tenant.entry(tenant).or_default().push((hash, difference));
        }
        for (tenant, differences) in by_tenant {
            for batch in differences.chunks(BATCH) {
                self.note(tenant, batch).await?;
            }
        }
        Ok(())
    }

    async fn note(&mut self, tenant: TenantKey, batch: &[(Sha256, Difference)]) -> Result<()> {
        let bases = batch.iter().filter_map(|(_, difference)| difference.base);
        let hashes: Vec<Sha256> = bases.chain(batch.iter().map(|(hash, _)| *hash)).collect();
        let rows = self.store.catalog.objects_by_hash(tenant, &hashes).await?;
        let key = |hash: Sha256| rows.iter().find(|row| row.sha256 == hash).map(|row| row.key);
        let mut deltas = Vec::new();
        for (hash, difference) in batch {
            let base = difference.base.filter(|base| !self.lost.contains(&(tenant, *base))).and_then(key);
            match (key(*hash), base) {
                (Some(object), Some(base)) => {
                    deltas.push(DeltaRow { object, base, bytes: difference.bytes });
                }
                _ => {
                    let _whole = self.take_whole((tenant, *hash), *difference).await?;
                }
            }
        }
        self.store.catalog.note_deltas(&deltas).await
    }

    /// Takes an object at its coldest whole place; quarantines it where there is none.
    async fn take_whole(
        &mut self,
        (tenant, hash): (TenantKey, Sha256),
        difference: Difference,
    ) -> Result<bool> {
        let rows = self.store.catalog.objects_by_hash(tenant, &[hash]).await?;
        let Some(row) = rows.first() else {
            return Ok(false);
        };
        let Some((to, to_tier)) = difference.whole else {
            let _new = self.lost.insert((tenant, hash));
            self.store.catalog.quarantine(&[row.key], self.store.now()).await?;
            return Ok(false);
        };
        let relocation = Relocation {
            unit: UnitKey::Object(row.key),
            copy: false,
            bytes: row.bytes,
            from: row.location.place,
            from_tier: row.location.tier,
            to,
            to_tier,
            form: Form::Whole,
        };
        let day = self.store.now().day();
        Ok(self.store.catalog.relocate(tenant, &[relocation], day).await? == 1)
    }
}
