//! `scrub`: reads and hashes everything, compares packs with the catalog, and lists every disagreement. Exit code 1 where
//! there is one that matters: damage that nothing needs is listed and is none.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use storage_server::proto;

use crate::commands::Context;
use crate::failure::Failure;
use crate::failure::Result;
use crate::output::Output;
use crate::output::counted;
use crate::output::human;
use crate::progress;
use crate::store::unexpected;
use crate::values;
use crate::wire;
use crate::wire::hex;
use crate::wire::non_empty;

/// Arguments of `scrub`.
#[derive(Debug, Args)]
pub struct ScrubArgs {
    /// Skip packs that were found in order more recently than this long ago, such as 7d. A run that was stopped goes on
    /// this way.
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub older_than: Option<Duration>,
    /// Read at most so many bytes a second, such as 20MB/s.
    #[arg(long, value_name = "SIZE", value_parser = values::rate)]
    pub rate: Option<u64>,
}

/// A finding as a line of JSON.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Its permanent name.
    pub kind: String,
    /// The tenant.
    pub tenant: Option<String>,
    /// The pack.
    pub pack: Option<String>,
    /// The frame in it.
    pub frame: Option<u32>,
    /// The entry in that.
    pub entry: Option<u32>,
    /// The message or content.
    pub id: Option<String>,
    /// The object.
    pub sha256: Option<String>,
    /// Messages and contents that need the object, the first of them.
    pub needed_by: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl From<proto::Finding> for Finding {
    fn from(finding: proto::Finding) -> Self {
        Self {
            kind: finding.kind,
            tenant: non_empty(&finding.tenant),
            pack: non_empty(&finding.pack),
            frame: finding.frame,
            entry: finding.entry,
            id: non_empty(&finding.item),
            sha256: non_empty(&hex(&finding.sha256)),
            needed_by: finding.items,
            what: finding.what,
            advice: finding.advice,
        }
    }
}

impl Finding {
    /// The finding for a person: what and where, then what is wrong, then what to do unless `advice` is left out.
    pub fn say(&self, output: &mut Output, advice: bool) -> Result<()> {
        let mut place = self.pack.clone().unwrap_or_default();
        for number in [self.frame, self.entry].into_iter().flatten() {
            place = format!("{place}:{number}");
        }
        let mut line = self.kind.clone();
        let about = [
            ("", non_empty(&place)),
            ("tenant ", self.tenant.clone()),
            ("item ", self.id.clone()),
            ("object ", self.sha256.clone()),
        ];
        for (what, value) in about {
            if let Some(value) = value {
                line = format!("{line}  {what}{value}");
            }
        }
        output.say(&crate::output::printable(&line))?;
        output.say(&crate::output::printable(&format!("    {}", self.what)))?;
        for item in &self.needed_by {
            output.say(&format!("    needed by {item}"))?;
        }
        if advice {
            output.say(&format!("    {}", self.advice))?;
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct Summary {
    findings: u64,
    /// Of these, damage that nothing needs.
    unneeded: u64,
    packs: u64,
    packs_skipped: u64,
    frames: u64,
    bytes: u64,
    items: u64,
    objects: u64,
    stopped: bool,
}

/// Scrubs.
pub async fn run(args: &ScrubArgs, context: &mut Context) -> Result<()> {
    let request = proto::ScrubRequest {
        bytes_per_second_max: args.rate.unwrap_or(0),
        older_than: args.older_than.map(wire::duration),
    };
    let bar = progress::bar("checking");
    let mut answers = context.store.all().admin.scrub(request).await?.into_inner();
    while let Some(mut answer) = answers.message().await? {
        bar.set_length(answer.planned_bytes);
        bar.set_position(answer.bytes);
        for finding in std::mem::take(&mut answer.findings) {
            let finding = Finding::from(finding);
            context.output.entry(&finding)?;
            bar.suspend(|| finding.say(&mut context.output, true))?;
        }
        if answer.done {
            bar.finish_and_clear();
            return summary(&answer, &mut context.output);
        }
    }
    Err(unexpected())
}

fn summary(answer: &proto::ScrubProgress, output: &mut Output) -> Result<()> {
    let summary = Summary {
        findings: answer.found,
        unneeded: answer.unneeded,
        packs: answer.packs,
        packs_skipped: answer.packs_skipped,
        frames: answer.frames,
        bytes: answer.bytes,
        items: answer.items,
        objects: answer.objects,
        stopped: answer.stopped,
    };
    output.document(&summary)?;
    output.say(&format!(
        "{} checked ({}), {} skipped; {} and {} compared.",
        counted(summary.packs, "pack"),
        human(summary.bytes),
        summary.packs_skipped,
        counted(summary.items, "item"),
        counted(summary.objects, "object"),
    ))?;
    if summary.stopped {
        output.say("Stopped before everything was checked; --older-than skips what was.")?;
    }
    let wrong = summary.findings.saturating_sub(summary.unneeded);
    if wrong > 0 {
        return Err(Failure::new(format!("{}.", counted(wrong, "finding"))));
    }
    output.say(if summary.unneeded > 0 {
        "Everything stored is whole; what is damaged, nothing needs."
    } else {
        "Nothing is wrong."
    })
}
