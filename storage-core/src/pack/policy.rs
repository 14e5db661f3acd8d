//! Records of changes: a tenant's tier policy, or what is known of an item. Each holds the full new values and a
//! sequence, so that the newest one stands by itself in whatever order packs are read.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::model::ItemKind;
use crate::model::Tier;
use crate::pack::fields::Fields;
use crate::pack::fields::next_field;
use crate::pack::message::read_label;
use crate::pack::message::write_labels;
use crate::pack::names::item_code;
use crate::pack::names::item_from_code;
use crate::pack::names::tier_code;
use crate::pack::names::tier_from_code;
use crate::pack::table::Body;
use crate::pack::table::Record;
use crate::pack::table::TableReader;
use crate::pack::table::moment;
use crate::pack::wire::Cursor;

/// Permanent tags. A record with an item is an item's, one without is the tenant's.
pub(super) mod tag {
    pub(in crate::pack) const SEQUENCE: u64 = 1;
    pub(in crate::pack) const CHANGED: u64 = 2;
    pub(in crate::pack) const TIER_POLICY: u64 = 3;
    pub(in crate::pack) const ITEM: u64 = 4;
    pub(in crate::pack) const KIND: u64 = 5;
    pub(in crate::pack) const RETENTION_END: u64 = 6;
    pub(in crate::pack) const HOLD: u64 = 7;
    pub(in crate::pack) const PIN: u64 = 8;
    pub(in crate::pack) const LABEL: u64 = 9;
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyRecord {
    /// Of the tenant's tier policy.
    Tier(TierPolicyRecord),
    /// Of an item.
    Item(ItemRecord),
}

impl PolicyRecord {
    /// Of two records about the same thing the higher one stands.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Tier(record) => record.sequence,
            Self::Item(record) => record.sequence,
        }
    }
}

/// A tenant's own tier policy, as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierPolicyRecord {
    /// The highest one stands.
    pub sequence: u64,
    /// When it was changed.
    pub changed: Timestamp,
    /// The policy as JSON; none if the tenant has no policy of its own any more.
    pub json: Option<String>,
    /// Fields of a newer version.
    pub unknown: Fields,
}

/// What can be changed of an item, as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRecord {
    /// The item.
    pub item: Uuid,
    /// Message or content.
    pub kind: ItemKind,
    /// The highest one stands.
    pub sequence: u64,
    /// When it was changed.
    pub changed: Timestamp,
    /// When it may leave.
    pub retention_end: Option<Timestamp>,
    /// Deletes are refused while set.
    pub hold: bool,
    /// The tier it is kept in.
    pub pin: Option<Tier>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Fields of a newer version.
    pub unknown: Fields,
}

impl Record for PolicyRecord {
    fn write(&self, body: &mut Body<'_>) {
        match self {
            Self::Tier(record) => {
                body.number(tag::SEQUENCE, record.sequence);
                body.moment_after(tag::CHANGED, record.changed);
                body.text(tag::TIER_POLICY, record.json.as_ref());
                body.unknown(&record.unknown);
            }
            Self::Item(record) => write_item(record, body),
        }
    }

    fn read(table: &mut TableReader<'_>, mut body: Cursor<'_>) -> Result<Self> {
        let (mut item, mut json, mut kind) = (None, None, 0);
        let mut record = ItemRecord {
            item: Uuid::nil(),
            kind: ItemKind::Message,
            sequence: 0,
            changed: Timestamp(0),
            retention_end: None,
            hold: false,
            pin: None,
            labels: BTreeMap::new(),
            unknown: Fields::default(),
        };
        while let Some((tag, value)) = next_field(&mut body)? {
            match tag {
                tag::SEQUENCE => record.sequence = value.only(Cursor::varint)?,
                tag::CHANGED => record.changed = table.moment_after(value)?,
                tag::TIER_POLICY => json = Some(value.text()?),
                tag::ITEM => item = Some(table.id(value)?),
                tag::KIND => kind = value.only(Cursor::varint)?,
                tag::RETENTION_END => record.retention_end = Some(moment(value)?),
                tag::HOLD => record.hold = value.only(Cursor::varint)? != 0,
                tag::PIN => record.pin = Some(tier_from_code(value.only(Cursor::varint)?)?),
                tag::LABEL => read_label(&mut record.labels, value)?,
                _ => record.unknown.keep(tag, value.rest()),
            }
        }
        record.kind = item_from_code(kind)?;
        match (item, json) {
            (Some(item), None) => Ok(Self::Item(ItemRecord { item, ..record })),
            (None, json) => {
                let ItemRecord { sequence, changed, unknown, .. } = record;
                Ok(Self::Tier(TierPolicyRecord { sequence, changed, json, unknown }))
            }
            (Some(_), Some(_)) => Err(Error::corrupt("a policy record speaks of an item and of its tenant")),
        }
    }
}

fn write_item(record: &ItemRecord, body: &mut Body<'_>) {
    body.number(tag::SEQUENCE, record.sequence);
    body.moment_after(tag::CHANGED, record.changed);
    body.id(tag::ITEM, record.item);
    body.number(tag::KIND, item_code(record.kind));
    body.moment(tag::RETENTION_END, record.retention_end);
    body.number(tag::HOLD, u64::from(record.hold));
    body.number(tag::PIN, record.pin.map_or(0, tier_code).into());
    write_labels(tag::LABEL, &record.labels, body);
    body.unknown(&record.unknown);
}
