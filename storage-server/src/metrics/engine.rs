//! What the engine says at a scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use storage_core::activity::Activity;
use storage_core::activity::Load;
use storage_core::activity::ReadLatencies;
use storage_core::activity::TierPacks;
use storage_core::engine::Engine;
use storage_core::report::JobInfo;

use crate::metrics::sheet::Distribution;
use crate::metrics::sheet::Sheet;

const JOB_STATES: [&str; 4] = ["running", "done", "failed", "stopped"];

/// The engine at one moment.
#[derive(Debug)]
pub(super) struct EngineSnapshot {
    writable: bool,
    activity: Activity,
    load: Load,
    latencies: Vec<ReadLatencies>,
    /// None where the catalog could not be read.
    packs: Option<Vec<TierPacks>>,
    /// The newest job of each kind, and the newest of each that was done; none where the catalog could not be read.
    jobs: Option<(BTreeMap<String, JobInfo>, BTreeMap<String, JobInfo>)>,
}

impl EngineSnapshot {
    pub(super) async fn take(engine: &Engine) -> Self {
        let packs = engine.packs_by_tier().await.inspect_err(|error| {
            tracing::warn!(%error, "the packs could not be counted for a scrape");
        });
        Self {
            writable: engine.writable(),
            activity: engine.activity(),
            load: engine.load(),
            latencies: engine.read_latencies(),
            packs: packs.ok(),
            jobs: engine.jobs().await.ok().map(newest),
        }
    }

    fn activity(&self, sheet: &mut Sheet<'_>) -> Result<(), fmt::Error> {
        let Activity { messages_put, contents_put, known_put, reads, groups, group_requests, damaged } =
            &self.activity;
        let puts = [("message", messages_put), ("content", contents_put), ("known", known_put)];
        let help = "Acknowledged puts: new messages, new contents, and those that were there already";
        sheet.counters(("storage_puts", help), "outcome", puts.map(|(key, done)| (key, done.count)))?;
        let help = "Bytes of acknowledged puts";
        sheet.counters(("storage_put_bytes", help), "outcome", puts.map(|(key, done)| (key, done.bytes)))?;
        let gets = reads.map(|(tier, done)| (tier.name(), done));
        let help = "Reads, by the tier the item was in";
        sheet.counters(("storage_gets", help), "tier", gets.map(|(tier, done)| (tier, done.count)))?;
        let help = "Bytes of reads";
        sheet.counters(("storage_get_bytes", help), "tier", gets.map(|(tier, done)| (tier, done.bytes)))?;
        let help = "Groups that the log has written";
        sheet.counter("storage_log_groups", help, *groups)?;
        let help = "Requests in those groups; divided by them, the size of a group";
        sheet.counter("storage_log_group_requests", help, *group_requests)?;
        let help = "Units whose stored bytes were found damaged or missing; the same one again counts again";
        sheet.counter("storage_damaged_units", help, *damaged)?;
        let latencies = self.latencies.iter().map(|latencies| {
            let mut buckets = latencies.buckets.clone();
            // Whatever is longer than all edges is in the last one.
            if let Some(last) = buckets.last_mut() {
                last.0 = f64::MAX;
            }
            (latencies.tier.name(), Distribution { sum: latencies.seconds, buckets })
        });
        let help = "Time until the bytes of a read are ready, without the network";
        sheet.histograms(("storage_read_seconds", help), "tier", latencies)
    }

    fn load(&self, sheet: &mut Sheet<'_>) -> Result<(), fmt::Error> {
        let load = &self.load;
        sheet.gauge("storage_writable", "1 while the store takes writes", u64::from(self.writable))?;
        sheet.gauge("storage_put_memory_bytes", "Bytes held by puts in flight", load.put_memory_bytes)?;
        sheet.gauge("storage_get_memory_bytes", "Bytes held by answers", load.get_memory_bytes)?;
        let queues =
            [("log", load.log_queue), ("put_memory", load.puts_waiting), ("get_memory", load.gets_waiting)];
        sheet.gauges(("storage_queue", "Requests that wait, by what for"), "queue", queues)?;
        let workers = [("foreground", load.foreground_running), ("background", load.background_running)];
        sheet.gauges(("storage_workers_running", "Pieces of CPU-heavy work that run"), "pool", workers)?;
        let caches = [
            ("blocks", load.block_cache_bytes),
            ("dictionaries", load.dictionary_cache_bytes),
            ("indexes", load.index_cache_bytes),
        ];
        sheet.gauges(("storage_cache_bytes", "Bytes in the read caches"), "cache", caches)?;
        let help = "1 while a migration, a sweep or a training runs";
        sheet.gauge("storage_upkeep_running", help, u64::from(load.upkeep_running))
    }

    fn packs(&self, sheet: &mut Sheet<'_>) -> Result<(), fmt::Error> {
        let help = "1 where the catalog could be read for this scrape";
        let readable = self.packs.is_some() && self.jobs.is_some();
        sheet.gauge("storage_catalog_readable", help, u64::from(readable))?;
        let Some(packs) = &self.packs else { return Ok(()) };
        let by = |value: fn(&TierPacks) -> u64| packs.iter().map(move |row| (row.tier.name(), value(row)));
        sheet.gauges(("storage_packs", "Packs"), "tier", by(|row| row.packs))?;
        sheet.gauges(("storage_pack_bytes", "Bytes of packs"), "tier", by(|row| row.bytes))?;
        let help = "Packs that nothing needs any more, in their grace period";
        sheet.gauges(("storage_packs_condemned", help), "tier", by(|row| row.condemned))
    }

    fn jobs(&self, sheet: &mut Sheet<'_>) -> Result<(), fmt::Error> {
        let Some((last, done)) = &self.jobs else { return Ok(()) };
        let moments = |jobs: &BTreeMap<String, JobInfo>, at: fn(&JobInfo) -> Option<i64>| {
            let moment = |(kind, job): (&String, &JobInfo)| Some((kind.clone(), seconds(at(job)?)));
            jobs.iter().filter_map(moment).collect::<Vec<_>>()
        };
        let started = moments(last, |job| Some(job.created));
        let help = "When the newest job of the kind began, in seconds since 1970";
        sheet.moments(
            ("storage_job_started_timestamp_seconds", help),
            "kind",
            started.iter().map(|(kind, at)| (kind.as_str(), *at)),
        )?;
        let succeeded = moments(done, |job| job.ended);
        let help = "When the newest job of the kind that was done ended, in seconds since 1970";
        sheet.moments(
            ("storage_job_succeeded_timestamp_seconds", help),
            "kind",
            succeeded.iter().map(|(kind, at)| (kind.as_str(), *at)),
        )?;
        for state in JOB_STATES {
            let name = format!("storage_job_{state}");
            let help = format!("1 where the newest job of the kind is in the state {state}");
            let values = last.iter().map(|(kind, job)| (kind.as_str(), u64::from(job.state == state)));
            sheet.gauges((&name, &help), "kind", values)?;
        }
        Ok(())
    }
}

impl Collector for EngineSnapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut sheet = Sheet::new(encoder);
        self.load(&mut sheet)?;
        self.activity(&mut sheet)?;
        self.packs(&mut sheet)?;
        self.jobs(&mut sheet)
    }
}

/// The newest job of each kind, and the newest that was done. Jobs come newest first.
fn newest(jobs: Vec<JobInfo>) -> (BTreeMap<String, JobInfo>, BTreeMap<String, JobInfo>) {
    let (mut last, mut done) = (BTreeMap::new(), BTreeMap::new());
    for job in jobs {
        if job.state == "done" && !done.contains_key(&job.kind) {
            let _none = done.insert(job.kind.clone(), job.clone());
        }
        if !last.contains_key(&job.kind) {
            let _none = last.insert(job.kind.clone(), job);
        }
    }
    (last, done)
}

fn seconds(millis: i64) -> f64 {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0)).as_secs_f64()
}
