//! The index and the footer at the end of a pack. Offsets are not stored: frames lie one after the other, so their
//! lengths say where each begins, and the sum must be where the index begins.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use uuid::Uuid;

use crate::codec::Codec;
use crate::codec::CodecId;
use crate::codec::DECODED_BYTES_MAX;
use crate::codec::decode_alone;
use crate::codec::smallest;
use crate::error::Error;
use crate::error::Result;
use crate::pack::counters::PackCounters;
use crate::pack::frame::FrameHeader;
use crate::pack::frame::TABLE_BYTES_MAX;
use crate::pack::header::PackHeader;
use crate::pack::names::FrameKind;
use crate::pack::names::FramePlace;
use crate::pack::names::PackName;
use crate::pack::names::unknown;
use crate::pack::wire::Cursor;
use crate::pack::wire::length;
use crate::pack::wire::narrow;
use crate::pack::wire::put_varint;
use crate::pack::writer::PACK_FRAMES_MAX;

const MAGIC: [u8; 8] = *b"PACKTAIL";
const VERSION: u16 = 1;
/// The index is small and written once.
const INDEX_LEVEL: i32 = 6;

/// Offsets of the footer, each derived from the one before.
pub(super) mod at {
    pub(in crate::pack) const MAGIC: usize = 0;
    pub(in crate::pack) const VERSION: usize = MAGIC + 8;
    pub(in crate::pack) const INDEX_CODEC: usize = VERSION + 2;
    pub(in crate::pack) const INDEX_BYTES: usize = INDEX_CODEC + 2;
    pub(in crate::pack) const INDEX_DECODED: usize = INDEX_BYTES + 4;
    pub(in crate::pack) const FRAMES: usize = INDEX_DECODED + 4;
    pub(in crate::pack) const INDEX_CHECKSUM: usize = FRAMES + 4;
    pub(in crate::pack) const INDEX_OFFSET: usize = INDEX_CHECKSUM + 4;
    pub(in crate::pack) const CHECKSUM: usize = INDEX_OFFSET + 8;
    pub(in crate::pack) const END: usize = CHECKSUM + 4;
}

const _: () = assert!(at::END == 40);

/// What the index says of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// Its number in the pack.
    pub ordinal: u32,
    /// Its first byte.
    pub offset: u64,
    /// Bytes of its header with the fields.
    pub header_bytes: u32,
    /// Bytes of its table section.
    pub table_bytes: u32,
    /// Stored bytes of its stream.
    pub stream_stored: u32,
    /// Decoded bytes of its stream.
    pub stream_decoded: u32,
    /// What it holds.
    pub kind: FrameKind,
    /// Whose it is.
    pub tenant: Uuid,
    /// The codec of its stream.
    pub codec: CodecId,
    /// The dictionary its stream needs.
    pub dictionary: Option<Uuid>,
}

impl IndexEntry {
    /// Bytes of the frame.
    pub fn bytes(&self) -> u32 {
        self.header_bytes.saturating_add(self.table_bytes).saturating_add(self.stream_stored)
    }

    /// Where it lies.
    pub fn place(&self) -> FramePlace {
        FramePlace { ordinal: self.ordinal, offset: self.offset, bytes: self.bytes() }
    }
}

/// The last bytes of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    /// Where the index begins, and the frames end.
    pub index_offset: u64,
    /// Stored bytes of the index.
    pub index_bytes: u32,
    /// Frames in the pack.
    pub frames: u32,
    index_codec: CodecId,
    index_decoded: u32,
    index_checksum: u32,
}

impl Footer {
    /// Its length.
    pub const BYTES: usize = at::END;

    /// The footer that ends `last`, the end of `pack`, which has `pack_bytes` bytes.
    pub fn parse(pack: PackName, last: &[u8], pack_bytes: u64) -> Result<Self> {
        let start = last.len().checked_sub(at::END);
        let footer = start.and_then(|start| last.get(start..));
        let footer = footer.ok_or_else(|| Error::corrupt("a pack is shorter than its footer"))?;
        let mut cursor = Cursor::new(footer);
        if cursor.array()? != MAGIC {
            return Err(Error::corrupt("a pack has no footer: it was not finished"));
        }
        let version = cursor.u16()?;
        let parsed = Self {
            index_codec: CodecId(cursor.u16()?),
            index_bytes: cursor.u32()?,
            index_decoded: cursor.u32()?,
            frames: cursor.u32()?,
            index_checksum: cursor.u32()?,
            index_offset: cursor.u64()?,
        };
        let covered = footer.get(..at::CHECKSUM).unwrap_or_default();
        if cursor.u32()? != footer_checksum(pack, covered) {
            return Err(Error::corrupt("the footer of a pack does not match its checksum"));
        }
        if version != VERSION {
            return Err(unknown("index version", u64::from(version)));
        }
        let tail = u64::from(parsed.index_bytes) + at::END as u64;
        if parsed.index_offset.checked_add(tail) != Some(pack_bytes) {
            return Err(Error::corrupt("a pack has another length than its footer says"));
        }
        let decoded = parsed.index_decoded;
        if parsed.index_bytes > decoded || decoded as usize > DECODED_BYTES_MAX {
            return Err(Error::corrupt("the index of a pack has impossible lengths"));
        }
        Ok(parsed)
    }
}

fn footer_checksum(pack: PackName, covered: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(pack.0.as_bytes()), covered)
}

/// Every frame of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackIndex {
    entries: Vec<IndexEntry>,
    tail_bytes: u64,
}

impl PackIndex {
    /// The index that `footer` describes.
    pub fn parse(footer: &Footer, bytes: &[u8]) -> Result<Self> {
        if length(bytes) != u64::from(footer.index_bytes) || crc32c::crc32c(bytes) != footer.index_checksum {
            return Err(Error::corrupt("the index of a pack does not match its checksum"));
        }
        let decoded = decode_alone(footer.index_codec, bytes, footer.index_decoded as usize)?;
        let mut cursor = Cursor::new(&decoded);
        let tenants = read_ids(&mut cursor)?;
        let dictionaries = read_ids(&mut cursor)?;
        let mut entries = Vec::new();
        for tenant in tenants {
            read_tenant(&mut cursor, tenant, &dictionaries, &mut entries)?;
        }
        cursor.end()?;
        entries.sort_by_key(|entry| entry.ordinal);
        let mut offset = PackHeader::BYTES as u64;
        for (ordinal, entry) in (0_u32..).zip(entries.iter_mut()) {
            if entry.ordinal != ordinal {
                return Err(Error::corrupt("the index of a pack lacks a frame"));
            }
            entry.offset = offset;
            offset += frame_bytes(entry);
        }
        if offset != footer.index_offset || length_u32(entries.len()) != Some(footer.frames) {
            return Err(Error::corrupt("the index of a pack does not fit its footer"));
        }
        Ok(Self { entries, tail_bytes: u64::from(footer.index_bytes) + at::END as u64 })
    }

    /// A frame by its number.
    pub fn get(&self, ordinal: u32) -> Option<&IndexEntry> {
        self.entries.get(usize::try_from(ordinal).ok()?)
    }

    /// All frames by number.
    pub fn entries(&self) -> &[IndexEntry] {
        &self.entries
    }

    /// The frames of one tenant, by number.
    pub fn of_tenant(&self, tenant: Uuid) -> impl Iterator<Item = &IndexEntry> {
        self.entries.iter().filter(move |entry| entry.tenant == tenant)
    }

    /// The tenants that have a frame here.
    pub fn tenants(&self) -> impl Iterator<Item = Uuid> {
        self.entries.iter().map(|entry| entry.tenant).collect::<BTreeSet<_>>().into_iter()
    }

    /// Where the bytes of the pack went.
    pub fn counters(&self) -> PackCounters {
        let index_bytes = PackHeader::BYTES as u64 + self.tail_bytes;
        let mut counters = PackCounters { index_bytes, ..PackCounters::default() };
        self.entries.iter().for_each(|entry| counters.add(entry));
        counters
    }
}

/// Index and footer of a pack whose frames, by number, end at `index_offset`.
pub(super) fn encode_tail(pack: PackName, entries: &[IndexEntry], index_offset: u64) -> Result<Vec<u8>> {
    let mut by_tenant: BTreeMap<Uuid, Vec<&IndexEntry>> = BTreeMap::new();
    for entry in entries {
        by_tenant.entry(entry.tenant).or_default().push(entry);
    }
    let dictionaries: BTreeSet<Uuid> = entries.iter().filter_map(|entry| entry.dictionary).collect();
    let numbers: BTreeMap<Uuid, u64> = dictionaries.iter().copied().zip(1..).collect();
    let mut decoded = Vec::new();
    put_ids(&mut decoded, by_tenant.keys());
    put_ids(&mut decoded, dictionaries.iter());
    for frames in by_tenant.values() {
        put_tenant(&mut decoded, frames, &numbers);
    }
    let stored = smallest(&decoded, &[Codec::Zstd { level: INDEX_LEVEL }])?;
    let too_long = || Error::internal("the index of a pack is too long");
    let mut footer = Vec::with_capacity(at::END);
    footer.extend_from_slice(&MAGIC);
    footer.extend_from_slice(&VERSION.to_le_bytes());
    footer.extend_from_slice(&stored.codec.0.to_le_bytes());
    footer.extend_from_slice(&length_u32(stored.bytes.len()).ok_or_else(too_long)?.to_le_bytes());
    footer.extend_from_slice(&length_u32(decoded.len()).ok_or_else(too_long)?.to_le_bytes());
    footer.extend_from_slice(&length_u32(entries.len()).ok_or_else(too_long)?.to_le_bytes());
    footer.extend_from_slice(&crc32c::crc32c(&stored.bytes).to_le_bytes());
    footer.extend_from_slice(&index_offset.to_le_bytes());
    footer.extend_from_slice(&footer_checksum(pack, &footer).to_le_bytes());
    let mut tail = stored.bytes.into_owned();
    tail.extend_from_slice(&footer);
    Ok(tail)
}

fn put_ids<'a>(into: &mut Vec<u8>, ids: impl ExactSizeIterator<Item = &'a Uuid>) {
    put_varint(into, u64::try_from(ids.len()).unwrap_or(u64::MAX));
    ids.for_each(|id| into.extend_from_slice(id.as_bytes()));
}

fn read_ids(cursor: &mut Cursor<'_>) -> Result<Vec<Uuid>> {
    let count = cursor.varint()?;
    let ids = Cursor::new(cursor.take(count.saturating_mul(16))?);
    let (ids, _none) = ids.rest().as_chunks::<16>();
    let ids: Vec<Uuid> = ids.iter().map(|id| Uuid::from_bytes(*id)).collect();
    if ids.is_sorted_by(|a, b| a < b) {
        Ok(ids)
    } else {
        Err(Error::corrupt("ids in an index are not sorted"))
    }
}

fn put_tenant(into: &mut Vec<u8>, frames: &[&IndexEntry], dictionaries: &BTreeMap<Uuid, u64>) {
    put_varint(into, u64::try_from(frames.len()).unwrap_or(u64::MAX));
    let mut next = 0;
    for frame in frames {
        let dictionary = frame.dictionary.and_then(|id| dictionaries.get(&id)).copied().unwrap_or(0);
        let numbers = [
            u64::from(frame.ordinal) - next,
            u64::from(frame.kind.code()),
            u64::from(frame.codec.0),
            dictionary,
            u64::from(frame.header_bytes),
            u64::from(frame.table_bytes),
            u64::from(frame.stream_stored),
            u64::from(frame.stream_decoded),
        ];
        for number in numbers {
            put_varint(into, number);
        }
        next = u64::from(frame.ordinal) + 1;
    }
}

fn read_tenant(
    cursor: &mut Cursor<'_>,
    tenant: Uuid,
    dictionaries: &[Uuid],
    entries: &mut Vec<IndexEntry>,
) -> Result<()> {
    let mut next = 0_u64;
    let count = cursor.varint()?;
    let known = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    if known.saturating_add(count) > u64::from(PACK_FRAMES_MAX) {
        return Err(Error::corrupt("an index lists more frames than a pack can have"));
    }
    for _ in 0..count {
        let ordinal: u32 = narrow(next.saturating_add(cursor.varint()?))?;
        next = u64::from(ordinal) + 1;
        let kind = FrameKind::from_code(cursor.varint()?)?;
        let codec = CodecId(narrow(cursor.varint()?)?);
        let dictionary = match cursor.varint()? {
            0 => None,
            number => {
                let found = usize::try_from(number - 1).ok().and_then(|place| dictionaries.get(place));
                Some(*found.ok_or_else(|| Error::corrupt("an index names a dictionary it does not list"))?)
            }
        };
        let entry = IndexEntry {
            ordinal,
            offset: 0,
            header_bytes: cursor.varint_u32()?,
            table_bytes: cursor.varint_u32()?,
            stream_stored: cursor.varint_u32()?,
            stream_decoded: cursor.varint_u32()?,
            kind,
            tenant,
            codec,
            dictionary,
        };
        check_lengths(&entry)?;
        entries.push(entry);
    }
    Ok(())
}

/// No frame has other lengths, so none is read by them.
fn check_lengths(entry: &IndexEntry) -> Result<()> {
    let header = FrameHeader::BYTES..=usize::from(u16::MAX);
    let possible = header.contains(&(entry.header_bytes as usize))
        && entry.table_bytes as usize <= 2 * TABLE_BYTES_MAX
        && entry.stream_stored <= entry.stream_decoded
        && entry.stream_decoded as usize <= DECODED_BYTES_MAX;
    if possible {
        return Ok(());
    }
    Err(Error::corrupt(format!("an index gives frame {} impossible lengths", entry.ordinal)))
}

fn frame_bytes(entry: &IndexEntry) -> u64 {
    u64::from(entry.header_bytes) + u64::from(entry.table_bytes) + u64::from(entry.stream_stored)
}

fn length_u32(items: usize) -> Option<u32> {
    u32::try_from(items).ok()
}
