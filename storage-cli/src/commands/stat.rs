//! `stat`: what is known about an item without reading its bytes.

use clap::Args;

use crate::args::KindFlag;
use crate::commands::Context;
use crate::failure::Result;
use crate::output::human;
use crate::shown::Item;

/// Arguments of `stat`.
#[derive(Debug, Args)]
pub struct StatArgs {
    /// The server's id or the caller's; one that begins with - goes behind --.
    pub id: String,
    /// Message or content.
    #[command(flatten)]
    pub kind: KindFlag,
}

/// Prints it.
pub async fn run(args: &StatArgs, context: &mut Context) -> Result<()> {
    let item = Item::from(&context.store.stat(args.kind, &args.id).await?);
    print(&item, context)
}

/// Prints an item with its parts.
pub fn print(item: &Item, context: &mut Context) -> Result<()> {
    let output = &mut context.output;
    output.document(item)?;
    output.table(&["field", "value"], item.fields())?;
    if item.parts.is_empty() {
        return Ok(());
    }
    output.say("")?;
    let rows = item.parts.iter().map(|part| {
        vec![
            part.index.to_string(),
            part.role.clone(),
            part.media_type.clone().unwrap_or_default(),
            part.file_name.clone().unwrap_or_default(),
            human(part.decoded_bytes),
            part.encoding.clone(),
            part.tier.unwrap_or_default().to_owned(),
        ]
    });
    output.table(&[">part", "role", "media type", "file name", ">decoded", "encoding", "tier"], rows)
}
