//! `rm`: deletes items. One that cannot be deleted does not keep the others.

use clap::Args;
use serde::Serialize;

use crate::args::KindFlag;
use crate::commands::Context;
use crate::failure::Failure;
use crate::failure::Result;
use crate::output::note;

/// Arguments of `rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The server's ids or the caller's; one that begins with - goes behind --.
    #[arg(required = true)]
    pub ids: Vec<String>,
    /// Messages or contents.
    #[command(flatten)]
    pub kind: KindFlag,
}

#[derive(Debug, Serialize)]
struct Deleted<'a> {
    id: &'a str,
    deleted: bool,
}

/// Deletes them in order. Each deletion is durable before the next begins.
pub async fn run(args: &RmArgs, context: &mut Context) -> Result<()> {
    let mut outcome = Ok(());
    for id in &args.ids {
        match context.store.delete(args.kind, id).await {
            Ok(()) => {
                context.output.entry(&Deleted { id, deleted: true })?;
                context.output.say(&format!("{id} is deleted."))?;
            }
            Err(failure) => {
                note(&format!("error: {id}: {}", failure.sentence().unwrap_or_default()));
                outcome = Err(Failure::Reported);
            }
        }
    }
    outcome
}
