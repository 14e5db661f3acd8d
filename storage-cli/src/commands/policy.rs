//! `policy`: shows and sets when a tenant's content moves between tiers.

use clap::Args;
use clap::Subcommand;
use serde::Serialize;
use storage_server::proto;
use storage_server::proto::tier_policy_request::Change;

use crate::commands::Context;
use crate::failure::Result;
use crate::output::human;
use crate::store::unexpected;
use crate::values;

/// What to do with the policy of one tenant.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Show the policy that holds for a tenant.
    Show,
    /// Give a tenant a policy of its own; what is not named stays as it is.
    Set(SetArgs),
    /// Take a tenant's own policy away; the store's holds then.
    Clear,
}

/// What to change.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub struct SetArgs {
    /// Age from which hot content is warm, such as 7d.
    #[arg(long, value_name = "DAYS", value_parser = values::days)]
    pub warm_after: Option<u32>,
    /// Age from which it is cold.
    #[arg(long, value_name = "DAYS", value_parser = values::days)]
    pub cold_after: Option<u32>,
    /// Age from which it is archive.
    #[arg(long, value_name = "DAYS", value_parser = values::days)]
    pub archive_after: Option<u32>,
    /// Objects of this size and more skip the warm tier; `never` for none.
    #[arg(long, value_name = "SIZE", value_parser = values::size_or_never)]
    pub skip_warm_from: Option<u64>,
    /// Reads on one day that bring a copy back to the hot tier.
    #[arg(long, value_name = "READS")]
    pub promote_hot_reads: Option<u32>,
    /// Reads on one day that bring a copy back to the warm tier.
    #[arg(long, value_name = "READS")]
    pub promote_warm_reads: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Policy {
    warm_after_days: u32,
    cold_after_days: u32,
    archive_after_days: u32,
    skip_warm_bytes_min: u64,
    promote_hot_reads: u32,
    promote_warm_reads: u32,
}

/// Shows, sets or clears.
pub async fn run(command: &PolicyCommand, context: &mut Context) -> Result<()> {
    let change = match command {
        PolicyCommand::Show => None,
        PolicyCommand::Set(args) => Some(Change::Set(changed(ask(context, None).await?, args))),
        PolicyCommand::Clear => Some(Change::Clear(true)),
    };
    let policy = ask(context, change).await?;
    let policy = Policy {
        warm_after_days: policy.warm_after_days,
        cold_after_days: policy.cold_after_days,
        archive_after_days: policy.archive_after_days,
        skip_warm_bytes_min: policy.skip_warm_bytes_min,
        promote_hot_reads: policy.promote_hot_reads,
        promote_warm_reads: policy.promote_warm_reads,
    };
    context.output.document(&policy)?;
    let skip_warm = if policy.skip_warm_bytes_min == u64::MAX {
        "never".to_owned()
    } else {
        human(policy.skip_warm_bytes_min)
    };
    let rows = [
        vec!["warm after".to_owned(), format!("{} days", policy.warm_after_days)],
        vec!["cold after".to_owned(), format!("{} days", policy.cold_after_days)],
        vec!["archive after".to_owned(), format!("{} days", policy.archive_after_days)],
        vec!["skip warm from".to_owned(), skip_warm],
        vec!["copy to hot from".to_owned(), format!("{} reads a day", policy.promote_hot_reads)],
        vec!["copy to warm from".to_owned(), format!("{} reads a day", policy.promote_warm_reads)],
    ];
    context.output.table(&["policy", ">value"], rows)
}

async fn ask(context: &Context, change: Option<Change>) -> Result<proto::Policy> {
    let request = proto::TierPolicyRequest { change };
    context.store.tenant().admin.tier_policy(request).await?.into_inner().policy.ok_or_else(unexpected)
}

fn changed(policy: proto::Policy, args: &SetArgs) -> proto::Policy {
    proto::Policy {
        warm_after_days: args.warm_after.unwrap_or(policy.warm_after_days),
        cold_after_days: args.cold_after.unwrap_or(policy.cold_after_days),
        archive_after_days: args.archive_after.unwrap_or(policy.archive_after_days),
        skip_warm_bytes_min: args.skip_warm_from.unwrap_or(policy.skip_warm_bytes_min),
        promote_hot_reads: args.promote_hot_reads.unwrap_or(policy.promote_hot_reads),
        promote_warm_reads: args.promote_warm_reads.unwrap_or(policy.promote_warm_reads),
    }
}
