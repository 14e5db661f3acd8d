//! `stats`: how much is stored, where, and what was saved by what. Its JSON is a contract (`storage_core::report::Stats`
//! holds its shape, and a test pins it).

use clap::Args;
use clap::ValueEnum;
use serde::Serialize;
use storage_core::report::Added;
use storage_core::report::Latency;
use storage_core::report::Saved;
use storage_core::report::Stats;
use storage_core::report::TierStats;
use storage_server::proto;

use crate::commands::Context;
use crate::failure::Result;
use crate::output::Output;
use crate::output::counted;
use crate::output::human;
use crate::output::human_signed;

/// Arguments of `stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Break the numbers down.
    #[arg(long, value_enum)]
    pub by: Option<By>,
}

/// How the numbers may be broken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// By tier.
    Tier,
    /// By codec.
    Codec,
    /// Messages and contents, bodies and attachments.
    Kind,
    /// By media class; reads the tables of all blocks, which takes a while on a large store.
    Media,
    /// By tenant.
    Tenant,
    /// By day.
    Day,
    /// By what the files hold: compressed mail, and everything that is not mail.
    Overhead,
    /// The largest groups of near-duplicates.
    Similar,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Tier => "tier",
            Self::Codec => "codec",
            Self::Kind => "kind",
            Self::Media => "media",
            Self::Tenant => "tenant",
            Self::Day => "day",
            Self::Overhead => "overhead",
            Self::Similar => "similar",
        }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    key: String,
    objects: u64,
    logical_bytes: u64,
    unique_bytes: u64,
    stored_bytes: u64,
    moved_bytes: u64,
    deleted_bytes: u64,
}

/// Prints the sum, or a breakdown.
pub async fn run(args: &StatsArgs, context: &mut Context) -> Result<()> {
    let by = args.by.map_or("", By::name);
    let request = proto::StatsRequest { by: by.to_owned() };
    let answer = context.store.all().admin.stats(request).await?.into_inner();
    if args.by.is_some() {
        return print_rows(by, answer.rows, &mut context.output);
    }
    let stats = stats(answer);
    context.output.document(&stats)?;
    print(&stats, &mut context.output)
}

/// The numbers in the shape of the JSON contract.
pub fn stats(answer: proto::StatsResponse) -> Stats {
    let saved = answer.saved.unwrap_or_default();
    let added = answer.added.unwrap_or_default();
    Stats {
        messages: answer.messages,
        contents: answer.contents,
        objects: answer.objects,
        logical_bytes: answer.logical_bytes,
        unique_bytes: answer.unique_bytes,
        stored_bytes: answer.stored_bytes,
        catalog_bytes: answer.catalog_bytes,
        saved: Saved {
            transfer_decoding: saved.transfer_decoding,
            exact_dedup: saved.exact_dedup,
            similar_dedup: saved.similar_dedup,
            recoding: saved.recoding,
            compression: saved.compression,
        },
        added: Added {
            dictionaries: added.dictionaries,
            records: added.records,
            indexes: added.indexes,
            copies: added.copies,
            dead: added.dead,
        },
        ratio: answer.ratio,
        tiers: answer.tiers.into_iter().map(tier).collect(),
    }
}

fn tier(tier: proto::TierStats) -> TierStats {
    let latency = tier.read_latency_ms.unwrap_or_default();
    TierStats {
        tier: tier.tier,
        objects: tier.objects,
        unique_bytes: tier.unique_bytes,
        stored_bytes: tier.stored_bytes,
        codecs: tier.codecs.into_iter().collect(),
        read_latency_ms: Latency { p50: latency.p50, p99: latency.p99 },
    }
}

/// Prints the sum for a person.
pub fn print(stats: &Stats, output: &mut Output) -> Result<()> {
    output.say(&format!(
        "{}, {} and {}.",
        counted(stats.messages, "message"),
        counted(stats.contents, "single content"),
        counted(stats.objects, "unique object")
    ))?;
    output.say(&format!(
        "Received {}, stored {} and a catalog of {}: {:.2} to 1.\n",
        human(stats.logical_bytes),
        human(stats.stored_bytes),
        human(stats.catalog_bytes),
        stats.ratio
    ))?;
    output.table(&["from received to stored", ">size"], sums(stats))?;
    output.say("")?;
    tiers(&stats.tiers, output)
}

/// The sum that leads from what was received to what is stored.
pub fn sums(stats: &Stats) -> Vec<Vec<String>> {
    let Saved { transfer_decoding, exact_dedup, similar_dedup, recoding, compression } = stats.saved;
    let Added { dictionaries, records, indexes, copies, dead } = stats.added;
    let less = |bytes: i64| human_signed(bytes.saturating_neg());
    let rows = [
        ("received", human(stats.logical_bytes)),
        ("saved by transfer decoding", less(transfer_decoding)),
        ("saved by exact dedup", less(exact_dedup)),
        ("saved by similar dedup", less(similar_dedup)),
        ("saved by recoding", less(recoding)),
        ("saved by compression", less(compression)),
        ("added by dictionaries", human_signed(dictionaries)),
        ("added by records", human_signed(records)),
        ("added by indexes", human_signed(indexes)),
        ("added by copies in warmer tiers", human_signed(copies)),
        ("dead, until the next sweep", human_signed(dead)),
        ("stored", human(stats.stored_bytes)),
    ];
    rows.into_iter().map(|(what, size)| vec![what.to_owned(), size]).collect()
}

fn tiers(tiers: &[TierStats], output: &mut Output) -> Result<()> {
    let rows = tiers.iter().map(|tier| {
        let codecs: Vec<String> =
            tier.codecs.iter().map(|(codec, bytes)| format!("{codec} {}", human(*bytes))).collect();
        vec![
            tier.tier.clone(),
            tier.objects.to_string(),
            human(tier.unique_bytes),
            human(tier.stored_bytes),
            format!("{:.2} / {:.2}", tier.read_latency_ms.p50, tier.read_latency_ms.p99),
            codecs.join(", "),
        ]
    });
    output.table(&["tier", ">objects", ">unique", ">stored", ">read ms p50 / p99", "codecs"], rows)
}

fn print_rows(by: &str, rows: Vec<proto::StatsRow>, output: &mut Output) -> Result<()> {
    for row in &rows {
        output.entry(&Row {
            key: row.key.clone(),
            objects: row.objects,
            logical_bytes: row.logical_bytes,
            unique_bytes: row.unique_bytes,
            stored_bytes: row.stored_bytes,
            moved_bytes: row.moved_bytes,
            deleted_bytes: row.deleted_bytes,
        })?;
    }
    let rows = rows.into_iter().map(|row| {
        vec![
            row.key,
            row.objects.to_string(),
            human(row.logical_bytes),
            human(row.unique_bytes),
            human(row.stored_bytes),
            human(row.moved_bytes),
            human(row.deleted_bytes),
        ]
    });
    output.table(&[by, ">objects", ">received", ">unique", ">stored", ">moved", ">deleted"], rows)
}
