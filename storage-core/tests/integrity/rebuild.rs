//! A catalog from packs alone: what it says is what the lost one said, after everything that a store goes through.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sqlx::Row;
use storage_core::clock::Clock;
use storage_core::engine::Engine;
use storage_core::error::Kind;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::RebuildReport;
use storage_core::tier::policy::TierPolicy;
use storage_fixtures::rng::Rng;
use uuid::Uuid;

use crate::damage::frames;
use crate::damage::largest;
use crate::store::ManualClock;
use crate::store::Store;
use crate::store::TENANT;
use crate::store::change;
use crate::store::connect;
use crate::store::message;
use crate::store::named;
use crate::store::open;
use crate::store::read;
use crate::store::settings;
use crate::store::text;

/// What two catalogs must agree on. Keys, states of packs, access counts, jobs, audits and copies are not among it.
const QUESTIONS: [&str; 8] = [
    "SELECT json_array(hex(uuid), name, policy, created) FROM tenants ORDER BY 1",
    "SELECT json_array(hex(t.uuid), m.kind, hex(m.uuid), caller_id, hex(caller_key), caller_hash, hex(xc.uuid), \
     hex(xa.uuid), hex(xl.uuid), message_id_hash, bytes, hex(sha256), skeleton_bytes, expires, hold, pin, labels, \
     p.tier) FROM email_messages m \
     JOIN tenants t ON t.id = m.tenant_id JOIN content_packs p ON p.id = m.pack_id \
     LEFT JOIN external_ids xc ON xc.id = m.campaign LEFT JOIN external_ids xa ON xa.id = m.account \
     LEFT JOIN external_ids xl ON xl.id = m.lead ORDER BY 1",
    "SELECT json_array(hex(m.uuid), c.part, c.role, c.media_type, c.file_name, hex(o.sha256), o.bytes, o.class, p.tier) \
     FROM email_content c JOIN email_messages m ON m.id = c.message_id JOIN content_objects o ON o.id = c.object_id \
     JOIN content_packs p ON p.id = o.pack_id ORDER BY 1",
    "SELECT json_array(hex(uuid), origin, tier, committed_bytes, decoded_bytes, stream_bytes, record_bytes, \
     dictionary_bytes, index_bytes, created) FROM content_packs ORDER BY 1",
    "SELECT json_array(hex(d.uuid), hex(t.uuid), class, d.origin, d.state, hex(p.uuid), frame, bytes, d.stored_bytes, \
     gain, d.created) FROM content_dictionaries d JOIN content_packs p ON p.id = d.pack_id \
     JOIN tenants t ON t.id = d.tenant_id ORDER BY 1",
    "SELECT json_array(hex(p.uuid), hex(d.uuid)) FROM content_pack_dictionaries n \
     JOIN content_packs p ON p.id = n.pack_id JOIN content_dictionaries d ON d.id = n.dictionary_id ORDER BY 1",
    "SELECT json_array(hex(t.uuid), tier, sum(messages), sum(contents), sum(logical_bytes), sum(referenced_bytes), \
     sum(objects), sum(object_bytes), sum(skeletons), sum(skeleton_bytes)) FROM content_retention_statistics s \
     JOIN tenants t ON t.id = s.tenant_id GROUP BY t.uuid, tier HAVING sum(messages) <> 0 OR sum(contents) <> 0 \
     OR sum(objects) <> 0 OR sum(skeletons) <> 0 ORDER BY 1",
    "SELECT json_array(hex(t.uuid), kind, caller_id, deleted) FROM email_tombstones e \
     JOIN tenants t ON t.id = e.tenant_id ORDER BY 1",
];

async fn answers(dir: &Path) -> Vec<Vec<String>> {
    let mut connection = connect(dir).await;
    let mut answers = Vec::new();
    for question in QUESTIONS {
        let rows = sqlx::query(question).fetch_all(&mut connection).await.unwrap();
        answers.push(rows.iter().map(|row| row.get::<String, _>(0)).collect());
    }
    answers
}

fn lose_catalog(dir: &Path) {
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let _ = std::fs::remove_file(dir.join(name));
    }
}

async fn rebuild(dir: &Path, clock: &Arc<ManualClock>) -> RebuildReport {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    Engine::rebuild_catalog(settings(dir), clock).await.unwrap()
}

/// The store with a catalog that is made from its packs.
pub(crate) async fn rebuilt(store: Store) -> Store {
    store.engine.close().await.unwrap();
    lose_catalog(store.dir.path());
    let _ = rebuild(store.dir.path(), &store.clock).await;
    let engine = open(store.dir.path(), &store.clock).await.unwrap();
    Store { engine, ..store }
}

/// Loses the catalog, rebuilds it, and compares everything.
async fn loses_nothing(store: Store) -> Store {
    store.sweep().await;
    store.clean().await;
    store.engine.close().await.unwrap();
    let before = answers(store.dir.path()).await;
    lose_catalog(store.dir.path());
    let report = rebuild(store.dir.path(), &store.clock).await;
    assert_eq!((report.packs_left, report.packs_damaged, report.objects_missing), (0, 0, 0));
    let after = answers(store.dir.path()).await;
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(before, after, "question {number}");
    }
    let engine = open(store.dir.path(), &store.clock).await.unwrap();
    let store = Store { engine, ..store };
    store.clean().await;
    store
}

/// Everything that a store goes through, by chance.
struct Life {
    rng: Rng,
    store: Store,
    items: Vec<(&'static str, ItemKind, Uuid, Bytes)>,
    made: u32,
}

impl Life {
    async fn step(&mut self) {
        self.store.clock.advance(3_600_000);
        match self.rng.below(20) {
            0..9 => self.put().await,
            9..12 => self.update().await,
            12..15 => self.delete().await,
            15 | 16 => {
                let tier = *self.rng.pick(&Tier::ALL);
                self.store.migrate(tier).await;
            }
            17 => self.store.sweep().await,
            18 => self.store.clock.advance_days(i64::try_from(self.rng.below(20)).unwrap()),
            _ => {
                let policy = TierPolicy { warm_after_days: self.made % 7 + 1, ..TierPolicy::default() };
                let tenant = if self.rng.chance(500) { "acme" } else { TENANT };
                let policy = if self.rng.chance(700) { Some(policy) } else { None };
                self.store.engine.set_policy(tenant, policy).await.unwrap();
            }
        }
    }

    async fn put(&mut self) {
        self.made += 1;
        let tenant = if self.rng.chance(300) { "acme" } else { TENANT };
        let kind = if self.rng.chance(250) { ItemKind::Content } else { ItemKind::Message };
        let subject = format!("s{}", self.made);
        let bytes = match self.rng.below(3) {
            0 => text(&subject, self.rng.between(1, 300)),
            _ => message(&subject, self.rng.below(4) as u64, self.rng.between(1, 12)),
        };
        let mut options = PutOptions { hold: self.rng.chance(100), ..PutOptions::default() };
        if self.rng.chance(700) {
            options.caller_id = Some(format!("id-{}", self.made));
        }
        if self.rng.chance(300) {
            options.external.lead = Some(self.rng.uuid());
            options.pin = Some(*self.rng.pick(&Tier::ALL));
            let _ = options.labels.insert("folder".into(), "größer".into());
        }
        if kind == ItemKind::Content {
            options.media_type = Some("text/plain".into());
            options.file_name = Some("notes.txt".into());
        }
        let receipt = self.store.engine.put(tenant, kind, options, bytes.clone()).await.unwrap();
        self.items.push((tenant, kind, receipt.id, bytes));
    }

    async fn update(&mut self) {
        if self.items.is_empty() {
            return;
        }
        let (tenant, kind, id, _) = self.rng.pick(&self.items).clone();
        let mut update = ItemUpdate { hold: Some(self.rng.chance(200)), ..ItemUpdate::default() };
        if self.rng.chance(500) {
            update.pin = Some(if self.rng.chance(500) { None } else { Some(Tier::Warm) });
            let _ = update.labels_set.insert("seen".into(), self.rng.hex(4));
        }
        let _ = self.store.engine.update(tenant, kind, &id.to_string(), update).await.unwrap();
    }

    async fn delete(&mut self) {
        if self.items.is_empty() {
            return;
        }
        let at = self.rng.below(self.items.len());
        let (tenant, kind, id, _) = &self.items[at];
        if self.store.engine.delete(tenant, *kind, &id.to_string()).await.is_ok() {
            let _ = self.items.swap_remove(at);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_store_went_through_is_found_again() {
    for seed in 0..4 {
        let store = Store::start().await;
        let _ = store.engine.create_tenant("acme").await.unwrap();
        let mut life = Life { rng: Rng::new(seed), store, items: Vec::new(), made: 0 };
        for round in 0..2 {
            for _ in 0..45 {
                life.step().await;
            }
            life.store = loses_nothing(life.store).await;
            for (tenant, kind, id, bytes) in &life.items {
                let found = read(&life.store.engine, tenant, (*kind, &id.to_string())).await.unwrap();
                assert!(found == *bytes, "seed {seed}, round {round}, item {id}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dictionaries_and_large_items_are_found_again() {
    let store = Store::start().await;
    let large = message("large", 1, 4_600);
    let _ = store.put("large", &large).await;
    // Lines of one pool, of which a block holds few twice: a dictionary pays.
    let mut rng = Rng::new(1);
    let pool: Vec<String> = (0..2_000).map(|_| rng.hex(60)).collect();
    let mut texts = Vec::new();
    for number in 0..30 {
        let mut bytes = format!("Subject: t{number}\r\n\r\n");
        for _ in 0..700 {
            bytes.push_str(rng.pick::<String>(&pool));
            bytes.push_str("\r\n");
        }
        texts.push(Bytes::from(bytes));
        let _ = store.put(&format!("t{number}"), &texts[number]).await;
    }
    store.migrate(Tier::Archive).await;
    assert_eq!(store.engine.dictionaries(None).await.unwrap().len(), 1, "enough text for a dictionary");
    let store = loses_nothing(store).await;
    assert!(store.get("large").await.unwrap() == large);
    assert!(store.get("t7").await.unwrap() == texts[7]);
    for (kind, sql) in [
        ("pack-dictionaries", "DELETE FROM content_pack_dictionaries"),
        ("dictionary-misplaced", "UPDATE content_dictionaries SET frame = frame + 1"),
        ("dictionary-missing", "DELETE FROM content_dictionaries"),
    ] {
        store.engine.close().await.unwrap();
        let before = std::fs::read(store.dir.path().join("catalog.db")).unwrap();
        assert!(crate::store::edit(store.dir.path(), sql).await > 0);
        let engine = open(store.dir.path(), &store.clock).await.unwrap();
        // Its directory is the store's; this one only ends with the value.
        let edited = Store { engine, dir: tempfile::tempdir().unwrap(), clock: Arc::clone(&store.clock) };
        let kinds = edited.kinds().await;
        assert!(kinds.contains(&kind.to_owned()), "{kinds:?}");
        if kind == "pack-dictionaries" {
            assert_eq!(edited.repair(true).await.0.left, 0);
            edited.clean().await;
        }
        edited.engine.close().await.unwrap();
        std::fs::write(store.dir.path().join("catalog.db"), before).unwrap();
    }
}

/// The newest log pack was not ended when the machine died, and the catalog is lost: recovery goes on where rebuild ends.
#[tokio::test]
async fn an_open_log_pack_is_left_to_recovery() {
    let store = Store::start().await;
    let _ = store.put("a", &message("a", 1, 4)).await;
    store.migrate(Tier::Cold).await;
    store.sweep().await;
    let _ = store.put("b", &message("b", 1, 4)).await;
    store.delete("a").await;
    let image = tempfile::tempdir().unwrap();
    std::fs::create_dir(image.path().join("packs")).unwrap();
    for pack in store.packs() {
        let _ = std::fs::copy(&pack, image.path().join("packs").join(pack.file_name().unwrap())).unwrap();
    }
    store.engine.close().await.unwrap();
    // Of a database that was lost, its log may have stayed.
    std::fs::write(image.path().join("catalog.db-wal"), b"not the log of what is made now").unwrap();
    let refused = open(image.path(), &store.clock).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::FailedPrecondition);
    assert!(refused.message().contains("rebuild-catalog"), "{refused}");
    assert_eq!(rebuild(image.path(), &store.clock).await.packs_left, 1);
    let engine = open(image.path(), &store.clock).await.unwrap();
    assert!(engine.recovered().frames > 0);
    let store = Store { engine, dir: image, clock: store.clock };
    assert!(store.get("b").await.unwrap() == message("b", 1, 4));
    assert!(store.get("a").await.is_err());
    store.clean().await;
}

/// Damage in the middle of a log that was not ended hides nothing that lies behind it, and nothing is cut off.
#[tokio::test]
async fn a_damaged_open_log_pack_is_taken_in_as_far_as_it_is_whole() {
    let store = Store::start().await;
    for id in ["a", "b", "c"] {
        let _ = store.put(id, &text(id, 5)).await;
    }
    let pack = store.packs().pop().unwrap();
    let image = tempfile::tempdir().unwrap();
    std::fs::create_dir(image.path().join("packs")).unwrap();
    let copy = image.path().join("packs").join(pack.file_name().unwrap());
    let mut bytes = std::fs::read(&pack).unwrap();
    store.engine.close().await.unwrap();
    let blocks: Vec<_> = frames(&pack).into_iter().filter(|entry| entry.stream_decoded > 0).collect();
    bytes[usize::try_from(blocks[1].offset).unwrap()] ^= 1;
    std::fs::write(&copy, &bytes).unwrap();
    let report = rebuild(image.path(), &store.clock).await;
    assert_eq!((report.packs_left, report.packs_damaged, report.items), (0, 1, 2));
    let engine = open(image.path(), &store.clock).await.unwrap();
    assert!(std::fs::read(&copy).unwrap() == bytes, "nothing was cut off");
    let store = Store { engine, dir: image, clock: store.clock };
    assert!(store.get("a").await.unwrap() == text("a", 5));
    assert!(store.get("c").await.unwrap() == text("c", 5));
    assert_eq!(store.get("b").await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(store.kinds().await, ["frame-damaged", "pack-footer"]);
}

#[tokio::test]
async fn a_rebuild_touches_no_store_that_has_a_catalog() {
    let store = Store::start().await;
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&store.clock);
    let refused = Engine::rebuild_catalog(settings(store.dir.path()), Arc::clone(&clock)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::FailedPrecondition);
    let empty = tempfile::tempdir().unwrap();
    let refused = Engine::rebuild_catalog(settings(empty.path()), clock).await.unwrap_err();
    assert!(refused.message().contains("no packs"), "{refused}");
}

/// What a lost pack held is named, and comes back with a message that holds the same bytes.
#[tokio::test]
async fn what_no_pack_holds_is_quarantined() {
    let store = Store::start().await;
    let _ = store.put("one", &message("one", 7, 20)).await;
    store.migrate(Tier::Archive).await;
    store.sweep().await;
    let archive = largest(store.dir.path());
    let receipt = store.put("two", &message("two", 7, 20)).await;
    store.engine.close().await.unwrap();
    std::fs::remove_file(archive).unwrap();
    lose_catalog(store.dir.path());
    let report = rebuild(store.dir.path(), &store.clock).await;
    assert_eq!((report.objects_missing, report.damaged_items), (1, vec![receipt.id]));
    let engine = open(store.dir.path(), &store.clock).await.unwrap();
    let store = Store { engine, ..store };
    assert_eq!(store.get("two").await.unwrap_err().kind(), Kind::Corrupt);
    assert_eq!(store.kinds().await, ["object-quarantined"]);
    let _ = store.put("three", &message("three", 7, 20)).await;
    assert!(store.get("two").await.unwrap() == message("two", 7, 20));
    store.clean().await;
}

/// Packs whose header or end is damaged are taken in all the same, as far as their frames are whole.
#[tokio::test]
async fn damaged_packs_are_taken_in() {
    for (place, from_end) in [(33, false), (9, true)] {
        let store = crate::damage::archived().await;
        store.engine.close().await.unwrap();
        lose_catalog(store.dir.path());
        change(&largest(store.dir.path()), |bytes| {
            let place = if from_end { bytes.len() - place } else { place };
            bytes[place] ^= 1;
        });
        let report = rebuild(store.dir.path(), &store.clock).await;
        assert_eq!((report.packs_damaged, report.items), (1, 2));
        let engine = open(store.dir.path(), &store.clock).await.unwrap();
        let store = Store { engine, ..store };
        assert!(store.get("one").await.unwrap() == message("one", 7, 20));
        // What can still be read moves on into a pack that is whole.
        let again = store.engine.put(TENANT, ItemKind::Message, named("one"), message("one", 7, 20)).await;
        assert!(!again.unwrap().created);
    }
}
