//! What the callers of a store know: what was acknowledged, and what they asked for and got no answer to, which may be
//! there whole or not at all.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;
use storage_core::clock::Timestamp;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::model::Tier;
use storage_core::tier::policy::TierPolicy;

/// A caller's id in its name space. Every item of these tests has one.
pub(crate) type Key = (&'static str, ItemKind, String);

/// A stored item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) bytes: Bytes,
    pub(crate) hold: bool,
    pub(crate) pin: Option<Tier>,
    pub(crate) retention_end: Option<Timestamp>,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Item {
    pub(crate) fn new(bytes: Bytes, options: &PutOptions) -> Self {
        Self {
            bytes,
            hold: options.hold,
            pin: options.pin,
            retention_end: options.retention_end,
            labels: options.labels.clone(),
        }
    }
}

/// A value that was acknowledged, and those it may have instead because nobody was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known<T> {
    pub(crate) is: T,
    pub(crate) maybe: Vec<T>,
}

impl<T: PartialEq> Known<T> {
    pub(crate) fn new(is: T) -> Self {
        Self { is, maybe: Vec::new() }
    }

    pub(crate) fn allows(&self, value: &T) -> bool {
        self.is == *value || self.maybe.contains(value)
    }

    pub(crate) fn settle(&mut self, value: T) {
        self.is = value;
        self.maybe.clear();
    }
}

/// Everything that callers know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct World {
    pub(crate) tenants: BTreeMap<&'static str, Known<bool>>,
    pub(crate) policies: BTreeMap<&'static str, Known<Option<TierPolicy>>>,
    pub(crate) items: BTreeMap<Key, Known<Option<Item>>>,
    /// Bytes that only this item has, of some that may be erased.
    pub(crate) traces: BTreeMap<Key, Bytes>,
    /// Those of items whose erasure was acknowledged.
    pub(crate) erased: Vec<Bytes>,
    /// Items whose erasure was asked for, and nobody was told that it is done.
    pub(crate) asked: Vec<Key>,
    /// Items that were damaged, until a put that brings their bytes again is acknowledged.
    pub(crate) damaged: BTreeSet<Key>,
}

impl World {
    pub(crate) fn item(&mut self, key: &Key) -> &mut Known<Option<Item>> {
        self.items.entry(key.clone()).or_insert_with(|| Known::new(None))
    }

    pub(crate) fn policy(&mut self, tenant: &'static str) -> &mut Known<Option<TierPolicy>> {
        self.policies.entry(tenant).or_insert_with(|| Known::new(None))
    }

    pub(crate) fn tenant(&mut self, name: &'static str) -> &mut Known<bool> {
        self.tenants.entry(name).or_insert_with(|| Known::new(false))
    }

    /// Everything that was asked for is erased: what only these items had is in no pack any more.
    pub(crate) fn erased(&mut self) {
        for key in std::mem::take(&mut self.asked) {
            if self.item(&key).is.is_none() {
                self.erased.extend(self.traces.remove(&key));
            }
        }
    }

    /// The acknowledged items.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (&Key, &Item)> {
        self.items.iter().filter_map(|(key, known)| Some((key, known.is.as_ref()?)))
    }
}
