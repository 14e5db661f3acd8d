//! Upkeep and insight: requests checked, reports put on the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use storage_core::clock::Timestamp;
use storage_core::model::TenantStat;
use storage_core::report::CompactOptions;
use storage_core::report::CompactReport;
use storage_core::report::DictionaryInfo;
use storage_core::report::ExplainPart;
use storage_core::report::Explanation;
use storage_core::report::JobInfo;
use storage_core::report::MigrateOptions;
use storage_core::report::MigrateReport;
use storage_core::report::Move;
use storage_core::report::Stats;
use storage_core::report::StatsBy;
use storage_core::report::StatsRow;
use storage_core::report::SweepOptions;
use storage_core::report::SweepReport;
use storage_core::report::TierStats;
use storage_core::tier::policy::TierPolicy;
use tonic::Status;

use crate::convert::invalid;
use crate::convert::tier;
use crate::convert::timestamp;
use crate::convert::wire_timestamp;
use crate::proto;

/// How to break statistics down; not at all where the text is empty.
pub fn stats_by(by: &str) -> Result<Option<StatsBy>, Status> {
    match by {
        "" => Ok(None),
        "tier" => Ok(Some(StatsBy::Tier)),
        "codec" => Ok(Some(StatsBy::Codec)),
        "kind" => Ok(Some(StatsBy::Kind)),
        "media" => Ok(Some(StatsBy::Media)),
        "tenant" => Ok(Some(StatsBy::Tenant)),
        "day" => Ok(Some(StatsBy::Day)),
        "overhead" => Ok(Some(StatsBy::Overhead)),
        "similar" => Ok(Some(StatsBy::Similar)),
        _ => Err(invalid("`by` is tier, codec, kind, media, tenant, day, overhead or similar, or empty.")),
    }
}

/// Statistics for the wire.
pub fn wire_stats(stats: Stats, rows: Vec<StatsRow>) -> proto::StatsResponse {
    proto::StatsResponse {
        messages: stats.messages,
        contents: stats.contents,
        objects: stats.objects,
        logical_bytes: stats.logical_bytes,
        unique_bytes: stats.unique_bytes,
        stored_bytes: stats.stored_bytes,
        catalog_bytes: stats.catalog_bytes,
        saved: Some(proto::Saved {
            transfer_decoding: stats.saved.transfer_decoding,
            exact_dedup: stats.saved.exact_dedup,
            similar_dedup: stats.saved.similar_dedup,
            recoding: stats.saved.recoding,
            compression: stats.saved.compression,
        }),
        added: Some(proto::Added {
            dictionaries: stats.added.dictionaries,
            records: stats.added.records,
            indexes: stats.added.indexes,
            copies: stats.added.copies,
            dead: stats.added.dead,
        }),
        ratio: stats.ratio,
        tiers: stats.tiers.into_iter().map(wire_tier_stats).collect(),
        rows: rows.into_iter().map(wire_row).collect(),
    }
}

fn wire_tier_stats(stats: TierStats) -> proto::TierStats {
    let latency = proto::Latency { p50: stats.read_latency_ms.p50, p99: stats.read_latency_ms.p99 };
    proto::TierStats {
        tier: stats.tier,
        objects: stats.objects,
        unique_bytes: stats.unique_bytes,
        stored_bytes: stats.stored_bytes,
        codecs: stats.codecs.into_iter().collect(),
        read_latency_ms: Some(latency),
    }
}

fn wire_row(row: StatsRow) -> proto::StatsRow {
    proto::StatsRow {
        key: row.key,
        objects: row.objects,
        logical_bytes: row.logical_bytes,
        unique_bytes: row.unique_bytes,
        stored_bytes: row.stored_bytes,
        moved_bytes: row.moved_bytes,
        deleted_bytes: row.deleted_bytes,
    }
}

/// A tenant for the wire.
pub fn wire_tenant(tenant: TenantStat) -> proto::Tenant {
    proto::Tenant {
        name: tenant.name,
        id: tenant.id.to_string(),
        created: Some(wire_timestamp(tenant.created)),
        own_policy: tenant.own_policy,
    }
}

/// A tier policy from the wire. Its thresholds are checked to be in order.
pub fn policy(policy: &proto::Policy) -> Result<TierPolicy, Status> {
    let policy = TierPolicy {
        warm_after_days: policy.warm_after_days,
        cold_after_days: policy.cold_after_days,
        archive_after_days: policy.archive_after_days,
        skip_warm_bytes_min: policy.skip_warm_bytes_min,
        promote_hot_reads: policy.promote_hot_reads,
        promote_warm_reads: policy.promote_warm_reads,
    };
    policy.validate().map_err(|error| invalid(error.message()))?;
    Ok(policy)
}

/// A tier policy for the wire.
pub fn wire_policy(policy: &TierPolicy) -> proto::Policy {
    proto::Policy {
        warm_after_days: policy.warm_after_days,
        cold_after_days: policy.cold_after_days,
        archive_after_days: policy.archive_after_days,
        skip_warm_bytes_min: policy.skip_warm_bytes_min,
        promote_hot_reads: policy.promote_hot_reads,
        promote_warm_reads: policy.promote_warm_reads,
    }
}

/// What to migrate.
pub fn migrate_options(
    tenant: Option<String>,
    request: &proto::MigrateRequest,
) -> Result<MigrateOptions, Status> {
    Ok(MigrateOptions {
        tenant,
        dry_run: request.dry_run,
        as_of: request.as_of.map(|value| timestamp("as_of", value)).transpose()?,
        to: tier("to", request.to)?,
        bytes_max: Some(request.bytes_max).filter(|bytes| *bytes > 0),
        bytes_per_second_max: Some(request.bytes_per_second_max).filter(|bytes| *bytes > 0),
        wait: request.wait,
    })
}

/// What to compact.
pub fn compact_options(
    tenant: Option<String>,
    request: proto::CompactRequest,
) -> Result<CompactOptions, Status> {
    let mut options = CompactOptions { tenant, dry_run: request.dry_run, ..CompactOptions::default() };
    if request.dead_percent_min > 0 {
        options.dead_percent_min = u8::try_from(request.dead_percent_min)
            .ok()
            .filter(|percent| *percent <= 100)
            .ok_or_else(|| invalid("`dead_percent_min` is 1 to 100 percent, or 0 for the default."))?;
    }
    options.bytes_max = Some(request.bytes_max).filter(|bytes| *bytes > 0);
    options.bytes_per_second_max = Some(request.bytes_per_second_max).filter(|bytes| *bytes > 0);
    Ok(options)
}

/// How far a compaction is.
pub fn wire_compact(report: &CompactReport, done: bool) -> proto::CompactProgress {
    proto::CompactProgress {
        planned_packs: report.planned_packs,
        planned_objects: report.planned_objects,
        planned_bytes: report.planned_bytes,
        objects: report.objects,
        decoded_bytes: report.decoded_bytes,
        blocks_copied: report.blocks_copied,
        blocks_decoded: report.blocks_decoded,
        replaced_bytes: report.replaced_bytes,
        stored_bytes: report.stored_bytes,
        dictionaries_moved: report.dictionaries_moved,
        dictionaries_made: report.dictionaries_made,
        packs: report.packs,
        overtaken: report.overtaken,
        damaged: report.damaged,
        stopped: report.stopped,
        done,
    }
}

/// How far a migration is.
pub fn wire_progress(report: &MigrateReport, done: bool) -> proto::MigrateProgress {
    proto::MigrateProgress {
        moves: wire_moves(&report.moves),
        copies: wire_moves(&report.copies),
        planned_objects: report.planned_objects,
        planned_bytes: report.planned_bytes,
        packs: report.packs,
        overtaken: report.overtaken,
        damaged: report.damaged,
        stopped: report.stopped,
        done,
        waiting_objects: report.waiting_objects,
        waiting_bytes: report.waiting_bytes,
    }
}

fn wire_moves(moves: &BTreeMap<String, Move>) -> Vec<proto::Move> {
    let wire = |(name, moved): (&String, &Move)| {
        let (from, to) = name.split_once(" -> ").unwrap_or((name, ""));
        proto::Move {
            from: from.to_owned(),
            to: to.to_owned(),
            objects: moved.objects,
            decoded_bytes: moved.decoded_bytes,
            stored_bytes: moved.stored_bytes,
        }
    };
    moves.iter().map(wire).collect()
}

/// What to sweep.
pub fn sweep_options(request: proto::SweepRequest) -> Result<SweepOptions, Status> {
    let mut options = SweepOptions { dry_run: request.dry_run, ..SweepOptions::default() };
    if let Some(grace) = request.grace {
        options.grace =
            Duration::try_from(grace).map_err(|_| invalid("`grace` is a duration of zero or more."))?;
    }
    Ok(options)
}

/// What a sweep did.
pub fn wire_sweep(report: &SweepReport) -> proto::SweepResponse {
    proto::SweepResponse {
        objects_removed: report.objects_removed,
        packs_condemned: report.packs_condemned,
        packs_deleted: report.packs_deleted,
        bytes_deleted: report.bytes_deleted,
        packs_waiting: report.packs_waiting,
    }
}

/// Dictionaries for the wire.
pub fn wire_dictionaries(dictionaries: Vec<DictionaryInfo>) -> proto::DictionariesResponse {
    let wire = |dictionary: DictionaryInfo| proto::Dictionary {
        id: dictionary.id.to_string(),
        tenant: dictionary.tenant,
        class: dictionary.class,
        origin: dictionary.origin,
        bytes: dictionary.bytes,
        stored_bytes: dictionary.stored_bytes,
        gain: dictionary.gain,
        created: Some(Timestamp(dictionary.created)).filter(|at| at.0 > 0).map(wire_timestamp),
        packs: dictionary.packs,
        version: dictionary.version,
        state: dictionary.state,
        samples: dictionary.samples,
        served_bytes: dictionary.served_bytes,
    };
    proto::DictionariesResponse { dictionaries: dictionaries.into_iter().map(wire).collect() }
}

/// An explanation for the wire.
pub fn wire_explanation(explanation: Explanation) -> proto::ExplainResponse {
    proto::ExplainResponse {
        id: explanation.id.to_string(),
        kind: explanation.kind,
        used: Some(wire_timestamp(Timestamp(explanation.used))),
        reasons: explanation.reasons,
        parts: explanation.parts.into_iter().map(wire_explain_part).collect(),
    }
}

fn wire_explain_part(part: ExplainPart) -> proto::ExplainPart {
    proto::ExplainPart {
        what: part.what,
        sha256: from_hex(&part.sha256),
        decoded_bytes: part.decoded_bytes,
        references: part.references,
        tier: part.tier,
        pack: part.pack,
        frame: part.frame,
        codec: part.codec,
        dictionary: part.dictionary.unwrap_or_default(),
        block_decoded_bytes: part.block_decoded_bytes,
        block_stored_bytes: part.block_stored_bytes,
        copy_tier: part.copy_tier.unwrap_or_default(),
        next: part.next,
    }
}

/// The bytes of hex text; none where it is not hex.
pub(super) fn from_hex(text: &str) -> Bytes {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let (pairs, rest) = digits.as_deref().unwrap_or_default().as_chunks::<2>();
    if rest.is_empty() { pairs.iter().map(|[high, low]| high << 4 | low).collect() } else { Bytes::new() }
}

/// Jobs for the wire.
pub fn wire_jobs(jobs: Vec<JobInfo>) -> proto::JobsResponse {
    let wire = |job: JobInfo| proto::Job {
        id: job.id,
        kind: job.kind,
        state: job.state,
        created: Some(wire_timestamp(Timestamp(job.created))),
        ended: job.ended.map(|millis| wire_timestamp(Timestamp(millis))),
        detail: job.detail,
    };
    proto::JobsResponse { jobs: jobs.into_iter().map(wire).collect() }
}
