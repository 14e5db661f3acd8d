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
        unneeded: report.unneeded(),
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

#[cfg(test)]
mod tests {
    use storage_core::model::Sha256;
    use storage_core::report::FindingKind;

    use super::*;

    #[test]
    fn options_have_no_limit_where_they_are_zero() {
        assert_eq!(scrub_options(proto::ScrubRequest::default()).unwrap(), ScrubOptions::default());
        let request = proto::ScrubRequest {
            bytes_per_second_max: 5,
            older_than: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        };
        let options = scrub_options(request).unwrap();
        assert_eq!(options.bytes_per_second_max, Some(5));
        assert_eq!(options.older_than, Some(Duration::from_mins(1)));
        let negative = Some(prost_types::Duration { seconds: -60, nanos: 0 });
        let refused = scrub_options(proto::ScrubRequest { older_than: negative, ..request });
        assert!(refused.unwrap_err().message().contains("older_than"));
        let repair = proto::RepairRequest { apply: true, bytes_per_second_max: 0 };
        assert_eq!(repair_options(repair), RepairOptions { apply: true, bytes_per_second_max: None });
    }

    #[test]
    fn every_field_of_a_finding_reaches_the_wire() {
        let (pack, item) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let finding = Finding::new(FindingKind::ObjectDamaged, "what")
            .of_tenant("acme")
            .in_frame(pack, 3)
            .in_entry(0)
            .about_item(item)
            .about_object(Sha256([7; 32]), vec![item]);
        let action = RepairAction { finding, action: "done".to_owned(), mends: true };
        let wire = wire_action(action);
        assert_eq!((wire.action.as_str(), wire.mends), ("done", true));
        let wire = wire.finding.unwrap();
        assert_eq!(
            (wire.kind.as_str(), wire.tenant.as_str(), wire.what.as_str()),
            ("object-damaged", "acme", "what")
        );
        assert_eq!((wire.pack, wire.frame, wire.entry), (pack.to_string(), Some(3), Some(0)));
        assert_eq!((wire.item, wire.items), (item.to_string(), vec![item.to_string()]));
        assert_eq!(wire.sha256.as_ref(), [7; 32]);
        assert_eq!(wire.advice, FindingKind::ObjectDamaged.advice());
        let pack_only = wire_finding(Finding::new(FindingKind::PackMissing, "").in_pack(pack));
        assert_eq!((pack_only.frame, pack_only.item.as_str(), pack_only.sha256.len()), (None, "", 0));
    }
}
