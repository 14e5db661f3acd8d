//! The table of a block: what each part of the stream is. Entries stand in the order of their stream bytes, which
//! follow each other without gaps and fill the stream exactly.

use bytes::Bytes;

use crate::error::Error;
use crate::error::Result;
use crate::pack::message;
use crate::pack::message::MessageEntry;
use crate::pack::names::unknown;
use crate::pack::object;
use crate::pack::object::ObjectEntry;
use crate::pack::object::SegmentedEntry;
use crate::pack::table::TableReader;
use crate::pack::wire::Cursor;

/// Permanent numbers of the kinds of entries.
pub(super) mod kind {
    pub(in crate::pack) const MESSAGE: u64 = 1;
    pub(in crate::pack) const OBJECT: u64 = 2;
    pub(in crate::pack) const SEGMENTED: u64 = 3;
}

/// The entries of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTable {
    /// In the order of the stream.
    pub entries: Vec<Entry>,
}

/// One entry of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it begins in the decoded stream.
    pub offset: u32,
    /// Its bytes in the decoded stream.
    pub bytes: u32,
    /// What it is.
    pub body: EntryBody,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryBody {
    /// A message with its skeleton, or a content, which has none.
    Message(Box<MessageEntry>),
    /// A whole object.
    Object(ObjectEntry),
    /// An object in segments.
    Segmented(SegmentedEntry),
}

impl Entry {
    /// Its bytes out of the decoded stream, without a copy.
    pub fn cut(&self, stream: &Bytes) -> Result<Bytes> {
        let start = self.offset as usize;
        let end = start.checked_add(self.bytes as usize).filter(|end| *end <= stream.len());
        let end = end.ok_or_else(|| Error::corrupt("an entry reaches beyond its stream"))?;
        Ok(stream.slice(start..end))
    }
}

impl BlockTable {
    pub(super) fn parse(verbatim: &[u8], coded: &[u8], stream_decoded: u32) -> Result<Self> {
        let mut table = TableReader::new(verbatim);
        let mut cursor = Cursor::new(coded);
        let mut entries = Vec::new();
        let mut offset = 0_u32;
        while !cursor.is_empty() {
            let kind = cursor.varint()?;
            let body_bytes = cursor.varint()?;
            let body = Cursor::new(cursor.take(body_bytes)?);
            let (body, bytes) = read_body(&mut table, kind, body)?;
            entries.push(Entry { offset, bytes, body });
            offset = offset
                .checked_add(bytes)
                .filter(|end| *end <= stream_decoded)
                .ok_or_else(|| Error::corrupt("an entry reaches beyond its stream"))?;
        }
        table.end()?;
        if offset != stream_decoded {
            return Err(Error::corrupt("the entries of a block do not fill its stream"));
        }
        Ok(Self { entries })
    }
}

fn read_body(table: &mut TableReader<'_>, kind: u64, body: Cursor<'_>) -> Result<(EntryBody, u32)> {
    match kind {
        kind::MESSAGE => {
            let (entry, bytes) = message::read(table, body)?;
            Ok((EntryBody::Message(Box::new(entry)), bytes))
        }
        kind::OBJECT => {
            let (entry, bytes) = object::read_object(table, body)?;
            Ok((EntryBody::Object(entry), bytes))
        }
        kind::SEGMENTED => Ok((EntryBody::Segmented(object::read_segmented(table, body)?), 0)),
        other => Err(unknown("entry kind", other)),
    }
}
