//! `compact`: rewrites packs that are partly dead and merges what is small, or tells what it would do. Like a migration it
//! stops at its next safe step when the call ends; running it again continues. Space comes back with the next sweep.

use clap::Args;
use serde::Serialize;
use storage_server::proto;

use crate::commands::Context;
use crate::failure::Failure;
use crate::failure::Result;
use crate::output::Output;
use crate::output::counted;
use crate::output::human;
use crate::progress;
use crate::store::Store;
use crate::store::unexpected;
use crate::values;

/// Arguments of `compact`.
#[derive(Debug, Args)]
pub struct CompactArgs {
    /// Only tell what would be rewritten.
    #[arg(long)]
    pub dry_run: bool,
    /// Rewrite packs of which at least so much is dead, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub threshold: u32,
    /// Stop after about so many decoded bytes, such as 500MB.
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub limit: Option<u64>,
    /// Read at most so many decoded bytes a second, such as 20MB/s.
    #[arg(long, value_name = "SIZE", value_parser = values::rate)]
    pub rate: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    planned_packs: u64,
    planned_objects: u64,
    planned_bytes: u64,
    objects: u64,
    decoded_bytes: u64,
    blocks_copied: u64,
    blocks_decoded: u64,
    replaced_bytes: u64,
    stored_bytes: u64,
    dictionaries_moved: u64,
    dictionaries_made: u64,
    packs: u64,
    overtaken: u64,
    damaged: u64,
    stopped: bool,
}

/// Compacts or plans.
pub async fn run(args: &CompactArgs, context: &mut Context) -> Result<()> {
    let request = proto::CompactRequest {
        dry_run: args.dry_run,
        dead_percent_min: args.threshold,
        bytes_max: args.limit.unwrap_or(0),
        bytes_per_second_max: args.rate.unwrap_or(0),
    };
    let progress = compact(&context.store, request).await?;
    let report = Report {
        dry_run: args.dry_run,
        planned_packs: progress.planned_packs,
        planned_objects: progress.planned_objects,
        planned_bytes: progress.planned_bytes,
        objects: progress.objects,
        decoded_bytes: progress.decoded_bytes,
        blocks_copied: progress.blocks_copied,
        blocks_decoded: progress.blocks_decoded,
        replaced_bytes: progress.replaced_bytes,
        stored_bytes: progress.stored_bytes,
        dictionaries_moved: progress.dictionaries_moved,
        dictionaries_made: progress.dictionaries_made,
        packs: progress.packs,
        overtaken: progress.overtaken,
        damaged: progress.damaged,
        stopped: progress.stopped,
    };
    context.output.document(&report)?;
    print(&report, &mut context.output)?;
    if report.damaged > 0 {
        return Err(Failure::new(format!(
            "{} could not be read back exactly and were left where they are.",
            counted(report.damaged, "object")
        )));
    }
    Ok(())
}

async fn compact(store: &Store, request: proto::CompactRequest) -> Result<proto::CompactProgress> {
    let bar = progress::bar("compacting");
    let mut answers = store.all().admin.compact(request).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        bar.set_length(answer.planned_bytes);
        bar.set_position(answer.decoded_bytes);
        if answer.done {
            bar.finish_and_clear();
            return Ok(answer);
        }
    }
    Err(unexpected())
}

fn print(report: &Report, output: &mut Output) -> Result<()> {
    if report.dry_run {
        if report.planned_packs + report.planned_objects == 0 {
            return output.say("Nothing would be rewritten.");
        }
        return output.say(&format!(
            "Nothing was changed. A compaction would empty {} and move {}, {} decoded.",
            counted(report.planned_packs, "pack"),
            counted(report.planned_objects, "object"),
            human(report.planned_bytes)
        ));
    }
    if report.packs == 0 && !report.stopped {
        return output.say("Nothing had to be rewritten.");
    }
    let rows = [vec![
        report.objects.to_string(),
        human(report.decoded_bytes),
        report.blocks_copied.to_string(),
        report.blocks_decoded.to_string(),
        human(report.replaced_bytes),
        human(report.stored_bytes),
    ]];
    let headers =
        [">objects", ">decoded", ">blocks taken over", ">blocks merged", ">stored before", ">stored after"];
    output.table(&headers, rows)?;
    output.say(&format!(
        "{} written, {} sampled, {} moved; {} changed meanwhile and left for the next run. Sweep gives the space back.",
        counted(report.packs, "pack"),
        dictionaries(report.dictionaries_made),
        dictionaries(report.dictionaries_moved),
        counted(report.overtaken, "object")
    ))?;
    if report.stopped {
        output.say("Stopped before the plan was done; running it again continues.")?;
    }
    Ok(())
}

fn dictionaries(number: u64) -> String {
    if number == 1 { "1 dictionary".to_owned() } else { format!("{number} dictionaries") }
}
