//! Every call there is, with a valid request of each.

use bytes::Bytes;
use prost::Message;
use prost_types::FileDescriptorSet;
use storage_fixtures::rng::Rng;
use storage_server::proto;
use storage_server::proto::put_stream_request::Frame;

use crate::raw::framed;
use crate::support::begin;
use crate::support::data;
use crate::support::end;
use crate::support::get;
use crate::support::message;
use crate::support::options;
use crate::support::put;

/// The paths of all calls of the three services.
pub(crate) fn all_paths() -> Vec<String> {
    let mut paths = Vec::new();
    for file in FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap().file {
        for service in &file.service {
            for method in &service.method {
                paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    paths
}

fn one(message: &impl Message) -> Vec<u8> {
    framed(&message.encode_to_vec())
}

fn put_stream(id: &str) -> Vec<u8> {
    let frame = |frame| one(&proto::PutStreamRequest { frame: Some(frame) });
    let end = proto::PutEnd { data: Bytes::from_static(b"the end") };
    [frame(Frame::Begin(options(id))), frame(Frame::Data(message(1, 500))), frame(Frame::End(end))].concat()
}

fn ingest() -> Vec<u8> {
    let whole = proto::IngestWhole { options: Some(options("w")), data: message(3, 400) };
    let whole =
        proto::IngestRequest { correlation_id: 2, frame: Some(proto::ingest_request::Frame::Whole(whole)) };
    [one(&begin(1, options("i"))), one(&data(1, message(2, 300))), one(&end(1, Bytes::new())), one(&whole)]
        .concat()
}

/// The body of a valid request to that call.
pub(crate) fn valid(path: &str) -> Vec<u8> {
    let id = || "known".to_owned();
    match path.rsplit('/').next().unwrap() {
        "PutMessage" => one(&put("p", message(9, 700))),
        "PutContent" => one(&proto::PutContentRequest { options: Some(options("c")), data: message(8, 900) }),
        "PutMessageStream" | "PutContentStream" => put_stream("s"),
        "IngestMessages" => ingest(),
        "GetMessage" | "GetContent" => one(&proto::GetRequest { length: Some(10), ..get("known") }),
        "GetPart" => one(&proto::GetPartRequest { id: id(), ..Default::default() }),
        "StatMessage" | "StatContent" => one(&proto::StatRequest { id: id() }),
        "ListMessages" | "ListContent" => one(&proto::ListRequest { page_size: 3, ..Default::default() }),
        "UpdateMessage" | "UpdateContent" => one(&proto::UpdateRequest {
            id: id(),
            set_labels: [("a".to_owned(), "b".to_owned())].into(),
            ..Default::default()
        }),
        "DeleteMessage" | "DeleteContent" => one(&proto::DeleteRequest { id: "absent".to_owned() }),
        "Stats" => one(&proto::StatsRequest { by: "tier".to_owned() }),
        "Migrate" => one(&proto::MigrateRequest { dry_run: true, bytes_max: 5, ..Default::default() }),
        "Explain" => one(&proto::ExplainRequest { id: id(), content: false }),
        "Tenants" => one(&proto::TenantsRequest { create: "other".to_owned() }),
        // What is left takes requests without fields, or is not there.
        _ => one(&proto::ReopenRequest {}),
    }
}

/// The same with some of its bytes changed, left out or added.
pub(crate) fn mutated(body: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut body = body.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(body.len().max(1)).min(body.len().saturating_sub(1));
        match rng.below(4) {
            0 => body.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << rng.below(8)),
            1 => body.truncate(at),
            2 => body.insert(at, u8::try_from(rng.below(256)).unwrap()),
            _ => match body.get_mut(5..) {
                Some([_, _, ..]) => body.iter_mut().skip(5).for_each(|byte| *byte = byte.reverse_bits()),
                _ => body.push(0xff),
            },
        }
    }
    body
}
