//! What mends and cleans: sweeps, recovery, reopening after a failed write, scrub and repair.

use storage_core::clock::DAY_MILLIS;
use storage_core::error::Kind;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use storage_core::testing::faults::Fault;
use storage_core::testing::power::Commits;
use storage_core::testing::power::Disk;

use crate::lab::Cut;
use crate::lab::Lab;
use crate::lab::Put;
use crate::points::Scenario;
use crate::stores::Done;
use crate::stores::content;
use crate::stores::cut_off;
use crate::stores::deleted_and_migrated;
use crate::stores::in_tier;
use crate::stores::mail;
use crate::stores::message;
use crate::stores::noise;
use crate::stores::stock;
use crate::stores::stocked;
use crate::writes::open;

fn sweep(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        let _receipt = lab.put(Put::message("before", mail(2))).await?;
        lab.sweep().await.map(drop)
    })
}

/// The calls that write a group of the log: of the backend, or of its disk.
const APPENDS: [&str; 2] = ["append_sync", "write_file"];

pub(crate) const UPKEEP: &[Scenario] = &[
    Scenario { name: "a sweep", prepare: deleted_and_migrated, open: true, act: sweep },
    Scenario {
        name: "a sweep that only condemns, and the one that deletes",
        prepare: deleted_and_migrated,
        open: true,
        act: |lab| {
            Box::pin(async {
                let _report = lab.engine().sweep(SweepOptions::default()).await?;
                lab.clock.advance(2 * DAY_MILLIS);
                lab.engine().sweep(SweepOptions::default()).await.map(drop)
            })
        },
    },
    Scenario { name: "a reopening after a failed write", prepare: stocked, open: true, act: reopen },
    Scenario { name: "a scrub", prepare: |lab| in_tier(lab, Tier::Cold), open: true, act: scrub },
    Scenario { name: "a repair of damaged copies", prepare: damaged_copies, open: true, act: repair },
];

/// A write that fails shuts the store; reopening it brings the writes back.
fn reopen(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        let _receipt = lab.put(Put::message("before", mail(2))).await?;
        for append in APPENDS {
            lab.faults.fail_next(append, Kind::Io);
        }
        match lab.put(Put::message("refused", mail(3))).await {
            Err(error) if error.kind() == Kind::Io => {}
            Err(error) => return Err(error),
            Ok(receipt) => panic!("a put whose bytes could not be written: {receipt:?}"),
        }
        let _recovered = lab.engine().reopen().await?;
        lab.put(Put::content("after", noise(4, 3_000))).await.map(drop)
    })
}

fn scrub(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        let _receipt = lab.put(Put::message("before", mail(2))).await?;
        let findings = lab.scrub().await?;
        // A read that fails is told as damage.
        assert!(findings.is_empty() || lab.faults.struck().is_some(), "nothing is wrong: {findings:?}");
        Ok(())
    })
}

/// Copies in the hot tier that cannot be read any more.
fn damaged_copies(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        let _report = lab.migrate_to(Tier::Archive).await?;
        lab.read_often(&content("c1"), 5).await?;
        lab.read_often(&message("m1"), 5).await?;
        let report = lab.migrate(MigrateOptions::default()).await?;
        assert!(!report.copies.is_empty(), "copies to damage: {report:?}");
        let _report = lab.sweep().await?;
        lab.damage(Tier::Hot).await?;
        lab.close().await
    })
}

fn repair(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        let report = lab.repair().await?;
        // The frames stay damaged until a sweep deletes them; nothing points to them any more.
        let dropped = report.mended > 0 && report.damaged_items.is_empty();
        assert!(dropped || lab.faults.struck().is_some(), "the copies are dropped: {report:?}");
        Ok(())
    })
}

/// A store that a power cut ended, with large packs.
pub(crate) const RECOVERY: Scenario =
    Scenario { name: "a recovery", prepare: cut_off, open: false, act: open };

/// A log whose last frame reached the disk in part.
pub(crate) const TORN: Scenario =
    Scenario { name: "a recovery of a torn log", prepare: torn, open: false, act: open };

fn torn(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        let put = Put::message("torn", mail(5));
        lab.faults.watch();
        let _receipt = lab.put(put).await?;
        let calls = lab.faults.calls();
        let append =
            calls.iter().position(|counted| APPENDS.contains(&counted.call.name)).expect("an append");
        lab.faults.arm(append, Fault::Tear);
        let refused = lab.put(Put::message("half", mail(6))).await;
        assert!(refused.is_err() && lab.faults.struck().is_some());
        lab.abandon();
        *lab = lab.cut(Cut { disk: Disk::Kept, commits: Commits::Lost });
        Ok(())
    })
}
