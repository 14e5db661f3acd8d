//! The edges of a server: its configuration and what is on the wire. The first byte of a request is its type.

use prost::Message;
use storage_server::config;
use storage_server::convert::admin;
use storage_server::convert::item;
use storage_server::proto;
use tonic::Code;
use tonic::Status;

/// A configuration is refused in words, or makes settings.
pub(crate) fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let resolved = config::parse(text).and_then(|file| config::resolve(config::Flags::default(), file));
    match resolved {
        Ok(settings) => {
            settings.engine.policy.validate().expect("a policy that was checked");
            assert!(settings.engine.workers > 0 && settings.server.requests_max > 0);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

#[track_caller]
fn settle<T>(result: Result<T, Status>) -> Option<T> {
    result.inspect_err(|status| assert_eq!(status.code(), Code::InvalidArgument, "{status:?}")).ok()
}

/// Requests that are well formed on the wire, whatever values they hold.
#[derive(Debug)]
pub(crate) enum Request {
    Put(proto::PutOptions),
    List(proto::ListRequest),
    Update(proto::UpdateRequest),
    Get(proto::GetRequest),
    Policy(proto::Policy),
    Migrate(proto::MigrateRequest),
    Sweep(proto::SweepRequest),
    Stats(proto::StatsRequest),
}

pub(crate) fn request(input: &[u8]) -> Option<Request> {
    let (kind, bytes) = input.split_first()?;
    match kind % 8 {
        0 => proto::PutOptions::decode(bytes).ok().map(Request::Put),
        1 => proto::ListRequest::decode(bytes).ok().map(Request::List),
        2 => proto::UpdateRequest::decode(bytes).ok().map(Request::Update),
        3 => proto::GetRequest::decode(bytes).ok().map(Request::Get),
        4 => proto::Policy::decode(bytes).ok().map(Request::Policy),
        5 => proto::MigrateRequest::decode(bytes).ok().map(Request::Migrate),
        6 => proto::SweepRequest::decode(bytes).ok().map(Request::Sweep),
        _ => proto::StatsRequest::decode(bytes).ok().map(Request::Stats),
    }
}

/// Conversion works or names what is invalid.
pub(crate) fn protobuf(input: &[u8]) {
    match request(input) {
        Some(Request::Put(options)) => drop(settle(item::put_options(options))),
        Some(Request::List(request)) => drop(settle(item::list_query(request))),
        Some(Request::Update(request)) => drop(settle(item::update(request))),
        Some(Request::Get(request)) => {
            let _id = settle(item::item_id(request.id.clone()));
            let _options = settle(item::get_options(request.offset, request.length, request.touch));
        }
        Some(Request::Policy(policy)) => drop(settle(admin::policy(&policy))),
        Some(Request::Migrate(request)) => drop(settle(admin::migrate_options(None, &request))),
        Some(Request::Sweep(request)) => drop(settle(admin::sweep_options(request))),
        Some(Request::Stats(request)) => drop(settle(admin::stats_by(&request.by))),
        None => {}
    }
}
