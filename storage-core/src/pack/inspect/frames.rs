//! One frame for people: its header, its records or entries, and whether the bytes behind them are what they say.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sha2::Digest;
use uuid::Uuid;

use crate::codec::CodecId;
use crate::codec::Dictionary;
use crate::codec::builtin;
use crate::error::Error;
use crate::error::Result;
use crate::mime::Op;
use crate::mime::Skeleton;
use crate::model::Sha256;
use crate::pack::block::Entry;
use crate::pack::block::EntryBody;
use crate::pack::frame::Frame;
use crate::pack::inspect::reading::Reading;
use crate::pack::inspect::records;
use crate::pack::names::FrameKind;
use crate::pack::object::TransformId;

/// Bytes of dictionaries kept for the blocks behind them.
const DICTIONARIES_BYTES_MAX: usize = 64 << 20;
/// Operations of a skeleton that are shown.
const OPERATIONS_MAX: usize = 64;

/// The dictionaries of a pack that went by.
#[derive(Debug, Default)]
pub(super) struct Dictionaries {
    found: HashMap<Uuid, Arc<Dictionary>>,
    bytes: usize,
}

impl Dictionaries {
    fn get(&self, id: Uuid) -> Result<Option<Arc<Dictionary>>> {
        match self.found.get(&id) {
            Some(dictionary) => Ok(Some(Arc::clone(dictionary))),
            None => builtin::dictionary(id),
        }
    }

    fn keep(&mut self, dictionary: Dictionary) {
        let bytes = self.bytes.saturating_add(dictionary.bytes().len());
        if bytes <= DICTIONARIES_BYTES_MAX {
            self.bytes = bytes;
            let _same_id = self.found.insert(dictionary.id(), Arc::new(dictionary));
        }
    }
}

/// Everything about a frame whose checksums are right.
pub(super) fn frame_reading(frame: &Frame, offset: u64, dictionaries: &mut Dictionaries) -> Reading {
    let header = frame.header();
    let mut reading = Reading::new("frame")
        .number("ordinal", header.ordinal)
        .number("offset", offset)
        .number("bytes", header.frame_bytes())
        .word("kind", header.kind.name())
        .word("tenant", header.tenant)
        .number("header", header.header_bytes)
        .number("verbatim", header.table_verbatim)
        .word("table_codec", codec(header.table_codec))
        .number("table_stored", header.table_stored)
        .number("table_decoded", header.table_decoded)
        .word("codec", codec(header.stream_codec))
        .number("stored", header.stream_stored)
        .number("decoded", header.stream_decoded)
        .word_opt("dictionary", header.dictionary());
    for field in header.fields.iter() {
        reading.push(Reading::new("field").number("tag", field.tag).hex("value", &field.value));
    }
    let told = content(frame, dictionaries, &mut reading);
    if let Err(error) = told {
        reading.push(Reading::problem(&error));
    }
    reading
}

/// The codec's name; its number where this version has none for it.
fn codec(id: CodecId) -> String {
    id.check().map_or_else(|_| format!("unknown-{}", id.0), |id| id.name().to_owned())
}

fn content(frame: &Frame, dictionaries: &mut Dictionaries, into: &mut Reading) -> Result<()> {
    let head = frame.head();
    match frame.header().kind {
        FrameKind::Block => block(frame, dictionaries, into)?,
        FrameKind::Segment => {
            let record = head.segment()?;
            into.push(records::segment(&record));
            if let Some(bytes) = stream(frame, dictionaries, into)? {
                check(record.sha256, &bytes, into);
            }
        }
        FrameKind::Tombstone => {
            head.tombstones()?.iter().for_each(|record| into.push(records::tombstone(record)));
        }
        FrameKind::Policy => {
            head.policies()?.iter().for_each(|record| into.push(records::policy(record)));
        }
        FrameKind::Tenant => into.push(records::tenant(&head.tenant()?)),
        FrameKind::Dictionary => {
            let record = head.dictionary()?;
            into.push(records::dictionary(&record));
            if let Some(bytes) = stream(frame, dictionaries, into)? {
                into.push(content_reading(&bytes));
                dictionaries.keep(Dictionary::stored(record.id, record.kind, Arc::from(&*bytes))?);
            }
        }
    }
    Ok(())
}

/// The decoded stream; none where its dictionary is in another pack.
fn stream(frame: &Frame, dictionaries: &Dictionaries, into: &mut Reading) -> Result<Option<Bytes>> {
    let needed = frame.header().stream_codec == CodecId::ZSTD_DICTIONARY;
    let Some(id) = frame.header().dictionary().filter(|_| needed) else {
        return frame.stream(None).map(Some);
    };
    let Some(dictionary) = dictionaries.get(id)? else {
        into.push(Reading::new("unread").text("says", "its dictionary is not in this pack before it"));
        return Ok(None);
    };
    frame.stream(Some(&dictionary)).map(Some)
}

fn block(frame: &Frame, dictionaries: &Dictionaries, into: &mut Reading) -> Result<()> {
    let table = frame.head().block_table()?;
    // The entries are told even where the stream cannot be decoded.
    let stream = stream(frame, dictionaries, into);
    for entry in &table.entries {
        let mut reading = records::entry(entry);
        if let Ok(Some(stream)) = &stream {
            match entry.cut(stream) {
                Ok(bytes) => entry_content(entry, &bytes, &mut reading),
                Err(error) => reading.push(Reading::problem(&error)),
            }
        }
        into.push(reading);
    }
    stream.map(|_told| ())
}

fn entry_content(entry: &Entry, bytes: &Bytes, into: &mut Reading) {
    match &entry.body {
        EntryBody::Message(message) => {
            // An entry may come without a skeleton, and then without a digest.
            if bytes.is_empty() {
                return;
            }
            if !sha256(bytes).0.starts_with(&message.skeleton_digest) {
                into.push(Reading::problem(&Error::corrupt("the skeleton is not what its digest says")));
            }
            skeleton(bytes, into);
        }
        EntryBody::Object(object) if object.transform == TransformId::NONE => {
            check(object.sha256, bytes, into);
        }
        EntryBody::Object(_) => into.push(content_reading(bytes)),
        EntryBody::Segmented(_) => {}
    }
}

fn skeleton(bytes: &Bytes, into: &mut Reading) {
    let parsed = match Skeleton::parse(bytes) {
        Ok(parsed) => parsed,
        Err(error) => return into.push(Reading::problem(&error)),
    };
    let mut reading = Reading::new("skeleton")
        .number("total_bytes", parsed.total_bytes())
        .number("operations", crate::pack::wire::length_of(parsed.ops().len()))
        .number("objects", parsed.object_count());
    for op in parsed.ops().iter().take(OPERATIONS_MAX) {
        reading.push(operation(op, bytes));
    }
    for part in parsed.parts().iter().take(OPERATIONS_MAX) {
        let summary = &part.summary;
        reading.push(
            Reading::new("part")
                .number("index", summary.index)
                .word("role", summary.info.role.name())
                .text("media_type", &summary.info.media_type)
                .text_opt("file_name", summary.info.file_name.as_ref())
                .word("encoding", summary.info.encoding.name())
                .number("decoded_bytes", summary.decoded_bytes)
                .number("encoded_bytes", summary.encoded_bytes),
        );
    }
    into.push(reading);
}

fn operation(op: &Op, skeleton: &Bytes) -> Reading {
    let cut = |range: &std::ops::Range<usize>| skeleton.get(range.clone()).unwrap_or_default().to_vec();
    match op {
        Op::Literal(range) => Reading::new("literal")
            .number("bytes", crate::pack::wire::length_of(range.len()))
            .sample("begins", &cut(range)),
        Op::Inline { part, encoding, recipe, decoded, encoded_bytes } => Reading::new("inline")
            .number("part", *part)
            .word("encoding", encoding.name())
            .hex("recipe", &cut(recipe))
            .number("encoded_bytes", *encoded_bytes)
            .sample("begins", &cut(decoded)),
        Op::Object { part, object, encoding, recipe, encoded_bytes, .. } => Reading::new("object")
            .number("part", *part)
            .number("object", *object)
            .word("encoding", encoding.name())
            .hex("recipe", &cut(recipe))
            .number("encoded_bytes", *encoded_bytes),
    }
}

/// What content begins with, or that it is not what its hash says.
fn check(expected: Sha256, bytes: &Bytes, into: &mut Reading) {
    into.push(content_reading(bytes));
    if sha256(bytes) != expected {
        into.push(Reading::problem(&Error::corrupt("the content is not what its SHA-256 says")));
    }
}

fn content_reading(bytes: &Bytes) -> Reading {
    Reading::new("content").number("bytes", crate::pack::wire::length(bytes)).sample("begins", bytes)
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}
