//! `repair`: mends what a scrub finds, or without `--apply` tells how. Exit code 1 where something cannot be mended.

use clap::Args;
use serde::Serialize;
use storage_server::proto;

use crate::commands::Context;
use crate::commands::scrub::Finding;
use crate::failure::Failure;
use crate::failure::Result;
use crate::output::Output;
use crate::output::counted;
use crate::progress;
use crate::store::unexpected;
use crate::values;

/// Arguments of `repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Do it. Without this nothing is changed.
    #[arg(long)]
    pub apply: bool,
    /// Read at most so many bytes a second while looking for damage, such as 20MB/s.
    #[arg(long, value_name = "SIZE", value_parser = values::rate)]
    pub rate: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Action {
    finding: Finding,
    #[serde(rename = "action")]
    deed: String,
    mends: bool,
}

#[derive(Debug, Serialize)]
struct Summary {
    applied: bool,
    findings: u64,
    mended: u64,
    left: u64,
    quarantined: u64,
    damaged_items: Vec<String>,
    stopped: bool,
}

/// Repairs, or plans to.
pub async fn run(args: &RepairArgs, context: &mut Context) -> Result<()> {
    let request = proto::RepairRequest { apply: args.apply, bytes_per_second_max: args.rate.unwrap_or(0) };
    let bar = progress::counter("actions");
    let mut answers = context.store.all().admin.repair(request).await?.into_inner();
    while let Some(mut answer) = answers.message().await? {
        for action in std::mem::take(&mut answer.actions) {
            let finding = action.finding.ok_or_else(unexpected)?;
            let action = Action { finding: finding.into(), deed: action.action, mends: action.mends };
            bar.inc(1);
            context.output.entry(&action)?;
            bar.suspend(|| say(&action, &mut context.output))?;
        }
        if answer.done {
            bar.finish_and_clear();
            return summary(answer, &mut context.output);
        }
    }
    Err(unexpected())
}

fn say(action: &Action, output: &mut Output) -> Result<()> {
    action.finding.say(output, false)?;
    output.say(&format!("  -> {}", action.deed))
}

fn summary(answer: proto::RepairProgress, output: &mut Output) -> Result<()> {
    let summary = Summary {
        applied: answer.applied,
        findings: answer.found,
        mended: answer.mended,
        left: answer.left,
        quarantined: answer.quarantined,
        damaged_items: answer.damaged_items,
        stopped: answer.stopped,
    };
    output.document(&summary)?;
    let verb = if summary.applied { "are mended" } else { "would be mended; --apply does it" };
    output.say(&format!("{}: {} {verb}.", counted(summary.findings, "finding"), summary.mended))?;
    if !summary.damaged_items.is_empty() {
        output.say("These messages and contents cannot be read, or not in full:")?;
    }
    for item in &summary.damaged_items {
        output.say(item)?;
    }
    if summary.stopped {
        return Err(Failure::new("Stopped before everything was looked at; run it again."));
    }
    if summary.left > 0 {
        let left = counted(summary.left, "finding");
        return Err(Failure::new(format!("{left} cannot be mended here.")));
    }
    Ok(())
}
