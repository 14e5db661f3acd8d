//! `similar`: what is nearly the same as an item.

use clap::Args;
use serde::Serialize;
use storage_server::proto;

use crate::args::KindFlag;
use crate::commands::Context;
use crate::failure::Result;
use crate::output::human;
use crate::output::human_signed;
use crate::wire::hex;

/// Arguments of `similar`.
#[derive(Debug, Args)]
pub struct SimilarArgs {
    /// The server's id or the caller's; one that begins with - goes behind --.
    pub id: String,
    /// Message or content.
    #[command(flatten)]
    pub kind: KindFlag,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub limit: u32,
    /// Only those whose ssdeep score or shared part is at least that, 0 to 100.
    #[arg(long, value_name = "SCORE", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub score_min: u32,
}

#[derive(Debug, Serialize)]
struct Similar {
    sha256: String,
    bytes: u64,
    score: u32,
    shared: u32,
    bytes_more: i64,
    delta_bytes: Option<u64>,
    part: u32,
    ids: Vec<String>,
}

/// Prints the most similar objects.
pub async fn run(args: &SimilarArgs, context: &mut Context) -> Result<()> {
    let request = proto::FindSimilarRequest {
        id: args.id.clone(),
        limit: args.limit,
        score_min: args.score_min,
        message: !args.kind.content,
    };
    let answer = context.store.tenant().contents.find_similar(request).await?.into_inner();
    let similar: Vec<Similar> = answer
        .similar
        .into_iter()
        .map(|found| Similar {
            sha256: hex(&found.sha256),
            bytes: found.bytes,
            score: found.score,
            shared: found.shared,
            bytes_more: found.bytes_more,
            delta_bytes: found.delta_bytes,
            part: found.part,
            ids: found.ids,
        })
        .collect();
    for found in &similar {
        context.output.entry(found)?;
    }
    let rows = similar.into_iter().map(|found| {
        vec![
            found.part.to_string(),
            found.score.to_string(),
            format!("{} %", found.shared),
            human(found.bytes),
            human_signed(found.bytes_more),
            found.delta_bytes.map_or_else(String::new, human),
            found.sha256,
            found.ids.join(" "),
        ]
    });
    let heads = [">part", ">score", ">shared", ">size", ">size differs", ">delta", "sha256", "found in"];
    context.output.table(&heads, rows)
}
