//! Which packs may hold the record of a deleted item, and so need its tombstone: without it a catalog that is rebuilt
//! from the packs would bring the item back.
//!
//! The answer may be yes where it need not be, never no where it is yes. A pack's index tells whether it has a block of
//! the tenant. A log pack that was begun after the tombstone's pack holds only what was put later: names of packs grow,
//! and there is one log pack at a time. Packs of large puts and of migrations may be younger than a tombstone that speaks
//! of them: they were being written when the item was deleted, or the log pack had been begun before them.

use std::collections::HashSet;

use uuid::Uuid;

use crate::catalog::rows::PackOrigin;
use crate::catalog::rows::PackRow;
use crate::error::Kind;
use crate::error::Result;
use crate::ops::read::moved_away;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::store::Store;

/// The packs that stand, and whose blocks they hold.
#[derive(Debug)]
pub(crate) struct Holders {
    packs: Vec<Holder>,
}

#[derive(Debug)]
struct Holder {
    row: PackRow,
    /// The tenants of its blocks; none where that cannot be told, so that it may hold anybody's.
    tenants: Option<HashSet<Uuid>>,
}

impl Holders {
    /// All packs; nothing is looked at where `speakers` is empty.
    pub(crate) async fn of(store: &Store, speakers: &[PackRow]) -> Result<Self> {
        let mut packs = Vec::new();
        if speakers.is_empty() {
            return Ok(Self { packs });
        }
        for row in store.catalog.packs().await? {
            if let Some(open) = store.caches.open_entries(row.name) {
                packs.push(Holder { row, tenants: Some(tenants_of(&open.all())) });
                continue;
            }
            let tenants = match store.pack_index(row.name).await {
                Ok(index) => Some(tenants_of(index.entries())),
                Err(error) if moved_away(&error) => continue,
                Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented) => None,
                Err(error) => return Err(error),
            };
            packs.push(Holder { row, tenants });
        }
        Ok(Self { packs })
    }

    /// Whether a pack besides `speaker` and those that are `gone` may hold a record of that tenant which a tombstone in
    /// `speaker` speaks of.
    pub(crate) fn may_hold(&self, tenant: Uuid, speaker: &PackRow, gone: &[PackRow]) -> bool {
        self.packs.iter().any(|holder| {
            let row = &holder.row;
            let later = row.origin == PackOrigin::Log && row.name > speaker.name;
            let stands = row.key != speaker.key && !gone.iter().any(|pack| pack.key == row.key);
            stands && !later && holder.tenants.as_ref().is_none_or(|tenants| tenants.contains(&tenant))
        })
    }
}

/// Whose blocks these frames are.
fn tenants_of(entries: &[IndexEntry]) -> HashSet<Uuid> {
    entries.iter().filter(|entry| entry.kind == FrameKind::Block).map(|entry| entry.tenant).collect()
}
