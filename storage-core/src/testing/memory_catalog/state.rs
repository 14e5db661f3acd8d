//! The rows of the catalog in memory, and the look-ups that need nothing but them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use uuid::Uuid;

use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::ErasureRow;
use crate::catalog::rows::ItemRow;
use crate::catalog::rows::JobRow;
use crate::catalog::rows::Location;
use crate::catalog::rows::NewDictionary;
use crate::catalog::rows::NewItem;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::PackRow;
use crate::catalog::rows::PartRow;
use crate::catalog::rows::Place;
use crate::catalog::rows::Statistics;
use crate::catalog::rows::TenantRow;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::ids::ItemKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::ids::uuid_v7_floor;
use crate::model::ItemKind;
use crate::model::ListQuery;
use crate::model::Sha256;
use crate::model::Tier;
use crate::pack::RecodedBytes;
use crate::similarity::Feature;

/// A reference of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) index: u32,
    pub(super) role: u8,
    pub(super) media_type: Option<String>,
    pub(super) file_name: Option<String>,
    pub(super) object: ObjectKey,
}

/// An item: what was put (its `parts` are kept resolved), and where its copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) new: NewItem,
    pub(super) copy: Option<Place>,
    pub(super) parts: Vec<Part>,
}

/// An object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) tenant: TenantKey,
    pub(super) sha256: Sha256,
    pub(super) bytes: u64,
    pub(super) class: u8,
    pub(super) place: Place,
    pub(super) copy: Option<Place>,
    pub(super) quarantined: bool,
}

/// A dictionary.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dictionary {
    pub(super) new: NewDictionary,
    pub(super) active: bool,
}

/// All rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    pub(super) tenants: BTreeMap<TenantKey, TenantRow>,
    pub(super) packs: BTreeMap<PackKey, PackRow>,
    pub(super) items: BTreeMap<ItemKey, Item>,
    pub(super) objects: BTreeMap<ObjectKey, Object>,
    pub(super) dictionaries: BTreeMap<DictionaryKey, Dictionary>,
    /// Which packs need which dictionaries.
    pub(super) needed: BTreeSet<(PackKey, DictionaryKey)>,
    /// What recoding did to the objects in a pack.
    pub(super) recoded: BTreeMap<(PackKey, TenantKey), RecodedBytes>,
    /// Where to look for what is similar.
    pub(super) features: BTreeSet<(TenantKey, Feature, ObjectKey)>,
    /// What is stored as a difference: its base, and the bytes of the difference.
    pub(super) deltas: BTreeMap<ObjectKey, (ObjectKey, u64)>,
    pub(super) gone: BTreeMap<(TenantKey, ItemKind, String), Timestamp>,
    pub(super) reads: BTreeMap<(ItemKey, i64), u32>,
    pub(super) statistics: BTreeMap<(TenantKey, i64, Tier), Statistics>,
    pub(super) jobs: BTreeMap<i64, JobRow>,
    /// When packs were checked last.
    pub(super) checked: BTreeMap<PackKey, Timestamp>,
    /// The highest sequence of a policy record.
    pub(super) sequence: u64,
    /// In the order they were asked for.
    pub(super) erasures: Vec<ErasureRow>,
}

/// The error of a row that must not be: what a database's constraint answers.
pub(super) fn refused(what: &'static str) -> Error {
    Error::new(Kind::Io, format!("The catalog refused: {what}."))
}

impl State {
    pub(super) fn pack(&self, key: PackKey) -> Result<&PackRow> {
        self.packs.get(&key).ok_or_else(|| refused("there is no such pack"))
    }

    pub(super) fn location(&self, place: Place) -> Result<Location> {
        let pack = self.pack(place.pack)?;
        Ok(Location { place, pack: pack.name, tier: pack.tier })
    }

    pub(super) fn tier(&self, place: Place) -> Result<Tier> {
        Ok(self.pack(place.pack)?.tier)
    }

    pub(super) fn item_row(&self, key: ItemKey, item: &Item) -> Result<ItemRow> {
        let new = &item.new;
        Ok(ItemRow {
            key,
            kind: new.kind,
            id: new.id,
            caller_id: new.caller_id.clone(),
            external: new.external,
            bytes: new.bytes,
            sha256: new.sha256,
            skeleton_bytes: new.skeleton_bytes,
            location: self.location(new.place)?,
            copy: item.copy.map(|place| self.location(place)).transpose()?,
            expires: new.expires,
            hold: new.hold,
            pin: new.pin,
            labels: new.labels.clone(),
        })
    }

    pub(super) fn object_row(&self, key: ObjectKey) -> Result<ObjectRow> {
        let object = self.objects.get(&key).ok_or_else(|| refused("there is no such object"))?;
        Ok(ObjectRow {
            key,
            sha256: object.sha256,
            bytes: object.bytes,
            class: object.class,
            location: self.location(object.place)?,
            copy: object.copy.map(|place| self.location(place)).transpose()?,
            quarantined: object.quarantined,
        })
    }

    /// The items of a tenant and kind.
    pub(super) fn items_of(
        &self,
        tenant: TenantKey,
        kind: ItemKind,
    ) -> impl Iterator<Item = (ItemKey, &Item)> {
        let of = move |item: &Item| item.new.tenant == tenant && item.new.kind == kind;
        self.items.iter().filter(move |(_, item)| of(item)).map(|(key, item)| (*key, item))
    }

    pub(super) fn key_of(&self, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Option<ItemKey> {
        self.items_of(tenant, kind).find(|(_, item)| item.new.id == id).map(|(key, _)| key)
    }

    pub(super) fn item_by_uuid(
        &self,
        tenant: TenantKey,
        kind: ItemKind,
        id: Uuid,
    ) -> Result<Option<ItemRow>> {
        let found = self.items_of(tenant, kind).find(|(_, item)| item.new.id == id);
        found.map(|(key, item)| self.item_row(key, item)).transpose()
    }

    pub(super) fn items_by_caller_id(
        &self,
        tenant: TenantKey,
        kind: ItemKind,
        ids: &[String],
    ) -> Result<Vec<ItemRow>> {
        let wanted = |item: &Item| item.new.caller_id.as_ref().is_some_and(|id| ids.contains(id));
        let found = self.items_of(tenant, kind).filter(|(_, item)| wanted(item));
        found.map(|(key, item)| self.item_row(key, item)).collect()
    }

    pub(super) fn deleted_caller_ids(
        &self,
        tenant: TenantKey,
        kind: ItemKind,
        (ids, since): (&[String], Timestamp),
    ) -> Vec<String> {
        let gone = |id: &&String| {
            self.gone.get(&(tenant, kind, (*id).clone())).is_some_and(|deleted| *deleted > since)
        };
        ids.iter().filter(gone).cloned().collect()
    }

    pub(super) fn objects_by_hash(&self, tenant: TenantKey, hashes: &[Sha256]) -> Result<Vec<ObjectRow>> {
        let of = |object: &Object| object.tenant == tenant && hashes.contains(&object.sha256);
        let found = self.objects.iter().filter(|(_, object)| of(object));
        found.map(|(key, _)| self.object_row(*key)).collect()
    }

    pub(super) fn parts(&self, item: ItemKey) -> Result<Vec<PartRow>> {
        let parts = self.items.get(&item).map_or(&[][..], |item| &item.parts);
        let row = |part: &Part| {
            Ok(PartRow {
                part: part.index,
                role: part.role,
                media_type: part.media_type.clone(),
                file_name: part.file_name.clone(),
                object: self.object_row(part.object)?,
            })
        };
        parts.iter().map(row).collect()
    }

    pub(super) fn list(&self, tenant: TenantKey, kind: ItemKind, query: &ListQuery) -> Result<Vec<ItemRow>> {
        let hash = query.message_id.as_deref().map(crate::ids::message_id_hash);
        let external = query.external;
        let wanted = |item: &Item| {
            let (new, of) = (&item.new, item.new.external);
            query.after.is_none_or(|after| new.id > after)
                && query.created_from.is_none_or(|from| new.id >= uuid_v7_floor(from))
                && query.created_until.is_none_or(|until| new.id < uuid_v7_floor(until))
                && (external.campaign.is_none() || external.campaign == of.campaign)
                && (external.account.is_none() || external.account == of.account)
                && (external.lead.is_none() || external.lead == of.lead)
                && (hash.is_none() || hash == new.message_id_hash)
        };
        let mut found: Vec<_> = self.items_of(tenant, kind).filter(|(_, item)| wanted(item)).collect();
        found.sort_by_key(|(_, item)| item.new.id);
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        found.into_iter().take(limit).map(|(key, item)| self.item_row(key, item)).collect()
    }

    /// How many references there are to an object.
    pub(super) fn references(&self, object: ObjectKey) -> u64 {
        let parts = self.items.values().flat_map(|item| &item.parts);
        parts.filter(|part| part.object == object).map(|_| 1).sum()
    }

    pub(super) fn dictionary_rows(&self, tenant: Option<TenantKey>) -> Result<Vec<DictionaryRow>> {
        let of = |dictionary: &Dictionary| tenant.is_none_or(|tenant| dictionary.new.tenant == tenant);
        let row = |(key, dictionary): (&DictionaryKey, &Dictionary)| {
            Ok(DictionaryRow {
                key: *key,
                dictionary: dictionary.new.clone(),
                pack_name: self.pack(dictionary.new.pack)?.name,
                active: dictionary.active,
                packs: self.needed.iter().filter(|(_, needed)| needed == key).map(|_| 1).sum(),
            })
        };
        self.dictionaries.iter().filter(|(_, dictionary)| of(dictionary)).map(row).collect()
    }
}
