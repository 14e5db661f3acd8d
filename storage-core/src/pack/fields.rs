//! Typed, length-prefixed fields: tag varint, length varint, value. A reader keeps the ones it does not know, so
//! that a rewrite by an old version loses nothing that a newer one wrote.

use bytes::Bytes;

use crate::error::Result;
use crate::pack::wire::Cursor;
use crate::pack::wire::length;
use crate::pack::wire::put_varint;

/// A field as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// What it means; permanent within its record.
    pub tag: u64,
    /// The value.
    pub value: Bytes,
}

/// Fields in the order they were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(Vec<Field>);

impl Fields {
    /// The first value under `tag`.
    pub fn get(&self, tag: u64) -> Option<&Bytes> {
        self.iter().find(|field| field.tag == tag).map(|field| &field.value)
    }

    /// Replaces what is under `tag`, or adds it.
    pub fn insert(&mut self, tag: u64, value: Bytes) {
        self.remove(tag);
        self.0.push(Field { tag, value });
    }

    /// Drops what is under `tag`.
    pub fn remove(&mut self, tag: u64) {
        self.0.retain(|field| field.tag != tag);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.0.iter()
    }

    /// Keeps a field that a reader did not know; several may share a tag.
    pub(super) fn keep(&mut self, tag: u64, value: &[u8]) {
        self.0.push(Field { tag, value: Bytes::copy_from_slice(value) });
    }

    pub(super) fn encode_into(&self, into: &mut Vec<u8>) {
        for field in &self.0 {
            put_field(into, field.tag, &field.value);
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut fields = Self::default();
        let mut cursor = Cursor::new(bytes);
        while let Some((tag, value)) = next_field(&mut cursor)? {
            fields.keep(tag, value.rest());
        }
        Ok(fields)
    }
}

pub(super) fn put_field(into: &mut Vec<u8>, tag: u64, value: &[u8]) {
    put_varint(into, tag);
    put_varint(into, length(value));
    into.extend_from_slice(value);
}

/// The next field's tag and value; none at the end.
pub(super) fn next_field<'a>(cursor: &mut Cursor<'a>) -> Result<Option<(u64, Cursor<'a>)>> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let tag = cursor.varint()?;
    let bytes = cursor.varint()?;
    Ok(Some((tag, Cursor::new(cursor.take(bytes)?))))
}
