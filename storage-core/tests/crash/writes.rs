//! What clients ask for: puts, deletes, updates, policies, tenants; and opening and closing.

use storage_core::clock::DAY_MILLIS;
use storage_core::clock::Timestamp;
use storage_core::error::Kind;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::Tier;

use crate::lab::Lab;
use crate::lab::Put;
use crate::lab::ask_streamed;
use crate::points::Scenario;
use crate::stores::Done;
use crate::stores::content;
use crate::stores::large;
use crate::stores::lines;
use crate::stores::mail;
use crate::stores::message;
use crate::stores::noise;
use crate::stores::plain;
use crate::stores::stock;
use crate::stores::stocked;

fn empty(_lab: &mut Lab) -> Done<'_> {
    Box::pin(std::future::ready(Ok(())))
}

/// Opens the store.
pub(crate) fn open(lab: &mut Lab) -> Done<'_> {
    Box::pin(lab.open())
}

/// A store all of whose items are damaged, in the archive.
fn spoilt(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        lab.open().await?;
        lab.put_all(vec![Put::message("m1", mail(0)), Put::content("c1", noise(1, 5_000))]).await?;
        let _report = lab.migrate_to(Tier::Archive).await?;
        let _report = lab.sweep().await?;
        lab.close().await?;
        lab.spoil().await
    })
}

pub(crate) const WRITES: &[Scenario] = &[
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
        name: "puts that mend what is damaged",
        prepare: spoilt,
        open: true,
        act: |lab| {
            Box::pin(async {
                let _receipt = lab.put(Put::message("m1", mail(0))).await?;
                lab.put_all(vec![Put::content("c1", noise(1, 5_000)), Put::message("m1", mail(0))]).await
            })
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
        name: "a large put that mends what is damaged",
        prepare: |lab| {
            Box::pin(async {
                lab.open().await?;
                let _receipt = lab.put_streamed(Put::content("large", large(1))).await?;
                lab.close().await?;
                lab.spoil().await
            })
        },
        open: true,
        act: |lab| Box::pin(async { lab.put_streamed(Put::content("large", large(1))).await.map(drop) }),
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
];
