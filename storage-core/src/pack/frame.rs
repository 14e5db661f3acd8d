//! Reading one frame: fixed header and fields, table section, stream section, each under its own checksum. The
//! header's checksum begins with the pack's name and covers the ordinal, so that a frame that lies elsewhere than
//! it was written is corrupt.

use bytes::Bytes;
use uuid::Uuid;

use crate::codec::CodecId;
use crate::codec::DECODED_BYTES_MAX;
use crate::codec::Dictionary;
use crate::codec::decode;
use crate::codec::decode_alone;
use crate::error::Error;
use crate::error::Result;
use crate::pack::arrange;
use crate::pack::block::BlockTable;
use crate::pack::counters::RecodedBytes;
use crate::pack::fields::Fields;
use crate::pack::index::IndexEntry;
use crate::pack::names::FrameKind;
use crate::pack::names::PackName;
use crate::pack::names::unknown;
use crate::pack::object::SegmentForm;
use crate::pack::object::SegmentRecord;
use crate::pack::policy::PolicyRecord;
use crate::pack::records::DictionaryRecord;
use crate::pack::records::TenantRecord;
use crate::pack::records::Tombstone;
use crate::pack::table::Record;
use crate::pack::table::read_records;
use crate::pack::wire::Cursor;

pub(super) const MAGIC: [u8; 4] = *b"tFRM";
pub(super) const VERSION: u8 = 1;
/// Verbatim bytes, and decoded coded bytes, of a table at most: a table becomes many times as much in memory.
pub(super) const TABLE_BYTES_MAX: usize = 16 << 20;
/// The tag of the dictionary's id among the header's fields.
pub(super) const FIELD_DICTIONARY: u64 = 2;
/// The tag of the form of a segment's stream among the header's fields.
pub(super) const FIELD_FORM: u64 = 12;
/// The tag of the arrangement of a block's stream among the header's fields.
pub(super) const FIELD_ARRANGEMENT: u64 = 14;

/// Offsets, each derived from the one before.
pub(super) mod at {
    pub(in crate::pack) const MAGIC: usize = 0;
    pub(in crate::pack) const VERSION: usize = MAGIC + 4;
    pub(in crate::pack) const KIND: usize = VERSION + 1;
    pub(in crate::pack) const HEADER_BYTES: usize = KIND + 1;
    pub(in crate::pack) const TABLE_CODEC: usize = HEADER_BYTES + 2;
    pub(in crate::pack) const STREAM_CODEC: usize = TABLE_CODEC + 2;
    pub(in crate::pack) const ORDINAL: usize = STREAM_CODEC + 2;
    pub(in crate::pack) const TENANT: usize = ORDINAL + 4;
    pub(in crate::pack) const TABLE_VERBATIM: usize = TENANT + 16;
    pub(in crate::pack) const TABLE_STORED: usize = TABLE_VERBATIM + 4;
    pub(in crate::pack) const TABLE_DECODED: usize = TABLE_STORED + 4;
    pub(in crate::pack) const STREAM_STORED: usize = TABLE_DECODED + 4;
    pub(in crate::pack) const STREAM_DECODED: usize = STREAM_STORED + 4;
    pub(in crate::pack) const TABLE_CHECKSUM: usize = STREAM_DECODED + 4;
    pub(in crate::pack) const STREAM_CHECKSUM: usize = TABLE_CHECKSUM + 4;
    pub(in crate::pack) const HEADER_CHECKSUM: usize = STREAM_CHECKSUM + 4;
    pub(in crate::pack) const END: usize = HEADER_CHECKSUM + 4;
}

const _: () = assert!(at::END == 64);

/// The header of a frame, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader {
    /// What it holds.
    pub kind: FrameKind,
    /// Whose it is.
    pub tenant: Uuid,
    /// Its number in the pack.
    pub ordinal: u32,
    /// The codec of the coded part of the table.
    pub table_codec: CodecId,
    /// The codec of the stream.
    pub stream_codec: CodecId,
    /// Bytes of the header with its fields.
    pub header_bytes: u32,
    /// Bytes of the table section that are kept as they are.
    pub table_verbatim: u32,
    /// Stored bytes of the coded part of the table.
    pub table_stored: u32,
    /// Decoded bytes of the coded part of the table.
    pub table_decoded: u32,
    /// Stored bytes of the stream.
    pub stream_stored: u32,
    /// Decoded bytes of the stream.
    pub stream_decoded: u32,
    /// Optional fields.
    pub fields: Fields,
    pub(super) table_checksum: u32,
    pub(super) stream_checksum: u32,
}

impl FrameHeader {
    /// The length of its fixed part.
    pub const BYTES: usize = at::END;

    /// The bytes of the header with its fields, from an unverified fixed part.
    pub(super) fn peek_bytes(fixed: &[u8]) -> Result<u32> {
        let mut cursor = Cursor::new(fixed);
        if cursor.array()? != MAGIC {
            return Err(Error::corrupt("no frame begins here"));
        }
        let _version_and_kind = cursor.u16()?;
        let bytes = u32::from(cursor.u16()?);
        if (bytes as usize) < at::END {
            return Err(Error::corrupt("the header of a frame is shorter than its fixed part"));
        }
        Ok(bytes)
    }

    /// The header at the start of `prefix`, which must be frame `ordinal` of `pack`.
    pub fn parse(pack: PackName, ordinal: u32, prefix: &[u8]) -> Result<Self> {
        let header_bytes = Self::peek_bytes(prefix)?;
        let header = Cursor::new(prefix).take(u64::from(header_bytes))?;
        let (fixed, fields) = header.split_at_checked(at::END).unwrap_or_default();
        let (covered, checksum) = fixed.split_at_checked(at::HEADER_CHECKSUM).unwrap_or_default();
        if Cursor::new(checksum).u32()? != header_checksum(pack, covered, fields) {
            return Err(Error::corrupt(format!("the header of frame {ordinal} does not match its checksum")));
        }
        let mut cursor = Cursor::new(covered);
        let _magic = cursor.u32()?;
        let version = cursor.u8()?;
        if version != VERSION {
            return Err(unknown("frame version", u64::from(version)));
        }
        let kind = FrameKind::from_code(u64::from(cursor.u8()?))?;
        let _header_bytes = cursor.u16()?;
        let parsed = Self {
            kind,
            header_bytes,
            table_codec: CodecId(cursor.u16()?),
            stream_codec: CodecId(cursor.u16()?),
            ordinal: cursor.u32()?,
            tenant: Uuid::from_bytes(cursor.array()?),
            table_verbatim: cursor.u32()?,
            table_stored: cursor.u32()?,
            table_decoded: cursor.u32()?,
            stream_stored: cursor.u32()?,
            stream_decoded: cursor.u32()?,
            table_checksum: cursor.u32()?,
            stream_checksum: cursor.u32()?,
            fields: Fields::parse(fields)?,
        };
        if parsed.ordinal != ordinal {
            return Err(Error::corrupt(format!(
                "frame {} lies where frame {ordinal} belongs",
                parsed.ordinal
            )));
        }
        parsed.check_lengths()?;
        Ok(parsed)
    }

    fn check_lengths(&self) -> Result<()> {
        let over = |bytes: u32, limit: usize| bytes as usize > limit;
        let grown = self.table_stored > self.table_decoded || self.stream_stored > self.stream_decoded;
        let table = over(self.table_verbatim, TABLE_BYTES_MAX) || over(self.table_decoded, TABLE_BYTES_MAX);
        if grown || table || over(self.stream_decoded, DECODED_BYTES_MAX) {
            return Err(Error::corrupt(format!("frame {} has impossible lengths", self.ordinal)));
        }
        Ok(())
    }

    /// The dictionary its stream needs.
    pub fn dictionary(&self) -> Option<Uuid> {
        self.fields.get(FIELD_DICTIONARY).and_then(|id| Uuid::from_slice(id).ok())
    }

    /// Bytes of the table section.
    pub fn table_bytes(&self) -> u32 {
        self.table_verbatim.saturating_add(self.table_stored)
    }

    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> u64 {
        u64::from(self.header_bytes) + u64::from(self.table_bytes()) + u64::from(self.stream_stored)
    }

    /// What the pack's index says of it, if it lies at `offset`.
    pub fn index_entry(&self, offset: u64) -> IndexEntry {
        IndexEntry {
            ordinal: self.ordinal,
            offset,
            header_bytes: self.header_bytes,
            table_bytes: self.table_bytes(),
            stream_stored: self.stream_stored,
            stream_decoded: self.stream_decoded,
            kind: self.kind,
            tenant: self.tenant,
            codec: self.stream_codec,
            dictionary: self.dictionary(),
        }
    }

    /// How a segment's stream stands for the segment; none where it is the segment.
    pub fn form(&self) -> Result<Option<SegmentForm>> {
        match self.fields.get(FIELD_FORM).filter(|_| self.kind == FrameKind::Segment) {
            Some(value) => SegmentForm::parse(value).map(Some),
            None => Ok(None),
        }
    }

    /// What the codec of a block's stream decodes to, where that is an arranged stream.
    pub fn arranged_bytes(&self) -> Result<Option<u32>> {
        let value = self.fields.get(FIELD_ARRANGEMENT).filter(|_| self.kind == FrameKind::Block);
        value.map(|value| arrange::parse(value)).transpose()
    }

    /// Fields with an even tag change how the sections are read: an unknown one forbids it.
    fn check_readable(&self) -> Result<()> {
        let of_kind = match self.kind {
            FrameKind::Segment => Some(FIELD_FORM),
            FrameKind::Block => Some(FIELD_ARRANGEMENT),
            _ => None,
        };
        let known = |tag| tag == FIELD_DICTIONARY || Some(tag) == of_kind;
        let strange = self.fields.iter().find(|field| field.tag % 2 == 0 && !known(field.tag));
        strange.map_or(Ok(()), |field| Err(unknown("frame field", field.tag)))
    }
}

/// CRC-32C over the pack's name, the fixed header up to its checksum, and the fields.
pub(super) fn header_checksum(pack: PackName, covered: &[u8], fields: &[u8]) -> u32 {
    let seed = crc32c::crc32c(pack.0.as_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(seed, covered), fields)
}

/// Header and table of a frame, verified; its stream was not read.
#[derive(Debug, Clone)]
pub struct FrameHead {
    pub(super) header: FrameHeader,
    pub(super) table: Bytes,
}

impl FrameHead {
    pub(super) fn new(header: FrameHeader, table: Bytes) -> Result<Self> {
        if crc32c::crc32c(&table) != header.table_checksum {
            let ordinal = header.ordinal;
            return Err(Error::corrupt(format!("the table of frame {ordinal} does not match its checksum")));
        }
        Ok(Self { header, table })
    }

    /// Its header.
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// The entries of a block.
    pub fn block_table(&self) -> Result<BlockTable> {
        let (verbatim, coded) = self.parts(FrameKind::Block)?;
        BlockTable::parse(verbatim, &coded, self.header.stream_decoded)
    }

    /// What recoding did to the objects of a block, or to a segment; nothing for other frames.
    pub fn recoding(&self) -> Result<RecodedBytes> {
        let mut sum = RecodedBytes::default();
        match self.header.kind {
            FrameKind::Block => self.block_table()?.entries.iter().for_each(|entry| sum.add(entry)),
            FrameKind::Segment => {
                if let Some(form) = self.header.form()? {
                    sum.hidden = i64::from(form.bytes) - i64::from(self.header.stream_decoded);
                    sum.gain = form.gain;
                }
            }
            _ => {}
        }
        Ok(sum)
    }

    /// What a segment's frame says of it.
    pub fn segment(&self) -> Result<SegmentRecord> {
        let record: SegmentRecord = self.record(FrameKind::Segment)?;
        if record.bytes != self.header.stream_decoded {
            return Err(Error::corrupt("a segment's length is not that of its stream"));
        }
        Ok(record)
    }

    /// The deletes.
    pub fn tombstones(&self) -> Result<Vec<Tombstone>> {
        self.records(FrameKind::Tombstone)
    }

    /// The changes.
    pub fn policies(&self) -> Result<Vec<PolicyRecord>> {
        self.records(FrameKind::Policy)
    }

    /// The tenant.
    pub fn tenant(&self) -> Result<TenantRecord> {
        self.record(FrameKind::Tenant)
    }

    /// What is known of a dictionary; its bytes are the stream.
    pub fn dictionary(&self) -> Result<DictionaryRecord> {
        self.record(FrameKind::Dictionary)
    }

    fn record<T: Record>(&self, kind: FrameKind) -> Result<T> {
        let mut records = self.records(kind)?;
        match (records.pop(), records.is_empty()) {
            (Some(record), true) => Ok(record),
            _ => Err(Error::corrupt(format!("a {} frame does not hold exactly one record", kind.name()))),
        }
    }

    fn records<T: Record>(&self, kind: FrameKind) -> Result<Vec<T>> {
        let (verbatim, coded) = self.parts(kind)?;
        read_records(verbatim, &coded)
    }

    /// The verbatim part and the decoded coded part of the table.
    fn parts(&self, kind: FrameKind) -> Result<(&[u8], Vec<u8>)> {
        if self.header.kind != kind {
            let found = self.header.kind.name();
            return Err(Error::corrupt(format!(
                "there is a {found} frame where a {} frame should be",
                kind.name()
            )));
        }
        self.header.check_readable()?;
        let mut cursor = Cursor::new(&self.table);
        let verbatim = cursor.take(u64::from(self.header.table_verbatim))?;
        let coded = decode_alone(self.header.table_codec, cursor.rest(), self.header.table_decoded as usize)?;
        Ok((verbatim, coded))
    }
}

/// A whole frame, all of it verified.
#[derive(Debug, Clone)]
pub struct Frame {
    head: FrameHead,
    stored: Bytes,
    bytes: Bytes,
}

impl Frame {
    /// The frame that is exactly `bytes` and must be number `ordinal` of `pack`.
    pub fn parse(pack: PackName, ordinal: u32, bytes: Bytes) -> Result<Self> {
        let header = FrameHeader::parse(pack, ordinal, &bytes)?;
        if u64::try_from(bytes.len()).ok() != Some(header.frame_bytes()) {
            return Err(Error::corrupt(format!("frame {ordinal} has another length than it says")));
        }
        let mut rest = bytes.clone();
        let _header = rest.split_to(header.header_bytes as usize);
        let table = rest.split_to(header.table_bytes() as usize);
        if crc32c::crc32c(&rest) != header.stream_checksum {
            return Err(Error::corrupt(format!("the stream of frame {ordinal} does not match its checksum")));
        }
        Ok(Self { head: FrameHead::new(header, table)?, stored: rest, bytes })
    }

    /// Header and table.
    pub fn head(&self) -> &FrameHead {
        &self.head
    }

    /// Its header.
    pub fn header(&self) -> &FrameHeader {
        &self.head.header
    }

    /// The whole frame as stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The decoded stream. Without a codec it is a slice of the frame; with a dictionary's, it needs the one that
    /// the header names.
    pub fn stream(&self, dictionary: Option<&Dictionary>) -> Result<Bytes> {
        let header = self.header();
        header.check_readable()?;
        let arranged = header.arranged_bytes()?;
        let decoded_bytes = arranged.unwrap_or(header.stream_decoded) as usize;
        if header.stream_codec == CodecId::NONE && arranged.is_none() && self.stored.len() == decoded_bytes {
            return Ok(self.stored.clone());
        }
        let needed = header.stream_codec == CodecId::ZSTD_DICTIONARY;
        if needed && (header.dictionary().is_none() || header.kind == FrameKind::Dictionary) {
            let ordinal = header.ordinal;
            return Err(Error::corrupt(format!("frame {ordinal} needs a dictionary that it cannot have")));
        }
        if needed && dictionary.map(Dictionary::id) != header.dictionary() {
            return Err(Error::internal("a stream was decoded with another dictionary than its frame names"));
        }
        let dictionary = dictionary.filter(|_| needed);
        let decoded = decode(header.stream_codec, &self.stored, decoded_bytes, dictionary)?;
        match arranged {
            Some(_) => arrange::restore(&decoded, header.stream_decoded as usize).map(Bytes::from),
            None => Ok(Bytes::from(decoded)),
        }
    }
}
