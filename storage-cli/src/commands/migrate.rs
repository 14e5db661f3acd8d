//! `migrate`: moves what is old into colder tiers, or tells what would move. The server stops at the next safe step when
//! the call ends, whether by Ctrl-C or because the connection broke; running it again continues.

use std::time::Duration;

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
use crate::values::Moment;
use crate::wire;
use crate::wire::TierName;

/// Arguments of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Only tell what would move.
    #[arg(long)]
    pub dry_run: bool,
    /// Judge ages as if it were this time: RFC 3339, or +400d from now.
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<Moment>,
    /// Move everything warmer into this tier, whatever its age. Pins still hold.
    #[arg(long, value_name = "TIER", value_enum)]
    pub to: Option<TierName>,
    /// Stop after about so many decoded bytes, such as 500MB.
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub limit: Option<u64>,
    /// Read at most so many decoded bytes a second, such as 20MB/s.
    #[arg(long, value_name = "SIZE", value_parser = values::rate)]
    pub rate: Option<u64>,
    /// Leave what is due where it is until it fills a block, 14 days at most, as the server's schedule does.
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Serialize)]
struct Move {
    from: String,
    to: String,
    objects: u64,
    decoded_bytes: u64,
    stored_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    moves: Vec<Move>,
    copies: Vec<Move>,
    planned_objects: u64,
    planned_bytes: u64,
    waiting_objects: u64,
    waiting_bytes: u64,
    packs: u64,
    overtaken: u64,
    damaged: u64,
    stopped: bool,
}

/// Migrates or plans.
pub async fn run(args: &MigrateArgs, context: &mut Context) -> Result<()> {
    let request = proto::MigrateRequest {
        dry_run: args.dry_run,
        as_of: args.as_of.map(|at| wire::timestamp(at.resolve(context.now))),
        to: args.to.map_or(proto::Tier::Unspecified.into(), TierName::number),
        bytes_max: args.limit.unwrap_or(0),
        bytes_per_second_max: args.rate.unwrap_or(0),
        wait: args.wait,
    };
    let progress = migrate(&context.store, request).await?;
    let report = Report {
        dry_run: args.dry_run,
        moves: progress.moves.into_iter().map(Move::from).collect(),
        copies: progress.copies.into_iter().map(Move::from).collect(),
        planned_objects: progress.planned_objects,
        planned_bytes: progress.planned_bytes,
        waiting_objects: progress.waiting_objects,
        waiting_bytes: progress.waiting_bytes,
        packs: progress.packs,
        overtaken: progress.overtaken,
        damaged: progress.damaged,
        stopped: progress.stopped,
    };
    context.output.document(&report)?;
    print(&report, &mut context.output)?;
    if report.damaged > 0 {
        return Err(Failure::new(format!(
            "{} objects could not be read back exactly and were left where they are.",
            report.damaged
        )));
    }
    Ok(())
}

/// Migrates, and deletes at once what that leaves behind: for a store of which nothing must be taken back.
pub async fn migrate_and_sweep(store: &Store, request: proto::MigrateRequest) -> Result<()> {
    let progress = migrate(store, request).await?;
    if progress.damaged > 0 {
        return Err(Failure::new(format!("{} objects could not be read back exactly.", progress.damaged)));
    }
    let sweep = proto::SweepRequest { grace: Some(wire::duration(Duration::ZERO)), dry_run: false };
    let _ = store.all().admin.sweep(sweep).await?;
    Ok(())
}

/// Runs a migration to its end, showing its progress. Returns the last report.
pub async fn migrate(store: &Store, request: proto::MigrateRequest) -> Result<proto::MigrateProgress> {
    let bar = progress::bar("moving");
    let mut answers = store.all().admin.migrate(request).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        let moved: u64 = answer.moves.iter().chain(&answer.copies).map(|moved| moved.decoded_bytes).sum();
        bar.set_length(answer.planned_bytes);
        bar.set_position(moved);
        if answer.done {
            bar.finish_and_clear();
            return Ok(answer);
        }
    }
    Err(unexpected())
}

impl From<proto::Move> for Move {
    fn from(moved: proto::Move) -> Self {
        Self {
            from: moved.from,
            to: moved.to,
            objects: moved.objects,
            decoded_bytes: moved.decoded_bytes,
            stored_bytes: moved.stored_bytes,
        }
    }
}

fn print(report: &Report, output: &mut Output) -> Result<()> {
    if report.waiting_objects > 0 {
        output.say(&format!(
            "{} ({}) will move when they fill a block.",
            counted(report.waiting_objects, "object"),
            human(report.waiting_bytes)
        ))?;
    }
    if report.moves.is_empty() && report.copies.is_empty() {
        return output.say(if report.dry_run { "Nothing would move." } else { "Nothing had to move." });
    }
    if report.dry_run {
        output.say("Nothing was changed. A migration would do this:")?;
    }
    let rows = [("move", &report.moves), ("copy", &report.copies)].into_iter().flat_map(|(what, moves)| {
        moves.iter().map(move |moved| {
            let stored = if report.dry_run { String::new() } else { human(moved.stored_bytes) };
            vec![
                format!("{what} {} to {}", moved.from, moved.to),
                moved.objects.to_string(),
                human(moved.decoded_bytes),
                stored,
            ]
        })
    });
    output.table(&["what", ">objects", ">decoded", ">stored"], rows)?;
    if !report.dry_run {
        output.say(&format!(
            "{} written; {} changed meanwhile and left for the next run.",
            counted(report.packs, "pack"),
            counted(report.overtaken, "object")
        ))?;
    }
    if report.stopped {
        output.say("Stopped before the plan was done; running it again continues.")?;
    }
    Ok(())
}
