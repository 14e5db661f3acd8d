//! The operations whose points are covered. A new operation needs one more entry in [`ALL`] (or a test of its own beside
//! it, where it is slow): how the store is made that it meets, and what it does.

use std::sync::LazyLock;

use bytes::Bytes;
use futures::future::BoxFuture;
use storage_core::backend::MemoryBackend;
use storage_core::clock::DAY_MILLIS;
use storage_core::clock::Timestamp;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use storage_core::testing::faults::Fault;
use storage_core::testing::power::Commits;
use storage_core::testing::power::Disk;
use storage_fixtures::mailbox::Mailbox;
use storage_fixtures::rng::Rng;

use crate::lab::Cut;
use crate::lab::Lab;
use crate::lab::Put;
use crate::lab::ask_streamed;
use crate::points::Depth;
use crate::points::Scenario;
use crate::points::crashes_to;
use crate::points::failures;
use crate::rows::Rows;
use crate::world::Key;

type Done<'a> = BoxFuture<'a, Result<()>>;

/// A generated message of moderate length; the same number gives the same one.
pub(crate) fn mail(number: usize) -> Bytes {
    static MAIL: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
        let moderate = |bytes: &Vec<u8>| (4_000..30_000).contains(&bytes.len());
        let messages = Mailbox::new(3, 1_000).map(|message| message.bytes).filter(moderate);
        messages.take(8).map(Bytes::from).collect()
    });
    MAIL[number].clone()
}

/// Bytes that do not shrink.
pub(crate) fn noise(seed: u64, bytes: usize) -> Bytes {
    Bytes::from(Rng::new(seed).bytes(bytes))
}

/// Lines that shrink.
pub(crate) fn lines(seed: u64, bytes: usize) -> Bytes {
    let mut rng = Rng::new(seed);
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(rng.pick_text(&[
            "the same words ",
            "again and again\n",
            "and some others, ",
            "at times ",
        ]));
        if rng.chance(100) {
            text.push_str(&rng.hex(8));
        }
    }
    Bytes::from(text)
}

/// More than is handled in memory: a large put. There are two.
pub(crate) fn large(number: usize) -> Bytes {
    static LARGE: LazyLock<Vec<Bytes>> =
        LazyLock::new(|| (10..12).map(|seed| noise(seed, (4 << 20) + 70_000)).collect());
    LARGE[number].clone()
}

pub(crate) fn content(id: &str) -> Key {
    ("default", ItemKind::Content, id.to_owned())
}

pub(crate) fn message(id: &str) -> Key {
    ("default", ItemKind::Message, id.to_owned())
}

fn plain(id: &str, bytes: Bytes) -> Put {
    Put::content(id, bytes).with(|options| options.media_type = Some("text/plain".into()))
}

/// Two tenants with a few items, among them the same content in both and twice in one.
pub(crate) async fn stock(lab: &mut Lab) -> Result<()> {
    lab.open().await?;
    lab.create_tenant("acme").await?;
    lab.set_policy("acme", Some(3)).await?;
    lab.put_all(vec![
        Put::message("m1", mail(0)),
        Put::new("acme", ItemKind::Message, "m1", mail(0)),
        plain("c1", lines(1, 9_000)),
        plain("c2", lines(1, 9_000)),
        Put::content("c3", noise(1, 5_000)),
    ])
    .await?;
    let held = Put::message("held", mail(1)).with(|options| options.hold = true);
    let _receipt = lab.put(held).await?;
    Ok(())
}

fn stocked(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        lab.close().await
    })
}

fn empty(_lab: &mut Lab) -> Done<'_> {
    Box::pin(std::future::ready(Ok(())))
}

fn open(lab: &mut Lab) -> Done<'_> {
    Box::pin(lab.open())
}

/// All in one tier, in sealed packs, the old ones swept.
fn in_tier(lab: &mut Lab, tier: Tier) -> Done<'_> {
    Box::pin(async move {
        stock(lab).await?;
        let _receipt = lab.put(Put::content("segments", noise(2, (1 << 20) + 9_000))).await?;
        let _report = lab.migrate_to(tier).await?;
        let _report = lab.sweep().await?;
        lab.close().await
    })
}

fn with_segments(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        let _receipt = lab.put(Put::content("segments", noise(2, (1 << 20) + 9_000))).await?;
        lab.close().await
    })
}

/// Something that is durable already, so that the log's pack is open, and then a migration.
fn migrate(lab: &mut Lab, tier: Tier) -> Done<'_> {
    Box::pin(async move {
        let _receipt = lab.put(Put::message("before", mail(2))).await?;
        lab.migrate_to(tier).await.map(drop)
    })
}

fn deleted_and_migrated(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        let update = ItemUpdate { hold: Some(true), ..ItemUpdate::default() };
        lab.update(&content("c3"), update).await?;
        lab.delete(&content("c1")).await?;
        lab.delete(&message("m1")).await?;
        let _report = lab.migrate_to(Tier::Warm).await?;
        lab.clock.advance(1_000);
        let _receipt = lab.put(Put::content("later", noise(7, 2_000))).await?;
        lab.delete(&content("later")).await?;
        lab.close().await
    })
}

fn sweep(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        let _receipt = lab.put(Put::message("before", mail(2))).await?;
        lab.sweep().await.map(drop)
    })
}

/// A store that a power cut ended: nothing of its catalog since the stock, a large put that is complete, one that is
/// not, and a log with a torn tail.
fn cut_off(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        lab.delete(&content("c2")).await?;
        let _receipt = lab.put_streamed(Put::content("large", large(0))).await?;
        let _report = lab.migrate_to(Tier::Cold).await?;
        let _receipt = lab.put(Put::message("after", mail(3))).await?;
        lab.set_policy("acme", None).await?;
        lab.abandon();
        *lab = lab.cut(Cut::EVERYTHING);
        Ok(())
    })
}

/// The scenarios, by what they do.
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "the first opening", prepare: empty, open: false, act: open },
    Scenario {
        name: "a put",
        prepare: stocked,
        open: true,
        act: |lab| {
            Box::pin(async {
                let _receipt = lab.put(Put::message("new", mail(4))).await?;
                lab.put(Put::content("newer", noise(4, 3_000))).await.map(drop)
            })
        },
    },
    Scenario {
        name: "a group of puts of two tenants",
        prepare: stocked,
        open: true,
        act: |lab| {
            Box::pin(lab.put_all(vec![
                Put::message("new", mail(4)),
                Put::new("acme", ItemKind::Message, "new", mail(5)),
                Put::new("acme", ItemKind::Content, "new", noise(4, 2_000)),
                Put::content("new", noise(4, 2_000)),
            ]))
        },
    },
    Scenario {
        name: "puts of content that is there, and twice at once",
        prepare: stocked,
        open: true,
        act: |lab| {
            Box::pin(lab.put_all(vec![
                Put::message("again", mail(0)),
                plain("again", lines(1, 9_000)),
                plain("twice", lines(8, 6_000)),
                plain("twice more", lines(8, 6_000)),
            ]))
        },
    },
    Scenario {
        name: "deletes",
        prepare: stocked,
        open: true,
        act: |lab| {
            Box::pin(async {
                lab.delete(&content("c1")).await?;
                let _receipt = lab.put(Put::message("between", mail(4))).await?;
                lab.delete(&message("m1")).await?;
                lab.delete(&message("between")).await
            })
        },
    },
    Scenario {
        name: "updates of hold, retention, pin and labels",
        prepare: stocked,
        open: true,
        act: |lab| {
            Box::pin(async {
                let end = Some(Some(Timestamp(lab.now().0 + DAY_MILLIS)));
                let mut update = ItemUpdate { hold: Some(true), retention_end: end, ..ItemUpdate::default() };
                let _none = update.labels_set.insert("folder".into(), "inbox".into());
                lab.update(&content("c1"), update).await?;
                lab.clock.advance(1);
                let update =
                    ItemUpdate { hold: Some(false), pin: Some(Some(Tier::Cold)), ..ItemUpdate::default() };
                lab.update(&content("c1"), update.clone()).await?;
                lab.update(&message("held"), update).await?;
                lab.delete(&message("held")).await
            })
        },
    },
    Scenario {
        name: "changes of a policy",
        prepare: stocked,
        open: true,
        act: |lab| {
            Box::pin(async {
                lab.set_policy("default", Some(5)).await?;
                lab.clock.advance(-5_000);
                lab.set_policy("acme", None).await?;
                lab.set_policy("default", Some(6)).await
            })
        },
    },
    Scenario {
        name: "a new tenant and its first put",
        prepare: stocked,
        open: true,
        act: |lab| {
            Box::pin(async {
                lab.create_tenant("globex").await?;
                lab.put(Put::new("globex", ItemKind::Message, "m1", mail(0))).await.map(drop)
            })
        },
    },
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
    Scenario {
        name: "a close",
        prepare: stocked,
        open: true,
        act: |lab| {
            Box::pin(async {
                let _receipt = lab.put(Put::message("new", mail(4))).await?;
                lab.read_often(&content("c1"), 2).await?;
                lab.close().await
            })
        },
    },
];

/// A put that must be refused, whatever becomes of it: nobody may find anything of it later.
fn refused_large_put(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        match ask_streamed(lab.engine().clone(), Put::content("c1", large(1))).await {
            Err(error) if error.kind() == Kind::FailedPrecondition => Ok(()),
            Err(error) => Err(error),
            Ok(receipt) => panic!("a put under an id that is gone: {receipt:?}"),
        }
    })
}

/// Scenarios with items of several megabytes.
pub(crate) const LARGE: &[Scenario] = &[
    Scenario {
        name: "a large put",
        prepare: stocked,
        open: true,
        act: |lab| {
            Box::pin(async {
                let _receipt = lab.put(Put::message("before", mail(2))).await?;
                lab.put_streamed(Put::content("large", large(1))).await.map(drop)
            })
        },
    },
    Scenario {
        name: "a large put of content that is there",
        prepare: |lab| {
            Box::pin(async {
                lab.open().await?;
                let _receipt = lab.put_streamed(Put::content("large", large(1))).await?;
                lab.close().await
            })
        },
        open: true,
        act: |lab| Box::pin(async { lab.put_streamed(Put::content("again", large(1))).await.map(drop) }),
    },
    Scenario {
        name: "a large put under an id that was deleted",
        prepare: |lab| {
            Box::pin(async {
                stock(lab).await?;
                lab.delete(&content("c1")).await?;
                lab.close().await
            })
        },
        open: true,
        act: refused_large_put,
    },
    Scenario { name: "a recovery", prepare: cut_off, open: false, act: open },
];

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
        let append = calls.iter().position(|counted| counted.call.name == "append_sync").expect("an append");
        lab.faults.arm(append, Fault::Tear);
        let refused = lab.put(Put::message("half", mail(6))).await;
        assert!(refused.is_err() && lab.faults.struck().is_some());
        lab.abandon();
        *lab = lab.cut(Cut { disk: Disk::Kept, commits: Commits::Lost });
        Ok(())
    })
}

/// So much text of one class that a dictionary is sampled from it.
pub(crate) const SAMPLED: Scenario = Scenario {
    name: "a migration that samples a dictionary",
    prepare: |lab| {
        Box::pin(async {
            lab.open().await?;
            for number in 0..30 {
                let _receipt = lab.put(plain(&format!("text {number}"), prose(number, 45_000))).await?;
            }
            lab.close().await
        })
    },
    open: true,
    act: |lab| Box::pin(async { lab.migrate_to(Tier::Archive).await.map(drop) }),
};

/// Text whose sentences come again in other texts and rarely in the same one: what a dictionary is good for.
fn prose(number: u64, bytes: usize) -> Bytes {
    static SENTENCES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut rng = Rng::new(77);
        (0..900).map(|_| format!("{} {}\n", rng.base36(40), rng.base36(20))).collect()
    });
    let mut rng = Rng::new(number);
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(&SENTENCES[rng.below(SENTENCES.len())]);
    }
    Bytes::from(text)
}

/// The scenarios of these names.
pub(crate) fn named(of: &[Scenario], names: &[&str]) -> Vec<Scenario> {
    let some: Vec<Scenario> = of.iter().filter(|scenario| names.contains(&scenario.name)).copied().collect();
    assert_eq!(some.len(), names.len(), "every name is one of a scenario");
    some
}

async fn crash_all(scenarios: &[Scenario], lab: impl Fn() -> Lab, depth: Depth) {
    for scenario in scenarios {
        let points = crashes_to(scenario, lab(), &[], depth).await.expect("a store that survives");
        eprintln!("{}: {points}", scenario.name);
        assert!(points.crashes > 4 && points.cuts > 10, "the crashes reach too little: {points}");
    }
}

async fn fail_all(scenarios: &[Scenario]) {
    for scenario in scenarios {
        let points = failures(scenario, Lab::new()).await.expect("a store that survives");
        eprintln!("{}: {points}", scenario.name);
        assert!(points.failures > 10, "the failures reach too little: {points}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_call() {
    crash_all(ALL, Lab::new, Depth::Every).await;
    crash_all(&[TORN], Lab::new, Depth::Every).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_every_call() {
    fail_all(ALL).await;
    fail_all(&[TORN]).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_call_of_large_puts() {
    crash_all(LARGE, Lab::new, Depth::Every).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_every_call_of_large_puts() {
    let wanted = ["a large put", "a large put under an id that was deleted"];
    fail_all(&named(LARGE, &wanted)).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_every_effect_of_sampling() {
    let mut lab = Lab::new();
    (SAMPLED.prepare)(&mut lab).await.expect("texts");
    lab.open().await.expect("a store");
    (SAMPLED.act)(&mut lab).await.expect("a migration");
    let dictionaries = lab.engine().dictionaries(None).await.expect("dictionaries");
    assert_eq!(dictionaries.len(), 1, "one is sampled: {dictionaries:?}");
    let points = crashes_to(&SAMPLED, Lab::new(), &[], Depth::Effects).await.expect("a store that survives");
    eprintln!("{}: {points}", SAMPLED.name);
}

/// The real catalog, whose files are cut: fewer scenarios and points, because each opening costs much more.
#[tokio::test]
async fn a_crash_after_every_effect_with_sqlite() {
    let some = named(ALL, &["a put", "a sweep"]);
    crash_all(&some, || Lab::over(MemoryBackend::new(), Rows::files()), Depth::Effects).await;
}
