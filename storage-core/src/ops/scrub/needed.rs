//! Whether anybody needs a frame that is damaged: a row that points into it, a large object whose segment it is, a dictionary's
//! row. What a tombstone, a change or a tenant's record says is always needed: what it said is not known.

use crate::catalog::rows::UnitKey;
use crate::error::Result;
use crate::ops::scrub::Scrub;
use crate::ops::scrub::Target;
use crate::pack::EntryBody;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::report::FindingKind;

impl Scrub<'_> {
    /// The kind of a finding about a damaged frame: `kind`, unless nothing needs the frame.
    pub(super) async fn kind_of_damage(
        &mut self,
        target: &Target,
        entry: &IndexEntry,
        kind: FindingKind,
    ) -> Result<FindingKind> {
        Ok(if self.is_needed(target, entry).await? { kind } else { FindingKind::DamageUnneeded })
    }

    async fn is_needed(&mut self, target: &Target, entry: &IndexEntry) -> Result<bool> {
        let tenant = self.tenants.get(&entry.tenant).map(|row| row.key);
        let (Some(row), Some(tenant)) = (&target.row, tenant) else {
            return Ok(true);
        };
        match entry.kind {
            FrameKind::Block => {
                let units = self.store.catalog.units_in(tenant, &[row.key]).await?;
                Ok(units.iter().any(|unit| unit.location.place.frame == entry.ordinal))
            }
            FrameKind::Segment => {
                let units = self.store.catalog.units_in(tenant, &[row.key]).await?;
                for unit in units.iter().filter(|unit| matches!(unit.unit, UnitKey::Object(_))) {
                    match self.entry_at(&unit.location).await?.map(|entry| entry.body) {
                        Ok(EntryBody::Segmented(object)) => {
                            if object.segments.iter().any(|segment| segment.ordinal == entry.ordinal) {
                                return Ok(true);
                            }
                        }
                        Ok(_) => {}
                        // Which segments it has cannot be read: this one may be among them.
                        Err(_) => return Ok(true),
                    }
                }
                Ok(false)
            }
            FrameKind::Dictionary => {
                let rows = self.store.catalog.dictionaries(Some(tenant)).await?;
                Ok(rows
                    .iter()
                    .any(|row| (row.pack_name, row.dictionary.frame) == (target.name, entry.ordinal)))
            }
            FrameKind::Tombstone | FrameKind::Policy | FrameKind::Tenant => Ok(true),
        }
    }
}
