//! What was acknowledged, and a power cut that takes everything which was not durable then: promises that no call in the
//! middle of an operation can break, only a missing sync or a wrong order at its end.

use std::time::Duration;

use storage_core::model::Tier;
use storage_core::report::SweepOptions;

use crate::check::Verdict;
use crate::check::agree;
use crate::check::done;
use crate::check::mended;
use crate::lab::Cut;
use crate::lab::Lab;
use crate::lab::Put;
use crate::lab::read;
use crate::stores::content;
use crate::stores::in_tier;
use crate::stores::large;
use crate::stores::noise;

fn cut_everything(lab: &mut Lab) {
    lab.abandon();
    *lab = lab.cut(Cut::EVERYTHING);
}

/// The tombstone is in the log, the item in a pack of its own: recovery must take the pack in first.
#[tokio::test(start_paused = true)]
async fn a_large_item_that_was_deleted_does_not_come_back() {
    async fn run() -> Verdict {
        let mut lab = Lab::new();
        done("opening", lab.open().await)?;
        let _receipt = done("a put", lab.put(Put::content("small", noise(1, 2_000))).await)?;
        let _receipt = done("a large put", lab.put_streamed(Put::content("large", large(0))).await)?;
        done("a delete", lab.delete(&content("large")).await)?;
        cut_everything(&mut lab);
        mended(&mut lab).await
    }
    run().await.expect("a store that survives");
}

/// A put finds an object that can be read nowhere. Repair has said so: the put must bring it again, also after a power cut.
#[tokio::test(start_paused = true)]
async fn what_repair_quarantined_is_stored_again_by_a_put() {
    async fn run() -> Verdict {
        let mut lab = Lab::new();
        done("a store", in_tier(&mut lab, Tier::Cold).await)?;
        done("opening", lab.open().await)?;
        done("damage", lab.damage(Tier::Cold).await)?;
        done("closing", lab.close().await)?;
        done("opening", lab.open().await)?;
        let report = done("a repair", lab.repair().await)?;
        assert!(!report.damaged_items.is_empty(), "something cannot be read any more: {report:?}");
        cut_everything(&mut lab);
        done("opening after the cut", lab.open().await)?;
        let segments = noise(2, (1 << 20) + 9_000);
        let mut again = 0;
        for (number, bytes) in [noise(1, 5_000), segments].into_iter().enumerate() {
            let put = Put::content(&format!("again {number}"), bytes.clone());
            let receipt = done("a put", lab.put(put.clone()).await)?;
            again += receipt.objects_known;
            let found = done("reading it", read(lab.engine(), &put.key, false).await)?;
            assert!(bytes == found, "{:?} came back with other bytes", put.key);
        }
        assert!(again < 2, "one of them was damaged");
        Ok(())
    }
    run().await.expect("a put that can be read");
}

/// The grace is over, the pack is gone: what moved must be where the catalog says, whatever it forgets.
#[tokio::test(start_paused = true)]
async fn what_moved_is_there_when_its_old_pack_is_gone() {
    async fn run() -> Verdict {
        let mut lab = Lab::new();
        done("a store", in_tier(&mut lab, Tier::Warm).await)?;
        done("opening", lab.open().await)?;
        let _report = done("a migration", lab.migrate_to(Tier::Archive).await)?;
        let options = SweepOptions { grace: Duration::ZERO, dry_run: false };
        let report = done("a sweep", lab.engine().sweep(options).await)?;
        assert!(report.packs_deleted > 0, "packs are deleted: {report:?}");
        cut_everything(&mut lab);
        done("opening after the cut", lab.open().await)?;
        let _seen = agree(&lab).await?;
        Ok(())
    }
    run().await.expect("a store that survives");
}

/// The catalog is empty but for what the first opening made durable: that it has a tenant is what tells it from one that was
/// lost, so what a migration wrote is dropped and not taken for the only copy.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_cut_off_on_its_first_day_opens() {
    async fn run() -> Verdict {
        let mut lab = Lab::new();
        done("the first opening", lab.open().await)?;
        let _receipt = done("a put", lab.put(Put::content("small", noise(1, 2_000))).await)?;
        let report = done("a migration", lab.migrate_to(Tier::Warm).await)?;
        assert!(report.packs > 0, "a pack was written: {report:?}");
        cut_everything(&mut lab);
        mended(&mut lab).await
    }
    run().await.expect("a store that survives");
}
