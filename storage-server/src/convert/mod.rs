//! Between the wire and the engine. What comes from the wire is checked here, so that services pass on plain, sane
//! data. This file holds the errors and the small shared types; it knows no service.

pub mod admin;
pub mod erasing;
pub mod integrity;
pub mod item;
pub mod similar;
#[cfg(test)]
mod tests;

use storage_core::clock::Timestamp;
use storage_core::error::Error;
use storage_core::error::Kind;
use storage_core::model::ExternalIds;
use storage_core::model::Tier;
use tonic::Code;
use tonic::Status;
use uuid::Uuid;

use crate::proto;

/// 0001-01-01 and 9999-12-31, the range of a protobuf timestamp, in seconds.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

/// Turns the engine's errors of `operation` into answers. Errors of the machine or of ours are logged here, where
/// they are consumed, and their details stay out of the answer.
pub fn failed(operation: &'static str) -> impl Fn(Error) -> Status {
    move |error| {
        let code = code(error.kind());
        match code {
            Code::Internal => {
                tracing::error!(operation, ?error, "a request failed");
                Status::internal(
                    "The server could not do it because of a failure of its own; its log has the details.",
                )
            }
            Code::DataLoss => {
                tracing::error!(operation, ?error, "stored bytes are damaged");
                Status::data_loss(error.message())
            }
            _ => Status::new(code, error.message()),
        }
    }
}

/// The gRPC code of every kind of error.
pub fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::ResourceExhausted => Code::ResourceExhausted,
        Kind::Corrupt => Code::DataLoss,
        Kind::Cancelled => Code::Cancelled,
        Kind::Unavailable => Code::Unavailable,
        Kind::Unimplemented => Code::Unimplemented,
        // `Kind` may grow; a kind unknown here tells the caller nothing it could act on.
        Kind::Io | Kind::Internal | _ => Code::Internal,
    }
}

fn invalid(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}

/// A moment from the wire.
pub fn timestamp(field: &str, value: prost_types::Timestamp) -> Result<Timestamp, Status> {
    let nanos = u32::try_from(value.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    match nanos {
        Some(nanos) if (SECONDS_MIN..=SECONDS_MAX).contains(&value.seconds) => {
            Ok(Timestamp(value.seconds * 1000 + i64::from(nanos / 1_000_000)))
        }
        _ => Err(invalid(format!("`{field}` is not a moment between the years 1 and 9999."))),
    }
}

/// A moment for the wire.
pub fn wire_timestamp(Timestamp(millis): Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    prost_types::Timestamp { seconds: millis.div_euclid(1000), nanos }
}

/// A tier from the wire; none where it is unspecified.
pub fn tier(field: &str, value: i32) -> Result<Option<Tier>, Status> {
    match proto::Tier::try_from(value) {
        Ok(proto::Tier::Unspecified) => Ok(None),
        Ok(proto::Tier::Hot) => Ok(Some(Tier::Hot)),
        Ok(proto::Tier::Warm) => Ok(Some(Tier::Warm)),
        Ok(proto::Tier::Cold) => Ok(Some(Tier::Cold)),
        Ok(proto::Tier::Archive) => Ok(Some(Tier::Archive)),
        Err(_) => {
            Err(invalid(format!("`{field}` is not a tier this version knows: hot, warm, cold or archive.")))
        }
    }
}

/// A tier for the wire.
pub fn wire_tier(tier: Tier) -> proto::Tier {
    match tier {
        Tier::Hot => proto::Tier::Hot,
        Tier::Warm => proto::Tier::Warm,
        Tier::Cold => proto::Tier::Cold,
        Tier::Archive => proto::Tier::Archive,
    }
}

fn uuid(field: &str, text: &str) -> Result<Option<Uuid>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let malformed =
        || invalid(format!("`{field}` is not a UUID in text, such as 01890a5d-ac96-774b-bcce-b302099a8057."));
    Uuid::try_parse(text).map(Some).map_err(|_| malformed())
}

/// External ids from the wire.
pub fn external(ids: Option<proto::ExternalIds>) -> Result<ExternalIds, Status> {
    let ids = ids.unwrap_or_default();
    Ok(ExternalIds {
        campaign: uuid("campaign_id", &ids.campaign_id)?,
        account: uuid("account_id", &ids.account_id)?,
        lead: uuid("lead_id", &ids.lead_id)?,
    })
}

/// External ids for the wire; absent where there are none.
pub fn wire_external(ids: &ExternalIds) -> Option<proto::ExternalIds> {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    (*ids != ExternalIds::default()).then(|| proto::ExternalIds {
        campaign_id: text(ids.campaign),
        account_id: text(ids.account),
        lead_id: text(ids.lead),
    })
}
