//! Recoded objects through the whole engine: from hot to cold to archive, copied to warm again, swept, reopened; at
//! every step every byte and every range is the same, and the statistics add up to the files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage_core::clock::SystemClock;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::engine::Engine;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;
use storage_core::report::MigrateReport;
use storage_core::report::Stats;
use storage_core::report::SweepOptions;
use storage_core::settings::Settings;
use storage_fixtures::documents::Kind;
use storage_fixtures::documents::family;
use storage_fixtures::documents::parts::JpegKind;
use storage_fixtures::documents::parts::archive;
use storage_fixtures::documents::parts::gzip;
use storage_fixtures::documents::parts::jpeg;
use storage_fixtures::documents::parts::photo;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A content with its caller's id.
type Put = (String, Bytes);

async fn open(dir: &Path) -> Engine {
    let settings = Settings { workers: 2, ..Settings::new(dir) };
    Engine::open(settings, Arc::new(SystemClock)).await.unwrap()
}

/// Lines that repeat beyond the reach of deflate.
fn text_of(seed: usize, bytes: usize) -> String {
    let line = |number: usize| {
        format!("{}: {} and so on\n", number * (7919 + seed) % 4001, number * (number + seed) % 3001)
    };
    let once: String = (0..bytes / 24).map(line).collect();
    once.repeat(2)
}

fn documents() -> Vec<Put> {
    // None of them holds what another one holds: each is recoded, none is a difference from another.
    let (text, first) = (text_of(1, 60_000), jpeg(5, 200, JpegKind::Baseline));
    let (log, other, picture) = (text_of(2, 60_000), text_of(3, 60_000), jpeg(6, 200, JpegKind::Baseline));
    let mut documents = vec![
        ("photo".to_owned(), first.clone()),
        ("log".to_owned(), gzip(log.as_bytes(), 6)),
        ("album".to_owned(), archive(&[("a.jpg", &picture, false), ("b.txt", other.as_bytes(), true)])),
        ("notes".to_owned(), text.into_bytes()),
    ];
    // An archive above 1 MiB: its segments are cut between members.
    let noise = storage_fixtures::rng::Rng::new(3).bytes(700_000);
    let large = [("a", &noise[..], false), ("b.jpg", &first, false), ("c", &noise[..600_000], false)];
    let large = [archive(&large), archive(&[("b.txt", text_of(4, 60_000).as_bytes(), true)])].concat();
    documents.push(("large".to_owned(), large));
    for kind in [Kind::Docx, Kind::Pdf] {
        let versions = family(21, kind, 1).into_iter().enumerate();
        documents.extend(versions.map(|(version, bytes)| (format!("{kind:?} {version}"), bytes)));
    }
    documents.into_iter().map(|(id, bytes)| (id, Bytes::from(bytes))).collect()
}

async fn read(engine: &Engine, id: &str, options: GetOptions) -> Vec<u8> {
    let (_, mut stream) = engine.get(DEFAULT_TENANT, ItemKind::Content, id, options).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

async fn migrate(engine: &Engine, to: Option<Tier>) -> MigrateReport {
    let (progress, _told) = mpsc::channel(1);
    let options = MigrateOptions { to, ..MigrateOptions::default() };
    let report = engine.migrate(options, progress, CancellationToken::new()).await.unwrap();
    assert_eq!((report.damaged, report.overtaken), (0, 0));
    report
}

async fn sweep(engine: &Engine) {
    let _report = engine.sweep(SweepOptions { grace: Duration::ZERO, dry_run: false }).await.unwrap();
}

/// Every byte, some ranges, and the sums.
async fn check(engine: &Engine, put: &[Put]) -> Stats {
    for (id, bytes) in put {
        let untouched = GetOptions { touch: false, ..GetOptions::default() };
        assert!(read(engine, id, untouched.clone()).await == *bytes, "{id} came back as other bytes");
        let (start, end) = (bytes.len() as u64 / 3, bytes.len() as u64 / 2);
        let range = GetOptions { range: Some(start..end), ..untouched };
        let wanted = &bytes[bytes.len() / 3..bytes.len() / 2];
        assert!(read(engine, id, range).await == wanted, "{id} has another range");
    }
    for tenant in [None, Some(DEFAULT_TENANT)] {
        let stats = engine.stats(tenant).await.unwrap();
        let (saved, added) = (stats.saved, stats.added);
        let saved = saved.transfer_decoding
            + saved.exact_dedup
            + saved.similar_dedup
            + saved.recoding
            + saved.compression;
        let added = added.dictionaries + added.records + added.indexes + added.copies + added.dead;
        let logical = i64::try_from(stats.logical_bytes).unwrap();
        assert_eq!(logical - saved + added, i64::try_from(stats.stored_bytes).unwrap());
        assert!(stats.added.dead >= 0 && stats.saved.compression >= 0, "{stats:?}");
    }
    engine.stats(None).await.unwrap()
}

async fn codec_of(engine: &Engine, id: &str) -> String {
    let explained = engine.explain(DEFAULT_TENANT, ItemKind::Content, id).await.unwrap();
    explained.parts.last().unwrap().codec.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recoded_objects_live_through_all_tiers() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = open(dir.path()).await;
    let put = documents();
    for (id, bytes) in &put {
        let options = PutOptions { caller_id: Some(id.clone()), ..PutOptions::default() };
        let done = engine.put(DEFAULT_TENANT, ItemKind::Content, options, bytes.clone()).await.unwrap();
        assert!(done.created);
    }
    let hot = check(&engine, &put).await;
    assert_eq!(hot.saved.recoding, 0);

    let mut gains = Vec::new();
    for tier in [Tier::Warm, Tier::Cold, Tier::Archive] {
        let _report = migrate(&engine, Some(tier)).await;
        let _stats = check(&engine, &put).await;
        sweep(&engine).await;
        let stats = check(&engine, &put).await;
        assert_eq!(stats.added.dead, 0);
        gains.push(stats.saved.recoding);
        engine.close().await.unwrap();
        engine = open(dir.path()).await;
        assert_eq!(check(&engine, &put).await.saved, stats.saved);
    }
    assert_eq!(gains[0], 0, "warm content is plain");
    assert!(gains[1] > 5_000, "{gains:?}");
    // What lies in segments is compared again, at the level of the archive.
    assert!(gains[2] >= gains[1] / 2, "{gains:?}");
    for (id, form) in [("photo", "jpeg+"), ("log", "deflate+"), ("album", "deflate+")] {
        let codec = codec_of(&engine, id).await;
        assert!(codec.starts_with(form), "{id} is stored as {codec}");
    }
    assert_eq!(codec_of(&engine, "notes").await.find('+').map(|_| ()), None, "text is not recoded");

    for _ in 0..12 {
        let _bytes = read(&engine, "photo", GetOptions::default()).await;
    }
    let report = migrate(&engine, None).await;
    assert!(!report.copies.is_empty(), "a photo that is read often gets a copy: {report:?}");
    let stats = check(&engine, &put).await;
    assert!(stats.added.copies > 0 && stats.saved.recoding == gains[2], "the copy is plain: {stats:?}");

    for (id, _) in &put {
        engine.delete(DEFAULT_TENANT, ItemKind::Content, id).await.unwrap();
    }
    for _ in 0..2 {
        sweep(&engine).await;
    }
    let stats = check(&engine, &[]).await;
    assert_eq!(stats.saved.recoding, 0, "what recoding saved goes with the packs");
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_in_250_and_every_document_may_take_long() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path()).await;
    let put = async |id: String, bytes: &Bytes| {
        let options = PutOptions { caller_id: Some(id), ..PutOptions::default() };
        let _done = engine.put(DEFAULT_TENANT, ItemKind::Content, options, bytes.clone()).await.unwrap();
    };
    // Longer than what is made again quickly; the shared one is the longest.
    let [small, middle, large, shared] =
        [400, 410, 420, 430].map(|side| Bytes::from(photo(side.into(), side)));
    let lengths = [&small, &middle, &large, &shared].map(Bytes::len);
    assert!(lengths.is_sorted() && (70_000..150_000).contains(&lengths[0]), "{lengths:?}");
    let wrap = |bytes: &Bytes| {
        let head = b"Content-Type: image/jpeg\r\nContent-Transfer-Encoding: binary\r\n\r\n";
        Bytes::from([&head[..], &bytes[..]].concat())
    };
    let send = async |id: String, bytes: &Bytes| {
        let options = PutOptions { caller_id: Some(id), ..PutOptions::default() };
        let _done = engine.put(DEFAULT_TENANT, ItemKind::Message, options, wrap(bytes)).await.unwrap();
    };
    for number in 0..5 {
        send(format!("shared {number}"), &shared).await;
    }
    for (id, bytes) in [("large", &large), ("middle", &middle), ("small", &small)] {
        send(id.to_owned(), bytes).await;
    }
    let document = Bytes::from(photo(390, 390));
    put("document".to_owned(), &document).await;
    for number in 0..510 {
        put(format!("text {number}"), &Bytes::from(format!("{number}"))).await;
    }
    let _report = migrate(&engine, Some(Tier::Archive)).await;
    let mut recoded = Vec::new();
    for id in ["shared 0", "large", "middle", "small"] {
        let explained = engine.explain(DEFAULT_TENANT, ItemKind::Message, id).await.unwrap();
        recoded.push(explained.parts.iter().any(|part| part.codec.starts_with("jpeg")));
    }
    assert_eq!(recoded, [false, true, true, false], "two places for 519 items, and the largest get them");
    assert!(codec_of(&engine, "document").await.starts_with("jpeg"), "it is read for itself");
    for (id, bytes) in [("shared 4", &shared), ("large", &large), ("middle", &middle), ("small", &small)] {
        let read = engine.get(DEFAULT_TENANT, ItemKind::Message, id, GetOptions::default()).await;
        let (mut stream, mut found) = (read.unwrap().1, Vec::new());
        while let Some(piece) = stream.next().await {
            found.extend_from_slice(&piece.unwrap());
        }
        assert!(found == wrap(bytes), "{id}");
    }
    assert!(read(&engine, "document", GetOptions::default()).await == document);
    engine.close().await.unwrap();
}
