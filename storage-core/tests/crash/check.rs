//! What must hold of a store after a crash or a failure: it opens; what was acknowledged is there, byte for byte; what
//! was not is there whole or not at all; nothing else is there; the statistics add up, to the bytes of the packs; a scrub finds nothing; a
//! second opening finds nothing to mend; a sweep leaves no pack that nobody needs.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use storage_core::catalog::Catalog;
use storage_core::catalog::rows::Statistics;
use storage_core::catalog::rows::StatisticsRow;
use storage_core::engine::Engine;
use storage_core::engine::Recovered;
use storage_core::error::Kind;
use storage_core::ids::TenantKey;
use storage_core::model::ItemKind;
use storage_core::model::ListQuery;
use storage_core::model::Tier;
use uuid::Uuid;

use crate::erasures::erase;
use crate::lab::Cut;
use crate::lab::Lab;
use crate::lab::read;
use crate::lab::settings;
use crate::world::Item;
use crate::world::Key;
use crate::world::World;

/// What was found, or what is wrong.
pub(crate) type Verdict<T = ()> = Result<T, String>;

/// Says what is wrong unless it is so.
macro_rules! must {
    ($so:expr, $($what:tt)+) => {
        if !$so {
            return Err(format!($($what)+));
        }
    };
}

/// The step's answer, or what went wrong in it.
pub(crate) fn done<T>(what: &str, answer: storage_core::error::Result<T>) -> Verdict<T> {
    answer.map_err(|error| format!("{what}: {error:?}"))
}

/// Opens a store that was cut off, and looks at everything. It is closed afterwards, and swept.
pub(crate) async fn mended(lab: &mut Lab) -> Verdict {
    done("the store does not open", lab.open().await)?;
    let recovered = lab.engine().recovered();
    must!(recovered.missing == 0, "packs are missing: {recovered:?}");
    lab.world = agree(lab).await?;
    scrubbed(lab).await?;
    erased(lab).await?;
    done("a close", lab.close().await)?;
    // What was closed in an orderly way is durable, whatever recovery found in the memory of the system.
    *lab = lab.cut(Cut::EVERYTHING);
    done("a second opening", lab.open().await)?;
    let again = lab.engine().recovered();
    must!(again == Recovered::default(), "a second opening mends {again:?}");
    let _report = done("a sweep", lab.sweep().await)?;
    no_orphans(lab).await?;
    let _seen = agree(lab).await?;
    done("the last close", lab.close().await)
}

/// What was erased is in no pack, and nothing is to be done about it again; what was only asked for is in none after the next
/// erasure.
async fn erased(lab: &mut Lab) -> Verdict {
    if lab.world.traces.is_empty() && lab.world.erased.is_empty() {
        return Ok(());
    }
    lab.is_forgotten()?;
    let pending = done("erasures", lab.catalog().pending_erasures().await)?;
    must!(
        pending.len() <= lab.world.asked.len(),
        "an erasure that was told of is to be done again: {pending:?}"
    );
    let _report = done("finishing erasures", erase(lab.engine().clone(), &[]).await)?;
    lab.world.erased();
    lab.is_forgotten()
}

/// A scrub finds nothing, unless something was damaged.
pub(crate) async fn scrubbed(lab: &Lab) -> Verdict {
    let findings = done("a scrub", lab.scrub().await)?;
    must!(findings.is_empty() || lab.damaged, "a scrub finds {findings:?}");
    Ok(())
}

/// An item as the store has it.
async fn found(engine: &Engine, key: &Key) -> Verdict<Option<Item>> {
    let stat = match engine.stat(key.0, key.1, &key.2).await {
        Ok(stat) => stat,
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{key:?}: {error:?}")),
    };
    let bytes = done(&format!("reading {key:?}"), read(engine, key, false).await)?;
    Ok(Some(Item {
        bytes: bytes.into(),
        hold: stat.hold,
        pin: stat.pin,
        retention_end: stat.retention_end,
        labels: stat.labels,
    }))
}

/// In short, for a message.
fn told(item: Option<&Item>) -> String {
    item.map_or_else(
        || "nothing".to_owned(),
        |item| {
            format!("{} bytes, hold {}, pin {:?}, {:?}", item.bytes.len(), item.hold, item.pin, item.labels)
        },
    )
}

/// What a store says of everything that its callers know; what it may not say is an error.
pub(crate) async fn seen(engine: &Engine, world: &World) -> Verdict<World> {
    let mut seen = World {
        traces: world.traces.clone(),
        erased: world.erased.clone(),
        asked: world.asked.clone(),
        damaged: world.damaged.clone(),
        ..World::default()
    };
    let tenants = done("tenants", engine.tenants().await)?;
    for (name, known) in &world.tenants {
        let stat = tenants.iter().find(|tenant| tenant.name == *name);
        must!(known.allows(&stat.is_some()), "tenant {name}: {:?}, not {known:?}", stat.is_some());
        seen.tenant(name).settle(stat.is_some());
        let policy = match stat {
            Some(_) => Some(done("a policy", engine.policy(Some(name)).await)?),
            None => None,
        };
        let policy = policy.filter(|policy| *policy != settings().policy);
        let allowed = world.policies.get(name).map_or(policy.is_none(), |known| known.allows(&policy));
        must!(allowed, "policy of {name}: {policy:?}, not {:?}", world.policies.get(name));
        seen.policy(name).settle(policy);
    }
    must!(tenants.len() == seen.tenants.values().filter(|known| known.is).count(), "unknown tenants");
    for (key, known) in &world.items {
        let item = match found(engine, key).await {
            Err(_) if world.damaged.contains(key) => known.is.clone(),
            found => found?,
        };
        if !known.allows(&item) {
            let maybe: Vec<_> = known.maybe.iter().map(|item| told(item.as_ref())).collect();
            let (item, is) = (told(item.as_ref()), told(known.is.as_ref()));
            return Err(format!("{key:?} is {item}; it was acknowledged as {is}, perhaps {maybe:?}"));
        }
        seen.item(key).settle(item);
    }
    Ok(seen)
}

/// The store has what its callers know and nothing else, and its numbers add up. What it has is told.
pub(crate) async fn agree(lab: &Lab) -> Verdict<World> {
    let seen = seen(lab.engine(), &lab.world).await?;
    for (tenant, known) in &seen.tenants {
        for kind in [ItemKind::Message, ItemKind::Content] {
            if known.is {
                listed(lab.engine(), &seen, (tenant, kind)).await?;
            }
        }
    }
    counted(lab.catalog()).await?;
    adds_up(lab, &seen).await?;
    Ok(seen)
}

async fn listed(engine: &Engine, seen: &World, (tenant, kind): (&'static str, ItemKind)) -> Verdict {
    let query = ListQuery { limit: 1_000, ..ListQuery::default() };
    let page = done("a listing", engine.list(tenant, kind, query).await)?;
    let listed: BTreeSet<String> = page.items.into_iter().filter_map(|stat| stat.caller_id).collect();
    let of = |key: &Key| key.0 == tenant && key.1 == kind;
    let known: BTreeSet<String> =
        seen.stored().filter(|(key, _)| of(key)).map(|(key, _)| key.2.clone()).collect();
    must!(listed == known, "{tenant} {kind:?} lists {listed:?}, not {known:?}");
    Ok(())
}

/// What the increments add up to is what the rows count to.
pub(crate) async fn counted(catalog: &dyn Catalog) -> Verdict {
    let increments = by_tier(&done("statistics", catalog.statistics(None).await)?);
    let counted = by_tier(&done("counts", catalog.counted(None).await)?);
    must!(increments == counted, "statistics say {increments:?}, the rows {counted:?}");
    Ok(())
}

fn by_tier(rows: &[StatisticsRow]) -> BTreeMap<(TenantKey, Tier), [i64; 9]> {
    let mut sums: BTreeMap<_, [i64; 9]> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry((row.tenant, row.tier)).or_default();
        sum.iter_mut().zip(columns(&row.sums)).for_each(|(sum, value)| *sum += value);
    }
    sums.retain(|_, sum| sum.iter().any(|value| *value != 0));
    sums
}

/// The columns that describe the present state.
fn columns(sums: &Statistics) -> [i64; 9] {
    [
        sums.messages,
        sums.contents,
        sums.logical_bytes,
        sums.referenced_bytes,
        sums.objects,
        sums.object_bytes,
        sums.skeletons,
        sums.skeleton_bytes,
        sums.copy_bytes,
    ]
}

/// The store's statistics are those of its items and of the bytes behind its door.
async fn adds_up(lab: &Lab, seen: &World) -> Verdict {
    let stats = done("statistics", lab.engine().stats(None).await)?;
    let logical: u64 = seen.stored().map(|(_, item)| item.bytes.len() as u64).sum();
    must!(stats.logical_bytes == logical, "logical bytes {}, not {logical}", stats.logical_bytes);
    let stored: u64 = lab.packs.contents().iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let whole = stats.stored_bytes == stored || lab.leftovers;
    must!(whole, "stored bytes {}, not {stored}", stats.stored_bytes);
    let saved = stats.saved;
    let saved = saved.transfer_decoding
        + saved.exact_dedup
        + saved.similar_dedup
        + saved.recoding
        + saved.compression;
    let added = stats.added;
    must!(added.dead >= 0 && added.copies >= 0, "{added:?}");
    let added = added.dictionaries + added.records + added.indexes + added.copies + added.dead;
    let received = i64::try_from(logical).expect("a length");
    let total = i64::try_from(stats.stored_bytes).expect("a length");
    must!(received - saved + added == total, "{received} - {saved} + {added} is not {total}");
    Ok(())
}

/// Packs and their rows are the same, to the byte, and nothing is dead.
async fn no_orphans(lab: &Lab) -> Verdict {
    let rows = done("rows of packs", lab.catalog().packs().await)?;
    let rows: BTreeMap<Uuid, u64> = rows.iter().map(|row| (row.name, row.progress.bytes.total())).collect();
    let packs = lab.packs.contents();
    let packs: BTreeMap<Uuid, u64> = packs.iter().map(|(name, bytes)| (name.0, bytes.len() as u64)).collect();
    must!(rows == packs, "the catalog knows {rows:?}, there are {packs:?}");
    let dead = done("dead packs", lab.catalog().dead_packs().await)?;
    must!(dead.is_empty(), "a sweep left {dead:?}");
    Ok(())
}
