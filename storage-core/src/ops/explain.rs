//! Why an item is where it is, what it costs to read, and what happens to it next.

use std::sync::Arc;

use crate::catalog::rows::ItemRow;
use crate::catalog::rows::Location;
use crate::catalog::rows::PartRow;
use crate::catalog::rows::TenantRow;
use crate::clock::DAY_MILLIS;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::uuid_v7_time;
use crate::model::Tier;
use crate::ops::migrate::plan::WAIT_DAYS;
use crate::ops::read::transform_in;
use crate::report::ExplainPart;
use crate::report::Explanation;
use crate::store::Store;
use crate::tier::policy::TierPolicy;

/// What decides about an item.
struct Situation {
    policy: TierPolicy,
    used: Timestamp,
    now: Timestamp,
    pin: Option<Tier>,
}

/// Explains an item.
pub(crate) async fn explain(store: &Arc<Store>, tenant: &TenantRow, row: &ItemRow) -> Result<Explanation> {
    let access = store.catalog.access(row.key).await?;
    let created = uuid_v7_time(row.id);
    let read = access.map(|access| Timestamp(access.day.saturating_mul(DAY_MILLIS)));
    let situation = Situation {
        policy: store.policy_of(tenant)?,
        used: read.map_or(created, |read| read.max(created)),
        now: store.now(),
        pin: row.pin,
    };
    let mut parts = vec![skeleton(store, row, &situation).await?];
    for part in store.catalog.parts(row.key).await? {
        parts.push(object(store, &part, &situation).await?);
    }
    Ok(Explanation {
        id: row.id,
        kind: row.kind.name().to_owned(),
        used: situation.used.0,
        reasons: reasons(row, tenant, &situation, read.is_some()),
        parts,
    })
}

async fn skeleton(store: &Store, row: &ItemRow, situation: &Situation) -> Result<ExplainPart> {
    let mut part = located(store, &row.location, row.copy.as_ref(), situation, row.skeleton_bytes).await?;
    "skeleton".clone_into(&mut part.what);
    part.decoded_bytes = row.skeleton_bytes;
    part.references = 1;
    Ok(part)
}

async fn object(store: &Store, row: &PartRow, situation: &Situation) -> Result<ExplainPart> {
    let object = &row.object;
    let mut part = located(store, &object.location, object.copy.as_ref(), situation, object.bytes).await?;
    part.what = format!("part {}", row.part);
    part.sha256 = object.sha256.to_string();
    part.decoded_bytes = object.bytes;
    part.references = store.catalog.references(object.key).await?;
    let block = store.block(object.location.pack, object.location.place.frame).await?;
    if let Some(transform) = transform_in(&block, &object.location)?.name() {
        part.codec = format!("{transform}+{}", part.codec);
    }
    Ok(part)
}

async fn located(
    store: &Store,
    location: &Location,
    copy: Option<&Location>,
    situation: &Situation,
    bytes: u64,
) -> Result<ExplainPart> {
    let entry = store.index_entry(location.pack, location.place.frame).await?;
    Ok(ExplainPart {
        what: String::new(),
        sha256: String::new(),
        decoded_bytes: 0,
        references: 0,
        tier: location.tier.name().to_owned(),
        pack: location.pack.to_string(),
        frame: location.place.frame,
        codec: entry.codec.name().to_owned(),
        dictionary: entry.dictionary.map(|id| id.to_string()),
        block_decoded_bytes: u64::from(entry.stream_decoded),
        block_stored_bytes: u64::from(entry.stream_stored),
        copy_tier: copy.map(|copy| copy.tier.name().to_owned()),
        next: next(situation, location.tier, bytes),
    })
}

fn days(from: Timestamp, to: Timestamp) -> i64 {
    to.0.saturating_sub(from.0).div_euclid(DAY_MILLIS)
}

/// What the next migrations do with something in `tier`.
fn next(situation: &Situation, tier: Tier, bytes: u64) -> String {
    if let Some(pin) = situation.pin {
        return if pin > tier {
            format!("It is pinned to {}; the next migration moves it there.", pin.name())
        } else {
            format!("It stays: the item is pinned to {}.", pin.name())
        };
    }
    let due = situation.policy.target(situation.used, situation.now, bytes);
    if due > tier {
        let overdue = situation.policy.days_overdue(due, situation.used, situation.now);
        let left = (WAIT_DAYS - overdue).max(0);
        let waits = match left {
            0 => String::new(),
            left => format!(" One that waits for full blocks may leave it for {left} days."),
        };
        return format!("The next migration moves it to {}.{waits}", due.name());
    }
    let thresholds = [
        (Tier::Warm, situation.policy.warm_after_days),
        (Tier::Cold, situation.policy.cold_after_days),
        (Tier::Archive, situation.policy.archive_after_days),
    ];
    let age = days(situation.used, situation.now);
    match thresholds.into_iter().find(|(target, after)| *target > tier && i64::from(*after) > age) {
        Some((target, after)) => {
            format!("In {} days, if it is not read, it moves to {}.", i64::from(after) - age, target.name())
        }
        None => "It stays: this is the coldest tier it can reach.".to_owned(),
    }
}

fn reasons(row: &ItemRow, tenant: &TenantRow, situation: &Situation, read: bool) -> Vec<String> {
    let age = days(situation.used, situation.now);
    let since = if read { "last read" } else { "created" };
    let mut reasons = vec![format!("It was {since} {age} days ago; its tier follows from that.")];
    let whose = if tenant.policy.is_some() { "the tenant's own" } else { "the store's" };
    reasons.push(format!(
        "By {whose} policy, content becomes warm after {} days, cold after {}, archive after {}.",
        situation.policy.warm_after_days,
        situation.policy.cold_after_days,
        situation.policy.archive_after_days
    ));
    if let Some(pin) = row.pin {
        reasons.push(format!("It is pinned to {}.", pin.name()));
    }
    if row.hold {
        reasons.push("It is under a hold: deletes are refused.".to_owned());
    }
    if let Some(end) = row.expires {
        let left = days(situation.now, end);
        reasons.push(if end > situation.now {
            format!("Its retention ends in {left} days: deletes are refused until then.")
        } else {
            "Its retention has ended: it may be deleted.".to_owned()
        });
    }
    reasons
}
