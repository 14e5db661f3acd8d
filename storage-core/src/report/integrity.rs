//! What scrub finds, what repair does about it, what a rebuilt catalog holds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use crate::model::Sha256;

/// How to scrub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubOptions {
    /// Read at most so many bytes of packs a second.
    pub bytes_per_second_max: Option<u64>,
    /// Skip packs that were found in order more recently than this long ago.
    pub older_than: Option<Duration>,
}

/// How to repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RepairOptions {
    /// Do it; else only tell what would be done.
    pub apply: bool,
    /// Read at most so many bytes of packs a second while looking for damage.
    pub bytes_per_second_max: Option<u64>,
}

macro_rules! finding_kinds {
    ($($(#[$doc:meta])* $variant:ident $name:literal $advice:literal,)+) => {
        /// The kinds of findings. Their names are permanent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FindingKind {
            $($(#[$doc])* $variant,)+
        }

        impl FindingKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its permanent name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self {
                    $(Self::$variant => $advice,)+
                }
            }
        }
    };
}

finding_kinds! {
    /// The database disagrees with itself.
    CatalogDamaged "catalog-damaged" "Stop the server, put catalog.db aside and run rebuild-catalog.",
    /// The catalog has a pack that the backend lacks.
    PackMissing "pack-missing" "Put the file of the same name from a backup into packs/; else store again what repair names.",
    /// The backend has a pack that the catalog does not know.
    PackUnknown "pack-unknown" "Run repair: it takes in what is needed of it and drops a pack that holds nothing needed.",
    /// A pack has another length than its counters add up to.
    PackLength "pack-length" "Put the file of the same name from a backup into packs/; else store again what repair names.",
    /// The first bytes of a pack are damaged.
    PackHeader "pack-header" "Put the file of the same name from a backup into packs/. Its frames can still be read.",
    /// The last bytes of a pack are damaged.
    PackFooter "pack-footer" "Put the file of the same name from a backup into packs/. Its frames are read without an index until then, slowly.",
    /// The index of a pack is damaged, or says other than its frames.
    PackIndex "pack-index" "Put the file of the same name from a backup into packs/. Its frames are read without an index until then, slowly.",
    /// The counters of a pack are not those of its file.
    PackCounters "pack-counters" "Run repair: it counts again.",
    /// The catalog does not know which dictionaries a pack needs.
    PackDictionaries "pack-dictionaries" "Run repair before the next sweep: it notes what the pack needs.",
    /// A frame does not match its checksums, or cannot be decoded.
    FrameDamaged "frame-damaged" "Put the file of the same name from a backup into packs/; else store again what repair names.",
    /// Damage of something that no row needs.
    DamageUnneeded "damage-unneeded" "Nothing is lost. It goes when its pack is rewritten: by compact --threshold 1, once a hundredth of the pack is dead.",
    /// A skeleton does not have its hash.
    SkeletonDamaged "skeleton-damaged" "Run repair. If it finds no other place, store the same bytes again under the caller's id of the item.",
    /// An object does not have its hash.
    ObjectDamaged "object-damaged" "Run repair. If it finds no other place, store a message that holds the same bytes again.",
    /// A segment does not have its hash.
    SegmentDamaged "segment-damaged" "Put the file of the same name from a backup into packs/; else store again what repair names.",
    /// A copy in a warmer tier is damaged or is not where the catalog has it.
    CopyDamaged "copy-damaged" "Run repair: it removes the copy. The other location serves.",
    /// An item's row points to a place that does not hold its skeleton.
    ItemMisplaced "item-misplaced" "Run repair: it looks for the skeleton elsewhere.",
    /// An object's row points to a place that does not hold it.
    ObjectMisplaced "object-misplaced" "Run repair: it looks for the object elsewhere.",
    /// A dictionary's row points to a place that does not hold it.
    DictionaryMisplaced "dictionary-misplaced" "Put the pack from a backup into packs/. What needs the dictionary cannot be read until then.",
    /// A frame needs a dictionary that the catalog does not know.
    DictionaryMissing "dictionary-missing" "Restore catalog and packs from one backup, or run rebuild-catalog if a pack holds the dictionary.",
    /// An item's row says other than its record.
    ItemDiffers "item-differs" "Packs are the truth: restore the catalog with its packs from a backup, or run rebuild-catalog.",
    /// An object's row says other than its entry.
    ObjectDiffers "object-differs" "Packs are the truth: restore the catalog with its packs from a backup, or run rebuild-catalog.",
    /// The catalog does not know, or has wrong, which object another one is a difference from.
    DeltaDiffers "delta-differs" "Run repair: it notes the base that the pack names.",
    /// Hold, retention, pin or labels of a row are not those of the newest change.
    PolicyDiffers "policy-differs" "Run repair: it applies the newest change that the packs hold.",
    /// A tenant's row and the packs disagree.
    TenantDiffers "tenant-differs" "Restore the catalog with its packs from a backup, or run rebuild-catalog.",
    /// A record without a row and without a tombstone.
    RecordWithoutRow "record-without-row" "Run repair: it makes the row again.",
    /// A row of an item that a tombstone says is deleted.
    RowOfDeletedItem "row-of-deleted-item" "Run repair: it removes the row.",
    /// An object that repair found nowhere.
    ObjectQuarantined "object-quarantined" "Store a message that holds the same bytes again: that mends every item listed.",
    /// The statistics are not what the rows count to.
    StatisticsDiffer "statistics-differ" "Run repair: it counts again.",
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One disagreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of.
    pub kind: FindingKind,
    /// The tenant's name, or its id where the catalog does not know it.
    pub tenant: Option<String>,
    /// The pack.
    pub pack: Option<Uuid>,
    /// The frame in it.
    pub frame: Option<u32>,
    /// The entry in that.
    pub entry: Option<u32>,
    /// The message or content.
    pub item: Option<Uuid>,
    /// The object.
    pub object: Option<Sha256>,
    /// Messages and contents that need the object, the first of them.
    pub items: Vec<Uuid>,
    /// What is wrong, as a sentence.
    pub what: String,
}

impl Finding {
    /// A finding about nothing in particular yet.
    pub fn new(kind: FindingKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            tenant: None,
            pack: None,
            frame: None,
            entry: None,
            item: None,
            object: None,
            items: Vec::new(),
            what: what.into(),
        }
    }

    /// In a pack.
    #[must_use]
    pub fn in_pack(self, pack: Uuid) -> Self {
        Self { pack: Some(pack), ..self }
    }

    /// In a frame of it.
    #[must_use]
    pub fn in_frame(self, pack: Uuid, frame: u32) -> Self {
        Self { pack: Some(pack), frame: Some(frame), ..self }
    }

    /// In an entry of that.
    #[must_use]
    pub fn in_entry(self, entry: u32) -> Self {
        Self { entry: Some(entry), ..self }
    }

    /// Of a tenant.
    #[must_use]
    pub fn of_tenant(self, tenant: impl Into<String>) -> Self {
        Self { tenant: Some(tenant.into()), ..self }
    }

    /// About an item.
    #[must_use]
    pub fn about_item(self, item: Uuid) -> Self {
        Self { item: Some(item), ..self }
    }

    /// About an object.
    #[must_use]
    pub fn about_object(self, object: Sha256, items: Vec<Uuid>) -> Self {
        Self { object: Some(object), items, ..self }
    }

    /// Where it is: `pack:frame:entry`, as far as that goes.
    pub fn place(&self) -> String {
        let mut place = self.pack.map(|pack| pack.to_string()).unwrap_or_default();
        for number in [self.frame, self.entry].into_iter().flatten() {
            place.push(':');
            place.push_str(&number.to_string());
        }
        place
    }
}

/// What a scrub looked at so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ScrubReport {
    /// Packs checked.
    pub packs: u64,
    /// Packs skipped because they were checked recently.
    pub packs_skipped: u64,
    /// Frames read.
    pub frames: u64,
    /// Bytes of packs read.
    pub bytes: u64,
    /// Bytes of packs to read in all.
    pub planned_bytes: u64,
    /// Rows of items compared.
    pub items: u64,
    /// Rows of objects compared.
    pub objects: u64,
    /// Findings by kind.
    pub findings: BTreeMap<String, u64>,
    /// True where it was stopped before it was done.
    pub stopped: bool,
}

impl ScrubReport {
    /// Findings of damage that nothing needs: what is stored is whole all the same.
    pub fn unneeded(&self) -> u64 {
        self.findings.get(FindingKind::DamageUnneeded.name()).copied().unwrap_or_default()
    }
}

/// What a scrub tells while it runs. No finding is left out; progress may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScrubEvent {
    /// Something is wrong.
    Finding(Finding),
    /// How far it is.
    Progress(ScrubReport),
}

/// What repair does, or would do, about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairAction {
    /// The finding.
    pub finding: Finding,
    /// What is done, as a sentence.
    pub action: String,
    /// False where nothing can be done about it here.
    pub mends: bool,
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RepairReport {
    /// Whether anything was changed.
    pub applied: bool,
    /// Findings in all.
    pub findings: u64,
    /// Findings that are mended, or would be.
    pub mended: u64,
    /// Findings that nothing here mends.
    pub left: u64,
    /// Objects in quarantine because they can be read nowhere.
    pub quarantined: u64,
    /// Messages and contents that cannot be read any more, or not in full.
    pub damaged_items: Vec<Uuid>,
    /// True where it was stopped before it was done.
    pub stopped: bool,
}

/// What a rebuilt catalog holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RebuildReport {
    /// Packs taken in.
    pub packs: u64,
    /// Packs left to the recovery at the next start: they were not ended.
    pub packs_left: u64,
    /// Packs with a damaged index, whose frames were read as far as they are whole.
    pub packs_damaged: u64,
    /// Frames whose table could not be read.
    pub frames_damaged: u64,
    /// Tenants.
    pub tenants: u64,
    /// Items.
    pub items: u64,
    /// Objects.
    pub objects: u64,
    /// Dictionaries.
    pub dictionaries: u64,
    /// Deleted items whose record some pack still holds.
    pub deleted: u64,
    /// Objects that items refer to and no pack holds: they are quarantined.
    pub objects_missing: u64,
    /// Items that cannot be read in full for that reason, and items left out because their id is taken.
    pub damaged_items: Vec<Uuid>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::FindingKind;

    #[test]
    fn findings_have_names_of_their_own_and_say_what_to_do() {
        let names: BTreeSet<&str> = FindingKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), FindingKind::ALL.len());
        for kind in FindingKind::ALL {
            assert!(kind.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{kind}");
            assert!(kind.advice().ends_with('.'), "{kind}");
        }
    }
}
