//! `list`: items in order of creation, a page at a time.

use clap::Args;
use storage_server::proto;

use crate::args::ExternalFlags;
use crate::args::KindFlag;
use crate::commands::Context;
use crate::failure::Result;
use crate::output::human;
use crate::output::note;
use crate::shown::Item;
use crate::values::Moment;
use crate::wire;

/// The largest page the protocol knows.
pub const PAGE_ITEMS_MAX: u32 = 1000;

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Continue where a list ended; the list says what to give here.
    #[arg(long, value_name = "TOKEN")]
    pub after: Option<String>,
    /// Created at or after this time.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Created before this time.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Only those of this campaign, account or lead.
    #[command(flatten)]
    pub external: ExternalFlags,
    /// Only messages with this Message-ID, with or without angle brackets.
    #[arg(long, value_name = "ID", conflicts_with = "content")]
    pub message_id: Option<String>,
    /// Messages or contents.
    #[command(flatten)]
    pub kind: KindFlag,
}

/// Prints the list, page by page.
pub async fn run(args: &ListArgs, context: &mut Context) -> Result<()> {
    let now = context.now;
    let at = |moment: Moment| wire::timestamp(moment.resolve(now));
    let mut request = proto::ListRequest {
        page_size: 0,
        page_token: args.after.clone().unwrap_or_default(),
        created_from: args.from.map(at),
        created_until: args.until.map(at),
        external: Some(args.external.ids()),
        message_id: args.message_id.clone().unwrap_or_default(),
    };
    let mut left = if args.all { u64::MAX } else { args.limit };
    loop {
        request.page_size = u32::try_from(left).unwrap_or(PAGE_ITEMS_MAX).min(PAGE_ITEMS_MAX);
        let page = context.store.list(args.kind, request.clone()).await?;
        left = left.saturating_sub(page.items.len() as u64);
        print(&page.items, context)?;
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        if left == 0 {
            context.output.flush()?;
            note(&format!("There is more: continue with --after {}", page.next_page_token));
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

fn print(items: &[proto::Item], context: &mut Context) -> Result<()> {
    let items: Vec<Item> = items.iter().map(Item::from).collect();
    for item in &items {
        context.output.entry(item)?;
    }
    let rows = items.into_iter().map(|item| {
        vec![
            item.id,
            item.created.unwrap_or_default(),
            human(item.bytes),
            item.tier.unwrap_or_default().to_owned(),
            if item.hold { "hold".to_owned() } else { String::new() },
            item.caller_id.unwrap_or_default(),
        ]
    });
    context.output.table(&["id", "created", ">size", "tier", "hold", "caller's id"], rows)
}
