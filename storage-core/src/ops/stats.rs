//! What is stored and what was saved, so that it adds up: `logical - saved + added = stored`, to the byte.
//!
//! The catalog's increments tell the logical side; the packs' byte counters tell the stored side. Per tenant, the
//! stored side is the tenant's frames as the packs' indexes list them (headers, indexes and footers of packs belong to
//! nobody).

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::rows::PackBytes;
use crate::catalog::rows::PackRow;
use crate::catalog::rows::Statistics;
use crate::catalog::rows::StatisticsRow;
use crate::catalog::rows::TenantRow;
use crate::error::Error;
use crate::error::Result;
use crate::media::MediaClass;
use crate::model::Tier;
use crate::ops::read::moved_away;
use crate::ops::similar;
use crate::ops::weigh;
use crate::pack::FrameKind;
use crate::pack::IndexEntry;
use crate::report::Added;
use crate::report::Saved;
use crate::report::Stats;
use crate::report::StatsBy;
use crate::report::StatsRow;
use crate::report::TierStats;
use crate::store::Store;

/// Bytes of packs, by tier and codec.
#[derive(Debug, Default)]
struct Stored {
    tiers: BTreeMap<Tier, PackBytes>,
    codecs: BTreeMap<Tier, BTreeMap<String, u64>>,
}

impl Stored {
    fn add(&mut self, tier: Tier, bytes: PackBytes) {
        let sum = self.tiers.entry(tier).or_default();
        sum.decoded += bytes.decoded;
        sum.stream += bytes.stream;
        sum.record += bytes.record;
        sum.dictionary += bytes.dictionary;
        sum.index += bytes.index;
    }

    fn add_frame(&mut self, tier: Tier, entry: &IndexEntry) {
        if matches!(entry.kind, FrameKind::Block | FrameKind::Segment) {
            let codec =
                self.codecs.entry(tier).or_default().entry(entry.codec.name().to_owned()).or_default();
            *codec += u64::from(entry.stream_stored);
        }
    }

    fn total(&self) -> PackBytes {
        let mut all = Self::default();
        for bytes in self.tiers.values() {
            all.add(Tier::Hot, *bytes);
        }
        all.tiers.remove(&Tier::Hot).unwrap_or_default()
    }
}

/// The counters of one frame.
fn frame_bytes(entry: &IndexEntry) -> PackBytes {
    let (all, stream) = (u64::from(entry.bytes()), u64::from(entry.stream_stored));
    match entry.kind {
        FrameKind::Block | FrameKind::Segment => PackBytes {
            decoded: u64::from(entry.stream_decoded),
            stream,
            record: all - stream,
            ..PackBytes::default()
        },
        FrameKind::Dictionary => PackBytes { dictionary: all, ..PackBytes::default() },
        FrameKind::Tombstone | FrameKind::Policy | FrameKind::Tenant => {
            PackBytes { record: all, ..PackBytes::default() }
        }
    }
}

impl Store {
    /// The frames of a pack. A pack that vanished meanwhile has none.
    async fn frames_of(&self, pack: &PackRow) -> Result<Vec<IndexEntry>> {
        if let Some(entries) = self.caches.open_entries(pack.name) {
            return Ok(entries.all());
        }
        match self.pack_index(pack.name).await {
            Ok(index) => Ok(index.entries().to_vec()),
            Err(error) if moved_away(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn stored(&self, tenant: Option<Uuid>) -> Result<Stored> {
        let mut stored = Stored::default();
        for pack in self.catalog.packs().await? {
            if tenant.is_none() {
                stored.add(pack.tier, pack.progress.bytes);
            }
            for entry in self.frames_of(&pack).await? {
                if tenant.is_some_and(|tenant| tenant != entry.tenant) {
                    continue;
                }
                if tenant.is_some() {
                    stored.add(pack.tier, frame_bytes(&entry));
                }
                stored.add_frame(pack.tier, &entry);
            }
        }
        Ok(stored)
    }
}

fn sum(rows: &[StatisticsRow]) -> Statistics {
    rows.iter().fold(Statistics::default(), |mut sum, row| {
        add(&mut sum, &row.sums);
        sum
    })
}

fn add(sum: &mut Statistics, row: &Statistics) {
    sum.messages += row.messages;
    sum.contents += row.contents;
    sum.logical_bytes += row.logical_bytes;
    sum.referenced_bytes += row.referenced_bytes;
    sum.objects += row.objects;
    sum.object_bytes += row.object_bytes;
    sum.skeletons += row.skeletons;
    sum.skeleton_bytes += row.skeleton_bytes;
    sum.copy_bytes += row.copy_bytes;
    sum.moved_bytes += row.moved_bytes;
    sum.deleted_bytes += row.deleted_bytes;
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What is stored and what was saved, of one tenant or all.
pub(crate) async fn stats(store: &Arc<Store>, tenant: Option<&TenantRow>) -> Result<Stats> {
    let rows = store.catalog.statistics(tenant.map(|tenant| tenant.key)).await?;
    let stored = store.stored(tenant.map(|tenant| tenant.id)).await?;
    let catalog_bytes = store.catalog.bytes().await?;
    let sums = sum(&rows);
    let bytes = stored.total();
    let unique = sums.object_bytes + sums.skeleton_bytes;
    let recoded = store.catalog.recoding(tenant.map(|tenant| tenant.key)).await?;
    // What all blocks and segments stand for: their streams hold some objects in another form.
    let decoded = signed(bytes.decoded).saturating_add(recoded.hidden);
    let stored_bytes = bytes.total();
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more precision")]
    let ratio = sums.logical_bytes as f64 / (stored_bytes + catalog_bytes).max(1) as f64;
    Ok(Stats {
        messages: unsigned(sums.messages),
        contents: unsigned(sums.contents),
        objects: unsigned(sums.objects),
        logical_bytes: unsigned(sums.logical_bytes),
        unique_bytes: unsigned(unique),
        stored_bytes,
        catalog_bytes,
        saved: Saved {
            transfer_decoding: sums.logical_bytes - sums.referenced_bytes,
            exact_dedup: sums.referenced_bytes - unique,
            similar_dedup: signed(recoded.similar),
            recoding: signed(recoded.gain),
            compression: decoded - signed(bytes.stream) - signed(recoded.gain) - signed(recoded.similar),
        },
        added: Added {
            dictionaries: signed(bytes.dictionary),
            records: signed(bytes.record),
            indexes: signed(bytes.index),
            copies: sums.copy_bytes,
            dead: decoded - unique - sums.copy_bytes,
        },
        ratio,
        tiers: tiers(store, &rows, &stored),
    })
}

fn tiers(store: &Store, rows: &[StatisticsRow], stored: &Stored) -> Vec<TierStats> {
    let of = |tier| {
        let rows: Vec<StatisticsRow> = rows.iter().filter(|row| row.tier == tier).copied().collect();
        let sums = sum(&rows);
        TierStats {
            tier: tier.name().to_owned(),
            objects: unsigned(sums.objects + sums.skeletons),
            unique_bytes: unsigned(sums.object_bytes + sums.skeleton_bytes),
            stored_bytes: stored.tiers.get(&tier).map_or(0, |bytes| bytes.total()),
            codecs: stored.codecs.get(&tier).cloned().unwrap_or_default(),
            read_latency_ms: store.latencies.of(tier),
        }
    };
    Tier::ALL.into_iter().map(of).collect()
}

/// A breakdown.
pub(crate) async fn stats_by(
    store: &Arc<Store>,
    tenant: Option<&TenantRow>,
    by: StatsBy,
) -> Result<Vec<StatsRow>> {
    let key = tenant.map(|tenant| tenant.key);
    match by {
        StatsBy::Tier => Ok(stats(store, tenant).await?.tiers.into_iter().map(tier_row).collect()),
        StatsBy::Codec => {
            let stored = store.stored(tenant.map(|tenant| tenant.id)).await?;
            let mut codecs: BTreeMap<String, u64> = BTreeMap::new();
            for (codec, bytes) in stored.codecs.into_values().flatten() {
                *codecs.entry(codec).or_default() += bytes;
            }
            let row = |(key, stored_bytes)| StatsRow { key, stored_bytes, ..StatsRow::default() };
            Ok(codecs.into_iter().map(row).collect())
        }
        StatsBy::Kind => Ok(by_kind(&sum(&store.catalog.statistics(key).await?))),
        StatsBy::Media => {
            let rows = store.catalog.objects_by_class(key).await?;
            let weights = weigh::by_media(store, tenant).await?;
            let skeletons = sum(&store.catalog.statistics(key).await?);
            let first = StatsRow {
                key: MediaClass::Skeleton.name().to_owned(),
                objects: unsigned(skeletons.skeletons),
                unique_bytes: unsigned(skeletons.skeleton_bytes),
                stored_bytes: weights.of(MediaClass::Skeleton),
                ..StatsRow::default()
            };
            let row = |(class, objects, unique_bytes)| StatsRow {
                key: MediaClass::of_code(class).name().to_owned(),
                objects,
                unique_bytes,
                stored_bytes: weights.of(MediaClass::of_code(class)),
                ..StatsRow::default()
            };
            Ok(std::iter::once(first).chain(rows.into_iter().map(row)).collect())
        }
        StatsBy::Tenant => by_tenant(store, tenant).await,
        StatsBy::Day => by_day(store, tenant).await,
        StatsBy::Overhead => weigh::by_overhead(store, tenant).await,
        StatsBy::Similar => similar::groups(store, tenant).await,
    }
}

fn tier_row(tier: TierStats) -> StatsRow {
    StatsRow {
        key: tier.tier,
        objects: tier.objects,
        unique_bytes: tier.unique_bytes,
        stored_bytes: tier.stored_bytes,
        ..StatsRow::default()
    }
}

fn by_kind(sums: &Statistics) -> Vec<StatsRow> {
    let row = |key: &str, objects, unique_bytes| StatsRow {
        key: key.to_owned(),
        objects: unsigned(objects),
        unique_bytes: unsigned(unique_bytes),
        ..StatsRow::default()
    };
    vec![
        row("message", sums.messages, 0),
        row("content", sums.contents, 0),
        row("skeleton", sums.skeletons, sums.skeleton_bytes),
        row("object", sums.objects, sums.object_bytes),
    ]
}

async fn by_tenant(store: &Arc<Store>, only: Option<&TenantRow>) -> Result<Vec<StatsRow>> {
    let mut stored: BTreeMap<Uuid, u64> = BTreeMap::new();
    for pack in store.catalog.packs().await? {
        for entry in store.frames_of(&pack).await? {
            *stored.entry(entry.tenant).or_default() += u64::from(entry.bytes());
        }
    }
    let mut rows = Vec::new();
    for tenant in store.catalog.tenants().await? {
        if only.is_some_and(|only| only.key != tenant.key) {
            continue;
        }
        let sums = sum(&store.catalog.statistics(Some(tenant.key)).await?);
        rows.push(StatsRow {
            key: tenant.name,
            objects: unsigned(sums.messages + sums.contents),
            logical_bytes: unsigned(sums.logical_bytes),
            unique_bytes: unsigned(sums.object_bytes + sums.skeleton_bytes),
            stored_bytes: stored.get(&tenant.id).copied().unwrap_or(0),
            moved_bytes: unsigned(sums.moved_bytes),
            deleted_bytes: unsigned(sums.deleted_bytes),
        });
    }
    Ok(rows)
}

async fn by_day(store: &Arc<Store>, tenant: Option<&TenantRow>) -> Result<Vec<StatsRow>> {
    let mut days: BTreeMap<i64, Statistics> = BTreeMap::new();
    for row in store.catalog.statistics(tenant.map(|tenant| tenant.key)).await? {
        add(days.entry(row.day).or_default(), &row.sums);
    }
    days.into_iter()
        .map(|(day, sums)| {
            Ok(StatsRow {
                key: day_name(day)?,
                objects: unsigned(sums.messages + sums.contents),
                logical_bytes: unsigned(sums.logical_bytes + sums.deleted_bytes),
                unique_bytes: unsigned(sums.object_bytes + sums.skeleton_bytes),
                stored_bytes: 0,
                moved_bytes: unsigned(sums.moved_bytes),
                deleted_bytes: unsigned(sums.deleted_bytes),
            })
        })
        .collect()
}

/// `2026-01-31` of a day counted from 1970-01-01, by the civil calendar (Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms").
fn day_name(day: i64) -> Result<String> {
    let shifted = day.checked_add(719_468).ok_or_else(|| Error::corrupt("A day is out of range."))?;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Ok(format!("{year:04}-{month:02}-{day_of_month:02}"))
}

#[cfg(test)]
mod tests {
    use super::day_name;

    #[test]
    fn days_have_names() {
        assert_eq!(day_name(0).unwrap(), "1970-01-01");
        assert_eq!(day_name(19_782).unwrap(), "2024-02-29");
        assert_eq!(day_name(20_454).unwrap(), "2026-01-01");
    }
}
