//! Skeletons, objects and copies that cannot be read where their rows point.

use uuid::Uuid;

use crate::catalog::rows::CopyChange;
use crate::catalog::rows::Location;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::Relocation;
use crate::catalog::rows::TenantRow;
use crate::catalog::rows::UnitKey;
use crate::catalog::similar::Form;
use crate::error::Result;
use crate::ops::repair::Deed;
use crate::ops::repair::Repair;
use crate::ops::repair::search::Claim;
use crate::report::Finding;

/// What is said where the damaged place is not the one that counts.
const ELSEWHERE: &str =
    "Nothing: what counts of it can be read; the damaged place goes when its pack is swept or rewritten.";

/// A unit as repair needs it.
#[derive(Debug, Clone, Copy)]
struct Unit {
    key: UnitKey,
    bytes: u64,
    location: Location,
    copy: Option<Location>,
}

impl Unit {
    fn of(row: &ObjectRow) -> Self {
        Self { key: UnitKey::Object(row.key), bytes: row.bytes, location: row.location, copy: row.copy }
    }
}

fn shown(location: &Location) -> String {
    format!("{}:{}:{}", location.pack, location.place.frame, location.place.entry)
}

fn claim_of(location: Location) -> Claim {
    Claim { pack: location.pack, frame: location.place.frame, entry: location.place.entry, class: 0 }
}

impl Repair<'_> {
    pub(super) async fn item(&mut self, tenant: &TenantRow, finding: &Finding) -> Result<Deed> {
        let Some(id) = finding.item else {
            return Ok((ELSEWHERE.to_owned(), false));
        };
        let rows = self.store.catalog.items_by_uuid(tenant.key, &[id]).await?;
        let Some(row) = rows.into_iter().next().map(|item| item.row) else {
            return Ok(("Nothing: it was deleted.".to_owned(), false));
        };
        if self.holds_skeleton(&row.location, id).await? {
            return Ok((ELSEWHERE.to_owned(), false));
        }
        let mut claims = self.places.items.get(&(tenant.id, id)).cloned().unwrap_or_default();
        claims.extend(row.copy.map(claim_of));
        let unit = Unit {
            key: UnitKey::Skeleton(row.key),
            bytes: row.skeleton_bytes,
            location: row.location,
            copy: row.copy,
        };
        if let Some(place) = self.skeleton_place(id, &claims).await? {
            return self.point(tenant, unit, place).await;
        }
        let _ = self.damaged.insert(id);
        let what = "Nothing: no other place holds its skeleton, so it cannot be read. Storing the same bytes under its id again \
                    mends it, where it has one of the caller's; or restore its pack from a backup.";
        Ok((what.to_owned(), false))
    }

    pub(super) async fn object(&mut self, tenant: &TenantRow, finding: &Finding) -> Result<Deed> {
        let Some(hash) = finding.object else {
            return Ok((ELSEWHERE.to_owned(), false));
        };
        let rows = self.store.catalog.objects_by_hash(tenant.key, &[hash]).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok((ELSEWHERE.to_owned(), false));
        };
        if !row.quarantined && self.holds_object(&row.location, hash).await? {
            return Ok((ELSEWHERE.to_owned(), false));
        }
        let mut claims = self.places.objects.get(&(tenant.id, hash)).cloned().unwrap_or_default();
        claims.extend(row.copy.map(claim_of));
        claims.push(claim_of(row.location));
        if let Some((place, _)) = self.object_place(hash, &claims).await? {
            return self.point(tenant, Unit::of(&row), place).await;
        }
        if self.apply {
            self.store.catalog.quarantine(&[row.key], self.store.now()).await?;
        }
        let _ = self.quarantined.insert((tenant.id, hash.0));
        let items = self.store.catalog.items_of_object(row.key, u32::MAX).await?;
        let what = format!(
            "It is quarantined: no place holds it, and {} cannot be read in full. Storing its bytes again, in whatever \
             message, mends {}.",
            counted(items.len()),
            if items.len() == 1 { "it" } else { "all of them" }
        );
        self.damaged.extend(items);
        Ok((what, false))
    }

    /// Points a row to a place that was read and hashed just now. A copy there, or one that cannot be read, goes.
    async fn point(&mut self, tenant: &TenantRow, unit: Unit, to: Location) -> Result<Deed> {
        let what = format!("Its row refers to {} from now on, which holds the same bytes.", shown(&to));
        if !self.apply {
            return Ok((what, true));
        }
        let day = self.store.now().day();
        let form = match unit.key {
            UnitKey::Skeleton(_) => Form::Kept,
            UnitKey::Object(_) => self.store.form_at(tenant.key, &to).await?,
        };
        if let Some(copy) = unit.copy {
            let drop = CopyChange { unit: unit.key, bytes: unit.bytes, copy: None, tier: copy.tier };
            let _ = self.store.catalog.change_copies(tenant.key, &[drop], day).await?;
        }
        let relocation = Relocation {
            copy: false,
            unit: unit.key,
            bytes: unit.bytes,
            from: unit.location.place,
            from_tier: unit.location.tier,
            to: to.place,
            to_tier: to.tier,
            form,
        };
        let moved = self.store.catalog.relocate(tenant.key, &[relocation], day).await?;
        if moved == 0 {
            return Ok(("Nothing: it was changed meanwhile.".to_owned(), false));
        }
        Ok((what, true))
    }

    /// Notes which object another one is a difference from, as its entry says.
    pub(super) async fn delta(&mut self, tenant: &TenantRow, finding: &Finding) -> Result<Deed> {
        let Some(hash) = finding.object else {
            return Ok((ELSEWHERE.to_owned(), false));
        };
        let rows = self.store.catalog.objects_by_hash(tenant.key, &[hash]).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok((ELSEWHERE.to_owned(), false));
        };
        let place = row.location;
        let unit = Unit { copy: None, ..Unit::of(&row) };
        let (told, mends) = self.point(tenant, unit, place).await?;
        let what = if mends { "The base that its entry names is noted.".to_owned() } else { told };
        Ok((what, mends))
    }

    pub(super) async fn copy(&mut self, tenant: &TenantRow, finding: &Finding) -> Result<Deed> {
        let unit = match (finding.item, finding.object) {
            (Some(item), _) => self.copied_item(tenant, item).await?,
            (None, Some(object)) => {
                let rows = self.store.catalog.objects_by_hash(tenant.key, &[object]).await?;
                match rows.first() {
                    Some(row) => match row.copy {
                        Some(copy) if !self.holds_object(&copy, object).await? => Some(Unit::of(row)),
                        _ => None,
                    },
                    None => None,
                }
            }
            (None, None) => None,
        };
        let Some((unit, copy)) = unit.and_then(|unit| Some((unit, unit.copy?))) else {
            return Ok((ELSEWHERE.to_owned(), false));
        };
        if self.apply {
            let drop = CopyChange { unit: unit.key, bytes: unit.bytes, copy: None, tier: copy.tier };
            let day = self.store.now().day();
            let _ = self.store.catalog.change_copies(tenant.key, &[drop], day).await?;
        }
        Ok((format!("The copy at {} is removed; the other location serves.", shown(&copy)), true))
    }

    /// An item whose copy cannot be read.
    async fn copied_item(&self, tenant: &TenantRow, item: Uuid) -> Result<Option<Unit>> {
        let rows = self.store.catalog.items_by_uuid(tenant.key, &[item]).await?;
        let Some(row) = rows.into_iter().next().map(|item| item.row) else {
            return Ok(None);
        };
        let Some(copy) = row.copy else {
            return Ok(None);
        };
        if self.holds_skeleton(&copy, item).await? {
            return Ok(None);
        }
        Ok(Some(Unit {
            key: UnitKey::Skeleton(row.key),
            bytes: row.skeleton_bytes,
            location: row.location,
            copy: row.copy,
        }))
    }
}

fn counted(items: usize) -> String {
    if items == 1 { "1 item".to_owned() } else { format!("{items} items") }
}
