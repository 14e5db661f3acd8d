//! The record of a message or a content: everything about it except its bytes, so that a catalog can be rebuilt
//! from packs alone. Values equal to their default are left out.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::model::ExternalIds;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::model::Tier;
use crate::pack::fields::Fields;
use crate::pack::fields::next_field;
use crate::pack::names::item_code;
use crate::pack::names::item_from_code;
use crate::pack::names::tier_code;
use crate::pack::names::tier_from_code;
use crate::pack::table::Body;
use crate::pack::table::TableReader;
use crate::pack::table::moment;
use crate::pack::table::required;
use crate::pack::wire::Cursor;
use crate::pack::wire::length;
use crate::pack::wire::narrow;
use crate::pack::wire::put_varint;

/// Permanent tags.
pub(super) mod tag {
    pub(in crate::pack) const ID: u64 = 1;
    pub(in crate::pack) const KIND: u64 = 2;
    pub(in crate::pack) const CALLER_ID: u64 = 3;
    pub(in crate::pack) const CAMPAIGN: u64 = 4;
    pub(in crate::pack) const ACCOUNT: u64 = 5;
    pub(in crate::pack) const LEAD: u64 = 6;
    pub(in crate::pack) const CREATED: u64 = 7;
    pub(in crate::pack) const MEDIA_TYPE: u64 = 8;
    pub(in crate::pack) const FILE_NAME: u64 = 9;
    pub(in crate::pack) const RETENTION_END: u64 = 10;
    pub(in crate::pack) const HOLD: u64 = 11;
    pub(in crate::pack) const PIN: u64 = 12;
    pub(in crate::pack) const LABEL: u64 = 13;
    pub(in crate::pack) const BYTES: u64 = 14;
    pub(in crate::pack) const SHA256: u64 = 15;
    pub(in crate::pack) const MESSAGE_ID_HASH: u64 = 16;
    pub(in crate::pack) const PART: u64 = 17;
    /// Of the entry, not of the record.
    pub(in crate::pack) const SKELETON_BYTES: u64 = 18;
    /// Of the entry, not of the record.
    pub(in crate::pack) const SKELETON_DIGEST: u64 = 19;

    pub(in crate::pack) const PART_INDEX: u64 = 1;
    pub(in crate::pack) const PART_ROLE: u64 = 2;
    pub(in crate::pack) const PART_MEDIA_TYPE: u64 = 3;
    pub(in crate::pack) const PART_FILE_NAME: u64 = 4;
    pub(in crate::pack) const PART_OBJECT: u64 = 5;
    pub(in crate::pack) const PART_BYTES: u64 = 6;
}

/// What is known of a message or content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// The server's id.
    pub id: Uuid,
    /// Message or content.
    pub kind: ItemKind,
    /// The caller's id.
    pub caller_id: Option<String>,
    /// Ids in the caller's database.
    pub external: ExternalIds,
    /// When it came to be.
    pub created: Timestamp,
    /// Media type of a content.
    pub media_type: Option<String>,
    /// File name of a content.
    pub file_name: Option<String>,
    /// When it may leave.
    pub retention_end: Option<Timestamp>,
    /// Deletes are refused while set.
    pub hold: bool,
    /// The tier it is kept in.
    pub pin: Option<Tier>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Bytes as received.
    pub bytes: u64,
    /// SHA-256 of the bytes as received.
    pub sha256: Sha256,
    /// The catalog's short hash of the Message-ID.
    pub message_id_hash: Option<i64>,
    /// Parts that are objects.
    pub parts: Vec<PartRecord>,
    /// Fields of a newer version.
    pub unknown: Fields,
}

/// A part that is an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRecord {
    /// Its position among the message's parts.
    pub index: u32,
    /// What it is in the message; the numbers belong to the splitter.
    pub role: u8,
    /// Lower-case media type.
    pub media_type: String,
    /// Decoded file name.
    pub file_name: Option<String>,
    /// The object that holds it.
    pub object: Sha256,
    /// Bytes once the transfer encoding is undone.
    pub decoded_bytes: u64,
    /// Fields of a newer version.
    pub unknown: Fields,
}

/// A message in the table of a block. Its stream bytes are the skeleton.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageEntry {
    /// What is known of it.
    pub record: MessageRecord,
    /// The first bytes of the skeleton's SHA-256.
    pub skeleton_digest: [u8; 8],
}

/// Writes a message's entry; a skeleton without bytes is that of a content.
pub(super) fn write(record: &MessageRecord, skeleton_bytes: u64, digest: [u8; 8], body: &mut Body<'_>) {
    body.id(tag::ID, record.id);
    body.number(tag::KIND, item_code(record.kind));
    body.text(tag::CALLER_ID, record.caller_id.as_ref());
    let external = [
        (tag::CAMPAIGN, record.external.campaign),
        (tag::ACCOUNT, record.external.account),
        (tag::LEAD, record.external.lead),
    ];
    for (tag, id) in external {
        if let Some(id) = id {
            body.bytes(tag, id.as_bytes());
        }
    }
    body.moment_after(tag::CREATED, record.created);
    body.text(tag::MEDIA_TYPE, record.media_type.as_ref());
    body.text(tag::FILE_NAME, record.file_name.as_ref());
    body.moment(tag::RETENTION_END, record.retention_end);
    body.number(tag::HOLD, u64::from(record.hold));
    body.number(tag::PIN, record.pin.map_or(0, tier_code).into());
    write_labels(tag::LABEL, &record.labels, body);
    body.number(tag::BYTES, record.bytes);
    body.hash(tag::SHA256, record.sha256);
    if let Some(hash) = record.message_id_hash {
        body.verbatim(tag::MESSAGE_ID_HASH, &hash.to_le_bytes());
    }
    for (position, part) in record.parts.iter().enumerate() {
        body.nested(tag::PART, |inner| write_part(part, position, inner));
    }
    if skeleton_bytes != 0 {
        body.number(tag::SKELETON_BYTES, skeleton_bytes);
        body.verbatim(tag::SKELETON_DIGEST, &digest);
    }
    body.unknown(&record.unknown);
}

fn write_part(part: &PartRecord, position: usize, body: &mut Body<'_>) {
    if usize::try_from(part.index) != Ok(position) {
        body.number_always(tag::PART_INDEX, u64::from(part.index));
    }
    body.number(tag::PART_ROLE, u64::from(part.role));
    if !part.media_type.is_empty() {
        body.bytes(tag::PART_MEDIA_TYPE, part.media_type.as_bytes());
    }
    body.text(tag::PART_FILE_NAME, part.file_name.as_ref());
    body.hash(tag::PART_OBJECT, part.object);
    body.number(tag::PART_BYTES, part.decoded_bytes);
    body.unknown(&part.unknown);
}

/// A record whose fields are still being read.
#[derive(Default)]
struct Draft {
    id: Option<Uuid>,
    sha256: Option<Sha256>,
    kind: u64,
    hold: u64,
    skeleton_bytes: u32,
    skeleton_digest: [u8; 8],
}

/// The entry and the length of its skeleton.
pub(super) fn read(table: &mut TableReader<'_>, mut body: Cursor<'_>) -> Result<(MessageEntry, u32)> {
    let mut draft = Draft::default();
    let mut record = blank();
    while let Some((tag, value)) = next_field(&mut body)? {
        read_field(table, &mut record, &mut draft, (tag, value))?;
    }
    record.id = required(draft.id, "id")?;
    record.sha256 = required(draft.sha256, "hash")?;
    record.kind = item_from_code(draft.kind)?;
    record.hold = draft.hold != 0;
    let entry = MessageEntry { record, skeleton_digest: draft.skeleton_digest };
    Ok((entry, draft.skeleton_bytes))
}

fn read_field(
    table: &mut TableReader<'_>,
    record: &mut MessageRecord,
    draft: &mut Draft,
    (tag, value): (u64, Cursor<'_>),
) -> Result<()> {
    match tag {
        tag::ID => draft.id = Some(table.id(value)?),
        tag::KIND => draft.kind = value.only(Cursor::varint)?,
        tag::CALLER_ID => record.caller_id = Some(value.text()?),
        tag::CAMPAIGN => record.external.campaign = Some(uuid(value)?),
        tag::ACCOUNT => record.external.account = Some(uuid(value)?),
        tag::LEAD => record.external.lead = Some(uuid(value)?),
        tag::CREATED => record.created = table.moment_after(value)?,
        tag::MEDIA_TYPE => record.media_type = Some(value.text()?),
        tag::FILE_NAME => record.file_name = Some(value.text()?),
        tag::RETENTION_END => record.retention_end = Some(moment(value)?),
        tag::HOLD => draft.hold = value.only(Cursor::varint)?,
        tag::PIN => record.pin = Some(tier_from_code(value.only(Cursor::varint)?)?),
        tag::LABEL => read_label(&mut record.labels, value)?,
        tag::BYTES => record.bytes = value.only(Cursor::varint)?,
        tag::SHA256 => draft.sha256 = Some(table.hash(value)?),
        tag::MESSAGE_ID_HASH => record.message_id_hash = Some(i64::from_le_bytes(table.verbatim(&value)?)),
        tag::PART => {
            let part = read_part(table, value, record.parts.len())?;
            record.parts.push(part);
        }
        tag::SKELETON_BYTES => draft.skeleton_bytes = value.only(Cursor::varint_u32)?,
        tag::SKELETON_DIGEST => draft.skeleton_digest = table.verbatim(&value)?,
        _ => record.unknown.keep(tag, value.rest()),
    }
    Ok(())
}

fn read_part(table: &mut TableReader<'_>, mut body: Cursor<'_>, position: usize) -> Result<PartRecord> {
    let mut object = None;
    let mut part = PartRecord {
        index: u32::try_from(position).unwrap_or(u32::MAX),
        role: 0,
        media_type: String::new(),
        file_name: None,
        object: Sha256([0; 32]),
        decoded_bytes: 0,
        unknown: Fields::default(),
    };
    while let Some((tag, value)) = next_field(&mut body)? {
        match tag {
            tag::PART_INDEX => part.index = value.only(Cursor::varint_u32)?,
            tag::PART_ROLE => part.role = narrow(value.only(Cursor::varint)?)?,
            tag::PART_MEDIA_TYPE => part.media_type = value.text()?,
            tag::PART_FILE_NAME => part.file_name = Some(value.text()?),
            tag::PART_OBJECT => object = Some(table.hash(value)?),
            tag::PART_BYTES => part.decoded_bytes = value.only(Cursor::varint)?,
            _ => part.unknown.keep(tag, value.rest()),
        }
    }
    part.object = required(object, "object")?;
    Ok(part)
}

/// Each label is a field: the key's length, the key, the value.
pub(super) fn write_labels(tag: u64, labels: &BTreeMap<String, String>, body: &mut Body<'_>) {
    for (key, value) in labels {
        let mut label = Vec::with_capacity(key.len() + value.len() + 2);
        put_varint(&mut label, length(key.as_bytes()));
        label.extend_from_slice(key.as_bytes());
        label.extend_from_slice(value.as_bytes());
        body.bytes(tag, &label);
    }
}

pub(super) fn read_label(labels: &mut BTreeMap<String, String>, mut value: Cursor<'_>) -> Result<()> {
    let key_bytes = value.varint()?;
    let key = Cursor::new(value.take(key_bytes)?).text()?;
    let _replaced = labels.insert(key, value.text()?);
    Ok(())
}

pub(super) fn uuid(value: Cursor<'_>) -> Result<Uuid> {
    Ok(Uuid::from_bytes(value.only(Cursor::array)?))
}

fn blank() -> MessageRecord {
    MessageRecord {
        id: Uuid::nil(),
        kind: ItemKind::Message,
        caller_id: None,
        external: ExternalIds::default(),
        created: Timestamp(0),
        media_type: None,
        file_name: None,
        retention_end: None,
        hold: false,
        pin: None,
        labels: BTreeMap::new(),
        bytes: 0,
        sha256: Sha256([0; 32]),
        message_id_hash: None,
        parts: Vec::new(),
        unknown: Fields::default(),
    }
}
