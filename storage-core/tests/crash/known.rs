//! Stores that were looked at already: one that differs in nothing from them need not be looked at once more, because
//! everything that follows from a store, its clock and its seeds repeats.

use std::collections::HashSet;
use std::hash::Hash;
use std::hash::Hasher;

use sha2::Digest;
use sha2::Sha256;

use crate::lab::Lab;
use crate::packs::Packs;
use crate::rows::Rows;
use crate::world::Item;
use crate::world::Known;
use crate::world::World;

/// The stores of one scenario.
#[derive(Debug, Default)]
pub(crate) struct Stores(HashSet<[u8; 32]>);

/// Built with optimisations where the hasher of the standard library is not: whole packs go through it.
#[derive(Default)]
struct Print(Sha256);

impl Hasher for Print {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Stores {
    /// Whether a store that is not opened yet differs from all before it. One whose rows are in files always does.
    pub(crate) fn add(&mut self, lab: &Lab) -> bool {
        print(lab).is_none_or(|print| self.0.insert(print))
    }
}

fn print(lab: &Lab) -> Option<[u8; 32]> {
    let mut hasher = Print::default();
    match &lab.packs {
        Packs::Memory(packs) => packs.hash(&mut hasher),
        Packs::Files(disk) => disk.hash(&mut hasher),
    }
    match &lab.rows {
        Rows::Memory(rows) => rows.hash(&mut hasher),
        Rows::Files(_) => return None,
    }
    (lab.now().0, lab.opened(), lab.leftovers, lab.damaged).hash(&mut hasher);
    world(&lab.world, &mut hasher);
    Some(hasher.0.finalize().into())
}

fn world(world: &World, hasher: &mut Print) {
    let World { tenants, policies, items, traces, erased, asked, damaged } = world;
    format!("{tenants:?} {policies:?}").hash(hasher);
    (traces, erased, asked, damaged).hash(hasher);
    for (key, Known { is, maybe }) in items {
        (key, maybe.len()).hash(hasher);
        for item in std::iter::once(is).chain(maybe) {
            let item = item.as_ref().map(|Item { bytes, hold, pin, retention_end, labels }| {
                (bytes, hold, format!("{pin:?} {retention_end:?}"), labels)
            });
            item.hash(hasher);
        }
    }
}
