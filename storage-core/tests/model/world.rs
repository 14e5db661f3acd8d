//! What the model knows: plain maps, and where the bytes of puts come from.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage_core::clock::DAY_MILLIS;
use storage_core::clock::Timestamp;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_fixtures::mailbox::GeneratedMessage;
use storage_fixtures::mailbox::Mailbox;
use storage_fixtures::mime::weird;
use storage_fixtures::rng::Rng;
use uuid::Uuid;

/// How long a deleted id stays gone.
const GONE_MILLIS: i64 = 30 * DAY_MILLIS;

/// One stored item.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) tenant: &'static str,
    pub(crate) kind: ItemKind,
    pub(crate) bytes: Bytes,
    pub(crate) created: Timestamp,
    pub(crate) options: PutOptions,
}

/// A caller's id in its name space.
pub(crate) type CallerKey = (&'static str, ItemKind, String);

/// Everything that should be there.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) items: BTreeMap<Uuid, Item>,
    pub(crate) gone: BTreeMap<CallerKey, Timestamp>,
    pub(crate) tenants: Vec<&'static str>,
}

impl World {
    pub(crate) fn by_caller(&self, key: &CallerKey) -> Option<Uuid> {
        let of = |item: &Item| item.options.caller_id.clone().map(|id| (item.tenant, item.kind, id));
        self.items.iter().find(|(_, item)| of(item).as_ref() == Some(key)).map(|(id, _)| *id)
    }

    pub(crate) fn is_gone(&self, key: &CallerKey, now: Timestamp) -> bool {
        self.gone.get(key).is_some_and(|deleted| deleted.0 > now.0 - GONE_MILLIS)
    }

    pub(crate) fn pick(&self, rng: &mut Rng) -> Option<(Uuid, Item)> {
        let at = rng.below(self.items.len());
        self.items.iter().nth(at).map(|(id, item)| (*id, item.clone()))
    }

    pub(crate) fn logical_bytes(&self) -> u64 {
        self.items.values().map(|item| item.bytes.len() as u64).sum()
    }
}

/// Where the bytes of puts come from.
#[derive(Debug)]
pub(crate) struct Supply {
    mailbox: Mailbox,
}

impl Supply {
    pub(crate) fn new(seed: u64) -> Self {
        Self { mailbox: Mailbox::new(seed, 100_000) }
    }

    pub(crate) fn message(&mut self) -> GeneratedMessage {
        loop {
            let message = self.mailbox.next().expect("a mailbox that does not end");
            // Attachments of many megabytes have a step of their own.
            if message.bytes.len() < 200_000 {
                return message;
            }
        }
    }

    pub(crate) fn weird(rng: &mut Rng) -> Bytes {
        loop {
            let bytes = weird::message(u64::try_from(rng.below(600)).unwrap_or(0));
            if (1..200_000).contains(&bytes.len()) {
                return Bytes::from(bytes);
            }
        }
    }

    pub(crate) fn content(rng: &mut Rng) -> Bytes {
        let bytes = rng.grown(1, 60_000, 700);
        if rng.chance(400) {
            return Bytes::from(rng.bytes(bytes));
        }
        let line = format!("{} the same words again and again\n", rng.hex(6));
        Bytes::from(line.repeat(bytes / line.len() + 1))
    }
}

/// Milliseconds of fewer than `end` days.
pub(crate) fn days(rng: &mut Rng, end: usize) -> i64 {
    i64::try_from(rng.below(end)).map_or(0, |days| days * DAY_MILLIS)
}

/// Random options for a put.
pub(crate) fn options(rng: &mut Rng, kind: ItemKind, now: Timestamp) -> PutOptions {
    let mut options = PutOptions::default();
    if rng.chance(800) {
        options.caller_id = Some(format!("id-{}", rng.below(500)));
    }
    if rng.chance(300) {
        options.created = Some(Timestamp(now.0 - days(rng, 400)));
    }
    if rng.chance(50) {
        options.hold = true;
    }
    if rng.chance(50) {
        options.retention_end = Some(Timestamp(now.0 + days(rng, 20)));
    }
    if rng.chance(50) {
        options.pin = Some(*rng.pick(&Tier::ALL));
    }
    if rng.chance(300) {
        let _ =
            options.labels.insert("folder".into(), rng.pick_text(&["inbox", "größer", "\u{1}\"x\""]).into());
    }
    if rng.chance(200) {
        options.external.campaign = Some(Uuid::from_u128(rng.below(3) as u128 + 1));
        options.external.lead = Some(rng.uuid());
    }
    if kind == ItemKind::Content && rng.chance(500) {
        options.media_type = Some("text/plain".into());
        options.file_name = Some("notes.txt".into());
    }
    options
}
