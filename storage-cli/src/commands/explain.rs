//! `explain`: why an item is where it is, and what happens to it next.

use clap::Args;
use serde::Serialize;
use storage_server::proto;

use crate::args::KindFlag;
use crate::commands::Context;
use crate::failure::Result;
use crate::output::human;
use crate::wire::hex;
use crate::wire::non_empty;
use crate::wire::rfc3339;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The server's id or the caller's; one that begins with - goes behind --.
    pub id: String,
    /// Message or content.
    #[command(flatten)]
    pub kind: KindFlag,
}

#[derive(Debug, Serialize)]
struct Part {
    what: String,
    sha256: Option<String>,
    decoded_bytes: u64,
    references: u64,
    tier: String,
    pack: String,
    frame: u32,
    codec: String,
    dictionary: Option<String>,
    block_decoded_bytes: u64,
    block_stored_bytes: u64,
    copy_tier: Option<String>,
    next: String,
}

#[derive(Debug, Serialize)]
struct Explanation {
    id: String,
    kind: String,
    used: Option<String>,
    reasons: Vec<String>,
    parts: Vec<Part>,
}

impl From<proto::ExplainPart> for Part {
    fn from(part: proto::ExplainPart) -> Self {
        Self {
            what: part.what,
            sha256: non_empty(&hex(&part.sha256)),
            decoded_bytes: part.decoded_bytes,
            references: part.references,
            tier: part.tier,
            pack: part.pack,
            frame: part.frame,
            codec: part.codec,
            dictionary: non_empty(&part.dictionary),
            block_decoded_bytes: part.block_decoded_bytes,
            block_stored_bytes: part.block_stored_bytes,
            copy_tier: non_empty(&part.copy_tier),
            next: part.next,
        }
    }
}

/// Explains.
pub async fn run(args: &ExplainArgs, context: &mut Context) -> Result<()> {
    let request = proto::ExplainRequest { id: args.id.clone(), content: args.kind.content };
    let answer = context.store.tenant().admin.explain(request).await?.into_inner();
    let explanation = Explanation {
        id: answer.id,
        kind: answer.kind,
        used: answer.used.as_ref().map(rfc3339),
        reasons: answer.reasons,
        parts: answer.parts.into_iter().map(Part::from).collect(),
    };
    let output = &mut context.output;
    output.document(&explanation)?;
    output.say(&format!(
        "{} {}, its age counts from {}.",
        explanation.kind,
        explanation.id,
        explanation.used.as_deref().unwrap_or("its creation")
    ))?;
    for reason in &explanation.reasons {
        output.say(&format!("- {reason}"))?;
    }
    let rows = explanation.parts.into_iter().map(|part| {
        let tier = match part.copy_tier {
            Some(copy) => format!("{} (copy in {copy})", part.tier),
            None => part.tier,
        };
        vec![
            part.what,
            human(part.decoded_bytes),
            part.references.to_string(),
            tier,
            format!("{}:{}", part.pack, part.frame),
            part.codec,
            format!("{} in {}", human(part.block_decoded_bytes), human(part.block_stored_bytes)),
            part.next,
        ]
    });
    output.table(&["what", ">size", ">references", "tier", "pack:frame", "codec", ">block", "next"], rows)
}
