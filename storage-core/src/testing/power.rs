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
    let pending = u64::try_from(packs.unsynced().len()).unwrap_or(u64::MAX);
    let mut fate = fates(disk, pending);
    packs.after_power_cut(&mut |what| match what {
        Unsynced::Name(_) => fate(None),
        Unsynced::Append(_, bytes) => fate(Some(bytes)),
    })
}

/// Decides about so many changes that are not durable, one after the other: writes of so many bytes, or others (`None`),
/// which happen as a whole or not at all.
pub(super) fn fates(disk: Disk, pending: u64) -> impl FnMut(Option<u64>) -> Fate {
    let mut chance = Chance::new(match disk {
        Disk::Torn(seed) | Disk::OutOfOrder(seed) => seed,
        Disk::Kept | Disk::Lost => 0,
    });
    let torn = if matches!(disk, Disk::Torn(_)) { chance.below(pending) } else { 0 };
    let mut asked = 0;
    move |bytes| {
        let fate = match disk {
            Disk::Torn(_) if asked < torn => Fate::Kept,
            Disk::Torn(_) if asked == torn => torn_at(bytes, &mut chance),
            Disk::Torn(_) | Disk::Lost => Fate::Lost,
            Disk::Kept => Fate::Kept,
            Disk::OutOfOrder(_) => match chance.below(3) {
                0 => Fate::Kept,
                1 => Fate::Lost,
                _ => torn_at(bytes, &mut chance),
            },
        };
        asked += 1;
        fate
    }
}

/// Some of its bytes; anything else is there or not.
fn torn_at(bytes: Option<u64>, chance: &mut Chance) -> Fate {
    bytes.map_or(Fate::Lost, |bytes| Fate::Torn(chance.below(bytes)))
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
