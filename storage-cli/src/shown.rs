//! What commands print about items: the JSON shapes, and the same as rows of a table. No I/O.

use std::collections::BTreeMap;

use serde::Serialize;
use storage_server::proto;

use crate::output::human;
use crate::wire::hex;
use crate::wire::non_empty;
use crate::wire::rfc3339;
use crate::wire::tier_name;

/// A put that is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The server's id.
    pub id: String,
    /// False where the same id with the same bytes was stored before.
    pub created: bool,
    /// Bytes as received.
    pub bytes: u64,
    /// Their SHA-256 in hex.
    pub sha256: String,
    /// Objects it refers to.
    pub objects: u32,
    /// How many of them were known already.
    pub objects_known: u32,
}

impl From<&proto::PutReceipt> for Receipt {
    fn from(receipt: &proto::PutReceipt) -> Self {
        Self {
            id: receipt.id.clone(),
            created: receipt.created,
            bytes: receipt.bytes,
            sha256: hex(&receipt.sha256),
            objects: receipt.objects,
            objects_known: receipt.objects_known,
        }
    }
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its number, for `get --part`.
    pub index: u32,
    /// `body`, `attachment` or `raw`.
    pub role: String,
    /// Its media type.
    pub media_type: Option<String>,
    /// Its file name.
    pub file_name: Option<String>,
    /// Bytes without its transfer encoding.
    pub decoded_bytes: u64,
    /// Bytes with it.
    pub encoded_bytes: u64,
    /// The transfer encoding that was undone.
    pub encoding: String,
    /// SHA-256 of the decoded bytes in hex, where the part is an object of its own.
    pub sha256: Option<String>,
    /// Its tier.
    pub tier: Option<&'static str>,
}

impl From<&proto::Part> for Part {
    fn from(part: &proto::Part) -> Self {
        Self {
            index: part.index,
            role: part.role.clone(),
            media_type: non_empty(&part.media_type),
            file_name: non_empty(&part.file_name),
            decoded_bytes: part.decoded_bytes,
            encoded_bytes: part.encoded_bytes,
            encoding: part.encoding.clone(),
            sha256: non_empty(&hex(&part.sha256)),
            tier: tier_name(part.tier),
        }
    }
}

/// A message or a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The server's id.
    pub id: String,
    /// The caller's id.
    pub caller_id: Option<String>,
    /// Ids in the caller's database.
    pub campaign_id: Option<String>,
    /// See above.
    pub account_id: Option<String>,
    /// See above.
    pub lead_id: Option<String>,
    /// The Message-ID header without angle brackets, where it was asked for.
    pub message_id: Option<String>,
    /// Media type of a content.
    pub media_type: Option<String>,
    /// File name of a content.
    pub file_name: Option<String>,
    /// Bytes as received.
    pub bytes: u64,
    /// Their SHA-256 in hex.
    pub sha256: String,
    /// When it came to be.
    pub created: Option<String>,
    /// The last day it was read.
    pub accessed: Option<String>,
    /// Deletes are refused until then.
    pub retention_end: Option<String>,
    /// Deletes are refused while set.
    pub hold: bool,
    /// The tier it is kept in.
    pub pin: Option<&'static str>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The tier it is in.
    pub tier: Option<&'static str>,
    /// Its parts, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

impl From<&proto::Item> for Item {
    fn from(item: &proto::Item) -> Self {
        let external = item.external.clone().unwrap_or_default();
        Self {
            id: item.id.clone(),
            caller_id: non_empty(&item.caller_id),
            campaign_id: non_empty(&external.campaign_id),
            account_id: non_empty(&external.account_id),
            lead_id: non_empty(&external.lead_id),
            message_id: non_empty(&item.message_id),
            media_type: non_empty(&item.media_type),
            file_name: non_empty(&item.file_name),
            bytes: item.bytes,
            sha256: hex(&item.sha256),
            created: item.created.as_ref().map(rfc3339),
            accessed: item.accessed.as_ref().map(rfc3339),
            retention_end: item.retention_end.as_ref().map(rfc3339),
            hold: item.hold,
            pin: tier_name(item.pin),
            labels: item.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            tier: tier_name(item.tier),
            parts: item.parts.iter().map(Part::from).collect(),
        }
    }
}

impl Item {
    /// The fields that are set, as name and value.
    pub fn fields(&self) -> Vec<Vec<String>> {
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let optional = [
            ("caller's id", self.caller_id.clone()),
            ("Message-ID", self.message_id.clone()),
            ("campaign", self.campaign_id.clone()),
            ("account", self.account_id.clone()),
            ("lead", self.lead_id.clone()),
            ("media type", self.media_type.clone()),
            ("file name", self.file_name.clone()),
            ("size", Some(format!("{} ({} bytes)", human(self.bytes), self.bytes))),
            ("sha256", Some(self.sha256.clone())),
            ("created", self.created.clone()),
            ("last read", self.accessed.clone()),
            ("retention ends", self.retention_end.clone()),
            ("hold", self.hold.then(|| "yes".to_owned())),
            ("pinned to", self.pin.map(str::to_owned)),
            ("labels", non_empty(&labels.join(", "))),
            ("tier", self.tier.map(str::to_owned)),
        ];
        let set = optional.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
        std::iter::once(vec!["id".to_owned(), self.id.clone()]).chain(set).collect()
    }
}
