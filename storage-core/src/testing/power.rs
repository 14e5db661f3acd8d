//! What a power cut leaves of a store whose doors are in memory: the choice, for everything that is not durable,
//! whether it survives.

use crate::backend::Fate;
use crate::backend::MemoryBackend;
use crate::backend::Unsynced;
use crate::testing::chance::Chance;
use crate::testing::memory_catalog::MemoryCatalog;

/// How un-synced writes fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// All survive: the process ended, the machine did not.
    Kept,
    /// None survives.
    Lost,
    /// The first ones survive, the next one is torn, the rest is lost: how many, the seed says.
    Torn(u64),
    /// Each one survives, is torn or is lost by itself, whatever became of those before it: the seed says which.
    OutOfOrder(u64),
}

/// How commits that no barrier made durable fare. What survives is a prefix of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commits {
    /// All survive.
    Kept,
    /// None survives.
    Lost,
    /// As many as the seed says.
    Some(u64),
}

/// What a cut leaves of the packs.
pub fn packs_after(packs: &MemoryBackend, disk: Disk) -> MemoryBackend {
    match disk {
        Disk::Kept => packs.after_power_cut(&mut |_| Fate::Kept),
        Disk::Lost => packs.after_power_cut(&mut |_| Fate::Lost),
        Disk::Torn(seed) => {
            let mut chance = Chance::new(seed);
            let pending = u64::try_from(packs.unsynced().len()).unwrap_or(u64::MAX);
            let torn = chance.below(pending);
            let mut asked = 0;
            packs.after_power_cut(&mut |what| {
                let fate = match asked {
                    before if before < torn => Fate::Kept,
                    at if at == torn => torn_at(what, &mut chance),
                    _ => Fate::Lost,
                };
                asked += 1;
                fate
            })
        }
        Disk::OutOfOrder(seed) => {
            let mut chance = Chance::new(seed);
            packs.after_power_cut(&mut |what| match chance.below(3) {
                0 => Fate::Kept,
                1 => Fate::Lost,
                _ => torn_at(what, &mut chance),
            })
        }
    }
}

/// Some of its bytes; a name is there or not.
fn torn_at(what: Unsynced, chance: &mut Chance) -> Fate {
    match what {
        Unsynced::Name(_) => Fate::Lost,
        Unsynced::Append(_, bytes) => Fate::Torn(chance.below(bytes)),
    }
}

/// What a cut leaves of the catalog.
pub fn catalog_after(catalog: &MemoryCatalog, commits: Commits) -> MemoryCatalog {
    let pending = catalog.pending();
    let survivors = match commits {
        Commits::Kept => pending,
        Commits::Lost => 0,
        Commits::Some(seed) => {
            let survivors = Chance::new(seed).below(u64::try_from(pending).unwrap_or(u64::MAX) + 1);
            usize::try_from(survivors).unwrap_or(pending)
        }
    };
    catalog.reopened(survivors)
}
