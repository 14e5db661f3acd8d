//! Every single byte of a small store's packs is flipped, one at a time. What comes back is right or refused, never other
//! bytes; and scrub tells of every one, because every byte of a pack lies under a checksum.

use std::os::unix::fs::FileExt;

use storage_core::error::Kind;
use storage_core::model::Tier;

use crate::store::Store;
use crate::store::message;
use crate::store::text;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_matters() {
    let store = Store::start().await;
    let (small, compressed) = (message("x", 3, 1), text("y", 60));
    let _ = store.put("y", &compressed).await;
    store.migrate(Tier::Cold).await;
    store.sweep().await;
    let _ = store.put("x", &small).await;
    // Sealed, so that all of it lies on the disk.
    let store = store.reopened(|_| {}).await;
    store.clean().await;
    let mut flipped = 0;
    for pack in store.packs() {
        let sound = std::fs::read(&pack).unwrap();
        let file = std::fs::File::options().write(true).open(&pack).unwrap();
        for (offset, byte) in sound.iter().enumerate() {
            let write = |byte: u8| file.write_all_at(&[byte], offset as u64).unwrap();
            write(byte ^ (1 << (offset % 8)));
            for (id, expected) in [("x", &small), ("y", &compressed)] {
                match store.get(id).await {
                    Ok(bytes) => assert!(bytes == *expected, "byte {offset} of {}", pack.display()),
                    Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "byte {offset}: {error}"),
                }
            }
            assert!(!store.scrub().await.1.is_empty(), "byte {offset} of {} goes unnoticed", pack.display());
            write(*byte);
            flipped += 1;
        }
    }
    assert!(flipped > 2_000, "{flipped}");
    store.clean().await;
}
