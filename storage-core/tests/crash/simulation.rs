//! A simulation from one seed, on one thread: several clients at once, background jobs, a clock that steps forwards and
//! backwards, faults, crashes and power cuts. After every step the store has what its callers know and nothing else. The
//! same seed gives the same bytes behind the doors, to the last one.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::future::join_all;
use sha2::Digest;
use sha2::Sha256;
use storage_core::clock::DAY_MILLIS;
use storage_core::engine::Engine;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use storage_core::testing::chance::Chance;
use storage_core::testing::faults::Effect;
use storage_core::testing::faults::Fault;
use storage_core::testing::power::Commits;
use storage_core::testing::power::Disk;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::check::Verdict;
use crate::check::agree;
use crate::check::done;
use crate::check::mended;
use crate::lab::Cut;
use crate::lab::Lab;
use crate::lab::Put;
use crate::lab::ask_put;
use crate::lab::ask_streamed;
use crate::lab::read;
use crate::scenarios::large;
use crate::scenarios::lines;
use crate::scenarios::mail;
use crate::scenarios::noise;
use crate::world::Item;
use crate::world::Key;

/// Seeds of an ordinary run, and steps of each.
const SEEDS: u64 = 24;
const STEPS: u32 = 40;

/// A step that takes this long on the paused clock hangs.
const HANGS: Duration = Duration::from_hours(24);

/// How long a deleted id stays gone.
const GONE_MILLIS: i64 = 30 * DAY_MILLIS;

/// Items that are stored at most, about.
const ITEMS: usize = 14;

/// What one client asks for.
#[derive(Debug, Clone)]
enum Wish {
    Put(Put),
    Streamed(Put),
    Delete(Key),
    Update(Key, ItemUpdate),
    Read(Key),
    Migrate(MigrateOptions),
    Sweep(SweepOptions),
}

/// What the steps of all seeds reached.
#[derive(Debug, Default)]
struct Covered {
    crashes: u64,
    failures: u64,
    crashes_in_recovery: u64,
    clock_back: u64,
    answers: BTreeMap<&'static str, u64>,
}

struct Simulation {
    chance: Chance,
    lab: Lab,
    covered: Covered,
    /// The latest moment the clock has shown.
    latest: i64,
    put: u32,
    gone: BTreeMap<Key, i64>,
}

fn wish_name(wish: &Wish) -> &'static str {
    match wish {
        Wish::Put(_) => "put",
        Wish::Streamed(_) => "streamed put",
        Wish::Delete(_) => "delete",
        Wish::Update(..) => "update",
        Wish::Read(_) => "read",
        Wish::Migrate(_) => "migrate",
        Wish::Sweep(_) => "sweep",
    }
}

/// Asks the engine. A put's receipt and a report say nothing that is not looked at later.
fn ask(engine: Engine, wish: Wish) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        match wish {
            Wish::Put(put) => ask_put(engine, put).await.map(drop),
            Wish::Streamed(put) => ask_streamed(engine, put).await.map(drop),
            Wish::Delete(key) => engine.delete(key.0, key.1, &key.2).await,
            Wish::Update(key, update) => engine.update(key.0, key.1, &key.2, update).await.map(drop),
            Wish::Read(key) => read(&engine, &key, true).await.map(drop),
            Wish::Migrate(options) => {
                let (progress, _ignored) = mpsc::channel(1);
                let report = engine.migrate(options, progress, CancellationToken::new()).await?;
                assert_eq!(report.damaged, 0, "{report:?}");
                Ok(())
            }
            Wish::Sweep(options) => engine.sweep(options).await.map(drop),
        }
    })
}

impl Simulation {
    async fn start(seed: u64) -> Verdict<Self> {
        let mut lab = Lab::new();
        lab.faults.pause_by(seed);
        done("the first opening", lab.open().await)?;
        done("a tenant", lab.create_tenant("acme").await)?;
        let latest = lab.now().0;
        let covered = Covered::default();
        Ok(Self { chance: Chance::new(seed), lab, covered, latest, put: 0, gone: BTreeMap::new() })
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

    fn bytes(&mut self) -> (ItemKind, bytes::Bytes) {
        let number = self.chance.below(8);
        match self.chance.below(6) {
            0 | 1 => (ItemKind::Message, mail(usize::try_from(number).expect("a small number"))),
            2 | 3 => (ItemKind::Content, noise(number, 1_200 + 500 * usize::try_from(number).unwrap())),
            4 => (ItemKind::Content, lines(number, 12_000)),
            _ => (ItemKind::Content, noise(self.chance.number(), 700)),
        }
    }

    /// A put under a new id, or under one that was deleted and must stay gone.
    fn wish_put(&mut self) -> Wish {
        let (kind, bytes) = self.bytes();
        let tenant = *self.chance.pick(&["default", "acme"]).expect("a tenant");
        self.put += 1;
        let mut put = Put::new(tenant, kind, &format!("id {}", self.put), bytes);
        put.options.hold = self.chance.percent(10);
        if self.chance.percent(10) {
            put.options.pin = self.chance.pick(&Tier::ALL).copied();
        }
        match self.chance.below(40) {
            0 => Wish::Streamed(Put { bytes: large(0), ..put }),
            _ => Wish::Put(put),
        }
    }

    /// An item that is stored and that no other client of this step uses.
    fn pick(&mut self, taken: &mut Vec<Key>) -> Option<Key> {
        let free: Vec<Key> = self.lab.world.stored().map(|(key, _)| key.clone()).collect();
        let key = self.chance.pick(&free)?.clone();
        if taken.contains(&key) {
            return None;
        }
        taken.push(key.clone());
        Some(key)
    }

    fn wish(&mut self, taken: &mut Vec<Key>) -> Option<Wish> {
        let many = self.lab.world.stored().count() > ITEMS;
        match self.chance.below(10) {
            0..5 if !many => Some(self.wish_put()),
            5 => Some(Wish::Read(self.pick(taken)?)),
            6 => {
                let key = self.pick(taken)?;
                let mut update = ItemUpdate::default();
                if self.chance.percent(60) {
                    update.hold = Some(self.chance.percent(30));
                }
                if self.chance.percent(40) {
                    update.pin =
                        Some(self.chance.pick(&Tier::ALL).copied().filter(|tier| *tier != Tier::Hot));
                }
                let _none = update.labels_set.insert("n".into(), self.chance.below(9).to_string());
                Some(Wish::Update(key, update))
            }
            _ => Some(Wish::Delete(self.pick(taken)?)),
        }
    }

    fn job(&mut self) -> Wish {
        match self.chance.below(4) {
            0 => {
                let days = *self.chance.pick(&[8, 40, 200]).expect("a number of days");
                let as_of = Some(self.lab.now().plus(Duration::from_secs(days * 86_400)));
                Wish::Migrate(MigrateOptions { as_of, ..MigrateOptions::default() })
            }
            1 => Wish::Migrate(MigrateOptions {
                to: self.chance.pick(&Tier::ALL).copied(),
                ..MigrateOptions::default()
            }),
            _ => {
                let days = self.chance.below(3);
                Wish::Sweep(SweepOptions { grace: Duration::from_secs(days * 86_400), dry_run: false })
            }
        }
    }

    /// What clients and at most one job want at once.
    fn wishes(&mut self) -> Vec<Wish> {
        let mut taken = Vec::new();
        let mut wishes: Vec<Wish> =
            (0..=self.chance.below(4)).filter_map(|_| self.wish(&mut taken)).collect();
        if self.chance.percent(30) {
            let at = usize::try_from(self.chance.below(wishes.len() as u64 + 1)).expect("a place");
            wishes.insert(at, self.job());
        }
        wishes
    }

    /// Notes what is asked for, before it is.
    fn note(&mut self, wish: &Wish) {
        let world = &mut self.lab.world;
        match wish {
            Wish::Put(put) | Wish::Streamed(put) => {
                let item = Item::new(put.bytes.clone(), &put.options);
                world.item(&put.key).maybe.push(Some(item));
            }
            Wish::Delete(key) if world.item(key).is.as_ref().is_some_and(|item| !item.hold) => {
                world.item(key).maybe.push(None);
            }
            Wish::Update(key, update) => {
                let mut item = world.item(key).is.clone().expect("a stored item");
                item.hold = update.hold.unwrap_or(item.hold);
                item.pin = update.pin.unwrap_or(item.pin);
                item.labels.extend(update.labels_set.clone());
                world.item(key).maybe.push(Some(item));
            }
            Wish::Delete(_) | Wish::Read(_) | Wish::Migrate(_) | Wish::Sweep(_) => {}
        }
    }

    /// Notes the answer. One that no fault explains is wrong.
    fn told(&mut self, wish: &Wish, answer: Result<()>) -> Verdict {
        let struck = self.lab.faults.struck().is_some();
        let name = wish_name(wish);
        if let Err(error) = answer {
            let held = matches!(wish, Wish::Delete(key) if self.lab.world.item(key).is.as_ref().is_some_and(|item| item.hold));
            return match error.kind() {
                Kind::FailedPrecondition if held => Ok(()),
                Kind::Io | Kind::Unavailable if struck => Ok(()),
                _ => Err(format!("{name}: {error:?}, struck {struck}")),
            };
        }
        *self.covered.answers.entry(name).or_default() += 1;
        match wish {
            Wish::Put(Put { key, .. }) | Wish::Streamed(Put { key, .. }) | Wish::Update(key, _) => {
                let known = self.lab.world.item(key);
                let item = known.maybe.pop().expect("what was asked for");
                known.settle(item);
            }
            Wish::Delete(key) => {
                if self.lab.world.item(key).maybe.pop().is_none() {
                    return Err(format!("{key:?} was deleted under a hold"));
                }
                self.lab.world.item(key).settle(None);
                let _none = self.gone.insert(key.clone(), self.lab.now().0);
            }
            Wish::Read(_) | Wish::Migrate(_) | Wish::Sweep(_) => {}
        }
        Ok(())
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

    /// An id that was deleted less than 30 days ago, whatever the clock showed meanwhile, is refused.
    async fn stays_gone(&mut self) -> Verdict {
        let latest = self.latest;
        let recent: Vec<Key> = self
            .gone
            .iter()
            .filter(|(_, deleted)| latest - **deleted < GONE_MILLIS - DAY_MILLIS)
            .map(|(key, _)| key.clone())
            .collect();
        let Some(key) = self.chance.pick(&recent).cloned() else {
            return Ok(());
        };
        let put = Put::new(key.0, key.1, &key.2, mail(0));
        match ask_put(self.lab.engine().clone(), put).await {
            Err(error) if error.kind() == Kind::FailedPrecondition => Ok(()),
            other => Err(format!("{key:?} was deleted, and a put of it answers {other:?}")),
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
        for (name, count) in covered.answers {
            *all.answers.entry(name).or_default() += count;
        }
    }
    eprintln!("{seeds} seeds of {STEPS} steps: {all:?}");
    if seeds >= SEEDS {
        let counts = [all.crashes, all.failures, all.crashes_in_recovery, all.clock_back];
        assert!(counts.iter().all(|count| *count > 10) && all.answers.len() == 7, "too little: {all:?}");
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
