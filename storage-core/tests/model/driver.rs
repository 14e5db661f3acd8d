//! Chooses steps, does them on both sides, and replaces the engine when a step ends it.

use std::sync::Arc;

use storage_core::clock::Clock;
use storage_core::clock::DAY_MILLIS;
use storage_core::engine::Engine;
use storage_core::model::Tier;
use storage_core::settings::Settings;
use storage_core::testing::clock::ManualClock;
use storage_fixtures::rng::Rng;
use tempfile::TempDir;

use crate::check;
use crate::check::Look;
use crate::image;
use crate::image::Catalog;
use crate::world::Supply;
use crate::world::World;

/// What the steps of a run reached, so that a run that reaches too little fails.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    pub(crate) repeats: u32,
    pub(crate) taken: u32,
    pub(crate) gone: u32,
    pub(crate) large: u32,
    pub(crate) known_objects: u32,
    pub(crate) parts: u32,
    pub(crate) refused_deletes: u32,
    pub(crate) moved: [u64; 4],
    pub(crate) copies: u64,
    pub(crate) packs_deleted: u64,
    pub(crate) compacted: u64,
    pub(crate) erased: u64,
    pub(crate) replayed: u64,
}

impl Covered {
    pub(crate) fn add(&mut self, other: &Self) {
        self.repeats += other.repeats;
        self.taken += other.taken;
        self.gone += other.gone;
        self.large += other.large;
        self.known_objects += other.known_objects;
        self.parts += other.parts;
        self.refused_deletes += other.refused_deletes;
        self.moved.iter_mut().zip(other.moved).for_each(|(sum, value)| *sum += value);
        self.copies += other.copies;
        self.packs_deleted += other.packs_deleted;
        self.compacted += other.compacted;
        self.erased += other.erased;
        self.replayed += other.replayed;
    }

    pub(crate) fn require_everything(&self) {
        let counts = [
            self.repeats,
            self.taken,
            self.gone,
            self.large,
            self.known_objects,
            self.parts,
            self.refused_deletes,
        ];
        let colder = self.moved.iter().skip(1).all(|moved| *moved > 0);
        let upkeep = self.erased > 0
            && self.copies > 0
            && self.packs_deleted > 0
            && self.compacted > 0
            && self.replayed > 0;
        assert!(
            counts.iter().all(|count| *count > 0) && colder && upkeep,
            "the seeds reach too little: {self:?}"
        );
    }
}

/// An engine, the model of it, and the chance that drives both.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) seed: u64,
    pub(crate) step: u32,
    pub(crate) rng: Rng,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) dir: TempDir,
    pub(crate) engine: Engine,
    pub(crate) world: World,
    pub(crate) supply: Supply,
    pub(crate) covered: Covered,
}

/// Names the seed and the step where a test stops.
struct Trace(u64, u32);

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("model: seed {}, step {}", self.0, self.1);
        }
    }
}

pub(crate) fn settings(dir: &TempDir) -> Settings {
    let mut settings = Settings::new(dir.path());
    settings.workers = 2;
    settings.block_cache_bytes = 1 << 20;
    settings.policy.promote_warm_reads = 2;
    settings.policy.promote_hot_reads = 4;
    settings
}

pub(crate) async fn open(dir: &TempDir, clock: &Arc<ManualClock>) -> Engine {
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
    Engine::open(settings(dir), clock).await.expect("an engine that opens")
}

impl Driver {
    pub(crate) async fn start(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::default());
        let dir = tempfile::tempdir().expect("a temporary directory");
        let engine = open(&dir, &clock).await;
        let world = World { tenants: vec!["default"], ..World::default() };
        let (rng, supply, covered) = (Rng::new(seed), Supply::new(seed), Covered::default());
        Self { seed, step: 0, rng, clock, dir, engine, world, supply, covered }
    }

    /// Does one step; looks at everything after some.
    pub(crate) async fn step(&mut self) {
        self.step += 1;
        let _trace = Trace(self.seed, self.step);
        let pause = if self.rng.chance(100) { 12 * DAY_MILLIS } else { 3_600_000 };
        self.clock.advance(pause);
        match self.rng.below(100) {
            0..25 => self.put_generated().await,
            25..33 => self.put_weird().await,
            33..40 => self.put_content().await,
            40..44 => self.put_again().await,
            44..47 => self.burst().await,
            47 => self.put_large().await,
            48..60 => self.read_some().await,
            60..64 => self.read_parts().await,
            64..66 => self.read_often().await,
            66..72 => self.update().await,
            72..77 => self.delete().await,
            77..79 => self.erase().await,
            79..84 => self.migrate().await,
            84..88 => self.compact().await,
            88..90 => self.sweep().await,
            90..93 => self.reopen().await,
            93..95 => self.cut(Catalog::Whole).await,
            95..98 => self.cut(Catalog::Behind).await,
            _ => self.create_tenant().await,
        }
        if self.step.is_multiple_of(10) {
            self.agree(Look::Short).await;
        }
    }

    async fn agree(&self, look: Look) {
        check::agree(&self.engine, &self.world, self.dir.path(), look).await;
    }

    /// The last look at everything, then at the closed catalog.
    pub(crate) async fn finish(self) -> Covered {
        let _trace = Trace(self.seed, self.step);
        self.agree(Look::Long).await;
        check::scrubbed(&self.engine).await;
        self.engine.close().await.expect("a clean end");
        check::counted(self.dir.path()).await;
        self.rebuilt().await;
        self.covered
    }

    /// A catalog that is made from the packs alone agrees with the model, too.
    async fn rebuilt(&self) {
        let image = image::packs(self.dir.path());
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        let rebuilt = Engine::rebuild_catalog(settings(&image), clock).await.expect("packs to rebuild from");
        assert_eq!((rebuilt.packs_left, rebuilt.objects_missing), (0, 0), "{rebuilt:?}");
        let engine = open(&image, &self.clock).await;
        check::agree(&engine, &self.world, image.path(), Look::Long).await;
        check::scrubbed(&engine).await;
        engine.close().await.expect("a clean end");
        check::counted(image.path()).await;
    }

    async fn reopen(&mut self) {
        self.engine.close().await.expect("a clean end");
        check::counted(self.dir.path()).await;
        self.engine = open(&self.dir, &self.clock).await;
        let recovered = self.engine.recovered();
        assert_eq!(recovered, storage_core::engine::Recovered::default(), "a closed store needs no mending");
        self.agree(Look::Short).await;
    }

    /// Goes on with what a power cut would leave.
    async fn cut(&mut self, catalog: Catalog) {
        let image = image::cut(self.dir.path(), catalog);
        let engine = open(&image, &self.clock).await;
        let recovered = engine.recovered();
        assert_eq!((recovered.torn_bytes, recovered.missing), (0, 0), "{recovered:?}");
        self.covered.replayed += recovered.frames;
        self.engine.close().await.expect("the old engine ends");
        (self.dir, self.engine) = (image, engine);
        self.agree(Look::Long).await;
    }

    async fn create_tenant(&mut self) {
        let name = *self.rng.pick(&["acme", "globex"]);
        let created = self.engine.create_tenant(name).await;
        assert_eq!(created.is_err(), self.world.tenants.contains(&name));
        if created.is_ok() {
            self.world.tenants.push(name);
        }
    }

    pub(crate) fn note_moves(&mut self, report: &storage_core::report::MigrateReport) {
        for (name, moved) in &report.moves {
            let to = name.rsplit(' ').next().and_then(Tier::from_name).expect("a tier");
            self.covered.moved[Tier::ALL.iter().position(|tier| *tier == to).expect("a tier")] +=
                moved.objects;
        }
        self.covered.copies += report.copies.values().map(|copied| copied.objects).sum::<u64>();
    }
}
