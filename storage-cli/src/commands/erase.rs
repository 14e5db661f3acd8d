//! `erase`: erases messages or contents, so that no file of the store holds what only they had; or tells what it would
//! take. Without ids it finishes what was asked for before. Exit code 1 while something is still to be erased, unless it
//! was left for later.

use clap::Args;
use serde::Serialize;
use storage_server::proto;
use storage_server::proto::erase_request::What;

use crate::args::KindFlag;
use crate::commands::Context;
use crate::failure::Failure;
use crate::failure::Result;
use crate::output::Output;
use crate::output::counted;
use crate::output::human;
use crate::progress;
use crate::store::Store;
use crate::store::unexpected;
use crate::wire::rfc3339;

/// Arguments of `erase`.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// The server's ids or the caller's; none to finish what was asked for before.
    pub ids: Vec<String>,
    /// Messages or contents.
    #[command(flatten)]
    pub kind: KindFlag,
    /// Everything that was put with this lead.
    #[arg(long, value_name = "UUID", conflicts_with_all = ["ids", "content"])]
    pub lead: Option<uuid::Uuid>,
    /// Everything of the tenant that --tenant names.
    #[arg(long, conflicts_with_all = ["ids", "content", "lead"])]
    pub everything: bool,
    /// Only tell what it would take.
    #[arg(long, conflicts_with = "later")]
    pub dry_run: bool,
    /// Make the request durable, and leave the work to the next erasure or to the server's schedule.
    #[arg(long)]
    pub later: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    requested: u64,
    known: u64,
    erased: u64,
    erased_at: Option<String>,
    pending: u64,
    planned_packs: u64,
    planned_pack_bytes: u64,
    planned_bytes: u64,
    decoded_bytes: u64,
    rewritten_bytes: u64,
    catalog_bytes: u64,
    packs_written: u64,
    packs_deleted: u64,
    bytes_deleted: u64,
    dictionaries_retired: u64,
    dictionaries_made: u64,
    damaged: u64,
    left: Vec<String>,
    stopped: bool,
}

impl Report {
    fn of(progress: proto::EraseProgress, dry_run: bool) -> Self {
        Self {
            dry_run,
            requested: progress.requested,
            known: progress.known,
            erased: progress.erased,
            erased_at: progress.erased_at.as_ref().map(rfc3339),
            pending: progress.pending,
            planned_packs: progress.planned_packs,
            planned_pack_bytes: progress.planned_pack_bytes,
            planned_bytes: progress.planned_bytes,
            decoded_bytes: progress.decoded_bytes,
            rewritten_bytes: progress.rewritten_bytes,
            catalog_bytes: progress.catalog_bytes,
            packs_written: progress.packs_written,
            packs_deleted: progress.packs_deleted,
            bytes_deleted: progress.bytes_deleted,
            dictionaries_retired: progress.dictionaries_retired,
            dictionaries_made: progress.dictionaries_made,
            damaged: progress.damaged,
            left: progress.left,
            stopped: progress.stopped,
        }
    }
}

/// Erases or plans.
pub async fn run(args: &EraseArgs, context: &mut Context) -> Result<()> {
    let mut request =
        proto::EraseRequest { dry_run: args.dry_run, later: args.later, ..proto::EraseRequest::default() };
    if args.kind.content {
        request.content_ids.clone_from(&args.ids);
    } else {
        request.message_ids.clone_from(&args.ids);
    }
    request.what =
        args.lead.map(|id| What::LeadId(id.to_string())).or(args.everything.then_some(What::Tenant(true)));
    let report = Report::of(erase(&context.store, request).await?, args.dry_run);
    context.output.document(&report)?;
    print(&report, args, &mut context.output)?;
    if report.pending == 0 || args.dry_run || args.later {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} still to be erased. {}",
        counted(report.pending, "item"),
        if report.left.is_empty() {
            "Run erase again without ids.".to_owned()
        } else {
            format!("Packs that could not be emptied: {}. See scrub and repair.", report.left.join(", "))
        }
    )))
}

async fn erase(store: &Store, request: proto::EraseRequest) -> Result<proto::EraseProgress> {
    let bar = progress::bar("erasing");
    let mut answers = store.tenant().admin.erase(request).await?.into_inner();
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

fn print(report: &Report, args: &EraseArgs, output: &mut Output) -> Result<()> {
    if args.dry_run {
        return output.say(&format!(
            "Nothing was changed. Erasing {} would empty {} of {} and write {} (decoded) again; {} would go.",
            counted(report.pending, "item"),
            counted(report.planned_packs, "pack"),
            human(report.planned_pack_bytes),
            human(report.planned_bytes),
            dictionaries(report.dictionaries_retired)
        ));
    }
    if args.later {
        return output.say(&format!(
            "{} not found any more from now on. To be erased with the next erase or by the schedule: {}.",
            counted(report.requested, "item"),
            report.pending
        ));
    }
    let Some(at) = &report.erased_at else {
        if report.pending == 0 {
            return output.say("Nothing was to be erased.");
        }
        return Ok(());
    };
    output.say(&format!("{} erased at {at}.", counted(report.erased, "item")))?;
    output.say(&format!(
        "{} written again, and {} of catalog; {} deleted with {}; {} retired, {} sampled in their place.",
        human(report.rewritten_bytes),
        human(report.catalog_bytes),
        counted(report.packs_deleted, "pack"),
        human(report.bytes_deleted),
        dictionaries(report.dictionaries_retired),
        report.dictionaries_made
    ))
}

fn dictionaries(number: u64) -> String {
    if number == 1 { "1 dictionary".to_owned() } else { format!("{number} dictionaries") }
}
