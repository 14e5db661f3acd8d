//! Real mail: `ERASE_MAIL=DIRECTORY` (files below it, a message each; `ERASE_MAIL_MESSAGES` at most) is put into one store
//! and archived. Then one message is erased, and one of a hundred; what that costs is printed, and that nothing is left
//! is proved as for small stores.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use storage_core::model::Tier;
use storage_fixtures::rng::Rng;
use uuid::Uuid;

use crate::yard::Yard;

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort_unstable();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.metadata().unwrap().len() > 0 {
            found.push(path);
        }
    }
}

async fn erase(yard: &mut Yard, ids: &[Uuid]) {
    let stored = yard.pack_bytes();
    let report = yard.erase(ids).await;
    eprintln!(
        "{} of {} erased: {} of {stored} stored bytes written again, {} packs deleted, {} dictionaries replaced by {}, \
         {} bytes of catalog; stored now {}",
        ids.len(),
        yard.items.len() + ids.len(),
        report.rewritten_bytes,
        report.packs_deleted,
        report.dictionaries_retired,
        report.dictionaries_made,
        report.catalog_bytes,
        yard.pack_bytes()
    );
}

#[tokio::test]
#[ignore = "needs mail, a release build and minutes"]
async fn erasing_from_real_mail() {
    let directory = std::env::var("ERASE_MAIL").expect("ERASE_MAIL=DIRECTORY");
    let most = std::env::var("ERASE_MAIL_MESSAGES").map_or(20_000, |number| number.parse().unwrap());
    let mut found = Vec::new();
    files(Path::new(&directory), &mut found);
    let mut yard = Yard::open().await;
    yard.by_chance = true;
    let mut ids = Vec::new();
    for path in found.iter().take(most) {
        ids.push(yard.put(Bytes::from(fs::read(path).unwrap())).await);
    }
    yard.migrate_to(Tier::Archive).await;
    yard.sweep().await;
    eprintln!("{} messages, {} bytes of packs", ids.len(), yard.pack_bytes());
    let mut rng = Rng::new(1);
    // One whose content is its own.
    let one = *ids.iter().rev().find(|id| yard.items[*id].bytes.len() > 3_000).unwrap();
    erase(&mut yard, &[one]).await;
    let mut left: Vec<Uuid> = yard.items.keys().copied().collect();
    let few: Vec<Uuid> =
        (0..left.len().div_ceil(100)).map(|_| left.swap_remove(rng.below(left.len()))).collect();
    erase(&mut yard, &few).await;
    yard.engine.close().await.unwrap();
}
