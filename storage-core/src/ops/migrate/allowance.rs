//! Which objects may take long to make again. Recoding saves most on photos and long streams, and these are what takes
//! long; few reads of messages may be that slow, so few objects of messages may be: one item in [`ITEMS_EACH`] has one, and
//! no item has two. The largest ones get the places. What is all that its items hold was stored by itself, and is read as
//! the document it is: all of that may take long. Plans only; no time is measured, so the same store is stored the same
//! everywhere.

use std::collections::HashMap;
use std::collections::HashSet;

use uuid::Uuid;

use crate::catalog::rows::TenantRow;
use crate::catalog::rows::UnitKey;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::model::Tier;
use crate::ops::migrate::plan::PlanPage;
use crate::ops::rewrite::unit::Change;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::recode;
use crate::recode::Limits;
use crate::store::Store;

/// Of so many items one may have an object that takes long: reads at the 99th percentile do not meet it.
const ITEMS_EACH: i64 = 250;

/// Shorter objects are made again quickly anyway.
const BYTES_MIN: u64 = 32 << 10;

/// Longer ones of messages would take too long even so.
const BYTES_MAX: u64 = 400 << 10;

/// Objects that are asked about for each place, at most: some belong to too many items.
const ASKED_EACH: usize = 8;

/// Objects that are asked about in one go.
const BATCH: usize = 4_096;

/// How long making an object again may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Place {
    /// As long as for most.
    #[default]
    None,
    /// Long: it has one of the few places for objects of messages.
    Message,
    /// Longer: it is a document of its own.
    Document,
}

impl Place {
    /// The limits of an object that has this place.
    pub(super) fn limits(self, limits: Limits) -> Limits {
        match self {
            Self::None => limits,
            Self::Message => limits.patient(),
            Self::Document => limits.document(),
        }
    }
}

/// The places of one tenant's run.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    places: u64,
    /// Items that have an object that takes long.
    items: HashSet<Uuid>,
}

impl Allowance {
    /// Gives places for the items of a page, and returns the objects of the page that get one.
    pub(super) async fn page(
        &mut self,
        store: &Store,
        tenant: &TenantRow,
        page: &PlanPage,
    ) -> Result<HashMap<UnitKey, Place>> {
        let mut objects = Vec::new();
        for unit in page.units().filter(|unit| is_first_time(unit)) {
            match unit.key {
                // Keys follow each other, so that many small runs give as many places as a large one.
                UnitKey::Skeleton(key) => self.places += u64::from(key.0 % ITEMS_EACH == 0),
                UnitKey::Object(key) if may_take_long(unit) => objects.push((unit.bytes, key)),
                UnitKey::Object(_) => {}
            }
        }
        let mut inside = HashSet::new();
        let keys: Vec<ObjectKey> = objects.iter().map(|(_, key)| *key).collect();
        for keys in keys.chunks(BATCH) {
            inside.extend(store.catalog.objects_inside(keys).await?);
        }
        let documents = keys.iter().filter(|key| !inside.contains(*key));
        let mut chosen: HashMap<UnitKey, Place> =
            documents.map(|key| (UnitKey::Object(*key), Place::Document)).collect();
        let documents = chosen.len();
        objects.retain(|(bytes, key)| inside.contains(key) && *bytes <= BYTES_MAX);
        objects.sort_unstable_by_key(|(bytes, key)| (std::cmp::Reverse(*bytes), *key));
        self.choose(store, objects.into_iter().map(|(_, key)| key), &mut chosen).await?;
        let messages = chosen.len() - documents;
        tracing::debug!(tenant = %tenant.name, documents, messages, left = self.places, "objects that may take long");
        Ok(chosen)
    }

    /// Gives the places that there are to objects of messages, in their order.
    async fn choose(
        &mut self,
        store: &Store,
        objects: impl Iterator<Item = ObjectKey>,
        chosen: &mut HashMap<UnitKey, Place>,
    ) -> Result<()> {
        let asked = usize::try_from(self.places).unwrap_or(usize::MAX).saturating_mul(ASKED_EACH);
        for key in objects.take(asked) {
            if self.places == 0 {
                break;
            }
            let limit = u32::try_from(self.places).unwrap_or(u32::MAX - 1).saturating_add(1);
            let items = store.catalog.items_of_object(key, limit).await?;
            let count = items.len() as u64;
            if count <= self.places && items.iter().all(|item| !self.items.contains(item)) {
                self.places -= count;
                self.items.extend(items);
                let _ = chosen.insert(UnitKey::Object(key), Place::Message);
            }
        }
        Ok(())
    }
}

/// Whether it comes into the tiers that recode. What is in them keeps the form it has.
fn is_first_time(unit: &PlannedUnit) -> bool {
    unit.change == Change::Move && unit.to >= Tier::Cold && unit.from.tier < Tier::Cold
}

fn may_take_long(unit: &PlannedUnit) -> bool {
    recode::applies(unit.class) && unit.bytes >= BYTES_MIN
}
