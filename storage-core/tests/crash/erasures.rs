//! Near-duplicates, stored as deltas of a base, and erasing: bases, deltas and messages. What was erased, and told so, can be
//! found in no pack any more, whatever cut came after; what was only asked for goes with the next erasure.

use bytes::Bytes;
use storage_core::engine::Engine;
use storage_core::error::Error;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::Tier;
use storage_core::report::EraseOptions;
use storage_core::report::EraseReport;
use storage_core::report::EraseWhat;
use storage_fixtures::rng::Rng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::check::Verdict;
use crate::lab::Lab;
use crate::lab::Put;
use crate::points::Scenario;
use crate::stores::Done;
use crate::stores::content;
use crate::stores::mail;
use crate::stores::message;
use crate::stores::noise;
use crate::world::Key;

/// Bytes that a version has of its own.
const OWN_BYTES: usize = 300;

/// Versions of one document that do not shrink. `family` says of which document, `own` which version: every version has
/// [`OWN_BYTES`] bytes that no other one has.
pub(crate) fn version(family: u64, own: u64) -> Bytes {
    let mut bytes = Rng::new(900 + family).bytes(8_000);
    let place = 500 + usize::try_from(own % 8).expect("a small number") * 900;
    bytes[place..place + OWN_BYTES].copy_from_slice(&Rng::new(own).bytes(OWN_BYTES));
    Bytes::from(bytes)
}

/// What only that version has: packs hold it as it is, because it does not shrink.
pub(crate) fn own_bytes(own: u64) -> Bytes {
    Bytes::from(Rng::new(own).bytes(OWN_BYTES)).slice(100..132)
}

/// Erases these items, or with none what was asked for before.
pub(crate) async fn erase(engine: Engine, keys: &[Key]) -> Result<EraseReport> {
    let what = keys.first().map(|(tenant, kind, _)| {
        let ids = keys.iter().map(|(_, _, id)| id.clone()).collect();
        ((*tenant).to_owned(), EraseWhat::Items(*kind, ids))
    });
    let (progress, _ignored) = mpsc::channel(1);
    let options = EraseOptions { what, ..EraseOptions::default() };
    let report = engine.erase(options, progress, CancellationToken::new()).await?;
    if report.pending > 0 {
        // A read that fails keeps it from being done.
        return Err(Error::new(Kind::Io, format!("an erasure that is not done: {report:?}")));
    }
    Ok(report)
}

impl Lab {
    /// A version of the document of this family, under an id that tells which.
    pub(crate) async fn put_version(&mut self, family: u64, own: u64) -> Result<()> {
        let key = content(&format!("version {family} {own}"));
        let _before = self.world.traces.insert(key.clone(), own_bytes(own));
        self.put(Put::content(&key.2, version(family, own))).await.map(drop)
    }

    /// Erases items of one tenant and kind.
    pub(crate) async fn erase(&mut self, keys: &[Key]) -> Result<()> {
        for key in keys {
            self.world.item(key).maybe.push(None);
        }
        self.world.asked.extend_from_slice(keys);
        let _report = erase(self.engine().clone(), keys).await?;
        for key in keys {
            self.world.item(key).settle(None);
        }
        self.world.erased();
        self.faults.acknowledged();
        Ok(())
    }

    /// Nothing of what was erased is in any pack.
    pub(crate) fn is_forgotten(&self) -> Verdict {
        let erased = self.world.erased.iter();
        match erased.clone().find(|trace| self.holds(trace)) {
            Some(trace) => Err(format!("erased bytes are still there: {trace:02x?}")),
            None => Ok(()),
        }
    }

    fn holds(&self, trace: &[u8]) -> bool {
        let first = trace.first().copied();
        self.packs.contents().iter().any(|(_, bytes)| {
            bytes.windows(trace.len()).any(|window| window.first().copied() == first && window == trace)
        })
    }

    async fn is_delta(&self, key: &Key) -> Result<bool> {
        let told = self.engine().explain(key.0, key.1, &key.2).await?;
        Ok(told.parts.last().is_some_and(|part| part.codec.starts_with("delta+")))
    }
}

fn key(own: u64) -> Key {
    content(&format!("version 1 {own}"))
}

/// Three versions, and something else.
fn versions(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        lab.open().await?;
        for own in 1..4 {
            lab.put_version(1, own).await?;
        }
        let _receipt = lab.put(Put::content("other", noise(5, 3_000))).await?;
        lab.close().await
    })
}

/// The same in the archive, where two of them are deltas of the first one; and in the hot tier a message and a version.
fn deltas(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        versions(lab).await?;
        lab.open().await?;
        let _report = lab.migrate_to(Tier::Archive).await?;
        let _report = lab.sweep().await?;
        assert!(
            !lab.is_delta(&key(1)).await? && lab.is_delta(&key(2)).await? && lab.is_delta(&key(3)).await?
        );
        lab.put_version(1, 4).await?;
        let letter = mail(0);
        let id =
            letter.windows(11).position(|bytes| bytes.eq_ignore_ascii_case(b"message-id:")).expect("an id");
        let _before = lab.world.traces.insert(message("m1"), letter.slice(id..id + 32));
        let _receipt = lab.put(Put::message("m1", letter)).await?;
        for own in 1..5 {
            assert!(lab.holds(&own_bytes(own)), "version {own} is not stored as it is");
        }
        assert!(lab.holds(&lab.world.traces[&message("m1")]), "the message is not stored as it is");
        lab.close().await
    })
}

/// The same, where no item has the base any more.
fn deleted_base(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        deltas(lab).await?;
        lab.open().await?;
        lab.delete(&key(1)).await?;
        let _report = lab.sweep().await?;
        assert!(lab.is_delta(&key(2)).await?, "a delta keeps its base");
        lab.close().await
    })
}

pub(crate) const ERASURES: &[Scenario] = &[
    Scenario {
        name: "a migration that makes deltas",
        prepare: versions,
        open: true,
        act: |lab| {
            Box::pin(async {
                let _report = lab.migrate_to(Tier::Archive).await?;
                lab.sweep().await.map(drop)
            })
        },
    },
    Scenario {
        name: "a compaction that writes deltas whole",
        prepare: deleted_base,
        open: true,
        act: |lab| {
            Box::pin(async {
                let _report = lab.compact().await?;
                assert!(!lab.is_delta(&key(2)).await?, "its base is free");
                lab.sweep().await.map(drop)
            })
        },
    },
    Scenario {
        name: "an erasure of a delta, and then of its base",
        prepare: deltas,
        open: true,
        act: |lab| {
            Box::pin(async {
                lab.erase(&[key(3)]).await?;
                lab.erase(&[key(1)]).await
            })
        },
    },
    Scenario {
        name: "an erasure of a message and a version that are still hot",
        prepare: deltas,
        open: true,
        act: |lab| {
            Box::pin(async {
                lab.erase(&[message("m1")]).await?;
                lab.erase(&[key(4), key(2)]).await
            })
        },
    },
];
