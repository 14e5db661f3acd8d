//! A scenario at each of its points: a crash, or a failure, at every call through a door.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::testing::faults::Counted;
use storage_core::testing::faults::Effect;
use storage_core::testing::faults::Fault;
use storage_core::testing::faults::Lie;
use storage_core::testing::power::Commits;
use storage_core::testing::power::Disk;

use crate::check::Verdict;
use crate::check::agree;
use crate::check::done;
use crate::check::mended;
use crate::check::seen;
use crate::known::Stores;
use crate::lab::Cut;
use crate::lab::Lab;
use crate::lab::Put;

/// Time on the paused clock that no step needs: a run that takes it hangs.
const HANGS: Duration = Duration::from_hours(1);

/// A part of a scenario.
pub(crate) type Step = for<'a> fn(&'a mut Lab) -> BoxFuture<'a, Result<()>>;

/// An operation, and the store that it meets.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Makes the store, and leaves it closed or cut off.
    pub(crate) prepare: Step,
    /// Whether the store is open when the operation begins. An operation that opens it finds it closed.
    pub(crate) open: bool,
    pub(crate) act: Step,
}

/// How many of the points of a scenario are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Every one.
    Every,
    /// Those after an effect and inside one. For a long operation that tells nobody anything before its end: a crash
    /// before a call leaves what a crash after the effect before it left.
    Effects,
}

/// What was covered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Points {
    /// Calls of the operation.
    pub(crate) calls: usize,
    /// Those at which a crash leaves what it left at the one before.
    pub(crate) alike: usize,
    /// Runs that ended in a crash.
    pub(crate) crashes: usize,
    /// Stores opened after one, each with other un-synced writes.
    pub(crate) cuts: usize,
    /// Runs in which a call failed.
    pub(crate) failures: usize,
    /// Stores after a cut that were the same as one before, to the last byte that is or is not durable.
    pub(crate) same: usize,
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, alike, crashes, cuts, failures, same } = self;
        write!(
            f,
            "{calls} calls ({alike} alike), {crashes} crashes, {cuts} power cuts, {failures} failures"
        )?;
        write!(f, "; {same} left what another had left")
    }
}

/// The store of a scenario.
async fn prepared(scenario: &Scenario, lab: Lab) -> Verdict<Lab> {
    let mut lab = lab;
    done("preparing", (scenario.prepare)(&mut lab).await)?;
    Ok(lab)
}

/// A store that is ready for the operation.
async fn begun(scenario: &Scenario, base: &Lab, lies: &[Lie]) -> Verdict<Lab> {
    let mut lab = base.fork();
    for lie in lies {
        lab.faults.lie(*lie);
    }
    if scenario.open {
        done("opening", lab.open().await)?;
    }
    Ok(lab)
}

/// Does the operation; a run that hangs is wrong.
async fn act(scenario: &Scenario, lab: &mut Lab) -> Verdict<Result<()>> {
    tokio::time::timeout(HANGS, (scenario.act)(lab)).await.map_err(|_| "it hangs".to_owned())
}

/// The calls of the operation.
async fn count(scenario: &Scenario, base: &Lab, lies: &[Lie]) -> Verdict<Vec<Counted>> {
    let mut lab = begun(scenario, base, lies).await?;
    lab.faults.watch();
    done("without a fault", act(scenario, &mut lab).await?)?;
    let calls = lab.faults.calls();
    if lab.is_open() && lies.is_empty() {
        let _seen = agree(&lab).await?;
    }
    lab.abandon();
    Ok(calls)
}

/// A crash at every call, with every sort of cut after it.
pub(crate) async fn crashes(scenario: &Scenario, lab: Lab, lies: &[Lie]) -> Verdict<Points> {
    crashes_to(scenario, lab, lies, Depth::Every).await
}

/// The same, at some of the points.
pub(crate) async fn crashes_to(scenario: &Scenario, lab: Lab, lies: &[Lie], depth: Depth) -> Verdict<Points> {
    let base = prepared(scenario, lab).await?;
    let calls = count(scenario, &base, lies).await?;
    let mut points = Points { calls: calls.len(), ..Points::default() };
    let mut looked_at = Stores::default();
    let mut before = None;
    for (at, counted) in calls.iter().enumerate() {
        let faults: &[Fault] = match counted.call.effect {
            // What is the same before two calls is looked at once.
            Effect::Read if before == Some(counted.mark) => &[],
            Effect::Read => &[Fault::CrashBefore],
            Effect::Whole => &[Fault::CrashBefore, Fault::CrashAfter],
            Effect::Parts => &[Fault::CrashBefore, Fault::Tear, Fault::CrashAfter],
        };
        let known = before.replace(counted.mark) == Some(counted.mark);
        points.alike += usize::from(known);
        let skipped = known || depth == Depth::Effects;
        for fault in faults.iter().filter(|fault| !(skipped && **fault == Fault::CrashBefore)) {
            points.crashes += 1;
            let mut lab = begun(scenario, &base, lies).await?;
            let cuts = crash(scenario, &mut lab, (at, *fault), &mut looked_at).await;
            let (cuts, same) = cuts.map_err(|what| {
                format!("{}: call {at} ({}), {fault:?}, {what}", scenario.name, counted.call.name)
            })?;
            points.cuts += cuts;
            points.same += same;
        }
    }
    Ok(points)
}

/// One crash, and every sort of cut after it; how many those were, and how many of them left nothing new.
async fn crash(
    scenario: &Scenario,
    lab: &mut Lab,
    (at, fault): (usize, Fault),
    looked_at: &mut Stores,
) -> Verdict<(usize, usize)> {
    lab.faults.arm(at, fault);
    drop(act(scenario, lab).await?);
    if lab.faults.struck().is_none() {
        return Err("the call did not come again".to_owned());
    }
    lab.abandon();
    let cuts = cuts(lab, at as u64);
    let same = after(lab, &cuts, looked_at).await?;
    Ok((cuts.len(), same))
}

/// What each cut leaves must hold; how many of them left what was looked at before.
async fn after(lab: &Lab, cuts: &[Cut], looked_at: &mut Stores) -> Verdict<usize> {
    let mut same = 0;
    for cut in cuts {
        let mut left = lab.cut(*cut);
        if looked_at.add(&left) {
            mended(&mut left).await.map_err(|what| format!("{cut:?}: {what}"))?;
        } else {
            same += 1;
        }
    }
    Ok(same)
}

/// The cuts that differ, for what is not durable at this moment.
fn cuts(lab: &Lab, seed: u64) -> Vec<Cut> {
    let cut = |disk, commits| Cut { disk, commits };
    let some = if lab.rows.pending() > 1 { Commits::Some(seed) } else { Commits::Lost };
    let mut cuts = vec![Cut::NOTHING];
    if lab.rows.pending() > 0 {
        cuts.push(cut(Disk::Kept, Commits::Lost));
    }
    if lab.rows.pending() > 1 {
        cuts.push(cut(Disk::Kept, some));
    }
    if !lab.packs.all_durable() {
        cuts.push(cut(Disk::Lost, Commits::Kept));
        cuts.push(Cut::EVERYTHING);
        cuts.push(cut(Disk::Torn(seed), some));
        cuts.push(cut(Disk::OutOfOrder(seed), Commits::Kept));
    }
    cuts
}

/// Every call fails: once, after its effect, and for ever.
pub(crate) async fn failures(scenario: &Scenario, lab: Lab) -> Verdict<Points> {
    let base = prepared(scenario, lab).await?;
    let calls = count(scenario, &base, &[]).await?;
    let mut points = Points { calls: calls.len(), ..Points::default() };
    let mut looked_at = Stores::default();
    for (at, counted) in calls.iter().enumerate() {
        let faults: &[Fault] = match counted.call.effect {
            Effect::Read => &[Fault::FailOnce, Fault::FailForEver],
            _ => &[Fault::FailOnce, Fault::FailOnceAfter, Fault::FailForEver],
        };
        for fault in faults {
            points.failures += 1;
            let failed = failure(scenario, &base, (at, *fault), &mut looked_at).await;
            points.same += failed.map_err(|what| {
                format!("{}: call {at} ({}), {fault:?}: {what}", scenario.name, counted.call.name)
            })?;
        }
    }
    Ok(points)
}

async fn failure(
    scenario: &Scenario,
    base: &Lab,
    (at, fault): (usize, Fault),
    looked_at: &mut Stores,
) -> Verdict<usize> {
    let mut lab = begun(scenario, base, &[]).await?;
    lab.faults.arm(at, fault);
    if let Err(error) = act(scenario, &mut lab).await?
        && !matches!(error.kind(), Kind::Io | Kind::Unavailable)
    {
        return Err(format!("the wrong kind: {error:?}"));
    }
    let Some(struck) = lab.faults.struck() else {
        return Err("the call did not come again".to_owned());
    };
    if lab.is_open() {
        // While reads fail there is nothing to read.
        if struck.effect == Effect::Read {
            lab.faults.mend();
        }
        let _seen = seen(lab.engine(), &lab.world).await?;
        refused_or_served(&mut lab).await?;
    }
    lab.faults.mend();
    // What must hold is that nothing is lost, whatever the close says of a store that is shut.
    let shut = lab.is_open() && !lab.engine().writable();
    let closed = lab.close().await;
    if !shut {
        done("closing after a failure that is over", closed)?;
    }
    // A look that failed changed nothing that the two would show differently.
    let cuts: &[Cut] = match struck.effect {
        Effect::Read => &[Cut::EVERYTHING],
        _ => &[Cut::NOTHING, Cut::EVERYTHING],
    };
    after(&lab, cuts, looked_at).await
}

/// A store that is shut refuses every write with the kind that says so; one that is not shut takes writes again.
async fn refused_or_served(lab: &mut Lab) -> Verdict {
    let put = Put::content("after the failure", &b"once more"[..]);
    if lab.engine().writable() {
        lab.faults.mend();
        let _receipt = done("a put after a failure that is over", lab.put(put).await)?;
        return Ok(());
    }
    // One that is surely there: it may be gone where only the answer is lost.
    let some = lab.world.stored().map(|(key, _)| key.clone());
    let some = some.collect::<Vec<_>>().into_iter().find(|key| lab.world.items[key].maybe.is_empty());
    let mut kinds = vec![
        lab.put(put.clone()).await.map(drop),
        lab.migrate_to(storage_core::model::Tier::Warm).await.map(drop),
        lab.sweep().await.map(drop),
    ];
    // It was refused: it must not be there.
    lab.world.item(&put.key).maybe.clear();
    if let Some(key) = some {
        let before = lab.world.item(&key).clone();
        kinds.push(lab.delete(&key).await);
        *lab.world.item(&key) = before;
    }
    for answer in kinds {
        match answer {
            Err(error) if error.kind() == Kind::Unavailable => {}
            other => return Err(format!("a store that is shut answers {other:?}")),
        }
    }
    Ok(())
}
