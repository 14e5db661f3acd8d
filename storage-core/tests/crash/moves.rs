//! What moves content between packs: migrations, copies because of reads, compactions.

use storage_core::clock::DAY_MILLIS;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;

use crate::lab::Lab;
use crate::lab::Put;
use crate::points::Scenario;
use crate::stores::Done;
use crate::stores::content;
use crate::stores::in_tier;
use crate::stores::mail;
use crate::stores::message;
use crate::stores::noise;
use crate::stores::photo;
use crate::stores::plain;
use crate::stores::prose;
use crate::stores::stock;
use crate::stores::with_segments;
use crate::stores::zipped;

/// Something that is durable already, so that the log's pack is open, and then a migration.
fn migrate(lab: &mut Lab, tier: Tier) -> Done<'_> {
    Box::pin(async move {
        let _receipt = lab.put(Put::message("before", mail(2))).await?;
        lab.migrate_to(tier).await.map(drop)
    })
}

pub(crate) const MOVES: &[Scenario] = &[
    Scenario {
        name: "a migration to warm",
        prepare: with_segments,
        open: true,
        act: |lab| migrate(lab, Tier::Warm),
    },
    Scenario {
        name: "a migration to cold",
        prepare: |lab| in_tier(lab, Tier::Warm),
        open: true,
        act: |lab| migrate(lab, Tier::Cold),
    },
    Scenario {
        name: "a migration to the archive",
        prepare: |lab| in_tier(lab, Tier::Cold),
        open: true,
        act: |lab| migrate(lab, Tier::Archive),
    },
    Scenario {
        name: "copies because of reads",
        prepare: |lab| in_tier(lab, Tier::Archive),
        open: true,
        act: |lab| {
            Box::pin(async {
                lab.read_often(&message("m1"), 2).await?;
                lab.read_often(&content("c1"), 5).await?;
                lab.migrate(MigrateOptions::default()).await.map(drop)
            })
        },
    },
    Scenario {
        name: "dropping copies",
        prepare: |lab| {
            Box::pin(async {
                stock(lab).await?;
                let _report = lab.migrate_to(Tier::Archive).await?;
                lab.read_often(&content("c1"), 5).await?;
                lab.read_often(&message("m1"), 2).await?;
                let report = lab.migrate(MigrateOptions::default()).await?;
                assert!(!report.copies.is_empty(), "copies to drop: {report:?}");
                lab.clock.advance(9 * DAY_MILLIS);
                lab.close().await
            })
        },
        open: true,
        act: |lab| {
            Box::pin(async {
                let _report = lab.migrate(MigrateOptions::default()).await?;
                lab.sweep().await.map(drop)
            })
        },
    },
    Scenario {
        name: "a compaction that merges small packs",
        prepare: small_packs,
        open: true,
        act: |lab| {
            Box::pin(async {
                let report = lab.compact().await?;
                assert!(
                    report.packs > 0 && report.blocks_decoded > 0,
                    "there is something to merge: {report:?}"
                );
                Ok(())
            })
        },
    },
    Scenario {
        name: "a compaction of partly dead packs, and the sweep after it",
        prepare: partly_dead,
        open: true,
        act: |lab| {
            Box::pin(async {
                let report = lab.compact().await?;
                assert!(report.packs > 0 && report.damaged == 0, "there is something to rewrite: {report:?}");
                lab.sweep().await.map(drop)
            })
        },
    },
    Scenario {
        name: "a compaction of recoded objects",
        prepare: recoded,
        open: true,
        act: |lab| {
            Box::pin(async {
                let report = lab.compact().await?;
                assert!(report.packs > 0 && report.damaged == 0, "there is something to rewrite: {report:?}");
                Ok(())
            })
        },
    },
];

/// Four packs in the archive, each with about as much in it.
fn small_packs(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        let _report = lab.migrate_to(Tier::Archive).await?;
        for (seed, id) in (20..).zip(["p1", "p2", "p3"]) {
            let _receipt = lab.put(Put::content(id, noise(seed, 40_000))).await?;
            let _report = lab.migrate_to(Tier::Archive).await?;
        }
        let _report = lab.sweep().await?;
        lab.close().await
    })
}

/// A pack of each of two tiers, more than half of which is dead: blocks of which nothing lives, of which something lives,
/// and the segments of a large object.
fn partly_dead(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        for (seed, id) in (30..).zip(["d1", "d2", "d3"]) {
            let _receipt = lab.put(Put::content(id, noise(seed, 90_000))).await?;
        }
        let _receipt = lab.put(Put::content("segments", noise(2, (1 << 20) + 9_000))).await?;
        let _receipt = lab.put(Put::content("dead segments", noise(3, (1 << 20) + 9_000))).await?;
        let _report = lab.migrate_to(Tier::Warm).await?;
        for (seed, id) in (40..).zip(["d4", "d5"]) {
            let _receipt = lab.put(Put::content(id, noise(seed, 90_000))).await?;
        }
        let _report =
            lab.migrate(MigrateOptions { to: Some(Tier::Cold), ..MigrateOptions::default() }).await?;
        for id in ["d1", "d4", "dead segments"] {
            lab.delete(&content(id)).await?;
        }
        let _report = lab.sweep().await?;
        lab.close().await
    })
}

/// Three packs of the archive with a JPEG file and deflate streams each, recoded, some of them dead.
fn recoded(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        lab.open().await?;
        for seed in 1..4 {
            let _receipt = lab.put(Put::content(&format!("photo {seed}"), photo(seed))).await?;
            let _receipt = lab.put(Put::content(&format!("zipped {seed}"), zipped(seed))).await?;
            let _report = lab.migrate_to(Tier::Archive).await?;
        }
        assert!(!lab.catalog().recoding_by_pack().await?.is_empty(), "some objects are recoded");
        lab.delete(&content("photo 2")).await?;
        lab.delete(&content("zipped 3")).await?;
        let _report = lab.sweep().await?;
        lab.close().await
    })
}

/// So much text of one class that a dictionary is sampled from it.
pub(crate) const SAMPLED: Scenario = Scenario {
    name: "a migration that samples a dictionary",
    prepare: |lab| {
        Box::pin(async {
            lab.open().await?;
            for number in 0..30 {
                let _receipt = lab.put(plain(&format!("text {number}"), prose(number, 36_000))).await?;
            }
            lab.close().await
        })
    },
    open: true,
    act: |lab| Box::pin(async { lab.migrate_to(Tier::Archive).await.map(drop) }),
};
