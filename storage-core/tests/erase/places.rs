//! Wherever the bytes of an item are, they go: hot, archived, sampled by a dictionary, shared blocks, recoded, in segments,
//! in a copy, in what a migration left behind.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use storage_core::engine::DEFAULT_TENANT;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::report::EraseOptions;
use storage_core::report::EraseWhat;
use storage_fixtures::documents::parts::JpegKind;
use storage_fixtures::documents::parts::archive;
use storage_fixtures::documents::parts::jpeg;
use storage_fixtures::rng::Rng;
use uuid::Uuid;

use crate::yard::Yard;

/// A message with attachments, base64.
pub(crate) fn with_attachments(rng: &mut Rng, attachments: &[(&str, &str, &[u8])]) -> Bytes {
    let mut message = format!(
        "Subject: {}\r\nMessage-ID: <{}@erased.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"cut\"\r\n\r\n--cut\r\nContent-Type: text/plain\r\n\r\n{}\r\n",
        rng.hex(20),
        rng.hex(20),
        rng.hex(5_000)
    );
    for (name, media_type, bytes) in attachments {
        let _ = write!(
            message,
            "--cut\r\nContent-Type: {media_type}; name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        );
        for line in bytes.chunks(57) {
            message.push_str(&base64(line));
            message.push_str("\r\n");
        }
    }
    message.push_str("--cut--\r\n");
    Bytes::from(message)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..3 {
            bits = (bits << 8) | u32::from(three.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// A message of whose every sort of record something is its own.
fn told_about(rng: &mut Rng) -> (PutOptions, Bytes) {
    let options = PutOptions {
        caller_id: Some(format!("{}@erased.example", rng.hex(30))),
        labels: BTreeMap::from([("note".to_owned(), format!("about {}", rng.hex(40)))]),
        ..PutOptions::default()
    };
    let name = format!("a file called {}.bin", rng.hex(30));
    let bytes = rng.bytes(4_000);
    let message = with_attachments(rng, &[(&name, "application/octet-stream", &bytes)]);
    (options, message)
}

#[tokio::test]
async fn hot_and_everything_that_was_said_about_it() {
    let mut yard = Yard::open().await;
    let _ = yard.put_neighbours(1, 5).await;
    let (options, message) = told_about(&mut Rng::new(2));
    let id = yard.put_with(ItemKind::Message, options, message).await;
    let _ = yard.put_neighbours(3, 5).await;
    let label = format!("changed to {}", Rng::new(4).hex(40));
    let update = ItemUpdate {
        labels_set: BTreeMap::from([("note".to_owned(), label.clone())]),
        ..ItemUpdate::default()
    };
    let _ = yard.engine.update(DEFAULT_TENANT, ItemKind::Message, &id.to_string(), update).await.unwrap();
    yard.items.get_mut(&id).unwrap().pieces.push(Bytes::from(label));
    let report = yard.erase(&[id]).await;
    assert_eq!((report.requested, report.erased, report.packs_deleted), (1, 1, 1), "{report:?}");
    assert!(report.rewritten_bytes > 60_000, "{report:?}");
}

#[tokio::test]
async fn in_a_block_with_others_and_what_they_share_stays() {
    let mut yard = Yard::open().await;
    let mut rng = Rng::new(5);
    let _ = yard.put_neighbours(6, 5).await;
    let shared = rng.bytes(20_000);
    let own = rng.bytes(20_000);
    let sort = "application/octet-stream";
    let one = with_attachments(&mut rng, &[("shared.bin", sort, &shared), ("own.bin", sort, &own)]);
    let two = with_attachments(&mut rng, &[("shared.bin", sort, &shared)]);
    let (one, two) = (yard.put(one).await, yard.put(two).await);
    for tier in [Tier::Warm, Tier::Cold, Tier::Archive] {
        yard.migrate_to(tier).await;
    }
    // What the migrations left behind is there still: hot, warm and cold.
    let report = yard.erase(&[one]).await;
    assert!(report.packs_deleted >= 4, "{report:?}");
    let _ = yard.erase(&[two]).await;
    yard.rebuild().await;
    yard.is_whole().await;
}

#[tokio::test]
async fn recoded_in_segments_and_a_copy_beside_the_archive() {
    let mut yard = Yard::open().await;
    let mut rng = Rng::new(7);
    let _ = yard.put_neighbours(8, 3).await;
    let photo = jpeg(9, 60, JpegKind::Baseline);
    let text = rng.hex(400_000);
    let zip = archive(&[("a.txt", text.as_bytes(), true)]);
    let message = with_attachments(
        &mut rng,
        &[("photo.jpg", "image/jpeg", &photo), ("text.zip", "application/zip", &zip)],
    );
    let recoded = yard.put(message).await;
    let parts: Vec<Vec<u8>> = (0..4).map(|_| rng.hex(500_000).into_bytes()).collect();
    let members: Vec<(&str, &[u8], bool)> = ["a", "b", "c", "d"]
        .into_iter()
        .zip(&parts)
        .map(|(name, part)| (name, part.as_slice(), true))
        .collect();
    let large = with_attachments(&mut rng, &[("large.zip", "application/zip", &archive(&members))]);
    assert!(large.len() > 1 << 20);
    let large = yard.put(large).await;
    yard.migrate_to(Tier::Archive).await;
    yard.sweep().await;
    for _ in 0..5 {
        let options = GetOptions::default();
        let (_, mut stream) =
            yard.engine.get(DEFAULT_TENANT, ItemKind::Message, &recoded.to_string(), options).await.unwrap();
        while let Some(piece) = stream.next().await {
            drop(piece.unwrap());
        }
    }
    yard.migrate().await;
    assert!(yard.engine.stats(None).await.unwrap().added.copies > 0, "there is a copy");
    let _ = yard.erase(&[recoded]).await;
    let _ = yard.erase(&[large]).await;
}

/// Messages of paragraphs that repeat: what a dictionary is for. Each has words of its own, too.
async fn put_letters(yard: &mut Yard, count: usize) -> Vec<Uuid> {
    let mut rng = Rng::new(10);
    let paragraphs: Vec<String> = (0..60).map(|_| rng.hex(1_000)).collect();
    let mut ids = Vec::new();
    for _ in 0..count {
        let mut message = format!("Subject: {}\r\n\r\n", rng.hex(20));
        for _ in 0..10 {
            // Its own words come first: where content follows content in a block or a dictionary, they stand between.
            let paragraph: &String = rng.pick(&paragraphs);
            let _ = write!(message, "{}\r\n{paragraph}\r\n", rng.hex(30));
        }
        ids.push(yard.put(Bytes::from(message)).await);
    }
    ids
}

#[tokio::test]
async fn sampled_by_a_dictionary_which_is_replaced() {
    let mut yard = Yard::open().await;
    let ids = put_letters(&mut yard, 130).await;
    yard.migrate_to(Tier::Archive).await;
    yard.sweep().await;
    let before = yard.engine.dictionaries(None).await.unwrap();
    assert_eq!(before.len(), 1);
    let erased: Vec<Uuid> = ids.iter().step_by(13).copied().collect();
    let report = yard.erase(&erased).await;
    assert_eq!((report.dictionaries_retired, report.dictionaries_made), (1, 1), "{report:?}");
    let after = yard.engine.dictionaries(None).await.unwrap();
    assert!(after.len() == 1 && after[0].id != before[0].id, "{after:?}");
    // A dictionary that did not sample it stays: most of the letters are in none.
    for id in ids.iter().skip(1).step_by(13) {
        if yard.erase(&[*id]).await.dictionaries_retired == 0 {
            return;
        }
    }
    panic!("every letter was sampled");
}

#[tokio::test]
async fn deleted_before_and_in_no_row_any_more() {
    let mut yard = Yard::open().await;
    let _ = yard.put_neighbours(11, 4).await;
    let mut rng = Rng::new(12);
    let (options, message) = told_about(&mut rng);
    let caller = options.caller_id.clone().unwrap();
    let id = yard.put_with(ItemKind::Message, options, message).await;
    let _ = yard.put_neighbours(13, 4).await;
    yard.migrate_to(Tier::Archive).await;
    yard.delete(id).await;
    yard.migrate_to(Tier::Archive).await;
    let what = EraseWhat::Items(ItemKind::Message, vec![caller]);
    let what = Some((DEFAULT_TENANT.to_owned(), what));
    let report = yard.erase_with(&[id], EraseOptions { what, ..EraseOptions::default() }).await;
    assert_eq!((report.requested, report.erased), (1, 1));
}

/// The skeleton's pack and every record are swept, the object lies dead beside others: only the tombstone knows it.
#[tokio::test]
async fn deleted_so_long_ago_that_only_its_tombstone_is_left() {
    let mut yard = Yard::open().await;
    let mut rng = Rng::new(14);
    let sort = "application/octet-stream";
    let own = rng.bytes(30_000);
    let message = with_attachments(&mut rng, &[("own.bin", sort, &own)]);
    let id = yard.put(message).await;
    yard.migrate_to(Tier::Cold).await;
    yard.sweep().await;
    // Its object moves on with those of others, its skeleton stays alone.
    let pinned = ItemUpdate { pin: Some(Some(Tier::Cold)), ..ItemUpdate::default() };
    let _ = yard.put_neighbours(15, 3).await;
    let other = rng.bytes(9_000);
    let twin = with_attachments(&mut rng, &[("own.bin", sort, &own), ("b.bin", sort, &other)]);
    let twin = yard.put(twin).await;
    let _ = yard.engine.update(DEFAULT_TENANT, ItemKind::Message, &twin.to_string(), pinned).await.unwrap();
    yard.delete(id).await;
    yard.delete(twin).await;
    yard.migrate_to(Tier::Archive).await;
    yard.sweep().await;
    yard.sweep().await;
    let traces = yard.traces(&[id, twin]);
    let ids = [id, twin].map(|id| id.to_string()).to_vec();
    let what = Some((DEFAULT_TENANT.to_owned(), EraseWhat::Items(ItemKind::Message, ids)));
    let report = yard.try_erase(EraseOptions { what, ..EraseOptions::default() }).await.unwrap();
    assert_eq!(report.erased, 2, "{report:?}");
    yard.is_erased(&[id, twin], &traces, &report).await;
}

#[tokio::test]
async fn contents_leads_and_all_of_a_tenant() {
    let mut yard = Yard::open().await;
    let mut rng = Rng::new(16);
    let _ = yard.put_neighbours(17, 3).await;
    let content = Bytes::from(rng.bytes(30_000));
    let content = yard.put_with(ItemKind::Content, PutOptions::default(), content).await;
    let lead = rng.uuid();
    let mut of_lead = Vec::new();
    for _ in 0..3 {
        let (mut options, message) = told_about(&mut rng);
        options.external.lead = Some(lead);
        of_lead.push(yard.put_with(ItemKind::Message, options, message).await);
    }
    yard.migrate_to(Tier::Cold).await;
    let tenant = DEFAULT_TENANT.to_owned();
    let what = Some((tenant.clone(), EraseWhat::Items(ItemKind::Content, vec![content.to_string()])));
    let _ = yard.erase_with(&[content], EraseOptions { what, ..EraseOptions::default() }).await;
    yard.delete(of_lead[1]).await;
    let what = Some((tenant.clone(), EraseWhat::Lead(lead)));
    let report = yard.erase_with(&of_lead, EraseOptions { what, ..EraseOptions::default() }).await;
    assert_eq!((report.requested, report.erased), (3, 3), "{report:?}");
    let all: Vec<Uuid> = yard.items.keys().copied().collect();
    let what = Some((tenant, EraseWhat::Tenant));
    let report = yard.erase_with(&all, EraseOptions { what, ..EraseOptions::default() }).await;
    assert_eq!(report.erased, 3, "{report:?}");
}
