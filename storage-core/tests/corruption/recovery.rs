//! Opening a store whose log was not ended, with damage in it. What the catalog relies on must be whole, else the store
//! does not open; what it does not know yet may be cut off as the tail of a torn log is; nothing ever reads as something
//! else.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use sha2::Digest;
use storage_core::clock::Timestamp;
use storage_core::codec::Codec;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::ExternalIds;
use storage_core::model::ItemKind;
use storage_core::model::Sha256;
use storage_core::model::Tier;
use storage_core::pack::BlockBuilder;
use storage_core::pack::Fields;
use storage_core::pack::Footer;
use storage_core::pack::MessageRecord;
use storage_core::pack::Origin;
use storage_core::pack::PackHeader;
use storage_core::pack::PackName;
use storage_core::pack::PackWriter;
use storage_core::pack::PartRecord;
use storage_core::pack::TenantRecord;
use storage_core::pack::tenant_frame;
use tempfile::TempDir;
use uuid::Uuid;

use crate::seal;
use crate::store::Built;
use crate::store::Found;
use crate::store::ITEMS;
use crate::store::Packs;
use crate::store::backend;
use crate::store::check;
use crate::store::engine;
use crate::store::open_catalog;

/// A store as a power cut leaves it.
struct Cut {
    /// The catalog with every commit, and the one from before the puts.
    whole: TempDir,
    behind: TempDir,
    packs: Packs,
    name: PackName,
}

fn copy_catalog(from: &Path) -> TempDir {
    let to = tempfile::tempdir().expect("a directory");
    for file in ["catalog.db", "catalog.db-wal"] {
        if from.join(file).exists() {
            let _bytes = std::fs::copy(from.join(file), to.path().join(file)).expect("a copy");
        }
    }
    to
}

impl Cut {
    async fn new() -> Self {
        let built = Built::empty().await;
        built.put(ItemKind::Content, "before", Bytes::from_static(b"x")).await;
        let behind = copy_catalog(built.dir.path());
        built.fill().await;
        built.engine.delete("default", ItemKind::Content, "before").await.expect("a delete");
        let whole = copy_catalog(built.dir.path());
        let packs = built.packs().await;
        let name = *packs.keys().next().expect("the log");
        assert_eq!(packs.len(), 1);
        Self { whole, behind, packs, name }
    }

    /// Opens the store with this pack in place of its log, and reads every item.
    async fn found(&self, catalog: &TempDir, bytes: Bytes) -> Result<Vec<Found>> {
        let copy = copy_catalog(catalog.path());
        let backend = backend(&Packs::from([(self.name, bytes)])).await;
        let engine = engine(&backend, open_catalog(copy.path()).await?).await?;
        let mut found = Vec::new();
        for item in ITEMS {
            found.push(check(&engine, item).await);
        }
        Ok(found)
    }

    fn log(&self) -> &Bytes {
        &self.packs[&self.name]
    }
}

fn flipped(intact: &Bytes, position: usize) -> Bytes {
    let mut bytes = intact.to_vec();
    bytes[position] ^= 1 << (position % 8);
    Bytes::from(bytes)
}

#[tokio::test]
async fn a_log_that_the_catalog_knows_must_be_whole() {
    let cut = Cut::new().await;
    assert_eq!(cut.found(&cut.whole, cut.log().clone()).await.expect("it opens"), [Found::Right; 3]);
    for position in 0..cut.log().len() {
        let error = cut.found(&cut.whole, flipped(cut.log(), position)).await.expect_err("a flipped bit");
        assert_eq!(error.kind(), Kind::Corrupt, "byte {position}: {error:?}");
    }
}

#[tokio::test]
async fn a_log_that_the_catalog_knows_must_be_as_long() {
    let cut = Cut::new().await;
    for length in 0..cut.log().len() {
        let error = cut.found(&cut.whole, cut.log().slice(..length)).await.expect_err("a cut log");
        assert_eq!(error.kind(), Kind::Corrupt, "cut to {length}: {error:?}");
    }
}

/// What is allowed where the catalog is behind: the store does not open, or has the items before the damage.
fn check_prefix(found: Result<Vec<Found>>, what: &str) -> usize {
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            assert_eq!(error.kind(), Kind::Corrupt, "{what}: {error:?}");
            return 0;
        }
    };
    let right = found.iter().take_while(|found| **found == Found::Right).count();
    let gone = found.iter().skip(right).all(|found| *found == Found::Failed(Kind::NotFound));
    assert!(gone, "{what}: {found:?}");
    right
}

#[tokio::test]
async fn a_flip_in_the_tail_ends_the_log_there() {
    let cut = Cut::new().await;
    assert_eq!(cut.found(&cut.behind, cut.log().clone()).await.expect("it opens"), [Found::Right; 3]);
    let mut rights = [0; 4];
    for position in 0..cut.log().len() {
        let found = cut.found(&cut.behind, flipped(cut.log(), position)).await;
        rights[check_prefix(found, &format!("byte {position}"))] += 1;
    }
    assert!(rights.iter().all(|count| *count > 0), "every prefix is met: {rights:?}");
}

#[tokio::test]
async fn a_cut_ends_the_log_at_the_last_whole_frame() {
    let cut = Cut::new().await;
    let mut before = 0;
    for length in 0..cut.log().len() {
        let right = check_prefix(cut.found(&cut.behind, cut.log().slice(..length)).await, "a cut log");
        assert!(right >= before, "cut to {length}: less than with a shorter log");
        before = right;
    }
    assert_eq!(before, 3);
}

/// A pack of a large put that an older build meets after a crash of a newer one: it must not be taken for unfinished and
/// deleted, nor its end be cut off.
#[tokio::test]
async fn a_pack_with_a_newer_footer_is_refused_and_stays() {
    let built = Built::empty().await;
    let behind = copy_catalog(built.dir.path());
    let large = Bytes::from(storage_fixtures::rng::Rng::new(9).bytes(4_300_000));
    built.put(ItemKind::Content, "large", large).await;
    let mut packs = built.packs().await;
    let (name, bytes) = packs.iter().max_by_key(|(_, bytes)| bytes.len()).expect("a pack");
    let (name, mut newer) = (*name, bytes.to_vec());
    assert_eq!(newer[10], 3, "a large put's pack");
    let footer = newer.len() - Footer::BYTES;
    newer[footer + 8] = 2;
    seal::pack(&mut newer);
    let _old = packs.insert(name, Bytes::from(newer.clone()));
    let backend = backend(&packs).await;
    let catalog = open_catalog(behind.path()).await.expect("a catalog");
    let error = engine(&backend, catalog).await.expect_err("a newer version");
    assert_eq!(error.kind(), Kind::Unimplemented, "{error:?}");
    let kept = storage_core::backend::Backend::read(&backend, name, 0..newer.len() as u64).await;
    assert!(kept.expect("the pack stays") == newer);
}

/// A file that was cut below its header is damage where the catalog relies on its frames, and stays as it is.
#[tokio::test]
async fn a_log_cut_below_its_header_is_not_deleted() {
    let cut = Cut::new().await;
    let copy = copy_catalog(cut.whole.path());
    let short = cut.log().slice(..PackHeader::BYTES - 1);
    let backend = backend(&Packs::from([(cut.name, short.clone())])).await;
    let catalog = open_catalog(copy.path()).await.expect("a catalog");
    assert_eq!(engine(&backend, catalog).await.expect_err("damage").kind(), Kind::Corrupt);
    let length = storage_core::backend::Backend::length(&backend, cut.name).await;
    assert_eq!(length.expect("the file stays"), short.len() as u64);
}

/// A log with right checksums whose records no version writes: refused, without an overflow or a database's complaint.
#[tokio::test]
async fn records_with_impossible_values_are_corrupt() {
    type Change = fn(&mut MessageRecord);
    let changes: [(&str, Change); 7] = [
        ("nothing", |_record| {}),
        ("parts that overflow", |record| {
            record.parts.iter_mut().for_each(|part| part.decoded_bytes = u64::MAX);
        }),
        ("a length", |record| record.bytes = u64::MAX),
        ("a caller's id", |record| record.caller_id = Some("x".repeat(129))),
        ("a caller's id without letters", |record| record.caller_id = Some("\0".to_owned())),
        ("a role", |record| record.parts[0].role = 3),
        ("parts of one index", |record| record.parts[1].index = 0),
    ];
    for (what, change) in changes {
        let dir = tempfile::tempdir().expect("a directory");
        let (name, log) = log_with(change);
        let backend = backend(&Packs::from([(name, log)])).await;
        let opened = engine(&backend, open_catalog(dir.path()).await.expect("a catalog")).await;
        match opened {
            Ok(engine) => assert_eq!((what, engine.recovered().frames), ("nothing", 2)),
            Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "{what}: {error:?}"),
        }
    }
}

/// A log with a tenant and a message of two parts.
fn log_with(change: fn(&mut MessageRecord)) -> (PackName, Bytes) {
    let (id, now) =
        (Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0009), Timestamp(1_700_000_000_000));
    let content = b"content";
    let sha256 = Sha256(sha2::Sha256::digest(content).into());
    let part = |index| PartRecord {
        index,
        role: 1,
        media_type: "text/plain".to_owned(),
        file_name: None,
        object: sha256,
        decoded_bytes: 7,
        unknown: Fields::default(),
    };
    let mut record = MessageRecord {
        id,
        kind: ItemKind::Message,
        caller_id: Some("id".to_owned()),
        external: ExternalIds::default(),
        created: now,
        media_type: None,
        file_name: None,
        retention_end: None,
        hold: false,
        pin: None,
        labels: BTreeMap::new(),
        bytes: 14,
        sha256,
        message_id_hash: None,
        parts: vec![part(0), part(1)],
        unknown: Fields::default(),
    };
    change(&mut record);
    let mut block = BlockBuilder::new(id);
    let _entry = block.push_object(sha256, 1, content);
    let _entry = block.push_message(&record, b"");
    let tenant = TenantRecord { id, name: "named".to_owned(), created: now, unknown: Fields::default() };
    let frames = [
        tenant_frame(&tenant, &Codec::None).expect("a frame"),
        block.finish(&Codec::None, &Codec::None).expect("a block"),
    ];
    let name = PackName(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0007));
    let mut writer = PackWriter::new(PackHeader { name, origin: Origin::Log, tier: Tier::Hot, created: now });
    let mut log = writer.header_bytes();
    for mut frame in frames {
        let _place = writer.place(&mut frame).expect("room");
        log.extend_from_slice(frame.bytes());
    }
    (name, Bytes::from(log))
}
