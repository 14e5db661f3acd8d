//! `update`: changes hold, retention, pin and labels of an item.

use clap::Args;
use storage_server::proto;
use storage_server::proto::update_request::Retention;

use crate::args::KindFlag;
use crate::commands::Context;
use crate::commands::stat;
use crate::failure::Failure;
use crate::failure::Result;
use crate::shown::Item;
use crate::values;
use crate::values::Moment;
use crate::wire;
use crate::wire::TierName;

/// Arguments of `update`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "every one is a flag of the command line, and exclusive ones are checked there"
)]
pub struct UpdateArgs {
    /// The server's id or the caller's; one that begins with - goes behind --.
    pub id: String,
    /// Message or content.
    #[command(flatten)]
    pub kind: KindFlag,
    /// Refuse deletes until the hold is lifted.
    #[arg(long, conflicts_with = "no_hold")]
    pub hold: bool,
    /// Lift the hold.
    #[arg(long)]
    pub no_hold: bool,
    /// Refuse deletes until this time.
    #[arg(long, value_name = "TIME", conflicts_with = "no_retention")]
    pub retain_until: Option<Moment>,
    /// Remove the retention end.
    #[arg(long)]
    pub no_retention: bool,
    /// Keep it in this tier.
    #[arg(long, value_name = "TIER", value_enum, conflicts_with = "unpin")]
    pub pin: Option<TierName>,
    /// Let it move by age again.
    #[arg(long)]
    pub unpin: bool,
    /// Set a label; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = values::label)]
    pub labels: Vec<(String, String)>,
    /// Remove a label; may be repeated.
    #[arg(long = "unlabel", value_name = "KEY")]
    pub unlabels: Vec<String>,
}

impl UpdateArgs {
    /// Refuses an update of nothing.
    pub fn check(&self) -> Result<()> {
        let flags = self.hold || self.no_hold || self.no_retention || self.unpin;
        let values = self.retain_until.is_some() || self.pin.is_some();
        if flags || values || !self.labels.is_empty() || !self.unlabels.is_empty() {
            return Ok(());
        }
        Err(Failure::Usage("Say what to change, such as --hold or --pin archive; see --help.".to_owned()))
    }
}

/// Changes it, and prints what it is now.
pub async fn run(args: &UpdateArgs, context: &mut Context) -> Result<()> {
    let retention = if args.no_retention {
        Some(Retention::ClearRetention(true))
    } else {
        args.retain_until.map(|until| Retention::RetentionEnd(wire::timestamp(until.resolve(context.now))))
    };
    let request = proto::UpdateRequest {
        id: args.id.clone(),
        retention,
        hold: (args.hold || args.no_hold).then_some(args.hold),
        pin: if args.unpin { Some(proto::Tier::Unspecified.into()) } else { args.pin.map(TierName::number) },
        set_labels: args.labels.iter().cloned().collect(),
        remove_labels: args.unlabels.clone(),
    };
    let item = Item::from(&context.store.update(args.kind, request).await?);
    stat::print(&item, context)
}
