//! Dictionaries in a compaction: sampled where a class has grown, moved with the packs they are in, kept while needed.

use bytes::Bytes;
use storage_core::model::ItemKind;
use storage_core::model::Tier;
use storage_core::report::CompactOptions;
use storage_fixtures::rng::Rng;

use crate::shelf::Shelf;

/// Paragraphs that messages repeat: what a dictionary is for.
fn paragraphs() -> Vec<String> {
    let mut rng = Rng::new(99);
    (0..60).map(|_| rng.hex(1_000)).collect()
}

async fn put_letters(shelf: &mut Shelf, seed: u64, count: usize) {
    let (mut rng, paragraphs) = (Rng::new(seed), paragraphs());
    for _ in 0..count {
        let mut message = format!("Subject: {}\r\n\r\n", rng.hex(8));
        for _ in 0..10 {
            let paragraph: &String = rng.pick(&paragraphs);
            message.push_str(paragraph);
            message.push_str("\r\n");
        }
        let _ = shelf.put("default", Bytes::from(message)).await;
    }
}

/// How many of the items' bodies lie in blocks with a dictionary of the tenant's.
async fn with_dictionary(shelf: &Shelf) -> usize {
    let known: Vec<String> =
        shelf.engine.dictionaries(None).await.unwrap().iter().map(|row| row.id.to_string()).collect();
    let mut count = 0;
    for (tenant, id) in shelf.ids() {
        let told = shelf.engine.explain(&tenant, ItemKind::Message, &id.to_string()).await.unwrap();
        let dictionary = told.parts[1].dictionary.as_ref();
        count += usize::from(dictionary.is_some_and(|dictionary| known.contains(dictionary)));
    }
    count
}

#[tokio::test]
async fn a_grown_class_gets_a_dictionary_which_moves_later() {
    let mut shelf = Shelf::open().await;
    for seed in 0..4 {
        put_letters(&mut shelf, seed, 30).await;
        shelf.migrate_to(Tier::Archive).await;
    }
    shelf.sweep().await;
    assert!(shelf.engine.dictionaries(None).await.unwrap().is_empty(), "each night brought too little");
    let before = shelf.pack_bytes();
    let report = shelf.compact(CompactOptions::default()).await;
    assert_eq!((report.dictionaries_made, report.damaged), (1, 0), "{report:?}");
    assert_eq!(with_dictionary(&shelf).await, shelf.ids().len());
    shelf.sweep().await;
    assert!(shelf.pack_bytes() < before * 9 / 10, "{before} bytes became {}", shelf.pack_bytes());

    let letters = shelf.ids().len();
    // Packs about as long as the dictionary's, so that it is merged with them.
    for seed in 4..6 {
        shelf.put_random("default", seed, 40_000).await;
        shelf.migrate_to(Tier::Archive).await;
    }
    shelf.sweep().await;
    let report = shelf.compact(CompactOptions::default()).await;
    assert_eq!((report.dictionaries_made, report.dictionaries_moved), (0, 1), "{report:?}");
    shelf.sweep().await;
    shelf.reopen().await;
    assert_eq!(with_dictionary(&shelf).await, letters);
    assert_eq!(shelf.engine.dictionaries(None).await.unwrap().len(), 1);
    shelf.holds_everything().await;
    let ids = shelf.ids();
    for id in ids {
        shelf.delete(id).await;
    }
    shelf.sweep().await;
    shelf.sweep().await;
    assert!(shelf.packs().len() <= 2, "only what the log carries and the dictionary: {:?}", shelf.packs());
    shelf.close().await;
}
