//! Damage in the catalog's file: opening and reading give the right bytes or an error.

use std::path::Path;

use storage_fixtures::rng::Rng;

use crate::store::Built;
use crate::store::Found;
use crate::store::ITEMS;
use crate::store::backend;
use crate::store::check;
use crate::store::engine;
use crate::store::open_catalog;

/// Opens the store with this catalog and reads everything; how many items came back right.
async fn right(dir: &Path, packs: &crate::store::Packs) -> usize {
    let Ok(catalog) = open_catalog(dir).await else {
        return 0;
    };
    let Ok(engine) = engine(&backend(packs).await, catalog).await else {
        return 0;
    };
    let mut right = 0;
    for item in ITEMS {
        right += usize::from(check(&engine, item).await == Found::Right);
    }
    let _stats = engine.stats(None).await;
    right
}

#[tokio::test]
async fn a_damaged_catalog_gives_right_bytes_or_an_error() {
    let built = Built::filled().await;
    built.engine.close().await.expect("a clean end");
    let packs = built.packs().await;
    let intact = std::fs::read(built.dir.path().join("catalog.db")).expect("a catalog");
    let mut rng = Rng::new(11);
    let (mut whole, mut failed) = (0, 0);
    for case in 0..300 {
        let mut bytes = intact.clone();
        match case % 6 {
            0 => bytes.truncate(rng.below(bytes.len())),
            // The first page holds the schema, which everything else depends on.
            1 | 2 => bytes[rng.below(8_192)] ^= 1 << rng.below(8),
            3 => {
                let at = rng.below(bytes.len() - 64);
                let noise = rng.bytes(64);
                bytes[at..at + 64].copy_from_slice(&noise);
            }
            _ => {
                let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
                bytes[*rng.pick(&used)] ^= 1 << rng.below(8);
            }
        }
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("catalog.db"), bytes).expect("a catalog");
        match right(dir.path(), &packs).await {
            3 => whole += 1,
            _ => failed += 1,
        }
    }
    assert!(whole > 30 && failed > 30, "both happen: {whole} right, {failed} with errors");
}
