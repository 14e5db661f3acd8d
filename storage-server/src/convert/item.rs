//! Messages and contents: what puts, reads, lists and updates take and tell.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use prost::Message;
use storage_core::model::GetOptions;
use storage_core::model::ItemStat;
use storage_core::model::ItemUpdate;
use storage_core::model::ListQuery;
use storage_core::model::Page;
use storage_core::model::PartStat;
use storage_core::model::PutOptions;
use storage_core::model::PutReceipt;
use storage_core::model::Sha256;
use tonic::Status;

use crate::convert::external;
use crate::convert::invalid;
use crate::convert::tier;
use crate::convert::timestamp;
use crate::convert::uuid;
use crate::convert::wire_external;
use crate::convert::wire_tier;
use crate::convert::wire_timestamp;
use crate::limits;
use crate::proto;
use crate::proto::update_request::Retention;

const ID_BYTES_MAX: usize = 128;
const LABELS_MAX: usize = 16;
const LABEL_KEY_BYTES_MAX: usize = 64;
const LABEL_VALUE_BYTES_MAX: usize = 256;
const MEDIA_TYPE_BYTES_MAX: usize = 255;
const FILE_NAME_BYTES_MAX: usize = 1024;
/// RFC 5322 allows no longer line.
const MESSAGE_ID_BYTES_MAX: usize = 998;
const PAGE_ITEMS_MAX: u32 = 1000;
const PAGE_ITEMS_DEFAULT: u32 = 100;

/// Options of a put.
pub fn put_options(options: proto::PutOptions) -> Result<PutOptions, Status> {
    Ok(PutOptions {
        caller_id: text("id", options.id, ID_BYTES_MAX)?,
        external: external(options.external)?,
        created: options.created.map(|value| timestamp("created", value)).transpose()?,
        media_type: text("media_type", options.media_type, MEDIA_TYPE_BYTES_MAX)?,
        file_name: text("file_name", options.file_name, FILE_NAME_BYTES_MAX)?,
        retention_end: options.retention_end.map(|value| timestamp("retention_end", value)).transpose()?,
        hold: options.hold,
        pin: tier("pin", options.pin)?,
        labels: labels(options.labels)?,
    })
}

/// Text of at most `bytes_max` bytes; none where it is empty.
fn text(field: &str, value: String, bytes_max: usize) -> Result<Option<String>, Status> {
    if value.len() > bytes_max {
        return Err(invalid(format!(
            "`{field}` has {} bytes; at most {bytes_max} are allowed.",
            value.len()
        )));
    }
    Ok(Some(value).filter(|value| !value.is_empty()))
}

fn labels(labels: HashMap<String, String>) -> Result<BTreeMap<String, String>, Status> {
    let fits = labels.len() <= LABELS_MAX
        && labels.iter().all(|(key, value)| is_label_key(key) && value.len() <= LABEL_VALUE_BYTES_MAX);
    if fits { Ok(labels.into_iter().collect()) } else { Err(too_many_labels()) }
}

fn is_label_key(key: &str) -> bool {
    (1..=LABEL_KEY_BYTES_MAX).contains(&key.len())
}

fn too_many_labels() -> Status {
    invalid("At most 16 labels are allowed, with keys of 1 to 64 bytes and values of at most 256 bytes.")
}

/// The id of an item: the server's or the caller's.
pub fn item_id(id: String) -> Result<String, Status> {
    text("id", id, ID_BYTES_MAX)?
        .ok_or_else(|| invalid("Name the item in `id`: the server's id or your own."))
}

/// What a put tells.
pub fn wire_receipt(receipt: &PutReceipt) -> proto::PutReceipt {
    proto::PutReceipt {
        id: receipt.id.to_string(),
        created: receipt.created,
        bytes: receipt.bytes,
        sha256: wire_sha256(&receipt.sha256),
        objects: receipt.objects,
        objects_known: receipt.objects_known,
    }
}

fn wire_sha256(hash: &Sha256) -> Bytes {
    Bytes::copy_from_slice(&hash.0)
}

/// How to read `length` bytes from `offset`; all that follow where there is no length.
pub fn get_options(offset: u64, length: Option<u64>, touch: Option<bool>) -> Result<GetOptions, Status> {
    Ok(GetOptions { range: range(offset, length)?, touch: touch.unwrap_or(true) })
}

fn range(offset: u64, length: Option<u64>) -> Result<Option<Range<u64>>, Status> {
    match (offset, length) {
        (0, None) => Ok(None),
        (_, None) => Ok(Some(offset..u64::MAX)),
        (_, Some(length)) => match offset.checked_add(length) {
            Some(end) => Ok(Some(offset..end)),
            None => Err(invalid(
                "`offset` and `length` together are beyond any item; leave `length` out to read to the end.",
            )),
        },
    }
}

/// An item for the wire.
pub fn wire_item(item: ItemStat) -> proto::Item {
    proto::Item {
        id: item.id.to_string(),
        caller_id: item.caller_id.unwrap_or_default(),
        external: wire_external(&item.external),
        message_id: item.message_id.unwrap_or_default(),
        media_type: item.media_type.unwrap_or_default(),
        file_name: item.file_name.unwrap_or_default(),
        bytes: item.bytes,
        sha256: wire_sha256(&item.sha256),
        created: Some(wire_timestamp(item.created)),
        accessed: item.accessed.map(wire_timestamp),
        retention_end: item.retention_end.map(wire_timestamp),
        hold: item.hold,
        pin: item.pin.map_or(proto::Tier::Unspecified, wire_tier).into(),
        labels: item.labels.into_iter().collect(),
        tier: wire_tier(item.tier).into(),
        parts: item.parts.into_iter().map(wire_part).collect(),
    }
}

/// A part for the wire.
pub fn wire_part(part: PartStat) -> proto::Part {
    proto::Part {
        index: part.index,
        role: part.role.to_owned(),
        media_type: part.media_type,
        file_name: part.file_name.unwrap_or_default(),
        decoded_bytes: part.decoded_bytes,
        encoded_bytes: part.encoded_bytes,
        encoding: part.encoding.to_owned(),
        sha256: part.sha256.as_ref().map(wire_sha256).unwrap_or_default(),
        tier: wire_tier(part.tier).into(),
    }
}

/// Which items to list.
pub fn list_query(request: proto::ListRequest) -> Result<ListQuery, Status> {
    let limit = match request.page_size {
        0 => PAGE_ITEMS_DEFAULT,
        1..=PAGE_ITEMS_MAX => request.page_size,
        _ => return Err(invalid("`page_size` is 1 to 1,000; follow `next_page_token` for more.")),
    };
    let after = uuid("page_token", &request.page_token)
        .map_err(|_| invalid("`page_token` is not one this server gave out; begin without it."))?;
    Ok(ListQuery {
        after,
        limit,
        created_from: request.created_from.map(|value| timestamp("created_from", value)).transpose()?,
        created_until: request.created_until.map(|value| timestamp("created_until", value)).transpose()?,
        external: external(request.external)?,
        message_id: text("message_id", request.message_id, MESSAGE_ID_BYTES_MAX)?,
    })
}

/// A page for the wire. It is cut short where it would grow beyond [`limits::PAGE_BYTES_MAX`]; the token then says so.
pub fn wire_page(page: Page) -> proto::ListResponse {
    let mut items = Vec::with_capacity(page.items.len());
    let mut next = page.next;
    let mut bytes = 0usize;
    let mut last = None;
    for stat in page.items {
        let id = stat.id;
        let item = wire_item(stat);
        bytes = bytes.saturating_add(item.encoded_len());
        if bytes > limits::PAGE_BYTES_MAX && last.is_some() {
            next = last;
            break;
        }
        last = Some(id);
        items.push(item);
    }
    proto::ListResponse { items, next_page_token: next.map(|id| id.to_string()).unwrap_or_default() }
}

/// What to change about an item, and which one.
pub fn update(request: proto::UpdateRequest) -> Result<(String, ItemUpdate), Status> {
    let id = item_id(request.id)?;
    let retention_end = match request.retention {
        Some(Retention::RetentionEnd(value)) => Some(Some(timestamp("retention_end", value)?)),
        Some(Retention::ClearRetention(true)) => Some(None),
        Some(Retention::ClearRetention(false)) | None => None,
    };
    let removals_fit = request.remove_labels.len() <= LABELS_MAX
        && request.remove_labels.iter().all(|key| is_label_key(key));
    if !removals_fit {
        return Err(too_many_labels());
    }
    let update = ItemUpdate {
        retention_end,
        hold: request.hold,
        pin: request.pin.map(|value| tier("pin", value)).transpose()?,
        labels_set: labels(request.set_labels)?,
        labels_removed: request.remove_labels,
    };
    Ok((id, update))
}
