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

/// Letters of other paragraphs than the dictionary knows: it has drifted, and is followed by one that knows them. Both
/// serve what was written with them. When nothing is left, both go.
#[tokio::test]
async fn a_dictionary_that_has_drifted_is_followed_by_another_and_goes_when_nothing_needs_it() {
    let mut shelf = Shelf::open().await;
    put_letters(&mut shelf, 1, 200).await;
    shelf.migrate_to(Tier::Archive).await;
    shelf.sweep().await;
    let first = shelf.engine.dictionaries(None).await.unwrap();
    assert_eq!(first.len(), 1);
    let mut rng = Rng::new(2);
    let others: Vec<String> = (0..150).map(|_| rng.hex(1_000)).collect();
    let put_others = async |shelf: &mut Shelf, seed: u64, count: usize| {
        let mut rng = Rng::new(seed);
        for _ in 0..count {
            let mut message = format!("Subject: {}\r\n\r\n", rng.hex(8));
            for _ in 0..10 {
                let paragraph: &String = rng.pick(&others);
                message.push_str(paragraph);
                message.push_str("\r\n");
            }
            let _ = shelf.put("default", Bytes::from(message)).await;
        }
        shelf.migrate_to(Tier::Archive).await;
    };
    put_others(&mut shelf, 3, 40).await;
    let report = shelf.compact(CompactOptions::default()).await;
    assert_eq!(report.dictionaries_made, 0, "too little came since to try it: {report:?}");
    put_others(&mut shelf, 4, 85).await;
    let report = shelf.compact(CompactOptions::default()).await;
    assert_eq!(report.dictionaries_made, 1, "{report:?}");
    shelf.sweep().await;
    put_others(&mut shelf, 5, 30).await;
    let rows = shelf.engine.dictionaries(None).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.version, row.state.as_str())).collect();
    assert_eq!(told, [(1, "retired"), (2, "active")]);
    assert!(
        rows.iter().all(|row| row.samples > 0 && row.served_bytes > 100_000 && row.packs > 0),
        "{rows:?}"
    );
    shelf.reopen().await;
    shelf.holds_everything().await;

    for id in shelf.ids() {
        shelf.delete(id).await;
    }
    // One sweep deletes the packs with blocks that need it, the next one finds it unneeded.
    shelf.sweep().await;
    shelf.sweep().await;
    let left = shelf.engine.dictionaries(None).await.unwrap();
    assert_eq!(left.len(), 1, "the retired one went with its last block");
    let _ = shelf.compact(CompactOptions::default()).await;
    shelf.sweep().await;
    assert_eq!(shelf.engine.dictionaries(None).await.unwrap().len(), 1, "it was made not long ago");
    shelf.clock.advance(std::time::Duration::from_hours(24 * 31));
    let _ = shelf.compact(CompactOptions::default()).await;
    shelf.sweep().await;
    shelf.sweep().await;
    assert!(shelf.engine.dictionaries(None).await.unwrap().is_empty());
    assert!(shelf.pack_bytes() < 10_000, "{:?}", shelf.packs());
    shelf.close().await;
}
