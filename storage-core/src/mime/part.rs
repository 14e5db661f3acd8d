//! What is known about a part: role, media type, file name, transfer encoding, and how they are stored.
//! The numbers and the table of media types are permanent: append, never reorder.

use crate::error::Error;
use crate::error::Result;
use crate::mime::varint;
use crate::mime::varint::Cursor;

/// Longest file name kept, in bytes of UTF-8.
pub(crate) const FILE_NAME_BYTES_MAX: usize = 255;
/// Longest media type kept; a longer one is unknown.
pub(crate) const MEDIA_TYPE_BYTES_MAX: usize = 127;

/// What a part is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Text that is shown.
    Body,
    /// Anything else that the message carries.
    Attachment,
    /// Bytes of the message that were not looked into.
    Raw,
}

impl Role {
    /// The name used in the API and the docs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Attachment => "attachment",
            Self::Raw => "raw",
        }
    }

    /// The permanent number.
    pub fn id(self) -> u8 {
        match self {
            Self::Body => 0,
            Self::Attachment => 1,
            Self::Raw => 2,
        }
    }

    /// The role of that number.
    pub fn from_id(id: u8) -> Option<Self> {
        [Self::Body, Self::Attachment, Self::Raw].into_iter().find(|role| role.id() == id)
    }
}

/// The transfer encoding that was undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// None: the bytes are as they stand in the message.
    Identity,
    /// Base64.
    Base64,
    /// Quoted-printable.
    QuotedPrintable,
}

impl Encoding {
    /// The name used in the API and the docs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Base64 => "base64",
            Self::QuotedPrintable => "quoted-printable",
        }
    }

    /// The permanent number.
    pub fn id(self) -> u8 {
        match self {
            Self::Identity => 0,
            Self::Base64 => 1,
            Self::QuotedPrintable => 2,
        }
    }

    /// The encoding of that number.
    pub fn from_id(id: u8) -> Option<Self> {
        [Self::Identity, Self::Base64, Self::QuotedPrintable].into_iter().find(|encoding| encoding.id() == id)
    }
}

/// What a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// What it is for.
    pub role: Role,
    /// Lower-case `type/subtype` without parameters.
    pub media_type: String,
    /// Decoded file name without control characters, at most 255 bytes.
    pub file_name: Option<String>,
    /// The transfer encoding that was undone.
    pub encoding: Encoding,
}

impl PartInfo {
    /// Bytes of a message that were not looked into.
    pub(crate) fn raw() -> Self {
        Self {
            role: Role::Raw,
            media_type: "application/octet-stream".to_owned(),
            file_name: None,
            encoding: Encoding::Identity,
        }
    }

    /// Appends media type and file name; role and encoding are in the operation's tag.
    pub(crate) fn put_names(&self, out: &mut Vec<u8>) {
        if let Some(position) = MEDIA_TYPES.iter().position(|known| *known == self.media_type) {
            varint::put_len(out, position + 1);
        } else {
            out.push(0);
            put_text(out, &self.media_type);
        }
        if let Some(name) = &self.file_name {
            put_text(out, name);
        }
    }

    /// Reads what [`PartInfo::put_names`] wrote.
    pub(crate) fn read_names(cursor: &mut Cursor<'_>, named: bool) -> Result<(String, Option<String>)> {
        let media_type = match cursor.len()?.checked_sub(1) {
            None => read_text(cursor, MEDIA_TYPE_BYTES_MAX)?,
            Some(position) => match MEDIA_TYPES.get(position) {
                Some(known) => (*known).to_owned(),
                None => {
                    return Err(Error::corrupt(
                        "A skeleton names an unknown media type. Restore from a backup.",
                    ));
                }
            },
        };
        let file_name = if named { Some(read_text(cursor, FILE_NAME_BYTES_MAX)?) } else { None };
        Ok((media_type, file_name))
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    varint::put_len(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn read_text(cursor: &mut Cursor<'_>, bytes_max: usize) -> Result<String> {
    let len = cursor.len()?;
    if len > bytes_max {
        return Err(Error::corrupt("A name in a skeleton is too long. Restore from a backup."));
    }
    let bytes = cursor.take(len)?;
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(Error::corrupt("A name in a skeleton is not clean text. Restore from a backup.")),
    }
}

/// A leaf of a message, whether an object or kept inside the skeleton.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSummary {
    /// Position among the message's parts, from 0.
    pub index: u32,
    /// What it is.
    pub info: PartInfo,
    /// Bytes once the transfer encoding is undone.
    pub decoded_bytes: u64,
    /// Bytes as they stand in the message.
    pub encoded_bytes: u64,
    /// Its position among the message's objects; none where it is kept inside the skeleton.
    pub object: Option<u32>,
}

/// Media types that are stored as a number: position + 1. Permanent: append only.
pub(crate) const MEDIA_TYPES: &[&str] = &[
    "text/plain",
    "text/html",
    "application/octet-stream",
    "application/pdf",
    "image/png",
    "image/jpeg",
    "image/gif",
    "application/pgp-signature",
    "text/calendar",
    "message/delivery-status",
    "application/zip",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/pkcs7-signature",
    "application/x-pkcs7-signature",
    "application/pkcs7-mime",
    "application/pgp-encrypted",
    "application/pgp-keys",
    "text/x-patch",
    "text/x-diff",
    "text/csv",
    "text/enriched",
    "text/rtf",
    "text/rfc822-headers",
    "message/rfc822",
    "message/disposition-notification",
    "message/partial",
    "message/external-body",
    "application/ms-tnef",
    "application/rtf",
    "application/json",
    "application/xml",
    "text/xml",
    "text/markdown",
    "application/gzip",
    "application/x-gzip",
    "application/x-tar",
    "application/x-zip-compressed",
    "image/bmp",
    "image/svg+xml",
    "image/tiff",
    "image/webp",
    "image/heic",
    "image/jpg",
    "audio/mpeg",
    "audio/x-wav",
    "audio/wav",
    "video/mp4",
    "video/quicktime",
    "text/vcard",
    "text/x-vcard",
    "application/ics",
    "application/postscript",
    "application/x-msdownload",
    "text/amp-html",
    "text/x-amp-html",
];
