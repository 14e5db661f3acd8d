//! Asking for an erasure: the same order as a delete. Its tombstone says so, and carries what erasing needs to know when the
//! item's own record is gone; the caller's id is not in it.

use uuid::Uuid;

use crate::catalog::rows::ItemDelete;
use crate::catalog::rows::ItemErase;
use crate::catalog::rows::LogChange;
use crate::catalog::rows::TenantRow;
use crate::clock::Timestamp;
use crate::codec::Codec;
use crate::error::Result;
use crate::model::ItemKind;
use crate::ops::hidden_id::hidden_id;
use crate::ops::log::Log;
use crate::ops::log::Remains;
use crate::ops::log::changes::check_deletable;
use crate::ops::log::group::GONE_MILLIS;
use crate::pack::EncodedFrame;
use crate::pack::Fields;
use crate::pack::Tombstone;
use crate::pack::tombstone_frame;

impl Log {
    /// The tombstone and the change; none where the erasure was asked for before.
    pub(super) async fn erasing(
        &self,
        tenant: &TenantRow,
        (kind, id): (ItemKind, Uuid),
        remains: &Remains,
        now: Timestamp,
    ) -> Result<Option<(EncodedFrame, LogChange)>> {
        let row = self.store.catalog.item_by_uuid(tenant.key, kind, id).await?;
        let caller_id = match &row {
            Some(row) => {
                check_deletable(row, now)?;
                row.caller_id.clone()
            }
            None if self.store.catalog.erasure(tenant.key, kind, id).await?.is_some() => return Ok(None),
            None => self.still_gone(tenant, kind, remains, now).await?,
        };
        let caller_id = caller_id.map(|caller_id| hidden_id(tenant.id, kind, &caller_id));
        let tombstone = Tombstone {
            item: id,
            kind,
            caller_id: caller_id.clone(),
            deleted: now,
            erase: Some(remains.hashes.clone()),
            unknown: Fields::default(),
        };
        let frame = tombstone_frame(tenant.id, &[tombstone], &Codec::None)?;
        let delete = ItemDelete { tenant: tenant.key, kind, id, caller_id, deleted: now };
        Ok(Some((frame, LogChange::Erase(ItemErase { delete, hashes: remains.hashes.clone() }))))
    }

    /// The caller's id of a deleted item, where it must still stay gone.
    async fn still_gone(
        &self,
        tenant: &TenantRow,
        kind: ItemKind,
        remains: &Remains,
        now: Timestamp,
    ) -> Result<Option<String>> {
        let ids: Vec<String> = remains.caller_id.iter().cloned().collect();
        let since = Timestamp(now.0.saturating_sub(GONE_MILLIS));
        let gone = self.store.catalog.deleted_caller_ids(tenant.key, kind, &ids, since).await?;
        Ok(gone.into_iter().next())
    }
}
