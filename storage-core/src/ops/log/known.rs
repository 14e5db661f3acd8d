//! What the catalog knows about the ids and hashes of a group of puts, and what follows for each put: it is answered at
//! once, written, or writes no more than the lost skeleton and the quarantined objects that it brings the bytes of.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use futures::future::try_join_all;

use crate::catalog::rows::ItemRow;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::model::ItemKind;
use crate::model::PutReceipt;
use crate::model::Sha256;
use crate::ops::log::answer;
use crate::ops::log::group::CallerKey;
use crate::ops::log::group::GONE_MILLIS;
use crate::ops::log::group::ObjectHash;
use crate::ops::log::group::Waiting;
use crate::ops::lost::Lost;
use crate::ops::prepared::ObjectBytes;
use crate::ops::prepared::PreparedObject;
use crate::ops::prepared::PreparedPut;
use crate::store::Store;

/// What the catalog knows about a group's ids and hashes.
#[derive(Debug, Default)]
pub(super) struct Known {
    items: HashMap<CallerKey, ItemRow>,
    /// Ids of deleted items, and what stands for those of erased ones.
    gone: HashSet<CallerKey>,
    /// Objects that a put need not bring.
    pub(super) objects: HashMap<ObjectHash, (ObjectKey, u64)>,
    /// Objects that are there and can be read nowhere: to a put they are unknown.
    quarantined: HashSet<ObjectHash>,
    /// Items that are there, and whose skeleton can be read nowhere.
    pub(super) broken: HashMap<CallerKey, ItemRow>,
    /// Items that are damaged and that the put of the same bytes cannot mend.
    refused: HashMap<CallerKey, Error>,
}

/// What is to be done about each put of a group.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// To be written.
    pub(super) fresh: Vec<Waiting>,
    /// Their id comes twice in the group: to be answered after it.
    pub(super) repeats: Vec<Waiting>,
    /// Their item is there, and they bring bytes of it that are lost. Their answers are known.
    pub(super) menders: Vec<(Waiting, PutReceipt)>,
}

/// Separates puts to write from repeats; answers what the catalog settles.
pub(super) fn sort_out(puts: Vec<Waiting>, known: &Known) -> Sorted {
    let mut sorted = Sorted::default();
    let mut taken: HashSet<CallerKey> = HashSet::new();
    for (put, reply) in puts {
        match known.answer(&put) {
            Some(Ok(receipt)) if known.mends(&put) => {
                sorted.menders.push(((put, reply), receipt));
                continue;
            }
            Some(result) => {
                answer(reply, result);
                continue;
            }
            None => {}
        }
        if known.lacks_what_is_not_sent(&put) {
            answer(reply, Err(removed_meanwhile()));
            continue;
        }
        let repeated = put.caller_key().is_some_and(|key| !taken.insert(key));
        if repeated { sorted.repeats.push((put, reply)) } else { sorted.fresh.push((put, reply)) }
    }
    sorted
}

/// The answer where an object that a large put shared was swept before the put was committed.
pub(super) fn removed_meanwhile() -> Error {
    Error::new(
        Kind::Unavailable,
        "An object this message shares with another was removed meanwhile. Send the message again.",
    )
}

impl Known {
    /// Whether the put brings no bytes for an object that is not known (any more).
    fn lacks_what_is_not_sent(&self, put: &PreparedPut) -> bool {
        put.objects.iter().any(|object| {
            let sent = matches!(object.data, ObjectBytes::Whole(_));
            !sent && !self.objects.contains_key(&(put.tenant.key, object.sha256))
        })
    }

    /// The item that a put would store once more.
    pub(super) fn repeated(&self, put: &PreparedPut) -> Option<&ItemRow> {
        self.items.get(&put.caller_key()?).filter(|row| row.sha256 == put.sha256)
    }

    /// Notes what an item has lost that a put repeats. The objects are quarantined by now.
    pub(super) fn note(&mut self, put: &PreparedPut, row: ItemRow, lost: &Lost) {
        for (_, sha256) in &lost.objects {
            let _ = self.objects.remove(&(put.tenant.key, *sha256));
            let _ = self.quarantined.insert((put.tenant.key, *sha256));
        }
        let Some(key) = put.caller_key() else {
            return;
        };
        let brings = |object: &PreparedObject| matches!(object.data, ObjectBytes::Whole(_));
        if let Err(error) = lost.check_mends(put, brings) {
            let _ = self.refused.insert(key, error);
        } else if lost.skeleton {
            let _ = self.broken.insert(key, row);
        }
    }

    /// The put gets this error instead of an answer that its item is there already.
    pub(super) fn refuse(&mut self, put: &PreparedPut, error: Error) {
        if let Some(key) = put.caller_key() {
            let _ = self.refused.insert(key, error);
        }
    }

    /// Whether an object can be read nowhere although it is there.
    pub(super) fn is_quarantined(&self, tenant: TenantKey, sha256: Sha256) -> bool {
        self.quarantined.contains(&(tenant, sha256))
    }

    /// Whether the put brings the bytes of a quarantined object, or of a skeleton that is lost.
    fn mends(&self, put: &PreparedPut) -> bool {
        let broken = put.caller_key().is_some_and(|key| self.broken.contains_key(&key));
        broken
            || put.objects.iter().any(|object| {
                matches!(object.data, ObjectBytes::Whole(_))
                    && self.is_quarantined(put.tenant.key, object.sha256)
            })
    }

    /// The answer where the caller's id is taken or gone.
    pub(super) fn answer(&self, put: &PreparedPut) -> Option<Result<PutReceipt>> {
        let key = put.caller_key()?;
        if let Some(row) = self.items.get(&key) {
            let refused = self.refused.get(&key);
            let refused = refused.map(|error| Error::new(error.kind(), error.message().to_owned()));
            return Some(put.repeat(row).and_then(|receipt| refused.map_or(Ok(receipt), Err)));
        }
        let hidden = (key.0, key.1, put.hidden_id(&key.2));
        (self.gone.contains(&key) || self.gone.contains(&hidden)).then(|| {
            Err(Error::precondition(
                "An item with this id was deleted less than 30 days ago. Store it under another id if it is wanted again.",
            ))
        })
    }
}

/// Three statements per tenant, whatever the group's size. What puts are told because of rows that may not be durable is
/// settled first.
pub(super) async fn look_up<'a>(
    store: &Store,
    puts: impl Iterator<Item = &'a PreparedPut> + Clone,
    now: Timestamp,
) -> Result<Known> {
    let known = find(store, puts.clone(), now).await?;
    let relies = !known.quarantined.is_empty() || puts.into_iter().any(|put| known.repeated(put).is_some());
    if relies && store.owes_barrier() {
        store.settle_rows().await?;
    }
    Ok(known)
}

async fn find<'a>(
    store: &Store,
    puts: impl Iterator<Item = &'a PreparedPut>,
    now: Timestamp,
) -> Result<Known> {
    // In the order of keys, so that the same puts make the same calls.
    let mut ids: BTreeMap<(TenantKey, ItemKind), Vec<String>> = BTreeMap::new();
    let mut gone = ids.clone();
    let mut hashes: BTreeMap<TenantKey, Vec<Sha256>> = BTreeMap::new();
    for put in puts {
        if let Some(id) = &put.options.caller_id {
            ids.entry((put.tenant.key, put.kind)).or_default().push(id.clone());
            gone.entry((put.tenant.key, put.kind)).or_default().extend([id.clone(), put.hidden_id(id)]);
        }
        hashes.entry(put.tenant.key).or_default().extend(put.objects.iter().map(|object| object.sha256));
    }
    let since = Timestamp(now.0.saturating_sub(GONE_MILLIS));
    let by_id = try_join_all(ids.into_iter().zip(gone.into_values()).map(async |(ids, gone)| {
        let ((tenant, kind), ids) = ids;
        let (items, gone) = futures::try_join!(
            store.catalog.items_by_caller_id(tenant, kind, &ids),
            store.catalog.deleted_caller_ids(tenant, kind, &gone, since)
        )?;
        Ok::<_, Error>((tenant, kind, items, gone))
    }));
    let by_hash = try_join_all(hashes.into_iter().map(async |(tenant, hashes)| {
        Ok::<_, Error>((tenant, store.catalog.objects_by_hash(tenant, &hashes).await?))
    }));
    let (by_id, by_hash) = futures::try_join!(by_id, by_hash)?;
    let mut known = Known::default();
    for (tenant, kind, items, gone) in by_id {
        known.items.extend(items.into_iter().filter_map(|row| {
            let id = row.caller_id.clone()?;
            Some(((tenant, kind, id), row))
        }));
        known.gone.extend(gone.into_iter().map(|id| (tenant, kind, id)));
    }
    for (tenant, objects) in by_hash {
        for row in objects {
            if row.quarantined {
                let _ = known.quarantined.insert((tenant, row.sha256));
            } else {
                let _ = known.objects.insert((tenant, row.sha256), (row.key, row.bytes));
            }
        }
    }
    Ok(known)
}
