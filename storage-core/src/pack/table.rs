//! What all tables share. A table has two parts: *verbatim*, where hashes and the random halves of ids lie one after
//! the other, since no compressor can shrink them and they would spoil its statistics; and *coded*, everything
//! else as fields, which is compressed. Fields whose value lies in the verbatim part take it in the order of the fields.

use std::collections::HashMap;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::model::Sha256;
use crate::pack::fields::Fields;
use crate::pack::fields::put_field;
use crate::pack::wire::Cursor;
use crate::pack::wire::length;
use crate::pack::wire::put_varint;
use crate::pack::wire::unzigzag;
use crate::pack::wire::zigzag;

/// Bytes of a UUIDv7 after its time.
const ID_REST_BYTES: usize = 10;
/// The time of a UUIDv7 has 48 bits.
const ID_TIME_MAX: u64 = (1 << 48) - 1;

/// Something a table lists.
pub(super) trait Record: Sized {
    fn write(&self, body: &mut Body<'_>);
    fn read(table: &mut TableReader<'_>, body: Cursor<'_>) -> Result<Self>;
}

/// A table being built.
#[derive(Debug, Default)]
pub(super) struct TableWriter {
    pub(super) verbatim: Vec<u8>,
    pub(super) coded: Vec<u8>,
    hashes: HashMap<Sha256, u64>,
    id_time: i64,
    created: i64,
}

impl TableWriter {
    /// Appends a record: its length, then its fields.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Body<'_>)) {
        let mut body = Body { table: self, bytes: Vec::new() };
        write(&mut body);
        let bytes = body.bytes;
        put_varint(&mut self.coded, length(&bytes));
        self.coded.extend_from_slice(&bytes);
    }

    fn hash_reference(&mut self, hash: Sha256) -> u64 {
        let seen = u64::try_from(self.hashes.len()).unwrap_or(u64::MAX);
        let position = *self.hashes.entry(hash).or_insert(seen);
        if position == seen {
            self.verbatim.extend_from_slice(&hash.0);
        }
        seen - position
    }
}

/// The fields of one record being written.
#[derive(Debug)]
pub(super) struct Body<'t> {
    table: &'t mut TableWriter,
    bytes: Vec<u8>,
}

impl Body<'_> {
    pub(super) fn bytes(&mut self, tag: u64, value: &[u8]) {
        put_field(&mut self.bytes, tag, value);
    }

    pub(super) fn text(&mut self, tag: u64, value: Option<&String>) {
        if let Some(value) = value {
            self.bytes(tag, value.as_bytes());
        }
    }

    /// A number; 0 is left out.
    pub(super) fn number(&mut self, tag: u64, value: u64) {
        if value != 0 {
            self.number_always(tag, value);
        }
    }

    pub(super) fn number_always(&mut self, tag: u64, value: u64) {
        let mut encoded = Vec::with_capacity(10);
        put_varint(&mut encoded, value);
        self.bytes(tag, &encoded);
    }

    pub(super) fn moment(&mut self, tag: u64, value: Option<Timestamp>) {
        if let Some(value) = value {
            self.number_always(tag, zigzag(value.0));
        }
    }

    /// A moment as the distance from the one written this way before it.
    pub(super) fn moment_after(&mut self, tag: u64, value: Timestamp) {
        let distance = value.0.wrapping_sub(self.table.created);
        self.table.created = value.0;
        self.number_always(tag, zigzag(distance));
    }

    pub(super) fn verbatim(&mut self, tag: u64, value: &[u8]) {
        self.table.verbatim.extend_from_slice(value);
        self.bytes(tag, &[]);
    }

    /// A time-ordered id: its time as the distance from that of the id before, the rest verbatim.
    pub(super) fn id(&mut self, tag: u64, id: Uuid) {
        let (time, rest) = split_id(id);
        let distance = time - self.table.id_time;
        self.table.id_time = time;
        self.table.verbatim.extend_from_slice(&rest);
        self.number_always(tag, zigzag(distance));
    }

    /// A hash: 0 where it lies in the verbatim part, else how far back among the table's hashes it stands.
    pub(super) fn hash(&mut self, tag: u64, hash: Sha256) {
        let reference = self.table.hash_reference(hash);
        self.number_always(tag, reference);
    }

    pub(super) fn nested(&mut self, tag: u64, write: impl FnOnce(&mut Body<'_>)) {
        let mut inner = Body { table: &mut *self.table, bytes: Vec::new() };
        write(&mut inner);
        let bytes = inner.bytes;
        self.bytes(tag, &bytes);
    }

    pub(super) fn unknown(&mut self, fields: &Fields) {
        fields.encode_into(&mut self.bytes);
    }
}

/// What reading a table's records needs to remember.
#[derive(Debug)]
pub(super) struct TableReader<'a> {
    verbatim: Cursor<'a>,
    hashes: Vec<Sha256>,
    id_time: i64,
    created: i64,
}

impl<'a> TableReader<'a> {
    pub(super) fn new(verbatim: &'a [u8]) -> Self {
        Self { verbatim: Cursor::new(verbatim), hashes: Vec::new(), id_time: 0, created: 0 }
    }

    pub(super) fn verbatim<const N: usize>(&mut self, value: &Cursor<'_>) -> Result<[u8; N]> {
        value.end()?;
        self.verbatim.array()
    }

    pub(super) fn moment_after(&mut self, value: Cursor<'_>) -> Result<Timestamp> {
        self.created = self.created.wrapping_add(value.only(Cursor::signed)?);
        Ok(Timestamp(self.created))
    }

    pub(super) fn id(&mut self, value: Cursor<'_>) -> Result<Uuid> {
        let time = self.id_time.wrapping_add(value.only(Cursor::signed)?);
        self.id_time = time;
        join_id(time, self.verbatim.array()?)
    }

    pub(super) fn hash(&mut self, value: Cursor<'_>) -> Result<Sha256> {
        self.hash_reference(value.only(Cursor::varint)?)
    }

    fn hash_reference(&mut self, reference: u64) -> Result<Sha256> {
        if reference == 0 {
            let hash = Sha256(self.verbatim.array()?);
            self.hashes.push(hash);
            return Ok(hash);
        }
        let back = usize::try_from(reference).ok();
        let position = back.and_then(|back| self.hashes.len().checked_sub(back));
        let hash = position.and_then(|position| self.hashes.get(position));
        hash.copied().ok_or_else(|| Error::corrupt("a table refers to a hash before its first"))
    }

    /// All of the verbatim part must have been taken.
    pub(super) fn end(&self) -> Result<()> {
        self.verbatim.end()
    }
}

/// The records of a table that is nothing but a list of them.
pub(super) fn read_records<T: Record>(verbatim: &[u8], coded: &[u8]) -> Result<Vec<T>> {
    let mut table = TableReader::new(verbatim);
    let mut cursor = Cursor::new(coded);
    let mut records = Vec::new();
    while !cursor.is_empty() {
        let bytes = cursor.varint()?;
        records.push(T::read(&mut table, Cursor::new(cursor.take(bytes)?))?);
    }
    table.end()?;
    Ok(records)
}

/// The number under a field that has been zigzagged.
pub(super) fn moment(value: Cursor<'_>) -> Result<Timestamp> {
    Ok(Timestamp(unzigzag(value.only(Cursor::varint)?)))
}

/// A field that a record cannot do without.
pub(super) fn required<T>(value: Option<T>, what: &str) -> Result<T> {
    value.ok_or_else(|| Error::corrupt(format!("a record in a pack lacks its {what}")))
}

/// The 48 bits of time, and the rest.
fn split_id(id: Uuid) -> (i64, [u8; ID_REST_BYTES]) {
    let time = i64::try_from(id.as_u128() >> (8 * ID_REST_BYTES)).unwrap_or_default();
    (time, id.as_bytes().last_chunk().copied().unwrap_or_default())
}

fn join_id(time: i64, rest: [u8; ID_REST_BYTES]) -> Result<Uuid> {
    let in_range = u64::try_from(time).ok().filter(|time| *time <= ID_TIME_MAX);
    let time = in_range.ok_or_else(|| Error::corrupt("the time of an id is out of range"))?;
    let id = rest.iter().fold(u128::from(time), |id, byte| (id << 8) | u128::from(*byte));
    Ok(Uuid::from_u128(id))
}
