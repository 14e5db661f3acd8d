//! Large objects as bases: what shares a piece of one becomes its difference from it, and comes back.

use storage_core::model::Tier;
use storage_fixtures::documents::Kind;
use storage_fixtures::documents::family;
use storage_fixtures::rng::Rng;

use crate::shelf::Shelf;

/// Bytes of a large object: two segments.
const LARGE_BYTES: usize = 1_600_000;

/// A large object, and a small one of which nearly all stands in it.
fn large_and_part(seed: u64) -> (Vec<u8>, Vec<u8>) {
    let large = Rng::new(seed).bytes(LARGE_BYTES);
    let (before, behind) = (Rng::new(seed + 1).bytes(500), Rng::new(seed + 2).bytes(700));
    let part = [&before[..], &large[850_000..1_560_000], &behind[..]].concat();
    (large, part)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_a_large_object_is_its_difference_from_it() {
    let mut shelf = Shelf::new().await;
    let (large, part) = large_and_part(61);
    shelf.put("large", &large).await;
    shelf.put("part", &part).await;
    shelf.migrate(Tier::Archive).await;
    shelf.sweep().await;
    assert_eq!(shelf.deltas().await, ["part"]);
    let stats = shelf.check().await;
    assert!(stats.stored_bytes < LARGE_BYTES as u64 + 40_000, "{}", stats.stored_bytes);
    shelf.reopen().await;
    assert!(shelf.read("part").await.unwrap() == part, "with cold caches");

    shelf.delete("large").await;
    shelf.sweep().await;
    assert_eq!(shelf.check().await.objects, 2, "the base is there for its delta");
    let _report = shelf.compact(100).await;
    shelf.sweep().await;
    assert_eq!(shelf.check().await.objects, 1);
    shelf.engine.close().await.unwrap();
}

/// Documents one behind the other.
fn bundle(bytes_min: usize) -> Vec<u8> {
    let mut bundle = Vec::new();
    for seed in 70.. {
        if bundle.len() >= bytes_min {
            break;
        }
        bundle.append(&mut family(seed, Kind::Docx, 0).remove(0));
    }
    bundle
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_to_cold_whole_becomes_a_difference_in_the_archive() {
    let mut shelf = Shelf::new().await;
    let (documents, random) = (bundle(200_000), Rng::new(63).bytes(1 << 20));
    shelf.put("plain", &random[50_000..950_000]).await;
    shelf.put("recoded", &documents).await;
    shelf.migrate(Tier::Cold).await;
    let recoded = shelf.codec("recoded").await;
    assert!(recoded.starts_with("deflate+"), "{recoded}");
    // What they are parts of comes only now, and is too large to be a difference from one of them.
    shelf.put("large", &[&random[..], &documents[..]].concat()).await;
    shelf.migrate(Tier::Cold).await;
    assert!(shelf.deltas().await.is_empty());
    shelf.migrate(Tier::Archive).await;
    shelf.sweep().await;
    assert_eq!(shelf.deltas().await, ["plain", "recoded"]);
    let _stats = shelf.check().await;
    shelf.engine.close().await.unwrap();
}
