//! What of an item can be read nowhere: asked before a put that brings the same bytes under the same id is told that the item
//! is there.
//!
//! What cannot be read is looked up and read a second time: it, or what it is a difference from, may have moved meanwhile.

use crate::catalog::rows::ItemRow;
use crate::catalog::rows::Location;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::PartRow;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::ops::get::skeleton_of;
use crate::ops::prepared::PreparedObject;
use crate::ops::prepared::PreparedPut;
use crate::ops::read::StoredObject;
use crate::ops::stream::Source;
use crate::ops::survey::is_damage;
use crate::store::Store;

/// What an item has lost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lost {
    /// Whether no place of its skeleton can be read.
    pub(crate) skeleton: bool,
    /// Its objects that no place holds, quarantined or not.
    pub(crate) objects: Vec<(ObjectKey, Sha256)>,
    /// Whether the skeleton of the put fits the parts of the item.
    pub(crate) is_split_alike: bool,
}

impl Lost {
    /// Whether nothing is lost.
    pub(crate) fn is_nothing(&self) -> bool {
        !self.skeleton && self.objects.is_empty()
    }

    /// Why a put that brings these objects, and its own skeleton, cannot mend the item.
    pub(crate) fn check_mends(
        &self,
        put: &PreparedPut,
        brings: impl Fn(&PreparedObject) -> bool,
    ) -> Result<()> {
        if self.skeleton && !self.is_split_alike {
            return Err(split_otherwise());
        }
        for (_, hash) in &self.objects {
            let mut same = put.objects.iter().filter(|object| object.sha256 == *hash).peekable();
            if same.peek().is_none() {
                return Err(split_otherwise());
            }
            if !same.any(&brings) {
                return Err(found_only_now());
            }
        }
        Ok(())
    }
}

fn split_otherwise() -> Error {
    Error::corrupt(
        "The item with this id is damaged, and was stored in other parts than these bytes are split into. Delete it and store it \
         under another id.",
    )
}

fn found_only_now() -> Error {
    Error::new(
        Kind::Unavailable,
        "The item with this id is damaged, as was found only just now. Send it again.",
    )
}

/// Reads all of the item that a put repeats.
pub(crate) async fn find_lost(store: &Store, put: &PreparedPut, row: &ItemRow) -> Result<Lost> {
    let tenant = put.tenant.key;
    let parts = store.catalog.parts(row.key).await?;
    let mut lost = Lost {
        skeleton: is_skeleton_lost(store, tenant, row).await?,
        objects: Vec::new(),
        is_split_alike: is_split_alike(put, row, &parts),
    };
    for part in parts {
        let object = (part.object.key, part.object.sha256);
        if !lost.objects.contains(&object) && is_object_lost(store, tenant, &part.object).await? {
            lost.objects.push(object);
        }
    }
    if !lost.is_nothing() {
        let objects = lost.objects.len();
        tracing::warn!(item = %row.id, skeleton = lost.skeleton, objects, "a repeated put finds its item damaged");
    }
    Ok(lost)
}

/// Takes objects for lost, durably: puts bring them again from here on, and so does a replay of what those write.
pub(crate) async fn quarantine(
    store: &Store,
    lost: impl Iterator<Item = &Lost>,
    at: Timestamp,
) -> Result<()> {
    let mut keys: Vec<ObjectKey> = lost.flat_map(|lost| &lost.objects).map(|(key, _)| *key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    keys.sort_unstable();
    keys.dedup();
    store.catalog.quarantine(&keys, at).await?;
    store.settle_rows().await
}

/// Whether the put's skeleton fits the item's parts: another version of the splitter may have cut it otherwise.
fn is_split_alike(put: &PreparedPut, row: &ItemRow, parts: &[PartRow]) -> bool {
    let same = put.objects.iter().zip(parts).all(|(object, part)| {
        (object.part, object.role, object.sha256) == (part.part, part.role, part.object.sha256)
            && Some(&object.media_type) == part.media_type.as_ref()
            && object.file_name == part.file_name
    });
    same && put.objects.len() == parts.len() && put.skeleton.len() as u64 == row.skeleton_bytes
}

async fn is_skeleton_lost(store: &Store, tenant: TenantKey, row: &ItemRow) -> Result<bool> {
    if !is_unread(skeleton_of(store, row).await)? {
        return Ok(false);
    }
    match store.catalog.item_by_uuid(tenant, row.kind, row.id).await? {
        Some(now) => is_unread(skeleton_of(store, &now).await),
        None => Ok(false),
    }
}

async fn is_object_lost(store: &Store, tenant: TenantKey, row: &ObjectRow) -> Result<bool> {
    if row.quarantined {
        return Ok(true);
    }
    if !is_unread(read(store, row).await)? {
        return Ok(false);
    }
    let rows = store.catalog.objects_by_hash(tenant, &[row.sha256]).await?;
    match rows.first() {
        Some(now) if !now.quarantined => is_unread(read(store, now).await),
        Some(_) => Ok(true),
        None => Ok(false),
    }
}

/// Reads an object whole from one of its locations.
async fn read(store: &Store, row: &ObjectRow) -> Result<()> {
    if row.copy.is_some() && read_at(store, row, row.copy).await.is_ok() {
        return Ok(());
    }
    read_at(store, row, None).await
}

/// Reads an object from its copy or its primary location, a segmented one piece by piece.
async fn read_at(store: &Store, row: &ObjectRow, copy: Option<Location>) -> Result<()> {
    let source = Source::Row { primary: row.location, copy, sha256: row.sha256 };
    if let StoredObject::Segmented(pack, entry) = source.load(store).await? {
        for segment in &entry.segments {
            let _verified = store.segment(pack, segment).await?;
        }
    }
    Ok(())
}

/// Whether the device itself could not read (`EIO`).
fn is_of_the_medium(error: &Error) -> bool {
    const EIO: i32 = 5;
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.raw_os_error() == Some(EIO))
    })
}

/// Whether the disk does not give the bytes back. Another failure (of permissions, of files that may be open) tells nothing of
/// them.
fn is_unread<T>(read: Result<T>) -> Result<bool> {
    match read {
        Ok(_) => Ok(false),
        Err(error) if is_damage(&error) || is_of_the_medium(&error) => Ok(true),
        Err(error) => Err(error),
    }
}
