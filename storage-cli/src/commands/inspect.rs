//! `inspect`: what is in a pack file, and the layout of the format. Needs no store: it reads one file and nothing else,
//! and whatever the file holds, it ends and says where something does not fit.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use clap::Subcommand;
use storage_core::error::Error;
use storage_core::pack::PackName;
use storage_core::pack::inspect;
use storage_core::pack::inspect::Reading;
use uuid::Uuid;

use crate::failure::Failure;
use crate::failure::Result;
use crate::output::Output;
use crate::output::counted;

/// What to inspect.
#[derive(Debug, Subcommand)]
pub enum InspectCommand {
    /// Print header, index, and every frame, entry and record of a pack. Exits 1 where something in it does not fit.
    ///
    /// Blocks whose dictionary lies in another pack are printed without their content.
    Pack(PackArgs),
    /// Print the sizes, offsets and numbers of the format.
    Format,
}

/// Arguments of `inspect pack`.
#[derive(Debug, Args)]
pub struct PackArgs {
    /// The pack's file.
    pub file: PathBuf,
}

/// Inspects.
pub fn run(command: &InspectCommand, output: &mut Output) -> Result<()> {
    match command {
        InspectCommand::Pack(args) => pack(&args.file, output),
        InspectCommand::Format => inspect::layout().iter().try_for_each(|reading| print(reading, output)),
    }
}

fn pack(path: &Path, output: &mut Output) -> Result<()> {
    let file = File::open(path).map_err(|error| Failure::file("Opening", path, &error))?;
    let bytes = file.metadata().map_err(|error| Failure::file("Reading", path, &error))?.len();
    let mut read = |offset: u64, bytes: u32| {
        let mut content = vec![0; bytes as usize];
        file.read_exact_at(&mut content, offset)
            .map_err(|error| Error::io("The file cannot be read.", error))?;
        Ok(Bytes::from(content))
    };
    // Writing fails in the command's own words; the walk is only told to end.
    let mut failure = None;
    let mut tell = |reading: &Reading| {
        print(reading, output).map_err(|error| {
            failure = Some(error);
            Error::internal("The output ended.")
        })
    };
    let problems = inspect::inspect(name_of(path), bytes, &mut read, &mut tell);
    if let Some(failure) = failure {
        return Err(failure);
    }
    match problems.map_err(|error| Failure::new(format!("Reading {} failed: {error}", path.display())))? {
        0 => Ok(()),
        problems => Err(Failure::new(format!(
            "{} in {}; the lines that begin with `problem` say where.",
            counted(problems, "problem"),
            path.display()
        ))),
    }
}

/// The name that a file of the store has from its pack.
fn name_of(path: &Path) -> Option<PackName> {
    let stem = path.file_stem()?.to_str()?;
    Uuid::try_parse(stem).ok().map(PackName)
}

fn print(reading: &Reading, output: &mut Output) -> Result<()> {
    output.entry(reading)?;
    output.say(reading.to_string().trim_end())
}
