//! The layout of the format as the code has it: sizes, offsets, numbers and bounds, for people and for the test that
//! compares them with `docs/format.md`. Every value is the constant that reading and writing use.

use crate::codec::CodecId;
use crate::codec::DECODED_BYTES_MAX;
use crate::codec::DICTIONARY_BYTES_MAX;
use crate::mime::OPERATIONS_MAX;
use crate::model::Tier;
use crate::pack::block;
use crate::pack::frame;
use crate::pack::frame::TABLE_BYTES_MAX;
use crate::pack::header;
use crate::pack::index;
use crate::pack::inspect::reading::Reading;
use crate::pack::names::FrameKind;
use crate::pack::names::Origin;
use crate::pack::names::origin_name;
use crate::pack::names::tier_code;
use crate::pack::wire::length_of;
use crate::pack::writer::PACK_BYTES_MAX;
use crate::pack::writer::PACK_FRAMES_MAX;

/// The layout, one table after the other.
pub fn layout() -> Vec<Reading> {
    vec![pack_header(), frame_header(), footer(), numbers(), bounds()]
}

/// A structure whose fields begin at these offsets; each ends where the next one begins, the last one at `end`.
fn structure(what: &'static str, fields: &[(&'static str, usize)], end: usize) -> Reading {
    let mut reading = Reading::new(what).number("bytes", length_of(end));
    let ends = fields.iter().skip(1).map(|(_, offset)| *offset).chain([end]);
    for ((name, offset), end) in fields.iter().zip(ends) {
        reading.push(
            Reading::new("field")
                .number("offset", length_of(*offset))
                .number("bytes", length_of(end.saturating_sub(*offset)))
                .word("name", name),
        );
    }
    reading
}

fn pack_header() -> Reading {
    use header::at;
    let fields = [
        ("magic", at::MAGIC),
        ("version", at::VERSION),
        ("origin", at::ORIGIN),
        ("tier", at::TIER),
        ("flags", at::RESERVED),
        ("name", at::NAME),
        ("created", at::CREATED),
        ("checksum", at::CHECKSUM),
    ];
    structure("pack_header", &fields, at::END)
}

fn frame_header() -> Reading {
    use frame::at;
    let fields = [
        ("magic", at::MAGIC),
        ("version", at::VERSION),
        ("kind", at::KIND),
        ("header_bytes", at::HEADER_BYTES),
        ("table_codec", at::TABLE_CODEC),
        ("stream_codec", at::STREAM_CODEC),
        ("ordinal", at::ORDINAL),
        ("tenant", at::TENANT),
        ("table_verbatim", at::TABLE_VERBATIM),
        ("table_stored", at::TABLE_STORED),
        ("table_decoded", at::TABLE_DECODED),
        ("stream_stored", at::STREAM_STORED),
        ("stream_decoded", at::STREAM_DECODED),
        ("table_checksum", at::TABLE_CHECKSUM),
        ("stream_checksum", at::STREAM_CHECKSUM),
        ("header_checksum", at::HEADER_CHECKSUM),
    ];
    structure("frame_header", &fields, at::END)
}

fn footer() -> Reading {
    use index::at;
    let fields = [
        ("magic", at::MAGIC),
        ("version", at::VERSION),
        ("index_codec", at::INDEX_CODEC),
        ("index_stored", at::INDEX_BYTES),
        ("index_decoded", at::INDEX_DECODED),
        ("frames", at::FRAMES),
        ("index_checksum", at::INDEX_CHECKSUM),
        ("index_offset", at::INDEX_OFFSET),
        ("checksum", at::CHECKSUM),
    ];
    structure("footer", &fields, at::END)
}

fn numbers() -> Reading {
    let mut reading = Reading::new("numbers");
    let mut number = |what, code: u64, name: &str| {
        reading.push(Reading::new(what).number("number", code).word("name", name));
    };
    for origin in [Origin::Log, Origin::Rewrite, Origin::Large] {
        number("origin", origin.code().into(), origin_name(origin));
    }
    for tier in Tier::ALL {
        number("tier", tier_code(tier).into(), tier.name());
    }
    for kind in FrameKind::ALL {
        number("frame_kind", kind.code().into(), kind.name());
    }
    for (code, name) in [
        (block::kind::MESSAGE, "message"),
        (block::kind::OBJECT, "object"),
        (block::kind::SEGMENTED, "segmented object"),
    ] {
        number("entry", code, name);
    }
    for codec in CodecId::ALL {
        number("codec", codec.0.into(), codec.name());
    }
    reading
}

fn bounds() -> Reading {
    Reading::new("bounds")
        .number("pack_bytes_max", PACK_BYTES_MAX)
        .number("pack_frames_max", PACK_FRAMES_MAX)
        .number("table_bytes_max", length_of(TABLE_BYTES_MAX))
        .number("stream_decoded_bytes_max", length_of(DECODED_BYTES_MAX))
        .number("dictionary_bytes_max", length_of(DICTIONARY_BYTES_MAX))
        .number("skeleton_operations_max", length_of(OPERATIONS_MAX))
}
