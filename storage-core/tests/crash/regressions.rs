//! One short test per defect that was found here and that no scenario reaches by itself.

use bytes::Bytes;
use storage_core::clock::DAY_MILLIS;

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
