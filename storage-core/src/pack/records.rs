//! The small records: deletes, tenants, dictionaries.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::codec::DictionaryKind;
use crate::error::Result;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::pack::fields::Fields;
use crate::pack::fields::next_field;
use crate::pack::names::item_code;
use crate::pack::names::item_from_code;
use crate::pack::names::unknown;
use crate::pack::table::Body;
use crate::pack::table::Record;
use crate::pack::table::TableReader;
use crate::pack::table::required;
use crate::pack::wire::Cursor;
use crate::pack::wire::narrow;

/// Permanent tags; those of different records do not meet.
pub(super) mod tag {
    pub(in crate::pack) const ID: u64 = 1;
    pub(in crate::pack) const CREATED: u64 = 2;

    pub(in crate::pack) const ITEM_KIND: u64 = 3;
    pub(in crate::pack) const ITEM_CALLER_ID: u64 = 4;
    pub(in crate::pack) const ITEM_ERASED: u64 = 5;
    pub(in crate::pack) const ERASED_HASH: u64 = 7;

    pub(in crate::pack) const TENANT_NAME: u64 = 3;

    pub(in crate::pack) const DICTIONARY_CLASS: u64 = 3;
    pub(in crate::pack) const DICTIONARY_KIND: u64 = 4;
    pub(in crate::pack) const DICTIONARY_GAIN: u64 = 5;
    pub(in crate::pack) const DICTIONARY_SAMPLED: u64 = 6;
    pub(in crate::pack) const DICTIONARY_VERSION: u64 = 7;
}

/// A delete of a message or content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The item's id.
    pub item: Uuid,
    /// Message or content.
    pub kind: ItemKind,
    /// The caller's id, which stays taken for a while; what stands for it where the item is erased.
    pub caller_id: Option<String>,
    /// When it was deleted.
    pub deleted: Timestamp,
    /// The item's bytes must not stay in any pack: the hashes of its skeleton and its objects. None for a mere delete;
    /// empty where they are not known.
    pub erase: Option<Vec<Sha256>>,
    /// Fields of a newer version.
    pub unknown: Fields,
}

/// A tenant's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRecord {
    /// Its permanent id.
    pub id: Uuid,
    /// The name that callers use.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// Fields of a newer version.
    pub unknown: Fields,
}

/// What is known of a dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct DictionaryRecord {
    /// The id that frames refer to.
    pub id: Uuid,
    /// The media class it serves.
    pub class: u8,
    /// Trained, or sampled raw content.
    pub kind: DictionaryKind,
    /// Which one of its tenant and class it is, from 1; 0 where that was not noted.
    pub version: u32,
    /// When it was made.
    pub created: Timestamp,
    /// Share of the bytes it saved when it was tried.
    pub gain: f64,
    /// The objects whose content it copies: erasing one of them retires it.
    pub sampled: Vec<Sha256>,
    /// Fields of a newer version.
    pub unknown: Fields,
}

impl Record for Tombstone {
    fn write(&self, body: &mut Body<'_>) {
        body.id(tag::ID, self.item);
        body.moment_after(tag::CREATED, self.deleted);
        body.number(tag::ITEM_KIND, item_code(self.kind));
        body.text(tag::ITEM_CALLER_ID, self.caller_id.as_ref());
        if let Some(hashes) = &self.erase {
            body.number(tag::ITEM_ERASED, 1);
            for hash in hashes {
                body.bytes(tag::ERASED_HASH, &hash.0);
            }
        }
        body.unknown(&self.unknown);
    }

    fn read(table: &mut TableReader<'_>, mut body: Cursor<'_>) -> Result<Self> {
        let (mut item, mut kind, mut caller_id, mut deleted) = (None, 0, None, None);
        let (mut erased, mut hashes) = (false, Vec::new());
        let mut unknown = Fields::default();
        while let Some((tag, value)) = next_field(&mut body)? {
            match tag {
                tag::ID => item = Some(table.id(value)?),
                tag::CREATED => deleted = Some(table.moment_after(value)?),
                tag::ITEM_KIND => kind = value.only(Cursor::varint)?,
                tag::ITEM_CALLER_ID => caller_id = Some(value.text()?),
                tag::ITEM_ERASED => erased = value.only(Cursor::varint)? != 0,
                tag::ERASED_HASH => hashes.push(Sha256(value.only(Cursor::array)?)),
                _ => unknown.keep(tag, value.rest()),
            }
        }
        let (item, deleted) = (required(item, "id")?, required(deleted, "time")?);
        let erase = erased.then_some(hashes);
        Ok(Self { item, kind: item_from_code(kind)?, caller_id, deleted, erase, unknown })
    }
}

impl Record for TenantRecord {
    fn write(&self, body: &mut Body<'_>) {
        body.id(tag::ID, self.id);
        body.moment_after(tag::CREATED, self.created);
        body.bytes(tag::TENANT_NAME, self.name.as_bytes());
        body.unknown(&self.unknown);
    }

    fn read(table: &mut TableReader<'_>, mut body: Cursor<'_>) -> Result<Self> {
        let (mut id, mut name, mut created) = (None, None, None);
        let mut unknown = Fields::default();
        while let Some((tag, value)) = next_field(&mut body)? {
            match tag {
                tag::ID => id = Some(table.id(value)?),
                tag::CREATED => created = Some(table.moment_after(value)?),
                tag::TENANT_NAME => name = Some(value.text()?),
                _ => unknown.keep(tag, value.rest()),
            }
        }
        let (id, name) = (required(id, "id")?, required(name, "name")?);
        Ok(Self { id, name, created: required(created, "time")?, unknown })
    }
}

impl Record for DictionaryRecord {
    fn write(&self, body: &mut Body<'_>) {
        body.id(tag::ID, self.id);
        body.moment_after(tag::CREATED, self.created);
        body.number(tag::DICTIONARY_CLASS, u64::from(self.class));
        let kind = match self.kind {
            DictionaryKind::Trained => 1,
            DictionaryKind::RawContent => 2,
        };
        body.number(tag::DICTIONARY_KIND, kind);
        body.bytes(tag::DICTIONARY_GAIN, &self.gain.to_bits().to_le_bytes());
        body.number(tag::DICTIONARY_VERSION, u64::from(self.version));
        for sampled in &self.sampled {
            body.verbatim(tag::DICTIONARY_SAMPLED, &sampled.0);
        }
        body.unknown(&self.unknown);
    }

    fn read(table: &mut TableReader<'_>, mut body: Cursor<'_>) -> Result<Self> {
        let (mut id, mut created, mut class, mut kind, mut gain) = (None, None, 0, 0, 0.0);
        let (mut sampled, mut version, mut unknown_fields) = (Vec::new(), 0, Fields::default());
        while let Some((tag, value)) = next_field(&mut body)? {
            match tag {
                tag::ID => id = Some(table.id(value)?),
                tag::CREATED => created = Some(table.moment_after(value)?),
                tag::DICTIONARY_CLASS => class = narrow(value.only(Cursor::varint)?)?,
                tag::DICTIONARY_KIND => kind = value.only(Cursor::varint)?,
                tag::DICTIONARY_GAIN => gain = f64::from_bits(value.only(Cursor::u64)?),
                tag::DICTIONARY_VERSION => version = value.only(Cursor::varint_u32)?,
                tag::DICTIONARY_SAMPLED => sampled.push(Sha256(table.verbatim(&value)?)),
                _ => unknown_fields.keep(tag, value.rest()),
            }
        }
        let kind = match kind {
            1 => DictionaryKind::Trained,
            2 => DictionaryKind::RawContent,
            other => return Err(unknown("dictionary kind", other)),
        };
        let (id, created) = (required(id, "id")?, required(created, "time")?);
        Ok(Self { id, class, kind, version, created, gain, sampled, unknown: unknown_fields })
    }
}
