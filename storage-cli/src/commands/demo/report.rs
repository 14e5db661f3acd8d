//! What the demo tells about the store at each stage. It changes nothing.

use std::path::Path;

use serde::Serialize;
use storage_core::report::Stats;
use storage_server::proto;

use crate::commands::stats;
use crate::failure::Result;
use crate::output::Output;
use crate::output::human;
use crate::output::human_signed;
use crate::store::Store;

/// The store after one step of the tour.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    stage: &'static str,
    stats: Stats,
}

/// Asks where everything is now, and prints it.
pub(super) async fn stage(stage: &'static str, store: &Store, output: &mut Output) -> Result<Stage> {
    let request = proto::StatsRequest { by: String::new() };
    let stats = stats::stats(store.all().admin.stats(request).await?.into_inner());
    let rows = stats.tiers.iter().map(|tier| {
        vec![tier.tier.clone(), tier.objects.to_string(), human(tier.unique_bytes), human(tier.stored_bytes)]
    });
    output.table(&["tier", ">objects", ">decoded", ">stored"], rows)?;
    output.say(&format!(
        "{} received, {} stored and a catalog of {}: {:.2} to 1.\n",
        human(stats.logical_bytes),
        human(stats.stored_bytes),
        human(stats.catalog_bytes),
        stats.ratio
    ))?;
    Ok(Stage { stage, stats })
}

/// Prints what each stage came to, and why.
pub(super) fn summary(stages: &[Stage], output: &mut Output) -> Result<()> {
    output.say("What was saved by what:")?;
    let rows = stages.iter().map(|Stage { stage, stats }| {
        let saved = stats.saved;
        vec![
            (*stage).to_owned(),
            human(stats.stored_bytes),
            human(stats.catalog_bytes),
            format!("{:.2}", stats.ratio),
            human_signed(saved.transfer_decoding),
            human_signed(saved.exact_dedup),
            human_signed(saved.similar_dedup),
            human_signed(saved.recoding),
            human_signed(saved.compression),
        ]
    });
    let headers = [
        "stage",
        ">stored",
        ">catalog",
        ">ratio",
        ">decoding",
        ">exact dedup",
        ">similar",
        ">recoding",
        ">compression",
    ];
    output.table(&headers, rows)
}

/// Prints how to go on.
pub(super) fn farewell(kept: Option<&Path>, output: &mut Output) -> Result<()> {
    output.say("")?;
    match kept {
        Some(kept) => output.say(&format!(
            "The demo's store is kept: look around with\n  storage-cli --data-dir {} list",
            kept.display()
        ))?,
        None => output.say("The demo's store is gone again (--keep DIR keeps it).")?,
    }
    output.say(
        "Now your own mail, without a server:\n  storage-cli --data-dir ./data import PATH...\nor with one:\n  \
         storage-server --data-dir ./data\n  storage-cli import PATH...",
    )
}
