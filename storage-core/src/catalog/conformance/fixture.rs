//! A catalog with a tenant and packs of all tiers, and short ways to write rows into it.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::catalog::Catalog;
use crate::catalog::conformance::must;
use crate::catalog::rows::ItemDelete;
use crate::catalog::rows::ItemRow;
use crate::catalog::rows::LogChange;
use crate::catalog::rows::LogCommit;
use crate::catalog::rows::NewItem;
use crate::catalog::rows::NewObject;
use crate::catalog::rows::NewPack;
use crate::catalog::rows::NewPart;
use crate::catalog::rows::ObjectRef;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::PackBytes;
use crate::catalog::rows::PackOrigin;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::Place;
use crate::clock::DAY_MILLIS;
use crate::clock::Timestamp;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::ids::uuid_v7;
use crate::model::ExternalIds;
use crate::model::ItemKind;
use crate::model::Sha256;
use crate::model::Tier;

/// When the suite happens.
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A catalog that is being checked.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) catalog: Box<dyn Catalog>,
    pub(super) tenant: TenantKey,
    pub(super) other: TenantKey,
    /// A pack of each tier; the hot one is open.
    pub(super) packs: BTreeMap<Tier, PackKey>,
}

/// The item's server id of that number: created `number` days after [`NOW`].
pub(super) fn id(number: u8) -> Uuid {
    must(uuid_v7(created(number), [number; 10]))
}

pub(super) fn created(number: u8) -> Timestamp {
    Timestamp(NOW.0 + i64::from(number) * DAY_MILLIS)
}

pub(super) fn hash(number: u8) -> Sha256 {
    Sha256([number; 32])
}

fn new_pack(number: u8, tier: Tier) -> NewPack {
    NewPack {
        name: Uuid::from_u128(u128::from(number)),
        origin: if tier == Tier::Hot { PackOrigin::Log } else { PackOrigin::Rewrite },
        tier,
        sealed: tier != Tier::Hot,
        progress: PackProgress::of(PackBytes { decoded: 7, stream: 5, record: 4, dictionary: 3, index: 2 }),
        created: NOW,
    }
}

impl Fixture {
    pub(super) async fn new(catalog: Box<dyn Catalog>) -> Self {
        let tenant = |number: u8, name: &str| LogChange::Tenant {
            id: Uuid::from_u128(u128::from(number)),
            name: name.to_owned(),
            created: NOW,
        };
        let changes = vec![tenant(1, "one"), tenant(2, "two")];
        must(catalog.commit(&LogCommit { changes, at: NOW, ..LogCommit::default() }).await);
        let keys: Vec<TenantKey> = must(catalog.tenants().await).iter().map(|row| row.key).collect();
        let [tenant, other] = *keys.as_slice() else {
            panic!("two tenants were created: {keys:?}");
        };
        let mut packs = BTreeMap::new();
        for (number, tier) in (10..).zip(Tier::ALL) {
            let _ = packs.insert(tier, must(catalog.add_pack(&new_pack(number, tier)).await));
        }
        Self { catalog, tenant, other, packs }
    }

    /// A further sealed pack.
    pub(super) async fn pack(&self, number: u8, tier: Tier) -> PackKey {
        must(self.catalog.add_pack(&NewPack { sealed: true, ..new_pack(number, tier) }).await)
    }

    pub(super) fn place(&self, tier: Tier, entry: u32) -> Place {
        let pack = self.packs.get(&tier).copied().unwrap_or(PackKey(0));
        Place { pack, frame: 1, entry }
    }

    pub(super) fn object(&self, number: u8) -> NewObject {
        NewObject {
            tenant: self.tenant,
            sha256: hash(number),
            bytes: 100 + u64::from(number),
            class: number % 7,
            place: self.place(Tier::Hot, 1_000 + u32::from(number)),
        }
    }

    /// A message that refers to these objects, whose bytes are all in all `object_bytes`.
    pub(super) fn item(&self, number: u8, objects: &[ObjectRef], object_bytes: u64) -> NewItem {
        let part = |(part, object): (u32, &ObjectRef)| NewPart {
            part,
            role: 1,
            media_type: Some("text/plain".to_owned()),
            file_name: None,
            object: *object,
        };
        NewItem {
            tenant: self.tenant,
            kind: ItemKind::Message,
            id: id(number),
            caller_id: Some(format!("caller {number}")),
            external: ExternalIds::default(),
            message_id_hash: Some(i64::from(number)),
            bytes: 500 + u64::from(number),
            sha256: hash(number),
            skeleton_bytes: 50,
            referenced_bytes: 50 + object_bytes,
            place: self.place(Tier::Hot, u32::from(number)),
            expires: None,
            hold: false,
            pin: None,
            labels: BTreeMap::new(),
            parts: (0..).zip(objects).map(part).collect(),
        }
    }

    /// Commits a message of that number with one new object of the same number.
    pub(super) async fn add(&self, number: u8) {
        let object = self.object(number);
        let item = self.item(number, &[ObjectRef::New(0)], object.bytes);
        must(self.catalog.commit(&group(vec![object], vec![item])).await);
    }

    pub(super) async fn delete(&self, number: u8) {
        let delete = ItemDelete {
            tenant: self.tenant,
            kind: ItemKind::Message,
            id: id(number),
            caller_id: Some(format!("caller {number}")),
            deleted: NOW,
        };
        let changes = vec![LogChange::Delete(delete)];
        must(self.catalog.commit(&LogCommit { changes, at: NOW, ..LogCommit::default() }).await);
    }

    pub(super) async fn find(&self, number: u8) -> Option<ItemRow> {
        must(self.catalog.item_by_uuid(self.tenant, ItemKind::Message, id(number)).await)
    }

    /// The item, which must be there.
    pub(super) async fn row(&self, number: u8) -> ItemRow {
        match self.find(number).await {
            Some(row) => row,
            None => panic!("item {number} is missing"),
        }
    }

    pub(super) async fn objects(&self, numbers: &[u8]) -> Vec<ObjectRow> {
        let hashes: Vec<Sha256> = numbers.iter().map(|number| hash(*number)).collect();
        let mut rows = must(self.catalog.objects_by_hash(self.tenant, &hashes).await);
        rows.sort_by_key(|row| row.sha256);
        rows
    }

    /// The object, which must be there.
    pub(super) async fn object_row(&self, number: u8) -> ObjectRow {
        match self.objects(&[number]).await.pop() {
            Some(row) => row,
            None => panic!("object {number} is missing"),
        }
    }
}

/// A group of objects and items.
pub(super) fn group(objects: Vec<NewObject>, items: Vec<NewItem>) -> LogCommit {
    LogCommit { objects, items, at: NOW, ..LogCommit::default() }
}
