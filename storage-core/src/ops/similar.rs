//! Looking for what is nearly the same, for people: as an item, or in groups. Reads only; what shares features is read and
//! compared, one object at a time.

use std::collections::BTreeMap;
use std::collections::HashMap;

use bytes::Bytes;
use sha2::Digest as _;

use crate::catalog::rows::ItemRow;
use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::TenantRow;
use crate::catalog::similar::each_feature;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::media::MediaClass;
use crate::model::Sha256;
use crate::ops::read::StoredObject;
use crate::report::Similar;
use crate::report::SimilarOptions;
use crate::report::StatsRow;
use crate::similarity::Feature;
use crate::similarity::Signature;
use crate::similarity::is_useful;
use crate::store::Store;

/// Parts of an item for which it is looked.
const PARTS_MAX: usize = 16;

/// Objects that are read and compared for one part.
const COMPARED_MAX: usize = 40;

/// Items that are named of an object.
const ITEMS_MAX: u32 = 10;

/// Groups that are told.
const GROUPS_MAX: usize = 50;

/// Rows looked up in one go.
const BATCH: usize = 256;

/// Objects that are nearly the same as those of an item, the likest first.
pub(crate) async fn find(
    store: &Store,
    tenant: &TenantRow,
    item: &ItemRow,
    options: SimilarOptions,
) -> Result<Vec<Similar>> {
    let mut found = Vec::new();
    let parts = store.catalog.parts(item.key).await?;
    let useful = |object: &ObjectRow| is_useful(MediaClass::of_code(object.class), object.bytes);
    for part in parts.iter().filter(|part| useful(&part.object)).take(PARTS_MAX) {
        let Some(signature) = signature(store, &part.object).await? else {
            continue;
        };
        let holders = store.catalog.holders(tenant.key, &signature.asked()).await?;
        let keys: Vec<ObjectKey> = ranked(part.object.key, &holders).into_iter().take(COMPARED_MAX).collect();
        let deltas = store.catalog.deltas_of(tenant.key, &keys).await?;
        for row in
            store.catalog.objects_by_key(tenant.key, &keys).await?.iter().filter(|row| !row.quarantined)
        {
            let other = match self::signature(store, row).await {
                Ok(Some(other)) => other,
                Ok(None) => continue,
                // What cannot be read is nothing that could be told of.
                Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented) => continue,
                Err(error) => return Err(error),
            };
            let likeness = signature.likeness(&other);
            let highest = likeness.score.max(likeness.shared);
            if highest == 0 || highest < options.score_min {
                continue;
            }
            found.push(Similar {
                part: part.part,
                sha256: row.sha256,
                bytes: row.bytes,
                bytes_more: signed(row.bytes).saturating_sub(signed(part.object.bytes)),
                score: likeness.score,
                shared: likeness.shared,
                delta_bytes: deltas.iter().find(|delta| delta.object == row.key).map(|delta| delta.bytes),
                items: store.catalog.items_of_object(row.key, ITEMS_MAX).await?,
            });
        }
    }
    found.sort_by_key(|similar| {
        (std::cmp::Reverse((similar.score.max(similar.shared), similar.score)), similar.sha256)
    });
    found.truncate(usize::try_from(options.limit).unwrap_or(usize::MAX));
    Ok(found)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

async fn signature(store: &Store, row: &ObjectRow) -> Result<Option<Signature>> {
    let bytes = match store.object(&row.location, row.sha256).await? {
        StoredObject::Whole(bytes) => bytes,
        StoredObject::Segmented(pack, entry) => {
            let mut object = Vec::new();
            for segment in &entry.segments {
                object.extend_from_slice(&store.segment(pack, segment).await?);
            }
            Bytes::from(object)
        }
    };
    let (class, hash) = (MediaClass::of_code(row.class), row.sha256);
    let work = move || {
        if Sha256(sha2::Sha256::digest(&bytes).into()) != hash {
            return Err(Error::corrupt("An object does not have its hash. Run scrub."));
        }
        Ok(Signature::of(class, &bytes))
    };
    store.foreground.run(work).await
}

/// The objects that share features with one, those that share most first; a feature counts less the more objects have
/// it.
pub(crate) fn ranked(key: ObjectKey, holders: &[(Feature, ObjectKey)]) -> Vec<ObjectKey> {
    const WHOLE: u64 = 1 << 20;
    let mut crowds: HashMap<Feature, u64> = HashMap::new();
    for (feature, _) in holders {
        *crowds.entry(*feature).or_default() += 1;
    }
    let mut weights: HashMap<ObjectKey, u64> = HashMap::new();
    for (feature, holder) in holders.iter().filter(|(_, holder)| *holder != key) {
        let crowd = crowds.get(feature).copied().unwrap_or(1);
        *weights.entry(*holder).or_default() += WHOLE / crowd.max(1);
    }
    let mut ranked: Vec<(u64, ObjectKey)> =
        weights.into_iter().map(|(holder, weight)| (weight, holder)).collect();
    ranked.sort_unstable_by(|one, other| other.cmp(one));
    ranked.into_iter().map(|(_, holder)| holder).collect()
}

/// Which objects belong together: each points to another of its group, or to itself.
#[derive(Debug, Default)]
struct Groups(HashMap<ObjectKey, ObjectKey>);

impl Groups {
    fn first(&mut self, of: ObjectKey) -> ObjectKey {
        let mut at = of;
        while let Some(next) = self.0.get(&at).copied().filter(|next| *next != at) {
            at = next;
        }
        // What was passed points there at once from now on.
        let mut passed = of;
        while passed != at {
            passed = self.0.insert(passed, at).unwrap_or(at);
        }
        at
    }

    fn join(&mut self, one: ObjectKey, other: ObjectKey) {
        let (one, other) = (self.first(one), self.first(other));
        let (low, high) = (one.min(other), one.max(other));
        let _own = self.0.insert(low, low);
        let _before = self.0.insert(high, low);
    }

    fn all(mut self) -> Vec<Vec<ObjectKey>> {
        let keys: Vec<ObjectKey> = self.0.keys().copied().collect();
        let mut groups: BTreeMap<ObjectKey, Vec<ObjectKey>> = BTreeMap::new();
        for key in keys {
            groups.entry(self.first(key)).or_default().push(key);
        }
        groups.into_values().filter(|group| group.len() > 1).collect()
    }
}

/// The largest groups of near-duplicates, largest first: the first 16 digits of the hash of their oldest object and its
/// class, their objects, the bytes of these, and what is left of them where some are differences from others.
pub(crate) async fn groups(store: &Store, only: Option<&TenantRow>) -> Result<Vec<StatsRow>> {
    let mut rows = Vec::new();
    for tenant in store.catalog.tenants().await? {
        if only.is_some_and(|only| only.key != tenant.key) {
            continue;
        }
        let mut groups = Groups::default();
        let mut before: Option<(Feature, ObjectKey)> = None;
        let see = |feature, object| {
            if let Some((last, other)) = before
                && last == feature
            {
                groups.join(other, object);
            }
            before = Some((feature, object));
        };
        each_feature(store.catalog.as_ref(), tenant.key, see).await?;
        for group in groups.all() {
            rows.extend(told(store, &tenant, group).await?);
        }
        rows.sort_by_key(|row: &StatsRow| std::cmp::Reverse(row.unique_bytes));
        rows.truncate(GROUPS_MAX);
    }
    Ok(rows)
}

async fn told(store: &Store, tenant: &TenantRow, mut group: Vec<ObjectKey>) -> Result<Option<StatsRow>> {
    group.sort_unstable();
    let mut sum = StatsRow::default();
    for keys in group.chunks(BATCH) {
        let objects = store.catalog.objects_by_key(tenant.key, keys).await?;
        let deltas = store.catalog.deltas_of(tenant.key, keys).await?;
        if let Some(first) = objects.iter().min_by_key(|row| row.key).filter(|_| sum.key.is_empty()) {
            let hash: String = first.sha256.to_string().chars().take(16).collect();
            sum.key = format!("{hash} {}", MediaClass::of_code(first.class).name());
        }
        for row in &objects {
            let delta = deltas.iter().find(|delta| delta.object == row.key);
            sum.objects += 1;
            sum.unique_bytes += row.bytes;
            sum.stored_bytes += delta.map_or(row.bytes, |delta| delta.bytes);
        }
    }
    Ok((sum.objects > 1).then_some(sum))
}

#[cfg(test)]
mod tests {
    use super::Groups;
    use super::ranked;
    use crate::ids::ObjectKey;
    use crate::similarity::Feature;

    #[test]
    fn what_is_joined_by_anything_is_one_group() {
        let mut groups = Groups::default();
        for (one, other) in [(5, 6), (1, 2), (6, 7), (2, 9), (3, 3), (9, 1)] {
            groups.join(ObjectKey(one), ObjectKey(other));
        }
        let mut all = groups.all();
        for group in &mut all {
            group.sort_unstable();
        }
        let keys = |keys: &[i64]| keys.iter().map(|key| ObjectKey(*key)).collect::<Vec<_>>();
        assert_eq!(all, [keys(&[1, 2, 9]), keys(&[5, 6, 7])]);
    }

    #[test]
    fn what_few_have_counts_more() {
        let of = |feature, keys: &[i64]| {
            keys.iter().map(|key| (Feature(feature), ObjectKey(*key))).collect::<Vec<_>>()
        };
        let holders = [of(1, &[1, 2, 3, 4]), of(2, &[1, 5]), of(3, &[2, 3])].concat();
        let first: Vec<i64> = ranked(ObjectKey(1), &holders).iter().map(|key| key.0).collect();
        assert_eq!(first, [3, 2, 5, 4]);
    }
}
