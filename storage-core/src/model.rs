//! The plain data that callers exchange with the engine: what a put takes, what a look-up tells. No logic.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use uuid::Uuid;

use crate::clock::Timestamp;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The two sorts of things a caller stores. Their ids live apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// An RFC 5322 message.
    Message,
    /// A single body or attachment.
    Content,
}

/// A tier, from warmest to coldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Uncompressed, one append.
    Hot,
    /// LZ4.
    Warm,
    /// Zstd.
    Cold,
    /// Zstd with a dictionary.
    Archive,
}

impl Tier {
    /// All tiers, warmest first.
    pub const ALL: [Self; 4] = [Self::Hot, Self::Warm, Self::Cold, Self::Archive];

    /// The name used in the API, the CLI and the docs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Cold => "cold",
            Self::Archive => "archive",
        }
    }

    /// The tier of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// Optional ids of rows in the caller's own database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExternalIds {
    /// The campaign a message belongs to.
    pub campaign: Option<Uuid>,
    /// The email account that sent or received it.
    pub account: Option<Uuid>,
    /// The lead it concerns.
    pub lead: Option<Uuid>,
}

/// What a put may say about the thing it stores.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutOptions {
    /// The caller's own id: any text of 1 to 128 bytes, unique per tenant and kind.
    pub caller_id: Option<String>,
    /// Ids in the caller's database.
    pub external: ExternalIds,
    /// When it came to be, for ages and listing; now, if absent.
    pub created: Option<Timestamp>,
    /// Media type of a content, such as `application/pdf`. Messages need none.
    pub media_type: Option<String>,
    /// File name of a content.
    pub file_name: Option<String>,
    /// When it may leave; never by itself, if absent.
    pub retention_end: Option<Timestamp>,
    /// While set, deletes are refused.
    pub hold: bool,
    /// Keeps it in this tier.
    pub pin: Option<Tier>,
    /// Up to 16 labels, keys up to 64 bytes, values up to 256 bytes.
    pub labels: BTreeMap<String, String>,
}

/// A change of what is known about an item. `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemUpdate {
    /// New retention end, or `Some(None)` to remove it.
    pub retention_end: Option<Option<Timestamp>>,
    /// Set or lift the hold.
    pub hold: Option<bool>,
    /// New pin, or `Some(None)` to unpin.
    pub pin: Option<Option<Tier>>,
    /// Labels to set.
    pub labels_set: BTreeMap<String, String>,
    /// Labels to remove.
    pub labels_removed: Vec<String>,
}

/// What a put did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutReceipt {
    /// The server's id, a UUIDv7.
    pub id: Uuid,
    /// False where the same id with the same bytes was there already and nothing changed.
    pub created: bool,
    /// Bytes as received.
    pub bytes: u64,
    /// SHA-256 of the bytes as received.
    pub sha256: Sha256,
    /// Objects this put refers to.
    pub objects: u32,
    /// How many of them were known already.
    pub objects_known: u32,
}

/// A part of a stored message, in the order of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartStat {
    /// Position among the message's parts, from 0.
    pub index: u32,
    /// `body`, `attachment` or `raw`.
    pub role: &'static str,
    /// Lower-case media type without parameters.
    pub media_type: String,
    /// Decoded file name, where the message gives one.
    pub file_name: Option<String>,
    /// Bytes once the transfer encoding is undone.
    pub decoded_bytes: u64,
    /// Bytes as they stand in the message.
    pub encoded_bytes: u64,
    /// `identity`, `base64` or `quoted-printable`: the transfer encoding that was undone.
    pub encoding: &'static str,
    /// The object that holds the part; none where the part is kept inside the skeleton.
    pub sha256: Option<Sha256>,
    /// The tier the object's primary location is in; that of the skeleton for parts inside it.
    pub tier: Tier,
}

/// What is known about a stored message or content without reading its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemStat {
    /// The server's id.
    pub id: Uuid,
    /// Message or content.
    pub kind: ItemKind,
    /// The caller's id.
    pub caller_id: Option<String>,
    /// Ids in the caller's database.
    pub external: ExternalIds,
    /// The Message-ID header without angle brackets. Only `stat` fills it (it is read from the skeleton).
    pub message_id: Option<String>,
    /// Media type of a content.
    pub media_type: Option<String>,
    /// File name of a content.
    pub file_name: Option<String>,
    /// Bytes as received.
    pub bytes: u64,
    /// SHA-256 of the bytes as received.
    pub sha256: Sha256,
    /// When it came to be.
    pub created: Timestamp,
    /// The last day it was read, as the start of that day; none if not since the last migration.
    pub accessed: Option<Timestamp>,
    /// When it may leave.
    pub retention_end: Option<Timestamp>,
    /// Deletes are refused while set.
    pub hold: bool,
    /// The tier it is kept in.
    pub pin: Option<Tier>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The tier of the skeleton (of the object, for a content).
    pub tier: Tier,
    /// Parts; only `stat` fills it.
    pub parts: Vec<PartStat>,
}

/// How to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetOptions {
    /// The bytes wanted, of the item as received; all if absent. Cut to the item's length; a start beyond it is
    /// [`crate::error::Kind::InvalidArgument`].
    pub range: Option<Range<u64>>,
    /// Whether the read counts as an access for tiering.
    pub touch: bool,
}

impl Default for GetOptions {
    fn default() -> Self {
        Self { range: None, touch: true }
    }
}

/// Which items to list. All conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListQuery {
    /// Continue after this item (the last one of the page before).
    pub after: Option<Uuid>,
    /// Items at most, 1 to 1,000.
    pub limit: u32,
    /// Created at or after.
    pub created_from: Option<Timestamp>,
    /// Created before.
    pub created_until: Option<Timestamp>,
    /// Of this campaign, account, lead.
    pub external: ExternalIds,
    /// With this Message-ID (with or without angle brackets).
    pub message_id: Option<String>,
}

/// One page of a listing, ordered by creation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The items.
    pub items: Vec<ItemStat>,
    /// Pass it as [`ListQuery::after`]; none on the last page.
    pub next: Option<Uuid>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantStat {
    /// The name that callers use.
    pub name: String,
    /// Its permanent id.
    pub id: Uuid,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it has a tier policy of its own.
    pub own_policy: bool,
}
