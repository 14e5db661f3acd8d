//! Entries and records for people. What has its default is left out, as in the pack.

use crate::codec::DictionaryKind;
use crate::model::ItemKind;
use crate::model::Tier;
use crate::pack::block::Entry;
use crate::pack::block::EntryBody;
use crate::pack::fields::Fields;
use crate::pack::inspect::reading::Reading;
use crate::pack::message::MessageEntry;
use crate::pack::message::PartRecord;
use crate::pack::object::ObjectEntry;
use crate::pack::object::SegmentRecord;
use crate::pack::object::SegmentedEntry;
use crate::pack::policy::ItemRecord;
use crate::pack::policy::PolicyRecord;
use crate::pack::records::DictionaryRecord;
use crate::pack::records::TenantRecord;
use crate::pack::records::Tombstone;

pub(super) fn entry(entry: &Entry) -> Reading {
    match &entry.body {
        EntryBody::Message(found) => message(found, place(entry, "message")),
        EntryBody::Object(found) => object(found, place(entry, "object")),
        EntryBody::Segmented(found) => segmented(found, place(entry, "segmented")),
    }
}

fn place(entry: &Entry, what: &'static str) -> Reading {
    Reading::new(what).number("offset", entry.offset).number("stream_bytes", entry.bytes)
}

fn message(entry: &MessageEntry, reading: Reading) -> Reading {
    let record = &entry.record;
    let mut reading = reading
        .word("id", record.id)
        .word("kind", item_kind(record.kind))
        .signed("created", record.created.0)
        .number("bytes", record.bytes)
        .word("sha256", record.sha256)
        .text_opt("caller_id", record.caller_id.as_ref())
        .word_opt("campaign", record.external.campaign)
        .word_opt("account", record.external.account)
        .word_opt("lead", record.external.lead)
        .text_opt("media_type", record.media_type.as_ref())
        .text_opt("file_name", record.file_name.as_ref())
        .signed_opt("retention_end", record.retention_end.map(|end| end.0))
        .word_opt("hold", record.hold.then_some("yes"))
        .word_opt("pin", record.pin.map(Tier::name))
        .signed_opt("message_id_hash", record.message_id_hash)
        .hex("skeleton_digest", &entry.skeleton_digest);
    labels(&record.labels, &mut reading);
    for record in &record.parts {
        reading.push(part(record));
    }
    unknown(&record.unknown, &mut reading);
    reading
}

fn part(part: &PartRecord) -> Reading {
    let mut reading = Reading::new("part")
        .number("index", part.index)
        .number("role", part.role)
        .text("media_type", &part.media_type)
        .text_opt("file_name", part.file_name.as_ref())
        .word("object", part.object)
        .number("decoded_bytes", part.decoded_bytes);
    unknown(&part.unknown, &mut reading);
    reading
}

fn object(object: &ObjectEntry, reading: Reading) -> Reading {
    let mut reading = reading
        .word("sha256", object.sha256)
        .number("bytes", object.bytes)
        .number("class", object.class)
        .number("transform", object.transform.0);
    if !object.params.is_empty() {
        reading = reading.hex("params", &object.params);
    }
    if object.gain > 0 {
        reading = reading.number("gain", object.gain);
    }
    unknown(&object.unknown, &mut reading);
    reading
}

fn segmented(object: &SegmentedEntry, reading: Reading) -> Reading {
    let mut reading =
        reading.word("sha256", object.sha256).number("bytes", object.bytes).number("class", object.class);
    for segment in &object.segments {
        reading.push(
            Reading::new("segment")
                .number("frame", segment.ordinal)
                .number("bytes", segment.bytes)
                .word("sha256", segment.sha256),
        );
    }
    unknown(&object.unknown, &mut reading);
    reading
}

pub(super) fn segment(record: &SegmentRecord) -> Reading {
    let mut reading = Reading::new("segment")
        .number("index", record.index)
        .number("bytes", record.bytes)
        .word("sha256", record.sha256);
    unknown(&record.unknown, &mut reading);
    reading
}

pub(super) fn tombstone(record: &Tombstone) -> Reading {
    let mut reading = Reading::new("tombstone")
        .word("item", record.item)
        .word("kind", item_kind(record.kind))
        .signed("deleted", record.deleted.0)
        .text_opt("caller_id", record.caller_id.as_ref());
    for hash in record.erase.iter().flatten() {
        reading = reading.word("erased", hash);
    }
    unknown(&record.unknown, &mut reading);
    reading
}

pub(super) fn policy(record: &PolicyRecord) -> Reading {
    match record {
        PolicyRecord::Tier(record) => {
            let mut reading = Reading::new("tier_policy")
                .number("sequence", record.sequence)
                .signed("changed", record.changed.0)
                .text_opt("json", record.json.as_ref());
            unknown(&record.unknown, &mut reading);
            reading
        }
        PolicyRecord::Item(record) => item(record),
    }
}

fn item(record: &ItemRecord) -> Reading {
    let mut reading = Reading::new("item_policy")
        .word("item", record.item)
        .word("kind", item_kind(record.kind))
        .number("sequence", record.sequence)
        .signed("changed", record.changed.0)
        .signed_opt("retention_end", record.retention_end.map(|end| end.0))
        .word_opt("hold", record.hold.then_some("yes"))
        .word_opt("pin", record.pin.map(Tier::name));
    labels(&record.labels, &mut reading);
    unknown(&record.unknown, &mut reading);
    reading
}

pub(super) fn tenant(record: &TenantRecord) -> Reading {
    let mut reading = Reading::new("tenant")
        .word("id", record.id)
        .text("name", &record.name)
        .signed("created", record.created.0);
    unknown(&record.unknown, &mut reading);
    reading
}

pub(super) fn dictionary(record: &DictionaryRecord) -> Reading {
    let kind = match record.kind {
        DictionaryKind::Trained => "trained",
        DictionaryKind::RawContent => "raw",
    };
    let mut reading = Reading::new("dictionary")
        .word("id", record.id)
        .word("kind", kind)
        .number("class", record.class)
        .signed("created", record.created.0)
        .word("gain", record.gain);
    if record.version > 0 {
        reading = reading.number("version", record.version);
    }
    for sampled in &record.sampled {
        reading.push(Reading::new("sampled").word("object", sampled));
    }
    unknown(&record.unknown, &mut reading);
    reading
}

fn labels(labels: &std::collections::BTreeMap<String, String>, reading: &mut Reading) {
    for (key, value) in labels {
        reading.push(Reading::new("label").text("key", key).text("value", value));
    }
}

fn unknown(fields: &Fields, reading: &mut Reading) {
    for field in fields.iter() {
        reading.push(Reading::new("unknown").number("tag", field.tag).hex("value", &field.value));
    }
}

fn item_kind(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Message => "message",
        ItemKind::Content => "content",
    }
}
