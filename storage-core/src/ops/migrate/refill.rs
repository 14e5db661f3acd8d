//! Filling an empty index of similar objects again: a catalog that was rebuilt has none. Order: the rows of what lies in
//! cold and archive are gone through -> the newest objects, up to a bound, are read and put into the index, newest first.
//! Ended on the way, what is in the index is what is likeliest to be needed; the rest is not looked for again.

use std::collections::VecDeque;

use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::TenantRow;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::base::BASE_BYTES_MAX;
use crate::ops::migrate::similar::Similar;
use crate::ops::rewrite::mover::Mover;
use crate::ops::rewrite::unit::Tally;
use crate::similarity::is_useful;
use crate::store::Store;

/// Decoded bytes that are read for the index of one tenant at most.
const BYTES_MAX: u64 = 256 << 20;

/// Objects looked up in one go.
const PAGE: u32 = 1_000;

/// The newest objects in cold and archive that are worth a signature, oldest first, at most [`BYTES_MAX`] of them. What is
/// a difference is left out: its base is looked for.
async fn newest(store: &Store, tenant: &TenantRow) -> Result<VecDeque<ObjectRow>> {
    let (mut kept, mut bytes, mut after) = (VecDeque::new(), 0, ObjectKey(0));
    loop {
        let page = store.catalog.object_page(tenant.key, after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(kept);
        };
        after = last.key;
        let useful = |row: &ObjectRow| {
            let whole = is_useful(MediaClass::of_code(row.class), row.bytes) && !row.quarantined;
            whole && row.location.tier >= Tier::Cold && row.bytes <= BASE_BYTES_MAX
        };
        let rows: Vec<ObjectRow> = page.into_iter().filter(useful).collect();
        let keys: Vec<ObjectKey> = rows.iter().map(|row| row.key).collect();
        let deltas = store.catalog.deltas_of(tenant.key, &keys).await?;
        for row in rows.into_iter().filter(|row| deltas.iter().all(|delta| delta.object != row.key)) {
            bytes += row.bytes;
            kept.push_back(row);
            while bytes > BYTES_MAX {
                bytes -= kept.pop_front().map_or(bytes, |row| row.bytes);
            }
        }
    }
}

/// Fills the index of a tenant, where it is empty.
pub(super) async fn refill<R: Tally + Clone + Default + Send>(
    similar: &mut Similar,
    mover: &mut Mover<'_, R>,
    tenant: &TenantRow,
) -> Result<()> {
    if !mover.store.catalog.feature_page(tenant.key, None, 1).await?.is_empty() {
        return Ok(());
    }
    let mut rows = newest(mover.store, tenant).await?;
    if rows.is_empty() {
        return Ok(());
    }
    tracing::info!(
        tenant = tenant.name,
        objects = rows.len(),
        "the index of similar objects is filled again"
    );
    while let Some(row) = rows.pop_back() {
        if mover.over() {
            break;
        }
        mover.wait_for(row.bytes).await;
        similar.note(tenant, &row).await?;
    }
    Ok(())
}
