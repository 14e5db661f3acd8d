//! `rebuild-catalog`: makes the catalog of a data directory that lost it, from its packs. Works on the directory itself:
//! no server runs without a catalog.

use std::sync::Arc;

use serde::Serialize;
use storage_core::clock::SystemClock;
use storage_core::engine::Engine;
use storage_core::report::RebuildReport;
use storage_core::settings::Settings;

use crate::args::Target;
use crate::failure::Failure;
use crate::failure::Result;
use crate::output::Output;
use crate::output::counted;

#[derive(Debug, Serialize)]
struct Report {
    packs: u64,
    packs_left: u64,
    packs_damaged: u64,
    frames_damaged: u64,
    tenants: u64,
    items: u64,
    objects: u64,
    dictionaries: u64,
    deleted: u64,
    objects_missing: u64,
    damaged_items: Vec<String>,
}

/// Rebuilds.
pub async fn run(target: &Target, output: &mut Output) -> Result<()> {
    let Some(data_dir) = &target.data_dir else {
        return Err(Failure::Usage(
            "rebuild-catalog works on a data directory: name it with --data-dir DIR.".to_owned(),
        ));
    };
    let report = Engine::rebuild_catalog(Settings::new(data_dir), Arc::new(SystemClock))
        .await
        .map_err(|error| Failure::new(format!("{}: {}", data_dir.display(), error.message())))?;
    tell(&report, output)
}

fn tell(report: &RebuildReport, output: &mut Output) -> Result<()> {
    let report = Report {
        packs: report.packs,
        packs_left: report.packs_left,
        packs_damaged: report.packs_damaged,
        frames_damaged: report.frames_damaged,
        tenants: report.tenants,
        items: report.items,
        objects: report.objects,
        dictionaries: report.dictionaries,
        deleted: report.deleted,
        objects_missing: report.objects_missing,
        damaged_items: report.damaged_items.iter().map(ToString::to_string).collect(),
    };
    output.document(&report)?;
    output.say(&format!(
        "A catalog was made from {}: {}, {}, {}.",
        counted(report.packs, "pack"),
        counted(report.tenants, "tenant"),
        counted(report.items, "item"),
        counted(report.objects, "object"),
    ))?;
    if report.packs_left > 0 {
        let left = counted(report.packs_left, "pack");
        output.say(&format!("{left} not ended: the next start of the store recovers what is in there."))?;
    }
    for item in &report.damaged_items {
        output.say(&format!("An object of {item} is in no pack."))?;
    }
    let damaged = report.packs_damaged + report.frames_damaged + report.objects_missing;
    if damaged > 0 {
        return Err(Failure::new(format!(
            "{} damaged, {} damaged, {} missing. Run scrub, then repair.",
            counted(report.packs_damaged, "pack"),
            counted(report.frames_damaged, "frame"),
            counted(report.objects_missing, "object"),
        )));
    }
    output.say("Reads, audits and jobs are in no pack and are not brought back. Run scrub to check the rest.")
}
