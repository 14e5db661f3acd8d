//! One short test per defect that was found here and that no scenario reaches by itself.

use bytes::Bytes;
use storage_core::clock::DAY_MILLIS;
use storage_core::error::Kind;
use storage_core::model::Tier;

use crate::check::mended;
use crate::lab::Cut;
use crate::lab::Lab;
use crate::lab::Put;
use crate::stores::content;
use crate::stores::large;
use crate::stores::noise;

/// A caller's id is used, deleted, and used again by a large put when it is free again. Recovery takes the large pack in
/// before the log, so the id's first use finds it taken; what that one brought may be needed by others all the same.
#[tokio::test(start_paused = true)]
async fn an_id_that_is_used_again_by_a_large_put() {
    let mut lab = Lab::new();
    lab.open().await.unwrap();
    let shared: Bytes = noise(60, 4_000);
    let _receipt = lab.put(Put::content("x", shared.clone())).await.unwrap();
    let _receipt = lab.put(Put::content("y", shared)).await.unwrap();
    lab.delete(&content("x")).await.unwrap();
    lab.clock.advance(31 * DAY_MILLIS);
    let _receipt = lab.put_streamed(Put::content("x", large(0))).await.unwrap();
    for cut in [Cut::NOTHING, Cut::EVERYTHING] {
        mended(&mut lab.cut(cut)).await.unwrap();
    }
    lab.close().await.unwrap();
}

/// Somebody reads the catalog for so long that the barrier behind a skeleton which a repeat brought does not come. The row can be
/// seen, and is not durable: the repeat is refused until a barrier came, and everything else goes on.
#[tokio::test(start_paused = true)]
async fn a_barrier_that_somebody_keeps_from_coming_is_owed() {
    let mut lab = Lab::new();
    lab.open().await.unwrap();
    let small =
        || Put::message("small", Bytes::from_static(b"Subject: small\r\n\r\nnothing but a skeleton\r\n"));
    let _receipt = lab.put(small()).await.unwrap();
    let _report = lab.migrate_to(Tier::Archive).await.unwrap();
    let _report = lab.sweep().await.unwrap();
    lab.close().await.unwrap();
    lab.spoil().await.unwrap();
    lab.open().await.unwrap();
    for number in 0..2 {
        lab.faults.fail_next("barrier", Kind::Unavailable);
        assert_eq!(lab.put(small()).await.unwrap_err().kind(), Kind::Unavailable, "{number}");
        let _receipt = lab.put(Put::content(&format!("other {number}"), noise(number, 4_000))).await.unwrap();
    }
    let _receipt = lab.put(small()).await.unwrap();
    mended(&mut lab.cut(Cut::EVERYTHING)).await.unwrap();
    lab.close().await.unwrap();
}
