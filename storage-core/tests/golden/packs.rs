//! The golden packs as this version writes them.

use std::sync::Arc;

use bytes::Bytes;
use storage_core::clock::Timestamp;
use storage_core::codec::Codec;
use storage_core::codec::Dictionary;
use storage_core::codec::DictionaryEncoder;
use storage_core::model::Tier;
use storage_core::pack::BlockBuilder;
use storage_core::pack::EncodedFrame;
use storage_core::pack::Fields;
use storage_core::pack::Origin;
use storage_core::pack::PackHeader;
use storage_core::pack::PackName;
use storage_core::pack::PackWriter;
use storage_core::pack::dictionary_frame;
use storage_core::pack::policy_frame;
use storage_core::pack::segment_frame;
use storage_core::pack::tenant_frame;
use storage_core::pack::tombstone_frame;
use uuid::Uuid;

use crate::content;
use crate::content::OTHER;
use crate::content::TENANT;
use crate::content::sha;

/// A golden pack: its name, its bytes, and whether every byte of its frames must be written again alike.
pub(crate) struct Golden {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) exact: bool,
}

/// All of them.
pub(crate) fn all() -> Vec<Golden> {
    let golden = |name, bytes, exact| Golden { name, bytes, exact };
    vec![
        golden("empty", pack(1, Origin::Log, Tier::Hot, Vec::new()), true),
        golden("kinds", pack(2, Origin::Log, Tier::Hot, kinds()), true),
        golden("large", pack(3, Origin::Large, Tier::Hot, large(&Codec::None)), true),
        golden("sizes", pack(4, Origin::Rewrite, Tier::Warm, sizes()), true),
        golden("codecs", pack(5, Origin::Rewrite, Tier::Archive, codecs()), false),
        golden("segments", pack(6, Origin::Rewrite, Tier::Cold, large(&Codec::Zstd { level: 9 })), false),
        golden("torn", torn(), true),
        golden("arranged", pack(8, Origin::Rewrite, Tier::Archive, arranged()), false),
    ]
}

fn header(number: u128, origin: Origin, tier: Tier) -> PackHeader {
    let name = PackName(Uuid::from_u128(0x0190_0000_0000_7000_9000_0000_0000_0000 + number));
    PackHeader { name, origin, tier, created: Timestamp(1_700_000_000_000) }
}

fn placed(writer: &mut PackWriter, frames: Vec<EncodedFrame>) -> Vec<u8> {
    let mut bytes = writer.header_bytes();
    for mut frame in frames {
        let _place = writer.place(&mut frame).expect("room");
        bytes.extend_from_slice(frame.bytes());
    }
    bytes
}

fn pack(number: u128, origin: Origin, tier: Tier, frames: Vec<EncodedFrame>) -> Vec<u8> {
    let mut writer = PackWriter::new(header(number, origin, tier));
    let mut bytes = placed(&mut writer, frames);
    bytes.extend_from_slice(&writer.finish().expect("an index").tail);
    bytes
}

/// A log that was not ended, with half a frame at its end.
fn torn() -> Vec<u8> {
    let mut writer = PackWriter::new(header(7, Origin::Log, Tier::Hot));
    let mut bytes = placed(&mut writer, kinds());
    let whole = bytes.len();
    bytes.extend_from_slice(&placed(&mut writer, vec![block(&Codec::None)])[PackHeader::BYTES..]);
    bytes.truncate(whole.midpoint(bytes.len()));
    bytes
}

/// A message, records with every field and with none, an object, a transformed one.
fn block(codec: &Codec) -> EncodedFrame {
    let (skeleton, object) = content::message();
    let mut fields = Fields::default();
    fields.insert(1_001, Bytes::from_static(b"may be ignored"));
    let mut block = BlockBuilder::with_fields(TENANT, fields);
    let _object = block.push_object(sha(&object), 10, &object);
    let _transformed = block.push_transformed(&content::transformed(), b"difference");
    let _message = block.push_message(&content::full_record(sha(&object)), &skeleton);
    let _bare = block.push_message(&content::bare_record(3), b"");
    block.finish(codec, codec).expect("a block")
}

/// One frame of every kind that a log has, nothing compressed.
fn kinds() -> Vec<EncodedFrame> {
    let none = &Codec::None;
    vec![
        tenant_frame(&content::tenant(), none).expect("a frame"),
        block(none),
        tombstone_frame(TENANT, &content::tombstones(), none).expect("a frame"),
        policy_frame(OTHER, &content::policies(), none).expect("a frame"),
    ]
}

/// An object in segments.
fn large(table: &Codec) -> Vec<EncodedFrame> {
    let (pieces, entry) = content::segments();
    let mut frames: Vec<EncodedFrame> = (0..)
        .zip(&pieces)
        .map(|(index, piece)| {
            segment_frame(TENANT, &content::segment(piece, index), piece, table).expect("a frame")
        })
        .collect();
    let mut block = BlockBuilder::new(TENANT);
    let _entry = block.push_segmented(&entry);
    frames.push(block.finish(table, &Codec::None).expect("a block"));
    frames
}

fn object(bytes: &[u8], codec: &Codec) -> EncodedFrame {
    let mut block = BlockBuilder::new(TENANT);
    let _entry = block.push_object(sha(bytes), 1, bytes);
    block.finish(&Codec::None, codec).expect("a block")
}

/// Nothing, one byte, what no codec shrinks.
fn sizes() -> Vec<EncodedFrame> {
    let none = BlockBuilder::new(TENANT).finish(&Codec::None, &Codec::None).expect("a block");
    let mut frames = vec![none];
    for codec in [Codec::None, Codec::Lz4, Codec::Gzip { level: 6 }, Codec::Zstd { level: 3 }] {
        for bytes in [Vec::new(), vec![7], content::noise(300)] {
            frames.push(object(&bytes, &codec));
        }
    }
    frames
}

/// The same text in every codec, with both sorts of dictionaries before it.
fn codecs() -> Vec<EncodedFrame> {
    let text = content::text(7);
    let mut frames = Vec::new();
    for codec in [Codec::None, Codec::Lz4, Codec::Gzip { level: 6 }, Codec::Zstd { level: 19 }] {
        frames.push(object(&text, &codec));
    }
    for dictionary in [content::raw_dictionary(), content::trained_dictionary()] {
        let record = content::dictionary_record(dictionary.id(), dictionary.kind());
        let codec = Codec::Zstd { level: 3 };
        frames.push(dictionary_frame(TENANT, &record, dictionary.bytes(), &codec).expect("a frame"));
        frames.push(object(&text, &with(dictionary)));
    }
    let builtin = storage_core::codec::builtin::dictionary(storage_core::codec::builtin::BUILTIN_V1);
    let builtin = builtin.expect("a dictionary").expect("the built-in one");
    frames.push(object(
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n",
        &with(builtin),
    ));
    frames.push(block(&Codec::Zstd { level: 19 }));
    frames.push(tombstone_frame(TENANT, &content::tombstones(), &Codec::Zstd { level: 9 }).expect("a frame"));
    frames.push(policy_frame(OTHER, &content::policies(), &Codec::Gzip { level: 9 }).expect("a frame"));
    frames
}

/// Skeletons in arranged streams, with and without a dictionary.
fn arranged() -> Vec<EncodedFrame> {
    let dictionary = content::raw_dictionary();
    let record = content::dictionary_record(dictionary.id(), dictionary.kind());
    let zstd = Codec::Zstd { level: 19 };
    let block = |codec: &Codec| {
        let mut block = BlockBuilder::new(TENANT);
        for (number, skeleton) in (1..).zip(content::signed()) {
            let _message = block.push_message(&content::bare_record(number), &skeleton);
        }
        block.arrange();
        block.finish(&zstd, codec).expect("a block")
    };
    let frame = dictionary_frame(TENANT, &record, dictionary.bytes(), &zstd).expect("a frame");
    vec![block(&zstd), frame, block(&with(dictionary))]
}

fn with(dictionary: Arc<Dictionary>) -> Codec {
    Codec::ZstdDictionary(Arc::new(DictionaryEncoder::new(dictionary, 3).expect("an encoder")))
}
