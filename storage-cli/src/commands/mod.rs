//! One command a file: its arguments, then what it does. This file opens the store, runs one of them, and closes the
//! store again whatever happened, Ctrl-C included.

use storage_core::clock::Clock;
use storage_core::clock::SystemClock;
use storage_core::clock::Timestamp;

use crate::args::Cli;
use crate::args::Command;
use crate::failure::Failure;
use crate::failure::Result;
use crate::output::Output;
use crate::store::Store;

pub mod analyze;
pub mod compact;
pub mod completions;
pub mod demo;
pub mod dict;
pub mod erase;
pub mod explain;
pub mod export;
pub mod get;
pub mod import;
pub mod inspect;
pub mod jobs;
pub mod list;
pub mod migrate;
pub mod policy;
pub mod put;
pub mod rebuild_catalog;
pub mod reopen;
pub mod repair;
pub mod rm;
pub mod scrub;
pub mod similar;
pub mod stat;
pub mod stats;
pub mod sweep;
pub mod tenant;
pub mod update;

/// What every command works with.
#[derive(Debug)]
pub struct Context {
    /// The store.
    pub store: Store,
    /// Where results go.
    pub output: Output,
    /// When the command began.
    pub now: Timestamp,
}

/// Runs the command, and hands over its output.
pub async fn run(cli: Cli) -> Result<()> {
    let mut output = Output::stdout(cli.format);
    match &cli.command {
        Command::Completions(args) => {
            completions::run(args, &mut output)?;
            return output.flush();
        }
        Command::Analyze(args) => {
            let analyzed = analyze::run(args, &mut output).await;
            return output.flush().and(analyzed);
        }
        Command::Demo(args) => {
            demo::run(args, &mut output).await?;
            return output.flush();
        }
        Command::Inspect(command) => {
            let inspected = inspect::run(command, &mut output);
            return output.flush().and(inspected);
        }
        Command::RebuildCatalog => {
            rebuild_catalog::run(&cli.target, &mut output).await?;
            return output.flush();
        }
        Command::Import(args) => args.check()?,
        Command::Get(args) => args.check(output.is_json())?,
        Command::Update(args) => args.check()?,
        _ => {}
    }
    let store = Store::open(&cli.target).await?;
    let mut context = Context { store: store.clone(), output, now: SystemClock.now() };
    let done = tokio::select! {
        done = dispatch(&cli.command, &mut context) => done,
        stop = tokio::signal::ctrl_c() => Err(interrupted(&cli.command, stop)),
    };
    let flushed = context.output.flush();
    drop(context);
    let closed = tokio::select! {
        closed = store.close() => closed,
        _ = tokio::signal::ctrl_c() => Err(Failure::new("Ended at once. The store recovers when it is opened again.")),
    };
    // The first failure is the one to tell.
    done.and(flushed).and(closed)
}

async fn dispatch(command: &Command, context: &mut Context) -> Result<()> {
    match command {
        Command::Import(args) => import::run(args, context).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Put(args) => put::run(args, context).await,
        Command::Get(args) => get::run(args, context).await,
        Command::Stat(args) => stat::run(args, context).await,
        Command::List(args) => list::run(args, context).await,
        Command::Update(args) => update::run(args, context).await,
        Command::Rm(args) => rm::run(args, context).await,
        Command::Erase(args) => erase::run(args, context).await,
        Command::Stats(args) => stats::run(args, context).await,
        Command::Migrate(args) => migrate::run(args, context).await,
        Command::Compact(args) => compact::run(args, context).await,
        Command::Explain(args) => explain::run(args, context).await,
        Command::Similar(args) => similar::run(args, context).await,
        Command::Tenant(args) => tenant::run(args, context).await,
        Command::Policy(args) => policy::run(args, context).await,
        Command::Dict(args) => dict::run(args, context).await,
        Command::Sweep(args) => sweep::run(args, context).await,
        Command::Scrub(args) => scrub::run(args, context).await,
        Command::Repair(args) => repair::run(args, context).await,
        Command::Jobs => jobs::run(context).await,
        Command::Reopen => reopen::run(context).await,
        // These need no open store and have been run already.
        Command::Analyze(_)
        | Command::Demo(_)
        | Command::Completions(_)
        | Command::Inspect(_)
        | Command::RebuildCatalog => Ok(()),
    }
}

/// What Ctrl-C means for a command. Its calls end with it, and the server stops what they began.
fn interrupted(command: &Command, stop: std::io::Result<()>) -> Failure {
    if let Err(error) = stop {
        return Failure::new(format!("The program cannot listen for Ctrl-C: {error}."));
    }
    Failure::new(match command {
        Command::Import(_) => "Stopped. What was acknowledged is stored; importing again continues.",
        Command::Export(_) => {
            "Stopped. Exporting to the same directory again continues; a new mbox begins anew."
        }
        Command::Migrate(_) => {
            "The migration stops at its next safe step. Nothing is lost; running it again continues."
        }
        Command::Scrub(_) => {
            "Stopped. What was found in order is marked: --older-than skips it in the next run."
        }
        Command::Repair(_) => "Stopped while it looked for damage; what was mended before that stays mended.",
        Command::Compact(_) => {
            "The compaction stops at its next safe step. Nothing is lost; running it again continues."
        }
        Command::Erase(_) => {
            "The erasure stops at its next safe step. What it was about is not found any more; erase again without ids to \
             finish it."
        }
        _ => "Stopped.",
    })
}
