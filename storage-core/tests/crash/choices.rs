//! What is asked for in a step of a simulation: chosen by its seed, from what is stored.

use std::time::Duration;

use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::Tier;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;

use crate::erasures::own_bytes;
use crate::erasures::version;
use crate::lab::Put;
use crate::simulation::Simulation;
use crate::stores::large;
use crate::stores::lines;
use crate::stores::mail;
use crate::stores::noise;
use crate::wishes::Wish;
use crate::world::Key;

/// Items that are stored at most, about.
const ITEMS: usize = 14;

impl Simulation {
    fn bytes(&mut self) -> (ItemKind, bytes::Bytes) {
        let number = self.chance.below(8);
        match self.chance.below(7) {
            0 | 1 => (ItemKind::Message, mail(usize::try_from(number).expect("a small number"))),
            2 | 3 => (ItemKind::Content, noise(number, 1_200 + 500 * usize::try_from(number).unwrap())),
            4 => (ItemKind::Content, lines(number, 12_000)),
            5 => (ItemKind::Content, noise(self.chance.number(), 700)),
            _ => {
                self.own = Some(self.chance.number());
                (ItemKind::Content, version(number % 2, self.own.unwrap()))
            }
        }
    }

    /// A put under a new id, or under one that was deleted and must stay gone.
    fn wish_put(&mut self) -> Wish {
        self.own = None;
        let (kind, bytes) = self.bytes();
        let tenant = *self.chance.pick(&["default", "acme"]).expect("a tenant");
        self.put += 1;
        let mut put = Put::new(tenant, kind, &format!("id {}", self.put), bytes);
        put.options.hold = self.chance.percent(10);
        if self.chance.percent(10) {
            put.options.pin = self.chance.pick(&Tier::ALL).copied();
        }
        if self.chance.below(40) == 0 {
            return Wish::Streamed(Put { bytes: large(0), ..put });
        }
        let trace = self.own.map(|own| (put.key.clone(), own_bytes(own)));
        self.lab.world.traces.extend(trace);
        Wish::Put(put)
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

    /// Up to three items of one tenant and kind; with none, what was asked for before.
    fn wish_erase(&mut self, taken: &mut Vec<Key>) -> Wish {
        let mut keys: Vec<Key> = (0..3).filter_map(|_| self.pick(taken)).collect();
        keys.sort();
        if let Some(first) = keys.first().cloned() {
            keys.retain(|key| (key.0, key.1) == (first.0, first.1));
        }
        Wish::Erase(keys)
    }

    fn job(&mut self, taken: &mut Vec<Key>) -> Wish {
        match self.chance.below(9) {
            0 => {
                let days = *self.chance.pick(&[8, 40, 200]).expect("a number of days");
                let as_of = Some(self.lab.now().plus(Duration::from_secs(days * 86_400)));
                Wish::Migrate(MigrateOptions { as_of, ..MigrateOptions::default() })
            }
            1 => Wish::Migrate(MigrateOptions {
                to: self.chance.pick(&Tier::ALL).copied(),
                ..MigrateOptions::default()
            }),
            2 => Wish::Compact,
            3 => Wish::Scrub,
            4 | 5 => self.wish_erase(taken),
            _ => {
                let days = self.chance.below(3);
                Wish::Sweep(SweepOptions { grace: Duration::from_secs(days * 86_400), dry_run: false })
            }
        }
    }

    /// What clients and at most one job want at once.
    pub(crate) fn wishes(&mut self) -> Vec<Wish> {
        let mut taken = Vec::new();
        let mut wishes: Vec<Wish> =
            (0..=self.chance.below(4)).filter_map(|_| self.wish(&mut taken)).collect();
        if self.chance.percent(30) {
            let at = usize::try_from(self.chance.below(wishes.len() as u64 + 1)).expect("a place");
            let job = self.job(&mut taken);
            wishes.insert(at, job);
        }
        wishes
    }
}
