//! What the answers in a simulation must be, and what its clients know after them.

use storage_core::clock::DAY_MILLIS;
use storage_core::error::Kind;
use storage_core::error::Result;

use crate::check::Verdict;
use crate::lab::Put;
use crate::lab::ask_put;
use crate::simulation::Simulation;
use crate::stores::mail;
use crate::wishes::Wish;
use crate::wishes::wish_name;
use crate::world::Item;
use crate::world::Key;
use crate::world::World;

/// How long a deleted id stays gone.
const GONE_MILLIS: i64 = 30 * DAY_MILLIS;

fn is_held(world: &World, key: &Key) -> bool {
    world.items.get(key).and_then(|known| known.is.as_ref()).is_some_and(|item| item.hold)
}

impl Simulation {
    /// Notes what is asked for, before it is.
    pub(crate) fn note(&mut self, wish: &Wish) {
        let world = &mut self.lab.world;
        match wish {
            Wish::Put(put) | Wish::Streamed(put) => {
                let item = Item::new(put.bytes.clone(), &put.options);
                world.item(&put.key).maybe.push(Some(item));
            }
            Wish::Delete(key) if !is_held(world, key) => {
                world.item(key).maybe.push(None);
                let _trace = world.traces.remove(key);
            }
            // Where one is held, nothing is asked for.
            Wish::Erase(keys) if !keys.iter().any(|key| is_held(world, key)) => {
                for key in keys {
                    world.item(key).maybe.push(None);
                }
                world.asked.extend(keys.iter().cloned());
            }
            Wish::Update(key, update) => {
                let mut item = world.item(key).is.clone().expect("a stored item");
                item.hold = update.hold.unwrap_or(item.hold);
                item.pin = update.pin.unwrap_or(item.pin);
                item.labels.extend(update.labels_set.clone());
                world.item(key).maybe.push(Some(item));
            }
            Wish::Delete(_)
            | Wish::Read(_)
            | Wish::Migrate(_)
            | Wish::Sweep(_)
            | Wish::Compact
            | Wish::Scrub
            | Wish::Erase(_) => {}
        }
    }

    /// Notes the answer. One that no fault explains is wrong.
    pub(crate) fn told(&mut self, wish: &Wish, answer: Result<()>) -> Verdict {
        let struck = self.lab.faults.struck().is_some();
        let name = wish_name(wish);
        if let Err(error) = answer {
            let world = &self.lab.world;
            let held = match wish {
                Wish::Delete(key) => is_held(world, key),
                Wish::Erase(keys) => keys.iter().any(|key| is_held(world, key)),
                _ => false,
            };
            return match error.kind() {
                Kind::FailedPrecondition if held => Ok(()),
                Kind::Io | Kind::Unavailable if struck => Ok(()),
                // What a failed call leaves behind is what it finds.
                Kind::Corrupt if matches!(wish, Wish::Scrub) && (struck || self.lab.leftovers) => Ok(()),
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
            Wish::Erase(keys) => self.erased(keys)?,
            Wish::Read(_) | Wish::Migrate(_) | Wish::Sweep(_) | Wish::Compact | Wish::Scrub => {}
        }
        Ok(())
    }

    /// These items were erased, and everything that was asked for before.
    fn erased(&mut self, keys: &[Key]) -> Verdict {
        for key in keys {
            if self.lab.world.item(key).maybe.pop().is_none() {
                return Err(format!("{key:?} was erased under a hold"));
            }
            self.lab.world.item(key).settle(None);
            let _none = self.gone.insert(key.clone(), self.lab.now().0);
        }
        self.lab.world.erased();
        Ok(())
    }

    /// An id that was deleted less than 30 days ago, whatever the clock showed meanwhile, is refused.
    pub(crate) async fn stays_gone(&mut self) -> Verdict {
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
}
