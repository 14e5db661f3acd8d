//! The command line of the store. It talks gRPC to a server, or opens a data directory itself and runs the same service
//! in process, so that every command works both ways. In reading order: what may be asked ([`args`], [`values`]), where
//! it goes ([`store`]), what is read from mailboxes ([`mail`], [`ingest`]), the commands, and what is printed.

use std::process::ExitCode;

use clap::Parser;

pub mod args;
pub mod commands;
pub mod failure;
pub mod files;
pub mod ingest;
pub mod mail;
pub mod output;
pub mod progress;
pub mod shown;
pub mod store;
pub mod values;
pub mod wire;

/// Runs the command that the process's arguments name.
pub fn run() -> ExitCode {
    let cli = args::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(&format!("error: The program could not start its threads: {error}."));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(commands::run(cli));
    // A thread that still waits for a pipe nobody writes to must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(sentence) = failure.sentence() {
                output::note(&format!("error: {sentence}"));
            }
            failure.exit_code()
        }
    }
}
