//! The steps themselves: each is done by the engine and by the model, and their answers are compared.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use storage_core::clock::Clock;
use storage_core::clock::Timestamp;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::mime;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::PutOptions;
use storage_core::model::PutReceipt;
use storage_core::model::Tier;
use storage_core::report::CompactOptions;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use storage_fixtures::large;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::check;
use crate::driver::Driver;
use crate::world;
use crate::world::Item;
use crate::world::Supply;

/// What is put where.
pub(crate) type Wanted = (&'static str, ItemKind, PutOptions, Bytes);

impl Driver {
    fn wanted(&mut self, kind: ItemKind, bytes: Bytes) -> Wanted {
        let tenant = *self.rng.pick(&self.world.tenants);
        (tenant, kind, world::options(&mut self.rng, kind, self.clock.now()), bytes)
    }

    pub(crate) async fn put(&mut self, wanted: Wanted) {
        let (tenant, kind, options, bytes) = wanted.clone();
        let answer = self.engine.put(tenant, kind, options, bytes).await;
        self.settle(wanted, answer);
    }

    /// Compares the answer to a put with what the model says, and notes what is stored now.
    fn settle(&mut self, (tenant, kind, options, bytes): Wanted, answer: Result<PutReceipt>) {
        let now = self.clock.now();
        let key = options.caller_id.clone().map(|id| (tenant, kind, id));
        if let Some(id) = key.as_ref().and_then(|key| self.world.by_caller(key)) {
            if self.world.items[&id].bytes == bytes {
                let receipt = answer.expect("the same bytes succeed again");
                assert_eq!((receipt.id, receipt.created), (id, false));
                self.covered.repeats += 1;
            } else {
                assert_eq!(answer.expect_err("the id is taken").kind(), Kind::AlreadyExists);
                self.covered.taken += 1;
            }
            return;
        }
        if key.is_some_and(|key| self.world.is_gone(&key, now)) {
            assert_eq!(answer.expect_err("the id is gone").kind(), Kind::FailedPrecondition);
            self.covered.gone += 1;
            return;
        }
        let receipt = answer.expect("a put");
        assert_eq!((receipt.created, receipt.bytes), (true, bytes.len() as u64));
        self.covered.known_objects += receipt.objects_known;
        let created = options.created.unwrap_or(now);
        let old = self.world.items.insert(receipt.id, Item { tenant, kind, bytes, created, options });
        assert!(old.is_none(), "an id was given twice");
    }

    pub(crate) async fn put_generated(&mut self) {
        let bytes = Bytes::from(self.supply.message().bytes);
        let wanted = self.wanted(ItemKind::Message, bytes);
        self.put(wanted).await;
    }

    pub(crate) async fn put_weird(&mut self) {
        let bytes = Supply::weird(&mut self.rng);
        let wanted = self.wanted(ItemKind::Message, bytes);
        self.put(wanted).await;
    }

    pub(crate) async fn put_content(&mut self) {
        let bytes = Supply::content(&mut self.rng);
        let wanted = self.wanted(ItemKind::Content, bytes);
        self.put(wanted).await;
    }

    /// Bytes that are stored already, under the same id or another one; or other bytes under the same id; or under an id
    /// that was deleted.
    pub(crate) async fn put_again(&mut self) {
        let Some((_, item)) = self.world.pick(&mut self.rng) else {
            return;
        };
        let (mut options, mut bytes) = (item.options, item.bytes);
        let gone = self.world.gone.keys().find(|key| (key.0, key.1) == (item.tenant, item.kind)).cloned();
        match (self.rng.below(5), gone) {
            (0, _) => {}
            (1, _) => bytes = Bytes::from_static(b"Subject: other\r\n\r\nbytes\r\n"),
            (2 | 3, Some((_, _, id))) => options.caller_id = Some(id),
            _ => options.caller_id = None,
        }
        self.put((item.tenant, item.kind, options, bytes)).await;
    }

    /// Puts that share a group: some with the same bytes, two with the same id.
    pub(crate) async fn burst(&mut self) {
        let mut all = Vec::new();
        for _ in 0..4 {
            let bytes = Bytes::from(self.supply.message().bytes);
            let mut wanted = self.wanted(ItemKind::Message, bytes);
            all.push(wanted.clone());
            wanted.2.caller_id = None;
            all.push(wanted);
        }
        all.push(all[0].clone());
        let puts = all.iter().cloned().map(|(tenant, kind, options, bytes)| {
            let engine = self.engine.clone();
            async move { engine.put(tenant, kind, options, bytes).await }
        });
        let mut answers: Vec<(Wanted, Result<PutReceipt>)> = join_all(puts)
            .await
            .into_iter()
            .enumerate()
            .map(|(at, answer)| (all[at].clone(), answer))
            .collect();
        // Of two with one id either may have come first; who created it is settled first.
        answers.sort_by_key(|(_, answer)| answer.as_ref().map_or(2, |receipt| u8::from(!receipt.created)));
        for (wanted, answer) in answers {
            self.settle(wanted, answer);
        }
    }

    /// A large item in pieces of odd sizes; sometimes one that is there already.
    pub(crate) async fn put_large(&mut self) {
        let old = self.world.items.values().find(|item| item.bytes.len() > 4 << 20).cloned();
        let wanted = match old {
            Some(item) if self.rng.chance(600) => {
                let caller_id = if self.rng.chance(300) { item.options.caller_id.clone() } else { None };
                let options = PutOptions { caller_id, ..item.options };
                (item.tenant, item.kind, options, item.bytes)
            }
            _ => {
                let bytes = self.rng.between(4_200_000, 5_000_000);
                if self.rng.chance(500) {
                    let bytes = Bytes::from(self.rng.bytes(bytes));
                    self.wanted(ItemKind::Content, bytes)
                } else {
                    let mut message = Vec::new();
                    large::write(self.rng.number(), bytes as u64, &mut message).expect("a vector takes all");
                    self.wanted(ItemKind::Message, Bytes::from(message))
                }
            }
        };
        let (tenant, kind, options, bytes) = wanted.clone();
        let mut stream = self.engine.begin_put(tenant, kind, options).await.expect("a put begins");
        let mut left = bytes;
        while !left.is_empty() {
            let piece = left.split_to(self.rng.between(1, 900_001).min(left.len()));
            stream.push(piece).await.expect("a piece");
        }
        let answer = stream.finish().await;
        self.covered.large += 1;
        self.settle(wanted, answer);
    }

    pub(crate) async fn read_some(&mut self) {
        let Some((id, item)) = self.world.pick(&mut self.rng) else {
            return;
        };
        let length = item.bytes.len();
        let start = self.rng.between(0, length);
        let end = self.rng.between(start, length + 10);
        let range = start as u64..end as u64;
        let bytes = check::read(&self.engine, id, &item, Some(range)).await.expect("a range");
        assert!(bytes == item.bytes[start..end.min(length)], "another range");
        let known_as = item.options.caller_id.clone().unwrap_or_else(|| id.to_string());
        let told = self.engine.stat(item.tenant, item.kind, &known_as).await.expect("a stat");
        assert_eq!((told.id, told.bytes), (id, length as u64));
    }

    pub(crate) async fn read_parts(&mut self) {
        for _ in 0..4 {
            if let Some((id, item)) = self.world.pick(&mut self.rng) {
                self.read_parts_of(id, &item).await;
            }
        }
    }

    async fn read_parts_of(&mut self, id: Uuid, item: &Item) {
        if item.kind == ItemKind::Content || item.bytes.len() > 1 << 20 {
            return;
        }
        let id = id.to_string();
        let split = mime::split(&item.bytes, mime::SplitLimits::default()).expect("anything can be split");
        let mut objects = split.objects.into_iter();
        let stat = self.engine.stat(item.tenant, item.kind, &id).await.expect("a stat");
        let expected: Vec<_> =
            split.split.parts.iter().map(|part| (part.index, part.decoded_bytes)).collect();
        assert_eq!(
            stat.parts.iter().map(|part| (part.index, part.decoded_bytes)).collect::<Vec<_>>(),
            expected
        );
        for part in stat.parts.iter().take(50) {
            let options = GetOptions::default();
            let (_, stream) =
                self.engine.get_part(item.tenant, &id, part.index, options).await.expect("a part");
            let bytes = check::collect(stream).await.expect("a part's bytes");
            assert_eq!(bytes.len() as u64, part.decoded_bytes);
            if part.sha256.is_some() {
                let (_, decoded) = objects.next().expect("an object a part");
                assert!(decoded == bytes, "part {} came back with other bytes", part.index);
                self.covered.parts += 1;
            }
            let half = bytes.len() as u64 / 2;
            let options = GetOptions { range: Some(half..half + 5), touch: false };
            let (_, stream) =
                self.engine.get_part(item.tenant, &id, part.index, options).await.expect("a part");
            let some = check::collect(stream).await.expect("a part's bytes");
            assert!(bytes[bytes.len() / 2..].starts_with(&some));
        }
    }

    /// Reads one cold item so often that a migration makes a copy of it.
    pub(crate) async fn read_often(&mut self) {
        let Some((id, item)) = self.world.pick(&mut self.rng) else {
            return;
        };
        let tenant = Some(item.tenant.to_owned());
        self.migrate_with(MigrateOptions { tenant, to: Some(Tier::Cold), ..MigrateOptions::default() }).await;
        for _ in 0..self.rng.between(2, 5) {
            let options = GetOptions::default();
            let (_, stream) =
                self.engine.get(item.tenant, item.kind, &id.to_string(), options).await.expect("a get");
            assert!(check::collect(stream).await.expect("its bytes") == item.bytes);
        }
        self.migrate_with(MigrateOptions::default()).await;
    }

    pub(crate) async fn update(&mut self) {
        let Some((id, item)) = self.world.pick(&mut self.rng) else {
            return;
        };
        let now = self.clock.now();
        let mut update = ItemUpdate::default();
        let item = self
            .world
            .items
            .get_mut(&id)
            .filter(|old| old.bytes == item.bytes)
            .expect("the item that was picked");
        let options = &mut item.options;
        if self.rng.chance(400) {
            options.hold = self.rng.chance(400);
            update.hold = Some(options.hold);
        }
        if self.rng.chance(400) {
            options.pin = if self.rng.chance(600) { None } else { Some(*self.rng.pick(&Tier::ALL)) };
            update.pin = Some(options.pin);
        }
        if self.rng.chance(400) {
            let end = Timestamp(now.0 + world::days(&mut self.rng, 5));
            options.retention_end = if self.rng.chance(500) { None } else { Some(end) };
            update.retention_end = Some(options.retention_end);
        }
        if self.rng.chance(400) {
            let value = self.rng.hex(8);
            let _ = options.labels.insert("seen".into(), value.clone());
            let _ = update.labels_set.insert("seen".into(), value);
            let _ = options.labels.remove("folder");
            update.labels_removed.push("folder".into());
        }
        let stat =
            self.engine.update(item.tenant, item.kind, &id.to_string(), update).await.expect("an update");
        assert_eq!(
            (stat.hold, stat.pin, stat.retention_end),
            (options.hold, options.pin, options.retention_end)
        );
        assert_eq!(stat.labels, options.labels);
    }

    pub(crate) async fn delete(&mut self) {
        let Some((id, item)) = self.world.pick(&mut self.rng) else {
            return;
        };
        let now = self.clock.now();
        let deleted = self.engine.delete(item.tenant, item.kind, &id.to_string()).await;
        if item.options.hold || item.options.retention_end.is_some_and(|end| end > now) {
            assert_eq!(deleted.expect_err("it is held").kind(), Kind::FailedPrecondition);
            self.covered.refused_deletes += 1;
            return;
        }
        deleted.expect("a delete");
        let _ = self.world.items.remove(&id);
        let again = self.engine.stat(item.tenant, item.kind, &id.to_string()).await;
        assert_eq!(again.expect_err("it is gone").kind(), Kind::NotFound);
        if let Some(caller_id) = item.options.caller_id.clone() {
            let _ = self.world.gone.insert((item.tenant, item.kind, caller_id), now);
            // A retry of the put that comes late.
            self.put((item.tenant, item.kind, item.options, item.bytes)).await;
        }
    }

    pub(crate) async fn migrate(&mut self) {
        if self.rng.chance(600) {
            let days = *self.rng.pick(&[8, 40, 200]);
            let as_of = Some(self.clock.now().plus(Duration::from_secs(days * 86_400)));
            return self.migrate_with(MigrateOptions { as_of, ..MigrateOptions::default() }).await;
        }
        let to = *self.rng.pick(&Tier::ALL);
        // The first run may drop copies of what it leaves for the second one to move.
        for _ in 0..2 {
            self.migrate_with(MigrateOptions { to: Some(to), ..MigrateOptions::default() }).await;
        }
        for (id, item) in self.world.items.iter().filter(|(_, item)| item.options.pin.is_none()) {
            let stat = self.engine.stat(item.tenant, item.kind, &id.to_string()).await.expect("a stat");
            assert!(
                stat.tier >= to
                    && stat.parts.iter().all(|part| part.tier >= to || item.kind == ItemKind::Message)
            );
        }
    }

    async fn migrate_with(&mut self, options: MigrateOptions) {
        let (progress, _ignored) = mpsc::channel(1);
        let report =
            self.engine.migrate(options, progress, CancellationToken::new()).await.expect("a migration");
        assert_eq!((report.damaged, report.overtaken, report.stopped), (0, 0, false));
        self.note_moves(&report);
    }

    /// A compaction, sometimes a narrow or an incomplete one.
    pub(crate) async fn compact(&mut self) {
        // What is still hot is not merged, and little of it is dead.
        for tier in [Tier::Cold, Tier::Archive] {
            if self.rng.chance(500) {
                self.migrate_with(MigrateOptions { to: Some(tier), ..MigrateOptions::default() }).await;
                self.delete().await;
            }
        }
        let tenant = *self.rng.pick(&self.world.tenants);
        let options = CompactOptions {
            tenant: self.rng.chance(300).then(|| tenant.to_owned()),
            dry_run: self.rng.chance(100),
            dead_percent_min: *self.rng.pick(&[1, 1, 25, 60]),
            bytes_max: self.rng.chance(200).then_some(100_000),
            bytes_per_second_max: None,
        };
        let (progress, _ignored) = mpsc::channel(1);
        let report = self.engine.compact(options, progress, CancellationToken::new()).await;
        let report = report.expect("a compaction");
        assert_eq!((report.damaged, report.overtaken), (0, 0));
        self.covered.compacted += report.objects;
    }

    pub(crate) async fn sweep(&mut self) {
        let options = SweepOptions { grace: Duration::ZERO, dry_run: self.rng.chance(200) };
        let report = self.engine.sweep(options).await.expect("a sweep");
        self.covered.packs_deleted += report.packs_deleted;
    }
}
