//! What the engine refuses, and that a refusal leaves nothing behind: bad input, bad state, bad bytes on disk.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::clock::SystemClock;
use storage_core::clock::Timestamp;
use storage_core::engine::Engine;
use storage_core::error::Error;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::ListQuery;
use storage_core::model::PutOptions;
use storage_core::model::PutReceipt;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;
use storage_core::settings::Settings;
use storage_fixtures::rng::Rng;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const MESSAGE: &[u8] = b"Message-ID: <one@mail.example>\r\nSubject: one\r\n\r\nThe body.\r\n";

struct Store {
    dir: TempDir,
    engine: Engine,
}

async fn open(dir: &Path) -> Result<Engine> {
    let mut settings = Settings::new(dir);
    settings.item_bytes_max = 8_000_000;
    settings.workers = 2;
    Engine::open(settings, Arc::new(SystemClock)).await
}

impl Store {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path()).await.unwrap();
        Self { dir, engine }
    }

    /// Closes and opens again after `change` did something to the files.
    async fn reopened(self, change: impl FnOnce(&Path)) -> Self {
        self.engine.close().await.unwrap();
        change(self.dir.path());
        let engine = open(self.dir.path()).await.unwrap();
        Self { dir: self.dir, engine }
    }

    fn packs(&self) -> Vec<PathBuf> {
        packs(self.dir.path())
    }

    async fn put(&self, options: PutOptions, bytes: impl Into<Bytes>) -> Result<PutReceipt> {
        self.engine.put("default", ItemKind::Message, options, bytes.into()).await
    }

    async fn get(&self, id: &str) -> Result<Vec<u8>> {
        read(&self.engine, id, GetOptions::default()).await
    }
}

fn packs(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("packs")).unwrap();
    let mut packs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    packs
}

async fn read(engine: &Engine, id: &str, options: GetOptions) -> Result<Vec<u8>> {
    let (_, mut stream) = engine.get("default", ItemKind::Message, id, options).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

fn named(id: &str) -> PutOptions {
    PutOptions { caller_id: Some(id.to_owned()), ..PutOptions::default() }
}

fn kind<T>(result: Result<T>) -> Kind {
    result.err().as_ref().map_or_else(|| panic!("it was not refused"), Error::kind)
}

/// A message whose attachment of `bytes` random bytes is an object.
fn with_attachment(seed: u64, bytes: u64) -> Bytes {
    let mut message = Vec::new();
    storage_fixtures::large::write(seed, bytes, &mut message).unwrap();
    Bytes::from(message)
}

#[tokio::test]
async fn options_have_bounds() {
    let store = Store::start().await;
    let labels = |count: usize, key: usize, value: usize| PutOptions {
        labels: (0..count).map(|n| (format!("{n:0>key$}"), "v".repeat(value))).collect::<BTreeMap<_, _>>(),
        ..PutOptions::default()
    };
    let media = |text: &str| PutOptions { media_type: Some(text.to_owned()), ..PutOptions::default() };
    let file = |text: &str| PutOptions { file_name: Some(text.to_owned()), ..PutOptions::default() };
    let created = |at| PutOptions { created: Some(Timestamp(at)), ..PutOptions::default() };
    let refused = [
        named(""),
        named(&"x".repeat(129)),
        named("a\0b"),
        labels(17, 2, 1),
        labels(1, 65, 1),
        labels(1, 1, 257),
        PutOptions { labels: [(String::new(), String::new())].into(), ..PutOptions::default() },
        media(&"x".repeat(128)),
        media("text/\nplain"),
        file(&"x".repeat(256)),
        file("a\rb"),
        created(-1),
        created(1 << 48),
    ];
    for options in refused {
        assert_eq!(kind(store.put(options.clone(), MESSAGE).await), Kind::InvalidArgument, "{options:?}");
    }
    let taken = [
        named(&"x".repeat(128)),
        named("\u{1f600} \u{7}"),
        labels(16, 64, 256),
        media(&"x".repeat(127)),
        file(&"x".repeat(255)),
        created(0),
        created((1 << 48) - 1),
    ];
    for options in taken {
        assert!(store.put(options, MESSAGE).await.unwrap().created);
    }
    let update = ItemUpdate { labels_set: labels(17, 2, 1).labels, ..ItemUpdate::default() };
    let id = "x".repeat(128);
    assert_eq!(
        kind(store.engine.update("default", ItemKind::Message, &id, update).await),
        Kind::InvalidArgument
    );
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn what_is_unknown_is_not_found() {
    let store = Store::start().await;
    let (engine, message) = (&store.engine, ItemKind::Message);
    let _ = store.put(named("one"), MESSAGE).await.unwrap();
    for (tenant, id) in
        [("nobody", "one"), ("default", "two"), ("default", "0190a5f2-0000-7000-8000-000000000000")]
    {
        assert_eq!(kind(engine.stat(tenant, message, id).await), Kind::NotFound);
        assert_eq!(kind(engine.get(tenant, message, id, GetOptions::default()).await), Kind::NotFound);
        assert_eq!(kind(engine.get_part(tenant, id, 0, GetOptions::default()).await), Kind::NotFound);
        assert_eq!(kind(engine.update(tenant, message, id, ItemUpdate::default()).await), Kind::NotFound);
        assert_eq!(kind(engine.delete(tenant, message, id).await), Kind::NotFound);
        assert_eq!(kind(engine.explain(tenant, message, id).await), Kind::NotFound);
    }
    assert_eq!(kind(engine.stat("default", ItemKind::Content, "one").await), Kind::NotFound);
    assert_eq!(kind(engine.get_part("default", "one", 99, GetOptions::default()).await), Kind::NotFound);
    let put = engine.put("nobody", message, PutOptions::default(), Bytes::from_static(MESSAGE)).await;
    assert_eq!(kind(put), Kind::NotFound);
    assert_eq!(
        kind(engine.list("nobody", message, ListQuery { limit: 1, ..ListQuery::default() }).await),
        Kind::NotFound
    );
    assert_eq!(kind(engine.stats(Some("nobody")).await), Kind::NotFound);
    assert_eq!(kind(engine.set_policy("nobody", None).await), Kind::NotFound);
    engine.close().await.unwrap();
}

#[tokio::test]
async fn names_and_pages_have_bounds() {
    let store = Store::start().await;
    for name in ["", "a b", "ä", "a/b", &"x".repeat(129)] {
        assert_eq!(kind(store.engine.create_tenant(name).await), Kind::InvalidArgument, "{name:?}");
    }
    assert_eq!(kind(store.engine.create_tenant("default").await), Kind::AlreadyExists);
    for limit in [0, 1_001] {
        let query = ListQuery { limit, ..ListQuery::default() };
        assert_eq!(kind(store.engine.list("default", ItemKind::Message, query).await), Kind::InvalidArgument);
    }
    let mut policy = store.engine.policy(None).await.unwrap();
    policy.warm_after_days = policy.cold_after_days + 1;
    assert_eq!(kind(store.engine.set_policy("default", Some(policy)).await), Kind::InvalidArgument);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn an_id_is_used_once() {
    let store = Store::start().await;
    let first = store.put(named("one"), MESSAGE).await.unwrap();
    let again = store.put(named("one"), MESSAGE).await.unwrap();
    assert_eq!((again.id, again.created), (first.id, false));
    assert_eq!(kind(store.put(named("one"), &b"Subject: other\r\n\r\n"[..]).await), Kind::AlreadyExists);
    let held = ItemUpdate { hold: Some(true), ..ItemUpdate::default() };
    let _ = store.engine.update("default", ItemKind::Message, "one", held).await.unwrap();
    let delete = || store.engine.delete("default", ItemKind::Message, "one");
    assert_eq!(kind(delete().await), Kind::FailedPrecondition);
    let kept = ItemUpdate {
        hold: Some(false),
        retention_end: Some(Some(Timestamp(i64::MAX))),
        ..ItemUpdate::default()
    };
    let _ = store.engine.update("default", ItemKind::Message, "one", kept).await.unwrap();
    assert_eq!(kind(delete().await), Kind::FailedPrecondition);
    let free = ItemUpdate { retention_end: Some(None), ..ItemUpdate::default() };
    let _ = store.engine.update("default", ItemKind::Message, "one", free).await.unwrap();
    delete().await.unwrap();
    assert_eq!(kind(delete().await), Kind::NotFound);
    assert_eq!(kind(store.put(named("one"), MESSAGE).await), Kind::FailedPrecondition);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn ranges_end_with_the_item() {
    let store = Store::start().await;
    let _ = store.put(named("one"), MESSAGE).await.unwrap();
    let length = MESSAGE.len() as u64;
    let get = |range| {
        let options = GetOptions { range: Some(range), touch: false };
        read(&store.engine, "one", options)
    };
    assert_eq!(get(0..u64::MAX).await.unwrap(), MESSAGE);
    assert_eq!(get(length..length).await.unwrap(), b"");
    assert_eq!(get(length - 1..length + 1).await.unwrap(), b"\n");
    assert_eq!(kind(get(length + 1..length + 2).await), Kind::InvalidArgument);
    let backwards = std::ops::Range { start: 5, end: 4 };
    assert_eq!(kind(get(backwards).await), Kind::InvalidArgument);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn an_empty_message_is_one() {
    let store = Store::start().await;
    let receipt = store.put(named("empty"), &b""[..]).await.unwrap();
    assert_eq!((receipt.bytes, receipt.objects), (0, 0));
    assert_eq!(store.get("empty").await.unwrap(), b"");
    store.engine.close().await.unwrap();
}

/// What `PutStream`s leave: the files of the pack directory, and what the statistics say.
async fn left(store: &Store) -> (Vec<PathBuf>, u64, u64, u64) {
    let stats = store.engine.stats(None).await.unwrap();
    (store.packs(), stats.stored_bytes, stats.logical_bytes, stats.objects)
}

#[tokio::test]
async fn an_abandoned_put_leaves_nothing() {
    let store = Store::start().await;
    let _ = store.put(named("one"), MESSAGE).await.unwrap();
    let before = left(&store).await;
    for bytes in [1_000, 3_000_000, 5_000_000] {
        let mut put = store.engine.begin_put("default", ItemKind::Message, named("two")).await.unwrap();
        put.push(with_attachment(1, bytes)).await.unwrap();
        drop(put);
        // The pack of a large one is deleted in the background.
        while store.packs() != before.0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(kind(store.get("two").await), Kind::NotFound);
    let store = store.reopened(|_| {}).await;
    assert_eq!(left(&store).await.2, before.2);
    assert_eq!(store.packs(), before.0);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn too_large_is_refused_and_leaves_nothing() {
    let store = Store::start().await;
    let _ = store.put(named("one"), MESSAGE).await.unwrap();
    let before = store.packs();
    let put = store.put(named("two"), vec![b'x'; 8_000_001]).await;
    assert_eq!(kind(put), Kind::ResourceExhausted);
    let mut put = store.engine.begin_put("default", ItemKind::Message, named("two")).await.unwrap();
    put.push(vec![b'x'; 8_000_000].into()).await.unwrap();
    assert_eq!(kind(put.push(Bytes::from_static(b"x")).await), Kind::ResourceExhausted);
    drop(put);
    while store.packs() != before {
        tokio::task::yield_now().await;
    }
    assert!(store.put(named("two"), vec![b'x'; 8_000_000]).await.unwrap().created);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn a_refused_large_put_leaves_nothing() {
    let store = Store::start().await;
    let _ = store.put(named("one"), MESSAGE).await.unwrap();
    let before = left(&store).await;
    assert_eq!(kind(store.put(named("one"), with_attachment(1, 4_300_000)).await), Kind::AlreadyExists);
    assert_eq!(left(&store).await, before);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn a_directory_has_one_engine_and_nothing_foreign() {
    let store = Store::start().await;
    assert_eq!(kind(open(store.dir.path()).await), Kind::FailedPrecondition, "in use");
    store.engine.close().await.unwrap();
    std::fs::remove_file(store.dir.path().join("catalog.db")).unwrap();
    std::fs::write(store.dir.path().join("packs/other.pack"), b"x").unwrap();
    assert_eq!(kind(open(store.dir.path()).await), Kind::FailedPrecondition, "packs without a catalog");
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("notes.txt"), b"mine").unwrap();
    assert_eq!(kind(open(foreign.path()).await), Kind::FailedPrecondition, "somebody else's");
    assert_eq!(std::fs::read_dir(foreign.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_closed_engine_says_so() {
    let store = Store::start().await;
    let mut begun = store.engine.begin_put("default", ItemKind::Message, named("two")).await.unwrap();
    begun.push(Bytes::from_static(MESSAGE)).await.unwrap();
    let engine = store.engine.clone();
    engine.close().await.unwrap();
    engine.close().await.unwrap();
    assert!(!engine.writable());
    assert_eq!(kind(store.put(named("one"), MESSAGE).await), Kind::Unavailable);
    assert_eq!(kind(begun.finish().await), Kind::Unavailable);
    assert_eq!(kind(store.get("one").await), Kind::Unavailable);
    assert_eq!(kind(engine.stats(None).await), Kind::Unavailable);
    assert_eq!(kind(engine.tenants().await), Kind::Unavailable);
    let (progress, _ignored) = mpsc::channel(1);
    let migrated = engine.migrate(MigrateOptions::default(), progress, CancellationToken::new()).await;
    assert_eq!(kind(migrated), Kind::Unavailable);
    let _again = open(store.dir.path()).await.unwrap();
}

/// A store with two messages with objects, in sealed packs of that tier.
async fn sealed(tier: Tier) -> (Store, BTreeMap<&'static str, Bytes>) {
    let store = Store::start().await;
    let mut put = BTreeMap::new();
    for (id, seed, bytes) in [("one", 1, 3_000), ("two", 2, 9_000), ("large", 3, 4_400_000)] {
        let _ = put.insert(id, with_attachment(seed, bytes));
        assert!(store.put(named(id), put[id].clone()).await.unwrap().created);
    }
    let (progress, _ignored) = mpsc::channel(1);
    let options = MigrateOptions { to: Some(tier), ..MigrateOptions::default() };
    let report = store.engine.migrate(options, progress, CancellationToken::new()).await.unwrap();
    assert_eq!(report.damaged, 0);
    (store, put)
}

#[tokio::test]
async fn flipped_bytes_are_corrupt_or_right_and_never_others() {
    for tier in [Tier::Hot, Tier::Cold] {
        let (mut store, put) = sealed(tier).await;
        let mut rng = Rng::new(7);
        let mut corrupt = 0;
        for round in 0..5 {
            let mut undo = Vec::new();
            store = store
                .reopened(|dir| {
                    for pack in packs(dir) {
                        let sound = std::fs::read(&pack).unwrap();
                        let mut damaged = sound.clone();
                        // Small objects and records lie in the last bytes of a pack, large ones before.
                        let near = if round % 2 == 0 { damaged.len() } else { damaged.len().min(20_000) };
                        let at = damaged.len() - 1 - rng.below(near);
                        damaged[at] ^= 1 << rng.below(8);
                        std::fs::write(&pack, &damaged).unwrap();
                        undo.push((pack, sound));
                    }
                })
                .await;
            for (id, bytes) in &put {
                match store.get(id).await {
                    Ok(read) => assert!(read == *bytes, "other bytes came back"),
                    Err(error) => {
                        assert_eq!(error.kind(), Kind::Corrupt, "{error:?}");
                        corrupt += 1;
                    }
                }
            }
            for (pack, sound) in undo {
                std::fs::write(pack, sound).unwrap();
            }
        }
        assert!(corrupt > 1, "the flips hit nothing: {corrupt}");
        store.engine.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_pack_is_corrupt() {
    let (store, put) = sealed(Tier::Hot).await;
    let store = store
        .reopened(|dir| {
            for pack in packs(dir) {
                std::fs::remove_file(pack).unwrap();
            }
        })
        .await;
    assert!(store.engine.recovered().missing > 0);
    for id in put.keys() {
        assert_eq!(kind(store.get(id).await), Kind::Corrupt, "{id}");
        assert_eq!(kind(store.engine.stat("default", ItemKind::Message, id).await), Kind::Corrupt);
    }
    // What is put afterwards is stored as ever.
    assert!(store.put(named("new"), MESSAGE).await.unwrap().created);
    assert_eq!(store.get("new").await.unwrap(), MESSAGE);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_large_object_stays_and_the_others_move() {
    let (store, put) = sealed(Tier::Hot).await;
    let store = store
        .reopened(|dir| {
            let largest = packs(dir).into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
            let mut bytes = std::fs::read(&largest).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(largest, bytes).unwrap();
        })
        .await;
    let (progress, _ignored) = mpsc::channel(1);
    let options = MigrateOptions { to: Some(Tier::Cold), ..MigrateOptions::default() };
    let report = store.engine.migrate(options, progress, CancellationToken::new()).await.unwrap();
    assert_eq!(report.damaged, 1);
    assert_eq!(store.engine.stat("default", ItemKind::Message, "two").await.unwrap().tier, Tier::Cold);
    assert!(store.get("two").await.unwrap() == put["two"]);
    assert_eq!(kind(store.get("large").await), Kind::Corrupt);
    store.engine.close().await.unwrap();
}
