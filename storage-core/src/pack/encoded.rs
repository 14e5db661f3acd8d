//! Encoding frames. A frame's bytes are complete except for its ordinal and the header's checksum, which are set
//! when a pack places it.

use bytes::Bytes;
use uuid::Uuid;

use crate::codec::Codec;
use crate::codec::CodecId;
use crate::codec::Encoded;
use crate::codec::smallest;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::pack::arrange;
use crate::pack::counters::RecodedBytes;
use crate::pack::fields::Fields;
use crate::pack::frame::FIELD_ARRANGEMENT;
use crate::pack::frame::FIELD_DICTIONARY;
use crate::pack::frame::FIELD_FORM;
use crate::pack::frame::Frame;
use crate::pack::frame::FrameHead;
use crate::pack::frame::FrameHeader;
use crate::pack::frame::MAGIC;
use crate::pack::frame::TABLE_BYTES_MAX;
use crate::pack::frame::VERSION;
use crate::pack::frame::at;
use crate::pack::frame::header_checksum;
use crate::pack::names::FrameKind;
use crate::pack::names::PackName;
use crate::pack::object::SegmentForm;
use crate::pack::object::SegmentRecord;
use crate::pack::policy::PolicyRecord;
use crate::pack::records::DictionaryRecord;
use crate::pack::records::TenantRecord;
use crate::pack::records::Tombstone;
use crate::pack::table::Record;
use crate::pack::table::TableWriter;
use crate::pack::wire::length;

/// A frame that is ready to be placed in a pack.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    header: FrameHeader,
    bytes: Vec<u8>,
}

impl EncodedFrame {
    /// The same frame once more, for another pack. Segmented objects name ordinals of their own pack: a block
    /// that holds one must be built anew instead.
    pub fn of(frame: &Frame) -> Self {
        Self { header: frame.header().clone(), bytes: frame.bytes().to_vec() }
    }

    /// What it holds.
    pub fn kind(&self) -> FrameKind {
        self.header.kind
    }

    /// Whose it is.
    pub fn tenant(&self) -> Uuid {
        self.header.tenant
    }

    /// Its bytes; final once it was placed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its bytes, to be appended.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.bytes)
    }

    /// Stored bytes of its stream.
    pub fn stream_stored(&self) -> u32 {
        self.header.stream_stored
    }

    /// Decoded bytes of its stream.
    pub fn stream_decoded(&self) -> u32 {
        self.header.stream_decoded
    }

    /// The codec that its stream came to.
    pub fn stream_codec(&self) -> CodecId {
        self.header.stream_codec
    }

    /// The dictionary that its stream needs.
    pub fn dictionary(&self) -> Option<Uuid> {
        self.header.dictionary()
    }

    /// What recoding did to the objects of a block, or to a segment; nothing for other frames.
    pub fn recoding(&self) -> Result<RecodedBytes> {
        let start = self.header.header_bytes as usize;
        let table = self.bytes.get(start..).and_then(|rest| rest.get(..self.header.table_bytes() as usize));
        let table = table.ok_or_else(|| Error::internal("a frame is shorter than its table"))?;
        FrameHead::new(self.header.clone(), Bytes::copy_from_slice(table))?.recoding()
    }

    pub(super) fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// Sets its number and seals the header for `pack`.
    pub(super) fn seal(&mut self, pack: PackName, ordinal: u32) -> Result<()> {
        self.header.ordinal = ordinal;
        let (head, _sections) = self
            .bytes
            .split_at_mut_checked(self.header.header_bytes as usize)
            .ok_or_else(|| Error::internal("a frame is shorter than its header"))?;
        let (fixed, fields) = head
            .split_at_mut_checked(at::END)
            .ok_or_else(|| Error::internal("a frame is shorter than its fixed header"))?;
        if let Some(place) = fixed.get_mut(at::ORDINAL..at::TENANT) {
            place.copy_from_slice(&ordinal.to_le_bytes());
        }
        let (covered, checksum) = fixed.split_at_mut(at::HEADER_CHECKSUM);
        checksum.copy_from_slice(&header_checksum(pack, covered, fields).to_le_bytes());
        Ok(())
    }
}

/// A frame whose sections are not encoded yet.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kind: FrameKind,
    pub(super) tenant: Uuid,
    pub(super) fields: Fields,
    pub(super) table: TableWriter,
    /// The stream as it is compressed, where that is another arrangement of it.
    pub(super) arranged: Option<Vec<u8>>,
}

impl Draft {
    fn of<R: Record>(kind: FrameKind, tenant: Uuid, records: &[R]) -> Self {
        let mut table = TableWriter::default();
        for record in records {
            table.push(|body| record.write(body));
        }
        Self { kind, tenant, fields: Fields::default(), table, arranged: None }
    }

    pub(super) fn finish(self, table_codec: &Codec, stream: &[u8], codec: &Codec) -> Result<EncodedFrame> {
        if table_codec.dictionary().is_some() {
            return Err(Error::internal("a table is never encoded with a dictionary"));
        }
        let Self { kind, tenant, mut fields, table, arranged } = self;
        check_table(&table)?;
        let rows = smallest(&table.coded, std::slice::from_ref(table_codec))?;
        let (stored, arranged_bytes) = stored_stream(stream, arranged.as_deref(), codec)?;
        fields.remove(FIELD_DICTIONARY);
        fields.remove(FIELD_ARRANGEMENT);
        if let Some(bytes) = arranged_bytes {
            fields.insert(FIELD_ARRANGEMENT, Bytes::from(arrange::field(bytes)));
        }
        if let Some(dictionary) = codec.dictionary().filter(|_| stored.codec == codec.id()) {
            fields.insert(FIELD_DICTIONARY, Bytes::copy_from_slice(dictionary.id().as_bytes()));
        }
        let mut field_bytes = Vec::new();
        fields.encode_into(&mut field_bytes);
        let header_bytes = u16::try_from(at::END + field_bytes.len())
            .map_err(|_| Error::invalid("the fields of a frame are over 64 KiB"))?;
        let table_section = [table.verbatim.as_slice(), &*rows.bytes].concat();
        let header = FrameHeader {
            kind,
            tenant,
            ordinal: 0,
            table_codec: rows.codec,
            stream_codec: stored.codec,
            header_bytes: u32::from(header_bytes),
            table_verbatim: length_u32(&table.verbatim)?,
            table_stored: length_u32(&rows.bytes)?,
            table_decoded: length_u32(&table.coded)?,
            stream_stored: length_u32(&stored.bytes)?,
            stream_decoded: length_u32(stream)?,
            fields,
            table_checksum: crc32c::crc32c(&table_section),
            stream_checksum: crc32c::crc32c(&stored.bytes),
        };
        let fixed = fixed_header(&header, header_bytes);
        let bytes = [fixed.as_slice(), &field_bytes, &table_section, &*stored.bytes].concat();
        Ok(EncodedFrame { header, bytes })
    }
}

/// A stream as it is stored, and the bytes of its arranged form where that is what was compressed.
fn stored_stream<'a>(
    stream: &'a [u8],
    arranged: Option<&'a [u8]>,
    codec: &Codec,
) -> Result<(Encoded<'a>, Option<u64>)> {
    if let Some(arranged) = arranged {
        let stored = smallest(arranged, std::slice::from_ref(codec))?;
        if stored.codec != CodecId::NONE && stored.bytes.len() < stream.len() {
            return Ok((stored, Some(length(arranged))));
        }
    }
    Ok((smallest(stream, std::slice::from_ref(codec))?, None))
}

/// The fixed header with ordinal and checksum still 0.
fn fixed_header(header: &FrameHeader, header_bytes: u16) -> Vec<u8> {
    let mut fixed = Vec::with_capacity(at::END);
    fixed.extend_from_slice(&MAGIC);
    fixed.extend_from_slice(&[VERSION, header.kind.code()]);
    fixed.extend_from_slice(&header_bytes.to_le_bytes());
    fixed.extend_from_slice(&header.table_codec.0.to_le_bytes());
    fixed.extend_from_slice(&header.stream_codec.0.to_le_bytes());
    fixed.extend_from_slice(&header.ordinal.to_le_bytes());
    fixed.extend_from_slice(header.tenant.as_bytes());
    let numbers = [
        header.table_verbatim,
        header.table_stored,
        header.table_decoded,
        header.stream_stored,
        header.stream_decoded,
        header.table_checksum,
        header.stream_checksum,
        0,
    ];
    for number in numbers {
        fixed.extend_from_slice(&number.to_le_bytes());
    }
    fixed
}

/// A piece of a large object.
pub fn segment_frame(
    tenant: Uuid,
    segment: &SegmentRecord,
    bytes: &[u8],
    stream: &Codec,
) -> Result<EncodedFrame> {
    let draft = Draft::of(FrameKind::Segment, tenant, std::slice::from_ref(segment));
    draft.finish(&Codec::None, bytes, stream)
}

/// A piece of a large object whose stream is another form of it. The record tells of the stream.
pub fn recoded_segment_frame(
    tenant: Uuid,
    record: &SegmentRecord,
    form: &SegmentForm,
    stored: &[u8],
    stream: &Codec,
) -> Result<EncodedFrame> {
    let mut draft = Draft::of(FrameKind::Segment, tenant, std::slice::from_ref(record));
    draft.fields.insert(FIELD_FORM, Bytes::from(form.encode()));
    draft.finish(&Codec::None, stored, stream)
}

/// Deletes of one tenant.
pub fn tombstone_frame(tenant: Uuid, records: &[Tombstone], table: &Codec) -> Result<EncodedFrame> {
    Draft::of(FrameKind::Tombstone, tenant, records).finish(table, &[], &Codec::None)
}

/// Changes of one tenant.
pub fn policy_frame(tenant: Uuid, records: &[PolicyRecord], table: &Codec) -> Result<EncodedFrame> {
    Draft::of(FrameKind::Policy, tenant, records).finish(table, &[], &Codec::None)
}

/// A tenant's name.
pub fn tenant_frame(record: &TenantRecord, table: &Codec) -> Result<EncodedFrame> {
    let draft = Draft::of(FrameKind::Tenant, record.id, std::slice::from_ref(record));
    draft.finish(table, &[], &Codec::None)
}

/// A dictionary with its bytes.
pub fn dictionary_frame(
    tenant: Uuid,
    record: &DictionaryRecord,
    bytes: &[u8],
    stream: &Codec,
) -> Result<EncodedFrame> {
    if stream.dictionary().is_some() {
        return Err(Error::internal("a dictionary is never encoded with another"));
    }
    let draft = Draft::of(FrameKind::Dictionary, tenant, std::slice::from_ref(record));
    draft.finish(&Codec::None, bytes, stream)
}

fn check_table(table: &TableWriter) -> Result<()> {
    if table.verbatim.len().max(table.coded.len()) <= TABLE_BYTES_MAX {
        return Ok(());
    }
    Err(Error::new(Kind::ResourceExhausted, "the table of a frame is too long: put less into one frame"))
}

fn length_u32(bytes: &[u8]) -> Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| Error::internal("a section of a frame is over 4 GiB"))
}
