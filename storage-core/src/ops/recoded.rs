//! What recoding did to the objects in a pack that is taken in as it lies there: added up from its frames, as the writer
//! of the pack did. A frame that is damaged counts nothing.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::error::Kind;
use crate::error::Result;
use crate::ids::PackKey;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::pack::RecodedBytes;
use crate::store::Store;

/// Notes it in the catalog, which knows the pack and its tenants already.
pub(crate) async fn note_recoding(
    store: &Store,
    (key, name): (PackKey, Uuid),
    entries: &[IndexEntry],
) -> Result<()> {
    let mut sums: BTreeMap<Uuid, RecodedBytes> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| matches!(entry.kind, FrameKind::Block | FrameKind::Segment)) {
        match store.head_at(name, entry).await.and_then(|head| head.recoding()) {
            Ok(recoded) if recoded == RecodedBytes::default() => {}
            Ok(recoded) => {
                let sum = sums.entry(entry.tenant).or_default();
                *sum = sum.plus(recoded);
            }
            Err(error) if error.kind() == Kind::Corrupt => {}
            Err(error) => return Err(error),
        }
    }
    if sums.is_empty() {
        return Ok(());
    }
    let rows: Vec<(Uuid, RecodedBytes)> = sums.into_iter().collect();
    store.catalog.add_pack_recoding(key, &rows).await
}
