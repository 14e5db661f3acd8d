//! The few header fields that say what an entity is. Guarantees bounded memory per entity whatever its
//! header holds, and never fails: what cannot be understood is treated as absent.

use mail_parser::ContentType;
use mail_parser::MessageParser;
use mail_parser::MimeHeaders;

use crate::mime::limits::FIELD_BYTES_MAX;
use crate::mime::part::Encoding;
use crate::mime::part::FILE_NAME_BYTES_MAX;
use crate::mime::part::MEDIA_TYPE_BYTES_MAX;
use crate::mime::part::PartInfo;
use crate::mime::part::Role;

/// Longest Message-ID kept.
const MESSAGE_ID_BYTES_MAX: usize = 998;

/// How an entity's body is to be read.
#[derive(Debug)]
pub(crate) enum Entity {
    /// Parts between boundaries, and what it is if those cannot be tracked.
    Multipart { boundary: Vec<u8>, leaf: PartInfo },
    /// Another header.
    Message,
    /// A leaf.
    Leaf(PartInfo),
}

/// A field that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    ContentType,
    Disposition,
    TransferEncoding,
    MessageId,
}

impl Field {
    const ALL: [(Self, &'static str); 4] = [
        (Self::ContentType, "content-type"),
        (Self::Disposition, "content-disposition"),
        (Self::TransferEncoding, "content-transfer-encoding"),
        (Self::MessageId, "message-id"),
    ];

    fn of_line(line: &[u8]) -> Option<Self> {
        // No other name has these first letters often enough to be worth more care.
        if !line.first().is_some_and(|first| matches!(first, b'c' | b'C' | b'm' | b'M')) {
            return None;
        }
        let colon = line.iter().take(40).position(|byte| *byte == b':')?;
        let name = line.get(..colon)?.trim_ascii_end();
        Self::ALL
            .into_iter()
            .find(|(_, text)| name.eq_ignore_ascii_case(text.as_bytes()))
            .map(|(field, _)| field)
    }
}

/// Gathers the fields of one header, line by line.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Content-Type and Content-Disposition as they stand, for the parser.
    described: Vec<u8>,
    transfer_encoding: Vec<u8>,
    message_id: Vec<u8>,
    current: Option<Field>,
}

impl Fields {
    /// Takes a line, or a fragment of one if not at a line's start.
    pub(crate) fn line(&mut self, line: &[u8], line_start: bool) {
        let folded = line.first().is_some_and(|first| matches!(first, b' ' | b'\t'));
        if !line_start || folded {
            self.append(line);
            return;
        }
        self.current = Field::of_line(line).filter(|field| match field {
            Field::ContentType | Field::Disposition => true,
            Field::TransferEncoding => self.transfer_encoding.is_empty(),
            Field::MessageId => self.message_id.is_empty(),
        });
        self.append(line);
    }

    fn append(&mut self, line: &[u8]) {
        let (kept, bytes_max) = match self.current {
            None => return,
            Some(Field::ContentType | Field::Disposition) => (&mut self.described, 4 * FIELD_BYTES_MAX),
            Some(Field::TransferEncoding) => (&mut self.transfer_encoding, FIELD_BYTES_MAX),
            Some(Field::MessageId) => (&mut self.message_id, FIELD_BYTES_MAX),
        };
        let room = bytes_max.saturating_sub(kept.len());
        kept.extend_from_slice(line.get(..line.len().min(room)).unwrap_or_default());
    }

    /// The Message-ID without angle brackets.
    pub(crate) fn message_id(&self) -> Option<String> {
        let value = value_of(&self.message_id)?;
        let text = String::from_utf8_lossy(value);
        let inner = text.split_once('<').map_or(&*text, |(_, after)| after);
        let inner = inner.split_once('>').map_or(inner, |(before, _)| before);
        let id = clean(inner, MESSAGE_ID_BYTES_MAX);
        (!id.is_empty()).then_some(id)
    }

    /// What the entity is.
    pub(crate) fn entity(&self, parser: &MessageParser) -> Entity {
        let mut described = self.described.clone();
        described.extend_from_slice(b"\r\n\r\n");
        let message = parser.parse_headers(&described);
        let part = message.as_ref().and_then(|message| message.parts.first());
        let content_type = part.and_then(MimeHeaders::content_type);
        let media_type = content_type.map_or_else(|| "text/plain".to_owned(), media_type);
        let encoding = self.encoding();
        if media_type.starts_with("multipart/")
            && let Some(boundary) = content_type.and_then(|found| found.attribute("boundary"))
        {
            let boundary = boundary.trim_end().as_bytes().to_vec();
            let (role, encoding) = (Role::Attachment, Encoding::Identity);
            return Entity::Multipart {
                boundary,
                leaf: PartInfo { role, media_type, file_name: None, encoding },
            };
        }
        if encoding == Encoding::Identity && matches!(&*media_type, "message/rfc822" | "message/global") {
            return Entity::Message;
        }
        let file_name = part.and_then(MimeHeaders::attachment_name);
        let file_name =
            file_name.map(|name| clean(name, FILE_NAME_BYTES_MAX)).filter(|name| !name.is_empty());
        let attached = part
            .and_then(MimeHeaders::content_disposition)
            .is_some_and(|found| found.ctype() == "attachment");
        let body = media_type.starts_with("text/") && file_name.is_none() && !attached;
        let role = if body { Role::Body } else { Role::Attachment };
        Entity::Leaf(PartInfo { role, media_type, file_name, encoding })
    }

    fn encoding(&self) -> Encoding {
        let value = value_of(&self.transfer_encoding).unwrap_or_default();
        let end = value.iter().position(|byte| matches!(byte, b';' | b'(')).unwrap_or(value.len());
        let name = value.get(..end).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"base64") {
            Encoding::Base64
        } else if name.eq_ignore_ascii_case(b"quoted-printable") {
            Encoding::QuotedPrintable
        } else {
            Encoding::Identity
        }
    }
}

/// A parser that knows the MIME fields and nothing else.
pub(crate) fn parser() -> MessageParser {
    MessageParser::new().with_mime_headers().default_header_ignore()
}

fn value_of(field: &[u8]) -> Option<&[u8]> {
    let colon = field.iter().position(|byte| *byte == b':')?;
    Some(field.get(colon + 1..)?.trim_ascii())
}

fn media_type(found: &ContentType<'_>) -> String {
    let Some(subtype) = found.subtype() else { return "text/plain".to_owned() };
    let name = format!("{}/{subtype}", found.ctype()).to_ascii_lowercase();
    let token =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'(' | b')' | b'<' | b'>' | b',' | b';');
    if name.len() <= MEDIA_TYPE_BYTES_MAX && name.bytes().all(token) {
        name
    } else {
        "application/octet-stream".to_owned()
    }
}

/// `text` trimmed, without control characters, cut to `bytes_max` at a character's start.
fn clean(text: &str, bytes_max: usize) -> String {
    let mut kept = String::new();
    for letter in text.trim().chars().filter(|letter| !letter.is_control()) {
        if kept.len() + letter.len_utf8() > bytes_max {
            break;
        }
        kept.push(letter);
    }
    kept
}
