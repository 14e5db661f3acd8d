//! One short test per defect: what an ordinary run reaches too rarely, step by step.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use sqlx::Connection;
use sqlx::SqliteConnection;
use storage_core::engine::Engine;
use storage_core::error::Kind;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::testing::clock::ManualClock;
use storage_fixtures::rng::Rng;
use tempfile::TempDir;

use crate::check::collect;
use crate::driver::open;
use crate::driver::settings;
use crate::image;
use crate::image::Catalog;

fn named(id: &str) -> PutOptions {
    PutOptions { caller_id: Some(id.to_owned()), ..PutOptions::default() }
}

async fn put(engine: &Engine, id: &str, bytes: &Bytes) {
    let receipt = engine.put("default", ItemKind::Content, named(id), bytes.clone()).await.unwrap();
    assert!(receipt.created);
}

async fn holds(engine: &Engine, id: &str, bytes: &Bytes) {
    let (_, stream) = engine.get("default", ItemKind::Content, id, GetOptions::default()).await.unwrap();
    assert!(collect(stream).await.unwrap() == *bytes);
}

fn large() -> Bytes {
    Bytes::from(Rng::new(1).bytes(4_500_000))
}

fn packs(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("packs")).unwrap();
    let mut packs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    packs
}

async fn start() -> (TempDir, Arc<ManualClock>, Engine) {
    let clock = Arc::new(ManualClock::default());
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir, &clock).await;
    (dir, clock, engine)
}

/// A log pack that was begun before a large put may refer to what came with it: the large pack is replayed first.
#[tokio::test]
async fn a_log_pack_may_refer_to_a_younger_large_pack() {
    let (dir, clock, engine) = start().await;
    put(&engine, "small", &Bytes::from_static(b"opens the log pack")).await;
    clock.advance(1_000);
    put(&engine, "first", &large()).await;
    put(&engine, "second", &large()).await;
    put(&engine, "third", &large()).await;
    engine.delete("default", ItemKind::Content, "first").await.unwrap();
    let image = image::cut(dir.path(), Catalog::Behind);
    engine.close().await.unwrap();
    let engine = open(&image, &clock).await;
    holds(&engine, "second", &large()).await;
    holds(&engine, "third", &large()).await;
    let first = engine.stat("default", ItemKind::Content, "first").await;
    assert_eq!(first.unwrap_err().kind(), Kind::NotFound, "what was deleted stays deleted");
    engine.close().await.unwrap();
}

/// The same, in a tenant that the log pack is the only one to speak of.
#[tokio::test]
async fn a_large_pack_may_belong_to_a_tenant_of_a_log_pack() {
    let (dir, clock, engine) = start().await;
    let _ = engine.create_tenant("acme").await.unwrap();
    clock.advance(1_000);
    let receipt = engine.put("acme", ItemKind::Content, named("x"), large()).await.unwrap();
    let image = image::cut(dir.path(), Catalog::Behind);
    engine.close().await.unwrap();
    let engine = open(&image, &clock).await;
    assert_eq!(engine.stat("acme", ItemKind::Content, "x").await.unwrap().id, receipt.id);
    engine.close().await.unwrap();
}

/// A large put is committed, and then its pack is sealed: the process may end in between.
#[tokio::test]
async fn a_committed_large_pack_need_not_be_sealed() {
    let (dir, clock, engine) = start().await;
    put(&engine, "x", &large()).await;
    engine.close().await.unwrap();
    let url = format!("sqlite://{}", dir.path().join("catalog.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let changed =
        sqlx::query("UPDATE content_packs SET state = 0 WHERE origin = 2").execute(&mut connection).await;
    assert_eq!(changed.unwrap().rows_affected(), 1);
    connection.close().await.unwrap();
    let engine = open(&dir, &clock).await;
    holds(&engine, "x", &large()).await;
    engine.close().await.unwrap();
}

/// A large put whose id was taken meanwhile is refused after its pack is complete: the process may end before the pack
/// is deleted.
#[tokio::test]
async fn a_refused_large_pack_does_not_count() {
    let (dir, clock, engine) = start().await;
    engine.close().await.unwrap();
    let other = image::cut(dir.path(), Catalog::Whole);
    let engine = open(&other, &clock).await;
    put(&engine, "x", &large()).await;
    engine.close().await.unwrap();
    clock.advance(1_000);
    let engine = open(&dir, &clock).await;
    let small = Bytes::from_static(b"this came first");
    put(&engine, "x", &small).await;
    engine.close().await.unwrap();
    let refused = packs(other.path()).into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let _ = std::fs::copy(&refused, dir.path().join("packs").join(refused.file_name().unwrap())).unwrap();
    let engine = open(&dir, &clock).await;
    holds(&engine, "x", &small).await;
    engine.close().await.unwrap();
}

/// Damage in the first frame of an open pack is no reason to delete the frames behind it.
#[tokio::test]
async fn a_damaged_open_pack_is_kept() {
    let (dir, clock, engine) = start().await;
    put(&engine, "x", &Bytes::from_static(b"some bytes")).await;
    let image = image::cut(dir.path(), Catalog::Whole);
    engine.close().await.unwrap();
    let pack = packs(image.path()).pop().unwrap();
    let sound = std::fs::read(&pack).unwrap();
    let mut damaged = sound.clone();
    damaged[storage_core::pack::PackHeader::BYTES + 20] ^= 1;
    std::fs::write(&pack, &damaged).unwrap();
    let clock: Arc<ManualClock> = clock;
    let refused = Engine::open(settings(&image), Arc::<ManualClock>::clone(&clock)).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Corrupt);
    assert!(std::fs::read(&pack).unwrap() == damaged);
    std::fs::write(&pack, &sound).unwrap();
    let engine = open(&image, &clock).await;
    holds(&engine, "x", &Bytes::from_static(b"some bytes")).await;
    engine.close().await.unwrap();
}

/// A row of an id that no database takes must not reach the log: a failed commit shuts the store for writes.
#[tokio::test]
async fn an_id_with_nul_is_refused() {
    let (_dir, _clock, engine) = start().await;
    let bytes = Bytes::from_static(b"some bytes");
    for id in ["\0", "\0behind", "before\0behind"] {
        let refused = engine.put("default", ItemKind::Content, named(id), bytes.clone()).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::InvalidArgument);
    }
    assert!(engine.writable());
    put(&engine, "x", &bytes).await;
    engine.close().await.unwrap();
}

/// A message whose many attachments are each smaller than a segment and together fill a block of their own.
fn many_attachments() -> Bytes {
    let mut message = b"Message-ID: <many@example.com>\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"cut\"\r\n\r\n"
        .to_vec();
    for seed in 0..10 {
        message.extend_from_slice(b"--cut\r\nContent-Type: application/octet-stream\r\n\r\n");
        message.extend_from_slice(&Rng::new(seed).bytes(500_000));
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"--cut--\r\n");
    Bytes::from(message)
}

/// A block of a large put may hold objects alone: replaying it keeps them for the message that comes later.
#[tokio::test]
async fn a_block_without_a_message_is_replayed() {
    let (dir, clock, engine) = start().await;
    let message = many_attachments();
    let receipt =
        engine.put("default", ItemKind::Message, named("many"), message.clone()).await.expect("a put");
    assert_eq!(receipt.objects, 10);
    let image = image::cut(dir.path(), Catalog::Behind);
    engine.close().await.unwrap();
    let engine = open(&image, &clock).await;
    let (_, stream) =
        engine.get("default", ItemKind::Message, "many", GetOptions::default()).await.expect("the message");
    assert!(collect(stream).await.unwrap() == message);
    engine.close().await.unwrap();
}

/// A put that went over the limit cannot be ended as if what came before were all of it.
#[tokio::test]
async fn a_broken_put_does_not_end_well() {
    let clock = Arc::new(ManualClock::default());
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.item_bytes_max = 1_000;
    let engine = Engine::open(settings, clock).await.unwrap();
    let mut stream = engine.begin_put("default", ItemKind::Content, named("x")).await.unwrap();
    stream.push(Bytes::from_static(b"the first bytes")).await.unwrap();
    let refused = stream.push(Bytes::from(vec![0; 2_000])).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::ResourceExhausted);
    assert_eq!(stream.finish().await.unwrap_err().kind(), Kind::FailedPrecondition);
    assert_eq!(engine.stats(None).await.unwrap().contents, 0);
    engine.close().await.unwrap();
}

/// Groups overlap: a put whose id or object is on its way with the group before must find it, not store it twice.
#[tokio::test]
async fn puts_at_the_same_time_share_ids_and_objects() {
    let (dir, _clock, engine) = start().await;
    let contents: Vec<Bytes> = (0..4).map(|seed| Bytes::from(Rng::new(seed).bytes(3_000))).collect();
    let puts = (0..400_usize).map(|number| {
        let (engine, bytes) = (engine.clone(), contents[number % contents.len()].clone());
        // Every id comes twice, the second time far behind the first.
        let options = named(&format!("item {}", number % 200));
        tokio::spawn(async move {
            engine.put("default", ItemKind::Content, options, bytes).await.unwrap().created
        })
    });
    let mut created = 0;
    for put in puts.collect::<Vec<_>>() {
        created += usize::from(put.await.unwrap());
    }
    assert_eq!(created, 200);
    let stats = engine.stats(None).await.unwrap();
    assert_eq!((stats.contents, stats.objects), (200, 4));
    for number in 0..200_usize {
        holds(&engine, &format!("item {number}"), &contents[number % contents.len()]).await;
    }
    // What is on disk says the same as the catalog: a power cut right now loses nothing of it.
    let image = image::cut(dir.path(), Catalog::Behind);
    let reopened = open(&image, &Arc::new(ManualClock::default())).await;
    assert_eq!(reopened.stats(None).await.unwrap().contents, 200);
}
