//! Objects that are deltas of others, written whole again: their bases may go then. Order, for each pack that is
//! written: as in `ops/rewrite/mod.rs`. Until that is committed the deltas stand, and keep their bases.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::TenantRow;
use crate::catalog::rows::UnitKey;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::rewrite::encode::Draft;
use crate::ops::rewrite::encode::read_unit;
use crate::ops::rewrite::encode::recoded_unit;
use crate::ops::rewrite::mover::Mover;
use crate::ops::rewrite::mover::Target;
use crate::ops::rewrite::unit::Change;
use crate::ops::rewrite::unit::Identity;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::ops::rewrite::unit::Tally;
use crate::recode::Limits;
use crate::tier::recipe::block_recipe;

/// Bases whose deltas are looked up in one go.
const BASES_MAX: usize = 256;

fn planned(row: &ObjectRow) -> PlannedUnit {
    PlannedUnit {
        key: UnitKey::Object(row.key),
        identity: Identity::Object(row.sha256),
        bytes: row.bytes,
        class: MediaClass::of_code(row.class),
        from: row.location,
        to: row.location.tier,
        change: Change::Move,
    }
}

/// Writes every delta of these objects whole, in its tier, and returns how many that were. It counts when the mover has
/// finished. One that cannot be read back is noted as damaged and stays.
pub(crate) async fn free_dependents<R: Tally + Clone + Default + Send>(
    mover: &mut Mover<'_, R>,
    tenant: &TenantRow,
    bases: &[ObjectKey],
) -> Result<u64> {
    let mut freed = 0;
    for bases in bases.chunks(BASES_MAX) {
        let catalog = &mover.store.catalog;
        let deltas = catalog.deltas_on(tenant.key, bases).await?;
        let objects: Vec<ObjectKey> = deltas.iter().map(|delta| delta.object).collect();
        let mut groups: BTreeMap<(Tier, MediaClass), Vec<PlannedUnit>> = BTreeMap::new();
        for row in catalog.objects_by_key(tenant.key, &objects).await?.iter().filter(|row| !row.quarantined) {
            let unit = planned(row);
            groups.entry((unit.to, unit.class)).or_default().push(unit);
        }
        for ((tier, class), units) in groups {
            let target = Target { tenant, tier, recipe: block_recipe(tier, class) };
            freed += write_whole(mover, &target, units).await?;
        }
    }
    Ok(freed)
}

async fn write_whole<R: Tally + Clone + Default + Send>(
    mover: &mut Mover<'_, R>,
    target: &Target<'_>,
    units: Vec<PlannedUnit>,
) -> Result<u64> {
    let (mut draft, mut freed) = (Draft::default(), 0);
    for unit in units {
        if mover.over() {
            break;
        }
        mover.take(unit.bytes).await;
        let bytes = match read_unit(mover.store, &unit).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == Kind::Corrupt => {
                mover.note_damage(&error, unit.key);
                continue;
            }
            Err(error) => return Err(error),
        };
        let (class, limits) = (unit.class, target.recipe.recode_level.map(Limits::at_level));
        let store = Arc::clone(mover.store);
        let bytes = store.background.run(move || Ok(recoded_unit(class, limits, bytes))).await?;
        draft.push(unit, bytes);
        freed += 1;
        if draft.bytes() >= target.recipe.block_bytes {
            mover.submit(target, std::mem::take(&mut draft)).await?;
        }
    }
    if !draft.is_empty() {
        mover.submit(target, draft).await?;
    }
    mover.settle(0).await?;
    Ok(freed)
}
