//! Scrub and repair: requests checked, findings and reports put on the wire.

use std::time::Duration;

use storage_core::report::Finding;
use storage_core::report::RepairAction;
use storage_core::report::RepairOptions;
use storage_core::report::RepairReport;
use storage_core::report::ScrubOptions;
use storage_core::report::ScrubReport;
use tonic::Status;
use uuid::Uuid;

use crate::convert::invalid;
use crate::proto;

/// How to scrub.
pub fn scrub_options(request: proto::ScrubRequest) -> Result<ScrubOptions, Status> {
    let older_than = request.older_than.map(Duration::try_from).transpose();
    Ok(ScrubOptions {
        bytes_per_second_max: Some(request.bytes_per_second_max).filter(|bytes| *bytes > 0),
        older_than: older_than.map_err(|_| invalid("`older_than` is a duration of zero or more."))?,
    })
}

/// How to repair.
pub fn repair_options(request: proto::RepairRequest) -> RepairOptions {
    RepairOptions {
        apply: request.apply,
        bytes_per_second_max: Some(request.bytes_per_second_max).filter(|bytes| *bytes > 0),
    }
}

/// A finding for the wire.
pub fn wire_finding(finding: Finding) -> proto::Finding {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    proto::Finding {
        kind: finding.kind.name().to_owned(),
        tenant: finding.tenant.unwrap_or_default(),
        pack: text(finding.pack),
        frame: finding.frame,
        entry: finding.entry,
        item: text(finding.item),
        sha256: finding.object.map(|hash| hash.0.to_vec().into()).unwrap_or_default(),
        items: finding.items.iter().map(Uuid::to_string).collect(),
        what: finding.what,
        advice: finding.kind.advice().to_owned(),
    }
}

/// How far a scrub is, and what it found since the answer before.
pub fn wire_scrub(report: &ScrubReport, findings: Vec<Finding>, done: bool) -> proto::ScrubProgress {
    proto::ScrubProgress {
        findings: findings.into_iter().map(wire_finding).collect(),
        packs: report.packs,
        packs_skipped: report.packs_skipped,
        frames: report.frames,
        bytes: report.bytes,
        planned_bytes: report.planned_bytes,
        items: report.items,
        objects: report.objects,
        found: report.findings.values().sum(),
        stopped: report.stopped,
        done,
    }
}

/// What a repair did about a finding.
pub fn wire_action(action: RepairAction) -> proto::RepairAction {
    proto::RepairAction {
        finding: Some(wire_finding(action.finding)),
        action: action.action,
        mends: action.mends,
    }
}

/// What a repair did in all, and what it did since the answer before.
pub fn wire_repair(report: &RepairReport, actions: Vec<RepairAction>) -> proto::RepairProgress {
    proto::RepairProgress {
        actions: actions.into_iter().map(wire_action).collect(),
        done: true,
        applied: report.applied,
        found: report.findings,
        mended: report.mended,
        left: report.left,
        quarantined: report.quarantined,
        damaged_items: report.damaged_items.iter().map(Uuid::to_string).collect(),
        stopped: report.stopped,
    }
}
