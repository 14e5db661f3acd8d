//! `jobs`: lists background work.

use serde::Serialize;
use storage_server::proto;

use crate::commands::Context;
use crate::failure::Result;
use crate::wire::rfc3339;

#[derive(Debug, Serialize)]
struct Job {
    id: i64,
    kind: String,
    state: String,
    created: Option<String>,
    ended: Option<String>,
    detail: String,
}

/// Prints all jobs.
pub async fn run(context: &mut Context) -> Result<()> {
    let request = proto::JobsRequest {};
    let answer = context.store.all().admin.jobs(request).await?.into_inner();
    let jobs: Vec<Job> = answer
        .jobs
        .into_iter()
        .map(|job| Job {
            id: job.id,
            kind: job.kind,
            state: job.state,
            created: job.created.as_ref().map(rfc3339),
            ended: job.ended.as_ref().map(rfc3339),
            detail: job.detail,
        })
        .collect();
    for job in &jobs {
        context.output.entry(job)?;
    }
    let rows = jobs.into_iter().map(|job| {
        let text = |at: Option<String>| at.unwrap_or_default();
        vec![job.id.to_string(), job.kind, job.state, text(job.created), text(job.ended), job.detail]
    });
    context.output.table(&[">id", "kind", "state", "created", "ended", "detail"], rows)
}
