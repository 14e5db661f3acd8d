//! Gathers messages and objects of one tenant into a block.

use sha2::Digest;
use uuid::Uuid;

use crate::codec::Codec;
use crate::error::Result;
use crate::model::Sha256;
use crate::pack::arrange;
use crate::pack::block::kind;
use crate::pack::encoded::Draft;
use crate::pack::encoded::EncodedFrame;
use crate::pack::fields::Fields;
use crate::pack::message;
use crate::pack::message::MessageRecord;
use crate::pack::names::FrameKind;
use crate::pack::object;
use crate::pack::object::ObjectEntry;
use crate::pack::object::SegmentedEntry;
use crate::pack::object::TransformId;
use crate::pack::table::Body;
use crate::pack::table::TableWriter;
use crate::pack::wire::length;
use crate::pack::wire::put_varint;

/// The zstd level that tells whether an arrangement is worth it.
const QUICK_LEVEL: i32 = 3;

/// A block being filled.
#[derive(Debug)]
pub struct BlockBuilder {
    tenant: Uuid,
    fields: Fields,
    table: TableWriter,
    stream: Vec<u8>,
    /// Where each entry ends in the stream.
    ends: Vec<usize>,
    entries: u32,
    arranged: bool,
}

impl BlockBuilder {
    /// An empty block.
    pub fn new(tenant: Uuid) -> Self {
        Self::with_fields(tenant, Fields::default())
    }

    /// An empty block that carries on the unknown fields of the frame it replaces.
    pub fn with_fields(tenant: Uuid, fields: Fields) -> Self {
        let (table, stream) = (TableWriter::default(), Vec::new());
        Self { tenant, fields, table, stream, ends: Vec::new(), entries: 0, arranged: false }
    }

    /// Puts the bytes of the entries into another order before they are compressed, where that is smaller. For
    /// skeletons.
    pub fn arrange(&mut self) {
        self.arranged = true;
    }

    /// Adds a message with its skeleton, or a content with an empty one; its number among the entries. A part
    /// whose object was pushed before costs one byte instead of a hash.
    pub fn push_message(&mut self, record: &MessageRecord, skeleton: &[u8]) -> u32 {
        let digest = <[u8; 32]>::from(sha2::Sha256::digest(skeleton));
        let digest = digest.first_chunk().copied().unwrap_or_default();
        self.push(kind::MESSAGE, skeleton, |body| message::write(record, length(skeleton), digest, body))
    }

    /// Adds an object as it is.
    pub fn push_object(&mut self, sha256: Sha256, class: u8, bytes: &[u8]) -> u32 {
        let object = ObjectEntry {
            sha256,
            bytes: length(bytes),
            class,
            transform: TransformId::NONE,
            params: Vec::new(),
            gain: 0,
            unknown: Fields::default(),
        };
        self.push_transformed(&object, bytes)
    }

    /// Adds an object in the form its transform gave it.
    pub fn push_transformed(&mut self, object: &ObjectEntry, stored: &[u8]) -> u32 {
        self.push(kind::OBJECT, stored, |body| object::write_object(object, length(stored), body))
    }

    /// Adds an object whose segments are frames that were placed in the same pack before.
    pub fn push_segmented(&mut self, object: &SegmentedEntry) -> u32 {
        self.push(kind::SEGMENTED, &[], |body| object::write_segmented(object, body))
    }

    /// Bytes of the stream so far.
    pub fn decoded_bytes(&self) -> usize {
        self.stream.len()
    }

    /// Entries so far.
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The frame. Either codec gives way to none where it gains nothing.
    pub fn finish(self, table: &Codec, stream: &Codec) -> Result<EncodedFrame> {
        let arranged = if self.arranged { self.worthwhile()? } else { None };
        let (tenant, fields) = (self.tenant, self.fields);
        let draft = Draft { kind: FrameKind::Block, tenant, fields, table: self.table, arranged };
        draft.finish(table, &self.stream, stream)
    }

    /// The arranged stream, if a quick try says that it compresses better.
    fn worthwhile(&self) -> Result<Option<Vec<u8>>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let units =
            starts.zip(&self.ends).map(|(start, end)| self.stream.get(start..*end).unwrap_or_default());
        let Some(arranged) = arrange::arrange(&units.collect::<Vec<_>>()) else {
            return Ok(None);
        };
        let quick = Codec::Zstd { level: QUICK_LEVEL };
        let smaller = quick.encode(&arranged)?.len() < quick.encode(&self.stream)?.len();
        Ok(smaller.then_some(arranged))
    }

    fn push(&mut self, kind: u64, bytes: &[u8], write: impl FnOnce(&mut Body<'_>)) -> u32 {
        put_varint(&mut self.table.coded, kind);
        self.table.push(write);
        self.stream.extend_from_slice(bytes);
        self.ends.push(self.stream.len());
        let number = self.entries;
        self.entries = self.entries.saturating_add(1);
        number
    }
}
