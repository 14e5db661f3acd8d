//! A simulation from one seed, on one thread: several clients at once, background jobs, a clock that steps forwards and
//! backwards, faults, crashes and power cuts. After every step the store has what its callers know and nothing else. The
//! same seed gives the same bytes behind the doors, to the last one.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use sha2::Digest;
use sha2::Sha256;
use storage_core::testing::chance::Chance;
use storage_core::testing::faults::Effect;
use storage_core::testing::faults::Fault;
use storage_core::testing::power::Commits;
use storage_core::testing::power::Disk;

use crate::check::Verdict;
use crate::check::agree;
use crate::check::done;
use crate::check::mended;
use crate::check::scrubbed;
use crate::lab::Cut;
use crate::lab::Lab;
use crate::wishes::ask;
use crate::world::Key;

/// Seeds of an ordinary run, and steps of each.
const SEEDS: u64 = 24;
const STEPS: u32 = 40;

/// A step that takes this long on the paused clock hangs.
const HANGS: Duration = Duration::from_hours(24);

/// What the steps of all seeds reached.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    crashes: u64,
    failures: u64,
    crashes_in_recovery: u64,
    clock_back: u64,
    with_deltas: u64,
    pub(crate) answers: BTreeMap<&'static str, u64>,
}

pub(crate) struct Simulation {
    pub(crate) chance: Chance,
    pub(crate) lab: Lab,
    pub(crate) covered: Covered,
    /// The latest moment the clock has shown.
    pub(crate) latest: i64,
    pub(crate) put: u32,
    /// What only the next put's bytes have, if they are a version of a document.
    pub(crate) own: Option<u64>,
    pub(crate) gone: BTreeMap<Key, i64>,
}

impl Simulation {
    async fn start(seed: u64) -> Verdict<Self> {
        let mut lab = Lab::new();
        lab.faults.pause_by(seed);
        done("the first opening", lab.open().await)?;
        done("a tenant", lab.create_tenant("acme").await)?;
        let latest = lab.now().0;
        let covered = Covered::default();
        let (own, gone) = (None, BTreeMap::new());
        Ok(Self { chance: Chance::new(seed), lab, covered, latest, put: 0, own, gone })
    }

    fn move_clock(&mut self) {
        let hours = i64::try_from(self.chance.below(48)).expect("a few hours") * 3_600_000;
        let step = match self.chance.below(20) {
            0 | 1 => -2 * hours,
            2 => 20 * hours,
            _ => hours,
        };
        self.covered.clock_back += u64::from(step < 0);
        self.lab.clock.advance(step);
        self.latest = self.latest.max(self.lab.now().0);
    }

    async fn step(&mut self) -> Verdict {
        self.move_clock();
        if self.chance.percent(50) {
            let faults = [
                Fault::FailOnce,
                Fault::FailOnceAfter,
                Fault::FailForEver,
                Fault::CrashBefore,
                Fault::CrashAfter,
                Fault::Tear,
            ];
            let fault = *self.chance.pick(&faults).expect("a fault");
            let at = usize::try_from(self.chance.below(60)).expect("a number of calls");
            self.lab.faults.arm(at, fault);
        }
        let wishes = self.wishes();
        for wish in &wishes {
            self.note(wish);
        }
        let engine = self.lab.engine().clone();
        let asked = join_all(wishes.iter().map(|wish| ask(engine.clone(), wish.clone())));
        let answers = tokio::time::timeout(HANGS, asked).await.map_err(|_| format!("{wishes:?} hangs"))?;
        for (wish, answer) in wishes.iter().zip(answers) {
            self.told(wish, answer)?;
        }
        drop(engine);
        // A put that was given up deletes its pack behind its caller's back.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        self.go_on().await?;
        self.stays_gone().await?;
        self.lab.world = agree(&self.lab).await?;
        self.lab.is_forgotten()?;
        let stats = done("statistics", self.lab.engine().stats(None).await)?;
        self.covered.with_deltas += u64::from(stats.saved.similar_dedup != 0);
        Ok(())
    }

    /// After a crash or a failure: what a restart brings.
    async fn go_on(&mut self) -> Verdict {
        let crashed = self.lab.faults.has_crashed();
        self.covered.crashes += u64::from(crashed);
        if !crashed {
            self.covered.failures += u64::from(self.lab.faults.struck().is_some());
            // A failed call may leave a pack that nobody needs and that could not be deleted.
            self.lab.leftovers |= self.lab.faults.struck().is_some_and(|call| call.effect != Effect::Read);
            self.lab.faults.mend();
            if self.lab.engine().writable() && !self.chance.percent(5) {
                return Ok(());
            }
            if self.chance.percent(50) {
                // A store that is shut says so when it is closed; what counts is what it is found to hold.
                drop(self.lab.close().await);
            }
        }
        self.restart().await
    }

    async fn restart(&mut self) -> Verdict {
        self.lab.abandon();
        let cut = self.any_cut();
        let mut next = self.lab.cut(cut);
        next.faults.pause_by(self.chance.number());
        if self.chance.percent(30) {
            // The process ends again while it recovers.
            next.faults.arm(usize::try_from(self.chance.below(25)).unwrap(), Fault::CrashAfter);
            if next.open().await.is_err() {
                self.covered.crashes_in_recovery += 1;
            }
            next.abandon();
            let again = self.any_cut();
            next = next.cut(again);
            next.faults.pause_by(self.chance.number());
        }
        done("opening after a crash", next.open().await)?;
        scrubbed(&next).await?;
        self.lab = next;
        Ok(())
    }

    fn any_cut(&mut self) -> Cut {
        let seed = self.chance.number();
        let disks = [Disk::Kept, Disk::Lost, Disk::Torn(seed), Disk::OutOfOrder(seed)];
        let commits = [Commits::Kept, Commits::Lost, Commits::Some(seed)];
        Cut {
            disk: *self.chance.pick(&disks).expect("a sort of cut"),
            commits: *self.chance.pick(&commits).expect("a sort of cut"),
        }
    }

    /// What is behind the doors, as one hash.
    fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for (name, bytes) in self.lab.packs.contents() {
            hasher.update(name.0.as_bytes());
            hasher.update(&bytes);
        }
        hasher.update(self.lab.rows.told());
        hasher.update(self.lab.now().0.to_le_bytes());
        hasher.finalize().into()
    }
}

/// Runs a seed; the hash of what is left, and what was covered.
async fn simulate(seed: u64) -> Verdict<([u8; 32], Covered)> {
    let named = |step: u32| {
        move |what: String| format!("SIMULATION_FIRST={seed} SIMULATION_SEEDS=1, step {step}: {what}")
    };
    let mut simulation = Simulation::start(seed).await.map_err(named(0))?;
    for step in 1..=STEPS {
        simulation.step().await.map_err(named(step))?;
    }
    let hash = simulation.hash();
    simulation.lab.abandon();
    // What was condemned later than the clock shows now would wait.
    simulation.lab.clock.advance(simulation.latest - simulation.lab.now().0);
    let cut = simulation.any_cut();
    mended(&mut simulation.lab.cut(cut)).await.map_err(named(STEPS))?;
    Ok((hash, simulation.covered))
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test(start_paused = true)]
async fn every_seed_agrees_with_what_its_clients_know() {
    let (first, seeds) = (number("SIMULATION_FIRST", 0), number("SIMULATION_SEEDS", SEEDS));
    let mut all = Covered::default();
    for seed in first..first + seeds {
        let (_, covered) = simulate(seed).await.unwrap_or_else(|what| panic!("{what}"));
        all.crashes += covered.crashes;
        all.failures += covered.failures;
        all.crashes_in_recovery += covered.crashes_in_recovery;
        all.clock_back += covered.clock_back;
        all.with_deltas += covered.with_deltas;
        for (name, count) in covered.answers {
            *all.answers.entry(name).or_default() += count;
        }
    }
    eprintln!("{seeds} seeds of {STEPS} steps: {all:?}");
    if seeds >= SEEDS {
        let counts = [all.crashes, all.failures, all.crashes_in_recovery, all.clock_back, all.with_deltas];
        assert!(counts.iter().all(|count| *count > 10) && all.answers.len() == 10, "too little: {all:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_leaves_the_same_bytes() {
    for seed in 1_000..1_004 {
        let (one, _) = simulate(seed).await.unwrap_or_else(|what| panic!("{what}"));
        let (other, _) = simulate(seed).await.unwrap_or_else(|what| panic!("{what}"));
        assert_eq!(one, other, "seed {seed} left other bytes the second time");
    }
}
