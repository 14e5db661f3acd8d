//! `sweep`: deletes what nothing refers to any more, once the grace period is over.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use storage_server::proto;

use crate::commands::Context;
use crate::failure::Result;
use crate::output::human;
use crate::values;
use crate::wire;

/// Arguments of `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Keep what is condemned for so long in real time, such as 24h, 2d or 0.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = values::duration)]
    pub grace: Duration,
    /// Only tell what would be deleted.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    objects_removed: u64,
    packs_condemned: u64,
    packs_deleted: u64,
    bytes_deleted: u64,
    packs_waiting: u64,
}

/// Sweeps.
pub async fn run(args: &SweepArgs, context: &mut Context) -> Result<()> {
    let message = proto::SweepRequest { grace: Some(wire::duration(args.grace)), dry_run: args.dry_run };
    let answer = context.store.all().admin.sweep(message).await?.into_inner();
    let report = Report {
        dry_run: args.dry_run,
        objects_removed: answer.objects_removed,
        packs_condemned: answer.packs_condemned,
        packs_deleted: answer.packs_deleted,
        bytes_deleted: answer.bytes_deleted,
        packs_waiting: answer.packs_waiting,
    };
    context.output.document(&report)?;
    if args.dry_run {
        context.output.say("Nothing was changed. A sweep would do this:")?;
    }
    let rows = [vec![
        report.objects_removed.to_string(),
        report.packs_condemned.to_string(),
        report.packs_deleted.to_string(),
        human(report.bytes_deleted),
        report.packs_waiting.to_string(),
    ]];
    let headers = [
        ">objects removed",
        ">packs condemned",
        ">packs deleted",
        ">space given back",
        ">packs in their grace period",
    ];
    context.output.table(&headers, rows)
}
