//! Damage of packs, each kind made on a small store and found under its name.

use std::path::Path;
use std::path::PathBuf;

use storage_core::codec::Codec;
use storage_core::error::Kind;
use storage_core::model::ItemKind;
use storage_core::model::Sha256;
use storage_core::model::Tier;
use storage_core::pack::BlockBuilder;
use storage_core::pack::EncodedFrame;
use storage_core::pack::Fields;
use storage_core::pack::Footer;
use storage_core::pack::IndexEntry;
use storage_core::pack::MessageRecord;
use storage_core::pack::Origin;
use storage_core::pack::PackHeader;
use storage_core::pack::PackIndex;
use storage_core::pack::PackName;
use storage_core::pack::PackWriter;
use storage_core::pack::SegmentRecord;
use storage_core::pack::segment_frame;
use uuid::Uuid;

use crate::store::Store;
use crate::store::TENANT;
use crate::store::change;
use crate::store::counts;
use crate::store::message;
use crate::store::packs;
use crate::store::text;

pub(crate) fn name_of(path: &Path) -> PackName {
    PackName(Uuid::parse_str(path.file_stem().unwrap().to_str().unwrap()).unwrap())
}

pub(crate) fn footer(path: &Path) -> Footer {
    let bytes = std::fs::read(path).unwrap();
    Footer::parse(name_of(path), &bytes, bytes.len() as u64).unwrap()
}

pub(crate) fn frames(path: &Path) -> Vec<IndexEntry> {
    let (bytes, footer) = (std::fs::read(path).unwrap(), footer(path));
    let start = usize::try_from(footer.index_offset).unwrap();
    let index = &bytes[start..start + footer.index_bytes as usize];
    PackIndex::parse(&footer, index).unwrap().entries().to_vec()
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

/// The first byte of a frame's stream.
pub(crate) fn stream_of(entry: &IndexEntry) -> usize {
    at(entry.offset) + entry.header_bytes as usize + entry.table_bytes as usize
}

/// The pack that holds the most.
pub(crate) fn largest(dir: &Path) -> PathBuf {
    packs(dir).into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

/// Two messages that share an attachment, in one archive pack.
pub(crate) async fn archived() -> Store {
    let store = Store::start().await;
    let _ = store.put("one", &message("one", 7, 20)).await;
    let _ = store.put("two", &message("two", 7, 20)).await;
    store.migrate(Tier::Archive).await;
    store.sweep().await;
    store.clean().await;
    store
}

#[tokio::test]
async fn a_missing_pack_is_named_with_what_it_held() {
    let store = archived().await.reopened(|dir| std::fs::remove_file(largest(dir)).unwrap()).await;
    let (_, findings) = store.scrub().await;
    assert_eq!(
        counts(&findings),
        [("item-misplaced", 2), ("object-misplaced", 1), ("pack-missing", 1)].into()
    );
    let object = findings.iter().find(|finding| finding.object.is_some()).unwrap();
    assert_eq!(object.items.len(), 2, "both messages need it");
    assert_eq!(object.tenant.as_deref(), Some(TENANT));
}

#[tokio::test]
async fn a_pack_of_another_length_is_named() {
    let store = archived().await;
    change(&largest(store.dir.path()), |bytes| bytes.truncate(bytes.len() - 3));
    let (_, findings) = store.scrub().await;
    assert_eq!(counts(&findings), [("pack-footer", 1), ("pack-length", 1)].into());
    // The large object is in the last frame.
    change(&largest(store.dir.path()), |bytes| bytes.truncate(bytes.len() / 2));
    let (_, findings) = store.scrub().await;
    assert_eq!(counts(&findings), [("object-misplaced", 1), ("pack-footer", 1), ("pack-length", 1)].into());
}

#[tokio::test]
async fn a_damaged_end_is_named_and_the_frames_are_read_all_the_same() {
    for (kind, of_index) in [("pack-footer", false), ("pack-index", true)] {
        let store = archived().await;
        let pack = largest(store.dir.path());
        let place =
            if of_index { at(footer(&pack).index_offset) } else { at(pack.metadata().unwrap().len()) - 9 };
        let store = store.reopened(|_| change(&pack, |bytes| bytes[place] ^= 1)).await;
        assert_eq!(store.kinds().await, [kind]);
        assert!(store.get("one").await.unwrap() == message("one", 7, 20));
    }
}

#[tokio::test]
async fn a_damaged_header_is_named() {
    let store = archived().await;
    change(&largest(store.dir.path()), |bytes| bytes[33] ^= 1);
    assert_eq!(store.kinds().await, ["pack-header"]);
}

#[tokio::test]
async fn a_damaged_stream_is_named_with_everybody_who_needs_it() {
    let store = archived().await;
    let pack = largest(store.dir.path());
    let large = frames(&pack).into_iter().max_by_key(|entry| entry.stream_stored).unwrap();
    change(&pack, |bytes| bytes[stream_of(&large) + 5] ^= 1);
    let (_, findings) = store.scrub().await;
    assert_eq!(counts(&findings), [("frame-damaged", 1), ("object-damaged", 1)].into());
    assert_eq!(findings[0].frame, Some(large.ordinal));
    assert_eq!(findings[1].items.len(), 2);
    assert_eq!(findings[1].entry, Some(0));
    assert_eq!(store.get("one").await.unwrap_err().kind(), Kind::Corrupt);
}

#[tokio::test]
async fn a_damaged_table_is_named_through_the_rows() {
    let store = archived().await;
    let pack = largest(store.dir.path());
    let skeletons = frames(&pack).into_iter().find(|entry| entry.table_bytes > 100).unwrap();
    change(&pack, |bytes| bytes[at(skeletons.offset) + skeletons.header_bytes as usize + 2] ^= 1);
    let (_, findings) = store.scrub().await;
    assert_eq!(counts(&findings), [("frame-damaged", 1), ("item-misplaced", 2)].into());
}

#[tokio::test]
async fn two_valid_frames_that_are_swapped_are_named() {
    let store = Store::start().await;
    let _ = store.put("a", &text("aaaa", 3)).await;
    let _ = store.put("b", &text("bbbb", 3)).await;
    let store = store
        .reopened(|dir| {
            let pack = largest(dir);
            let blocks: Vec<IndexEntry> =
                frames(&pack).into_iter().filter(|entry| entry.stream_decoded > 0).collect();
            assert_eq!(blocks[0].bytes(), blocks[1].bytes());
            let length = blocks[0].bytes() as usize;
            change(&pack, |bytes| {
                let (first, second) = (at(blocks[0].offset), at(blocks[1].offset));
                for byte in 0..length {
                    bytes.swap(first + byte, second + byte);
                }
            });
        })
        .await;
    let (_, findings) = store.scrub().await;
    assert_eq!(counts(&findings), [("frame-damaged", 2), ("item-misplaced", 2)].into());
    assert_eq!(store.get("a").await.unwrap_err().kind(), Kind::Corrupt);
}

/// Gives a frame whose stream was changed the checksums of what it holds now.
fn reseal(bytes: &mut [u8], name: PackName, entry: &IndexEntry) {
    let start = at(entry.offset);
    let stream = stream_of(entry);
    let checksum = crc32c::crc32c(&bytes[stream..stream + entry.stream_stored as usize]);
    bytes[start + 56..start + 60].copy_from_slice(&checksum.to_le_bytes());
    let header = crc32c::crc32c_append(crc32c::crc32c(name.0.as_bytes()), &bytes[start..start + 60]);
    let header = crc32c::crc32c_append(header, &bytes[start + 64..start + entry.header_bytes as usize]);
    bytes[start + 60..start + 64].copy_from_slice(&header.to_le_bytes());
}

#[tokio::test]
async fn wrong_hashes_under_right_checksums_are_named() {
    let store = Store::start().await;
    let _ = store.put("x", &message("x", 3, 2)).await;
    let store = store.reopened(|_| {}).await;
    let pack = largest(store.dir.path());
    let block = frames(&pack).into_iter().find(|entry| entry.stream_decoded > 0).unwrap();
    // The object comes first, the skeleton last.
    for (byte, kind) in [(3, "object-damaged"), (block.stream_decoded as usize - 3, "skeleton-damaged")] {
        let flip = |bytes: &mut Vec<u8>| {
            bytes[stream_of(&block) + byte] ^= 1;
            reseal(bytes, name_of(&pack), &block);
        };
        change(&pack, flip);
        let (_, findings) = store.scrub().await;
        assert_eq!(counts(&findings), [(kind, 1)].into());
        assert_eq!(store.get("x").await.unwrap_err().kind(), Kind::Corrupt);
        change(&pack, flip);
        store.clean().await;
    }
}

/// Writes a pack that the catalog does not know.
pub(crate) fn forge(dir: &Path, header: PackHeader, frames: Vec<EncodedFrame>) {
    let mut writer = PackWriter::new(header);
    let mut bytes = writer.header_bytes();
    for mut frame in frames {
        let _ = writer.place(&mut frame).unwrap();
        bytes.extend_from_slice(frame.bytes());
    }
    bytes.extend_from_slice(&writer.finish().unwrap().tail);
    std::fs::write(dir.join("packs").join(format!("{}.pack", header.name)), bytes).unwrap();
}

#[tokio::test]
async fn what_an_unknown_pack_holds_is_checked_too() {
    let store = archived().await;
    let tenant = store.engine.tenants().await.unwrap()[0].id;
    let created = storage_core::clock::Timestamp(1_600_000_000_000);
    let name = storage_core::ids::uuid_v7(created, [9; 10]).unwrap();
    let mut block = BlockBuilder::new(tenant);
    let _ = block.push_object(Sha256([1; 32]), 0, b"not the bytes of that hash");
    let record = MessageRecord {
        id: storage_core::ids::uuid_v7(created, [7; 10]).unwrap(),
        kind: ItemKind::Message,
        caller_id: Some("lost".to_owned()),
        external: storage_core::model::ExternalIds::default(),
        created,
        media_type: None,
        file_name: None,
        retention_end: None,
        hold: false,
        pin: None,
        labels: std::collections::BTreeMap::new(),
        bytes: 4,
        sha256: Sha256([2; 32]),
        message_id_hash: None,
        parts: Vec::new(),
        unknown: Fields::default(),
    };
    let _ = block.push_message(&record, &[1, 1, 0, 1]);
    let segment = SegmentRecord { sha256: Sha256([3; 32]), bytes: 5, index: 0, unknown: Fields::default() };
    let frames = vec![
        segment_frame(tenant, &segment, b"other", &Codec::None).unwrap(),
        block.finish(&Codec::None, &Codec::None).unwrap(),
    ];
    let header = PackHeader { name: PackName(name), origin: Origin::Rewrite, tier: Tier::Cold, created };
    forge(store.dir.path(), header, frames);
    let (_, findings) = store.scrub().await;
    let expected =
        [("object-damaged", 1), ("pack-unknown", 1), ("record-without-row", 1), ("segment-damaged", 1)];
    assert_eq!(counts(&findings), expected.into());
    let lost = findings.iter().find(|finding| finding.kind.name() == "record-without-row").unwrap();
    assert_eq!((lost.item, lost.place()), (Some(record.id), format!("{name}:1:1")));
}

#[tokio::test]
async fn a_large_object_is_hashed_over_its_segments() {
    let store = Store::start().await;
    let _ = store.put("large", &message("large", 5, 3 << 10)).await;
    store.migrate(Tier::Cold).await;
    store.sweep().await;
    store.clean().await;
    let pack = largest(store.dir.path());
    let segment = frames(&pack).into_iter().find(|entry| entry.stream_decoded == 1 << 20).unwrap();
    change(&pack, |bytes| {
        bytes[stream_of(&segment) + 1000] ^= 1;
        reseal(bytes, name_of(&pack), &segment);
    });
    let (_, findings) = store.scrub().await;
    assert_eq!(counts(&findings), [("object-damaged", 1), ("segment-damaged", 1)].into());
}
