//! Every scenario at each of its points. A new operation needs one more entry in `writes.rs`, `moves.rs` or `upkeep.rs`
//! (or a test of its own here, where it is slow): how the store is made that it meets, and what it does.

use crate::erasures::ERASURES;
use crate::lab::Lab;
use crate::moves::MOVES;
use crate::moves::SAMPLED;
use crate::packs::Packs;
use crate::points::Depth;
use crate::points::Scenario;
use crate::points::crashes_to;
use crate::points::failures;
use crate::rows::Rows;
use crate::upkeep::RECOVERY;
use crate::upkeep::TORN;
use crate::upkeep::UPKEEP;
use crate::writes::LARGE;
use crate::writes::WRITES;

/// The scenarios of these names.
pub(crate) fn named(names: &[&str]) -> Vec<Scenario> {
    let all = WRITES
        .iter()
        .chain(MOVES)
        .chain(UPKEEP)
        .chain(LARGE)
        .chain(ERASURES)
        .chain(&[SAMPLED, RECOVERY, TORN]);
    let some: Vec<Scenario> = all.filter(|scenario| names.contains(&scenario.name)).copied().collect();
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
async fn a_crash_at_every_call_of_writes() {
    crash_all(WRITES, Lab::new, Depth::Every).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_every_call_of_writes() {
    fail_all(WRITES).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_call_of_moves() {
    crash_all(MOVES, Lab::new, Depth::Every).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_every_call_of_moves() {
    fail_all(MOVES).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_call_of_upkeep() {
    crash_all(UPKEEP, Lab::new, Depth::Every).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_every_call_of_upkeep() {
    fail_all(UPKEEP).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_call_of_recoveries() {
    crash_all(&[TORN, RECOVERY], Lab::new, Depth::Every).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_every_call_of_a_recovery() {
    fail_all(&[TORN]).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_every_effect_of_erasures() {
    crash_all(ERASURES, Lab::new, Depth::Effects).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_every_call_of_erasures() {
    fail_all(ERASURES).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_call_of_large_puts() {
    crash_all(LARGE, Lab::new, Depth::Every).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_every_call_of_large_puts() {
    let wanted = ["a large put", "a large put under an id that was deleted"];
    fail_all(&named(&wanted)).await;
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
    let some = named(&["a put", "a sweep"]);
    crash_all(&some, || Lab::over(Packs::memory(), Rows::files()), Depth::Effects).await;
}

/// Packs in a local directory, where a crash comes between any two calls of the file system: what was not synced, of files
/// and of names, is lost singly and out of order.
const ON_DISK: &[&str] = &[
    "the first opening",
    "a put",
    "deletes",
    "a close",
    "a migration to warm",
    "a sweep",
    "a compaction that merges small packs",
    "a reopening after a failed write",
    "a recovery of a torn log",
];

fn on_disk() -> Lab {
    Lab::over(Packs::files(), Rows::memory())
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_every_call_of_a_disk() {
    crash_all(&named(ON_DISK), on_disk, Depth::Every).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_every_call_of_a_disk() {
    for scenario in named(ON_DISK) {
        let points = failures(&scenario, on_disk()).await.expect("a store that survives");
        eprintln!("{}: {points}", scenario.name);
    }
}
