//! Erasing between the wire and the engine.

use storage_core::clock::Timestamp;
use storage_core::model::ItemKind;
use storage_core::report::EraseOptions;
use storage_core::report::EraseReport;
use storage_core::report::EraseWhat;
use tonic::Status;

use crate::convert::invalid;
use crate::convert::item::item_id;
use crate::convert::uuid;
use crate::convert::wire_timestamp;
use crate::proto;
use crate::proto::erase_request::What;

/// What to erase. The tenant must be named where anything is.
pub fn erase_options(tenant: Option<String>, request: proto::EraseRequest) -> Result<EraseOptions, Status> {
    let proto::EraseRequest { what, message_ids, content_ids, dry_run, later } = request;
    let several = (message_ids.is_empty(), content_ids.is_empty());
    let what = match (what, several) {
        (None, (true, true)) => None,
        (None, (false, true)) => Some(items(ItemKind::Message, message_ids)?),
        (None, (true, false)) => Some(items(ItemKind::Content, content_ids)?),
        (Some(what), (true, true)) => Some(one(what)?),
        _ => return Err(invalid("Name messages, contents, a lead or the tenant: one of them.")),
    };
    let what = match (tenant, what) {
        (_, None) => None,
        (Some(tenant), Some(what)) => Some((tenant, what)),
        (None, Some(_)) => return Err(invalid("Name the tenant in `tenant-id`.")),
    };
    Ok(EraseOptions { what, dry_run, later })
}

fn items(kind: ItemKind, ids: Vec<String>) -> Result<EraseWhat, Status> {
    let ids = ids.into_iter().map(item_id).collect::<Result<_, _>>()?;
    Ok(EraseWhat::Items(kind, ids))
}

fn one(what: What) -> Result<EraseWhat, Status> {
    match what {
        What::MessageId(id) => items(ItemKind::Message, vec![id]),
        What::ContentId(id) => items(ItemKind::Content, vec![id]),
        What::LeadId(id) => {
            let lead = uuid("lead_id", &id)?;
            lead.map(EraseWhat::Lead).ok_or_else(|| invalid("`lead_id` is a UUID."))
        }
        What::Tenant(true) => Ok(EraseWhat::Tenant),
        What::Tenant(false) => Err(invalid("`tenant` is true, or something else is named.")),
    }
}

/// How far an erasure is.
pub fn wire_erase(report: &EraseReport, done: bool) -> proto::EraseProgress {
    proto::EraseProgress {
        requested: report.requested,
        known: report.known,
        erased: report.erased,
        erased_at: report.erased_at.map(|at| wire_timestamp(Timestamp(at))),
        pending: report.pending,
        planned_packs: report.planned_packs,
        planned_pack_bytes: report.planned_pack_bytes,
        planned_bytes: report.planned_bytes,
        decoded_bytes: report.decoded_bytes,
        rewritten_bytes: report.rewritten_bytes,
        catalog_bytes: report.catalog_bytes,
        packs_written: report.packs_written,
        packs_deleted: report.packs_deleted,
        bytes_deleted: report.bytes_deleted,
        dictionaries_retired: report.dictionaries_retired,
        dictionaries_made: report.dictionaries_made,
        damaged: report.damaged,
        left: report.left.iter().map(ToString::to_string).collect(),
        stopped: report.stopped,
        done,
    }
}
