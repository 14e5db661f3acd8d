//! A put that is ready for the log: split, proved, hashed. Pure work; runs on the pool for anything but small items.

use bytes::Bytes;

use crate::budget::Held;
use crate::catalog::rows::ItemRow;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::ids::message_id_hash;
use crate::ids::uuid_v7_time;
use crate::media::MediaClass;
use crate::mime;
use crate::mime::PartInfo;
use crate::mime::Role;
use crate::mime::SplitLimits;
use crate::model::ItemKind;
use crate::model::PutOptions;
use crate::model::PutReceipt;
use crate::model::Sha256;
use crate::ops::hidden_id::hidden_id;
use crate::ops::log::group::CallerKey;
use crate::ops::lost::Lost;
use crate::ops::read::sha256;
use crate::pack::MessageRecord;
use crate::pack::PartRecord;
use crate::pack::SegmentPlace;
use crate::pack::SegmentedEntry;
use crate::store::Store;
use std::sync::Arc;

use crate::catalog::rows::TenantRow;

/// The bytes of an object that a put brings.
#[derive(Debug, Clone)]
pub(crate) enum ObjectBytes {
    /// In memory.
    Whole(Bytes),
    /// In segments that lie in the put's own pack already.
    Segmented(Vec<SegmentPlace>),
    /// As an entry of a block of the put's own pack: frame and entry.
    Placed(u32, u32),
}

/// An object that a put refers to.
#[derive(Debug, Clone)]
pub(crate) struct PreparedObject {
    pub(crate) part: u32,
    pub(crate) role: u8,
    pub(crate) media_type: String,
    pub(crate) file_name: Option<String>,
    pub(crate) sha256: Sha256,
    pub(crate) bytes: u64,
    pub(crate) class: MediaClass,
    pub(crate) data: ObjectBytes,
}

impl PreparedObject {
    /// The manifest of a segmented object.
    pub(crate) fn manifest(&self, segments: &[SegmentPlace]) -> SegmentedEntry {
        SegmentedEntry {
            sha256: self.sha256,
            bytes: self.bytes,
            class: self.class.code(),
            segments: segments.to_vec(),
            unknown: crate::pack::Fields::default(),
        }
    }
}

/// A put that is ready for the log.
#[derive(Debug)]
pub(crate) struct PreparedPut {
    pub(crate) tenant: Arc<TenantRow>,
    pub(crate) kind: ItemKind,
    pub(crate) options: PutOptions,
    pub(crate) id: uuid::Uuid,
    pub(crate) created: Timestamp,
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
    pub(crate) skeleton: Bytes,
    pub(crate) message_id_hash: Option<i64>,
    pub(crate) objects: Vec<PreparedObject>,
    /// What the item that it repeats has lost, where that was looked at before it came to the log.
    pub(crate) lost: Option<Lost>,
    /// The put memory it holds until it is answered, whether or not its caller still waits.
    pub(crate) memory: Option<Held>,
}

impl PreparedPut {
    /// What the put holds in memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let objects: usize = self
            .objects
            .iter()
            .map(|object| match &object.data {
                ObjectBytes::Whole(bytes) => bytes.len(),
                ObjectBytes::Segmented(segments) => segments.len() * size_of::<SegmentPlace>(),
                ObjectBytes::Placed(..) => 0,
            })
            .sum();
        self.skeleton.len() + objects
    }

    /// What the caller calls it, unique among items of its kind.
    pub(crate) fn caller_key(&self) -> Option<CallerKey> {
        self.options.caller_id.clone().map(|id| (self.tenant.key, self.kind, id))
    }

    /// What stands for an id of its kind where that was erased.
    pub(crate) fn hidden_id(&self, id: &str) -> String {
        hidden_id(self.tenant.id, self.kind, id)
    }

    /// Skeleton and objects, decoded, once per reference.
    pub(crate) fn referenced_bytes(&self) -> u64 {
        self.skeleton.len() as u64 + self.objects.iter().map(|object| object.bytes).sum::<u64>()
    }

    /// The record that lets the catalog be rebuilt.
    pub(crate) fn record(&self) -> MessageRecord {
        let parts = self.objects.iter().map(|object| PartRecord {
            index: object.part,
            role: object.role,
            media_type: object.media_type.clone(),
            file_name: object.file_name.clone(),
            object: object.sha256,
            decoded_bytes: object.bytes,
            unknown: crate::pack::Fields::default(),
        });
        MessageRecord {
            id: self.id,
            kind: self.kind,
            caller_id: self.options.caller_id.clone(),
            external: self.options.external,
            created: self.created,
            media_type: self.options.media_type.clone(),
            file_name: self.options.file_name.clone(),
            retention_end: self.options.retention_end,
            hold: self.options.hold,
            pin: self.options.pin,
            labels: self.options.labels.clone(),
            bytes: self.bytes,
            sha256: self.sha256,
            message_id_hash: self.message_id_hash,
            parts: parts.collect(),
            unknown: crate::pack::Fields::default(),
        }
    }

    /// Becomes a put of the item that is there and has these bytes, as it stands in the catalog.
    pub(crate) fn becomes(&mut self, row: &ItemRow) {
        self.id = row.id;
        self.created = uuid_v7_time(row.id);
        self.options.external = row.external;
        self.options.retention_end = row.expires;
        self.options.hold = row.hold;
        self.options.pin = row.pin;
        self.options.labels.clone_from(&row.labels);
    }

    /// The record of the item that is there and has these bytes, as it stands in the catalog.
    pub(crate) fn record_of(&self, row: &ItemRow) -> MessageRecord {
        MessageRecord {
            id: row.id,
            caller_id: row.caller_id.clone(),
            external: row.external,
            created: uuid_v7_time(row.id),
            retention_end: row.expires,
            hold: row.hold,
            pin: row.pin,
            labels: row.labels.clone(),
            ..self.record()
        }
    }

    /// The answer to a put that was stored now.
    pub(crate) fn receipt(&self, objects_known: usize) -> PutReceipt {
        PutReceipt {
            id: self.id,
            created: true,
            bytes: self.bytes,
            sha256: self.sha256,
            objects: u32::try_from(self.objects.len()).unwrap_or(u32::MAX),
            objects_known: u32::try_from(objects_known).unwrap_or(u32::MAX),
        }
    }

    /// The answer where the caller's id is taken: the same bytes succeed again, others do not.
    pub(crate) fn repeat(&self, existing: &ItemRow) -> Result<PutReceipt> {
        if existing.sha256 != self.sha256 {
            return Err(Error::new(
                crate::error::Kind::AlreadyExists,
                "This id is taken by other bytes. Choose another id.",
            ));
        }
        let objects = u32::try_from(self.objects.len()).unwrap_or(u32::MAX);
        Ok(PutReceipt {
            id: existing.id,
            created: false,
            bytes: existing.bytes,
            sha256: existing.sha256,
            objects,
            objects_known: objects,
        })
    }
}

/// What identifies a put before its bytes are looked at.
#[derive(Debug, Clone)]
pub(crate) struct PutTarget {
    pub(crate) tenant: Arc<TenantRow>,
    pub(crate) kind: ItemKind,
    pub(crate) options: PutOptions,
    pub(crate) id: uuid::Uuid,
    pub(crate) created: Timestamp,
}

impl PutTarget {
    /// Checks the options and gives the item its id.
    pub(crate) fn new(
        store: &Store,
        tenant: Arc<TenantRow>,
        kind: ItemKind,
        options: PutOptions,
    ) -> Result<Self> {
        check_options(&options)?;
        let created = options.created.unwrap_or_else(|| store.now());
        let id = store.ids.next(created)?;
        Ok(Self { tenant, kind, options, id, created })
    }

    /// What a content says about its one part.
    pub(crate) fn content_info(&self) -> PartInfo {
        PartInfo {
            role: Role::Attachment,
            media_type: self
                .options
                .media_type
                .clone()
                .unwrap_or_else(|| "application/octet-stream".to_owned()),
            file_name: self.options.file_name.clone(),
            encoding: mime::Encoding::Identity,
        }
    }

    /// A put of these pieces.
    pub(crate) fn prepared(
        self,
        (bytes, sha256): (u64, Sha256),
        skeleton: Vec<u8>,
        message_id: Option<&str>,
        objects: Vec<PreparedObject>,
    ) -> PreparedPut {
        PreparedPut {
            tenant: self.tenant,
            kind: self.kind,
            options: self.options,
            id: self.id,
            created: self.created,
            bytes,
            sha256,
            skeleton: Bytes::from(skeleton),
            message_id_hash: message_id.map(message_id_hash),
            objects,
            lost: None,
            memory: None,
        }
    }
}

/// The bounds of `interface.md`: ids to 128 bytes, 16 labels, keys to 64 bytes and values to 256.
fn check_options(options: &PutOptions) -> Result<()> {
    if let Some(id) = &options.caller_id
        && (!(1..=128).contains(&id.len()) || id.contains('\0'))
    {
        return Err(Error::invalid("An id must have 1 to 128 bytes, none of which is NUL."));
    }
    check_labels(&options.labels)?;
    let media_type = options.media_type.as_deref().unwrap_or_default();
    if media_type.len() > 127 || media_type.chars().any(char::is_control) {
        return Err(Error::invalid("A media type must have at most 127 bytes and no control characters."));
    }
    let file_name = options.file_name.as_deref().unwrap_or_default();
    if file_name.len() > 255 || file_name.chars().any(char::is_control) {
        return Err(Error::invalid("A file name must have at most 255 bytes and no control characters."));
    }
    Ok(())
}

/// The bounds on labels.
pub(crate) fn check_labels(labels: &std::collections::BTreeMap<String, String>) -> Result<()> {
    let fits =
        labels.len() <= 16 && labels.iter().all(|(k, v)| (1..=64).contains(&k.len()) && v.len() <= 256);
    if fits {
        return Ok(());
    }
    Err(Error::invalid(
        "At most 16 labels are kept, with keys of 1 to 64 bytes and values of at most 256 bytes.",
    ))
}

/// Splits, proves and hashes an item that is whole in memory.
pub(crate) fn prepare(target: PutTarget, bytes: &Bytes) -> Result<PreparedPut> {
    let whole = (bytes.len() as u64, sha256(bytes));
    if target.kind == ItemKind::Content {
        let info = target.content_info();
        let skeleton = mime::single_part(&info, whole.0)?;
        let object = prepared_object(0, &info, bytes.clone());
        return Ok(target.prepared(whole, skeleton, None, vec![object]));
    }
    let split = mime::split(bytes, SplitLimits::default())?;
    let object = |object: u32| {
        usize::try_from(object)
            .ok()
            .and_then(|index| split.objects.get(index))
            .map(|(_, data)| data.as_slice())
    };
    if !mime::rebuilds(&split.split.skeleton, &object, bytes) {
        // The proof failed: a defect of the splitter. The message is kept as it came.
        tracing::error!(bytes = bytes.len(), sha256 = %whole.1, "the recipes did not rebuild a message; it is kept whole");
        let info = PartInfo::raw();
        let skeleton = mime::single_part(&info, whole.0)?;
        let object = prepared_object(0, &info, bytes.clone());
        return Ok(target.prepared(whole, skeleton, split.split.message_id.as_deref(), vec![object]));
    }
    let indexes = split.split.parts.iter().filter(|part| part.object.is_some()).map(|part| part.index);
    let objects = indexes
        .zip(split.objects)
        .map(|(index, (info, data))| prepared_object(index, &info, Bytes::from(data)))
        .collect();
    Ok(target.prepared(whole, split.split.skeleton, split.split.message_id.as_deref(), objects))
}

fn prepared_object(part: u32, info: &PartInfo, data: Bytes) -> PreparedObject {
    PreparedObject {
        part,
        role: info.role.id(),
        media_type: info.media_type.clone(),
        file_name: info.file_name.clone(),
        sha256: sha256(&data),
        bytes: data.len() as u64,
        class: MediaClass::of(&info.media_type, &data),
        data: ObjectBytes::Whole(data),
    }
}
