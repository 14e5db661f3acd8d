//! What may be asked of the program, as plain data. Parsing touches neither disk nor network.

use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;

use crate::commands::analyze::AnalyzeArgs;
use crate::commands::compact::CompactArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::demo::DemoArgs;
use crate::commands::dict::DictCommand;
use crate::commands::erase::EraseArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::export::ExportArgs;
use crate::commands::get::GetArgs;
use crate::commands::import::ImportArgs;
use crate::commands::inspect::InspectCommand;
use crate::commands::list::ListArgs;
use crate::commands::migrate::MigrateArgs;
use crate::commands::policy::PolicyCommand;
use crate::commands::put::PutArgs;
use crate::commands::repair::RepairArgs;
use crate::commands::rm::RmArgs;
use crate::commands::scrub::ScrubArgs;
use crate::commands::similar::SimilarArgs;
use crate::commands::stat::StatArgs;
use crate::commands::stats::StatsArgs;
use crate::commands::sweep::SweepArgs;
use crate::commands::tenant::TenantCommand;
use crate::commands::update::UpdateArgs;
use crate::output::Format;

/// Stores mail in tiers and gives every byte back exactly.
///
/// Talks to a server, by default the one on this machine; with --data-dir it opens a store itself.
#[derive(Debug, Parser)]
#[command(name = "storage-cli", version, arg_required_else_help = true)]
pub struct Cli {
    /// Where the store is, and for whom.
    #[command(flatten)]
    pub target: Target,
    /// Print tables for people, or JSON for programs.
    #[arg(long, global = true, help_heading = "Options of all commands", value_enum, default_value_t)]
    pub format: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The server used when nothing else is said.
pub const SERVER: &str = "http://127.0.0.1:7401";

/// The tenant used where a command is about one tenant and none is named.
pub const TENANT: &str = "default";

/// Where the store is, and for whom.
#[derive(Debug, Clone, Default, Args)]
pub struct Target {
    /// Talk to the server at this URL.
    #[arg(long, global = true, help_heading = "Options of all commands", value_name = "URL", default_value = SERVER, conflicts_with = "data_dir")]
    pub server: String,
    /// Open the store in this directory, without a server. Created if absent.
    #[arg(long, global = true, help_heading = "Options of all commands", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Act for this tenant [default: `default`; all tenants for stats, migrate and compact].
    #[arg(long, global = true, help_heading = "Options of all commands", value_name = "ID")]
    pub tenant: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Import mailboxes: mbox, Maildir, directories of .eml, single files.
    ///
    /// Importing the same paths again changes nothing: every message gets an id made of the source's name, its path and
    /// its place in its file. Messages come back byte for byte as they were imported; of an mbox that means without the
    /// separator lines ('From ' at the beginning or after an empty line) and with quoting undone as mboxrd does it: one
    /// '>' is taken off lines such as '>From '. A file that begins with 'From ' is an mbox, unless it ends in .eml.
    /// Below a directory, files that are neither .eml, .mbox nor part of a Maildir are skipped and counted.
    Import(ImportArgs),
    /// Export every message, to a directory or an mbox.
    Export(ExportArgs),
    /// Store one file.
    Put(PutArgs),
    /// Read one message or content, byte for byte.
    Get(GetArgs),
    /// Tell what is known about one message or content.
    Stat(StatArgs),
    /// List messages or contents in order of creation.
    List(ListArgs),
    /// Change hold, retention, pin or labels.
    Update(UpdateArgs),
    /// Delete messages or contents.
    Rm(RmArgs),
    /// Erase messages or contents: no file holds afterwards what only they had.
    Erase(EraseArgs),
    /// Tell how much is stored, where, and what was saved.
    Stats(StatsArgs),
    /// Move what is old into colder tiers.
    Migrate(MigrateArgs),
    /// Tell why something is where it is.
    Explain(ExplainArgs),
    /// Find what is nearly the same.
    Similar(SimilarArgs),
    /// Create and list tenants.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Show and set tier policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Train and list dictionaries.
    #[command(subcommand)]
    Dict(DictCommand),
    /// Rewrite packs that are partly dead and merge what is small.
    Compact(CompactArgs),
    /// Delete what nothing refers to any more.
    Sweep(SweepArgs),
    /// Read and hash everything, compare packs with the catalog, list what is wrong (exit code 1 then).
    Scrub(ScrubArgs),
    /// Mend what scrub finds; without --apply only tell how.
    Repair(RepairArgs),
    /// Make the catalog of a --data-dir that lost its catalog.db, from the packs alone.
    RebuildCatalog,
    /// List background work.
    Jobs,
    /// Print what is in a pack file, or the layout of the format; needs no store.
    #[command(subcommand)]
    Inspect(InspectCommand),
    /// Open a store for writes again that a failed write has shut, once the cause is mended.
    Reopen,
    /// What the engine would make of your mail: reads a mailbox, keeps nothing, and needs no server.
    Analyze(AnalyzeArgs),
    /// A tour on a generated mailbox; needs no server and leaves nothing behind.
    Demo(DemoArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

/// Whether an id is that of a message or a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Args)]
pub struct KindFlag {
    /// A single content (a body or an attachment stored by itself) instead of a message.
    #[arg(long)]
    pub content: bool,
}

/// Ids of rows in the caller's own database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Args)]
pub struct ExternalFlags {
    /// The campaign's id in your database.
    #[arg(long, value_name = "UUID")]
    pub campaign: Option<uuid::Uuid>,
    /// The email account's id in your database.
    #[arg(long, value_name = "UUID")]
    pub account: Option<uuid::Uuid>,
    /// The lead's id in your database.
    #[arg(long, value_name = "UUID")]
    pub lead: Option<uuid::Uuid>,
}

impl ExternalFlags {
    /// The same for the protocol.
    pub fn ids(self) -> storage_server::proto::ExternalIds {
        let text = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        storage_server::proto::ExternalIds {
            campaign_id: text(self.campaign),
            account_id: text(self.account),
            lead_id: text(self.lead),
        }
    }
}
