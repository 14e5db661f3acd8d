//! `reopen`: opens a store for writes again that a failed write has shut.

use serde::Serialize;
use storage_server::proto;

use crate::commands::Context;
use crate::failure::Result;
use crate::output::human;

#[derive(Debug, Serialize)]
struct Report {
    packs: u64,
    frames: u64,
    torn_bytes: u64,
    deleted: u64,
    missing: u64,
}

/// Reopens.
pub async fn run(context: &mut Context) -> Result<()> {
    let answer = context.store.all().admin.reopen(proto::ReopenRequest {}).await?.into_inner();
    let report = Report {
        packs: answer.packs,
        frames: answer.frames,
        torn_bytes: answer.torn_bytes,
        deleted: answer.deleted,
        missing: answer.missing,
    };
    context.output.document(&report)?;
    context.output.say("The store takes writes. Send again what was not acknowledged.")?;
    let rows = [vec![
        report.packs.to_string(),
        report.frames.to_string(),
        human(report.torn_bytes),
        report.deleted.to_string(),
        report.missing.to_string(),
    ]];
    let headers =
        [">packs recovered", ">frames replayed", ">torn bytes cut off", ">packs deleted", ">packs missing"];
    context.output.table(&headers, rows)
}
