//! The server from outside, over real sockets on free ports.

#![allow(
    unused_results,
    clippy::unwrap_used,
    dead_code,
    reason = "a test stops where it cannot go on, and looks at what it is about; the support is shared"
)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use storage_fixtures::documents::Kind as Document;
use storage_fixtures::documents::family;
use storage_server::client;
use storage_server::client::Client;
use storage_server::client::put_frames;
use storage_server::proto;
use storage_server::proto::PutStreamRequest;
use storage_server::proto::ingest_response::Outcome;
use storage_server::proto::put_stream_request;
use storage_server::server::Settings;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::TestServer;
use crate::support::begin;
use crate::support::collect;
use crate::support::data;
use crate::support::end;
use crate::support::get;
use crate::support::ingest;
use crate::support::message;
use crate::support::options;
use crate::support::put;
use crate::support::read;

#[tokio::test]
async fn what_is_put_comes_back() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for (seed, bytes) in [(1, 1), (2, 70_000), (3, 3 << 20)] {
        let sent = message(seed, bytes);
        let receipt = client.messages.put_message(put("", sent.clone())).await.unwrap().into_inner();
        assert!(receipt.created);
        assert_eq!(receipt.bytes, sent.len() as u64);
        let (item, received) =
            collect(client.messages.get_message(get(&receipt.id)).await.unwrap().into_inner()).await.unwrap();
        assert_eq!(item.id, receipt.id);
        assert_eq!(item.sha256, receipt.sha256);
        assert!(received == sent, "{bytes} bytes came back differently");
    }
    server.stop().await;
}

#[tokio::test]
async fn ranges_are_cut_to_the_item() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let sent = message(1, 200_000);
    client.messages.put_message(put("r", sent.clone())).await.unwrap();
    let length = sent.len() as u64;
    for (offset, wanted) in
        [(0, None), (5, Some(0)), (7, Some(100_000)), (length - 1, None), (100, Some(u64::MAX - 100))]
    {
        let request = proto::GetRequest { id: "r".into(), offset, length: wanted, touch: Some(false) };
        let (_, received) =
            collect(client.messages.get_message(request).await.unwrap().into_inner()).await.unwrap();
        let until = wanted.map_or(length, |wanted| length.min(offset + wanted));
        assert!(
            received == sent[usize::try_from(offset).unwrap()..usize::try_from(until).unwrap()],
            "{offset} {wanted:?}"
        );
    }
    for (offset, wanted) in [(length + 1, None), (1, Some(u64::MAX))] {
        let request = proto::GetRequest { id: "r".into(), offset, length: wanted, touch: None };
        let status = match client.messages.get_message(request).await {
            Ok(answer) => collect(answer.into_inner()).await.unwrap_err(),
            Err(status) => status,
        };
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    server.stop().await;
}

#[tokio::test]
async fn parts_are_read_decoded() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.messages.put_message(put("p", message(1, 50_000))).await.unwrap();
    let stat =
        client.messages.stat_message(proto::StatRequest { id: "p".into() }).await.unwrap().into_inner();
    let part = stat.parts.first().expect("a message with a body has a part");
    let request = proto::GetPartRequest { id: "p".into(), part: part.index, ..Default::default() };
    let mut answer = client.messages.get_part(request).await.unwrap().into_inner();
    let mut bytes = 0;
    while let Some(frame) = answer.message().await.unwrap() {
        match frame.frame.unwrap() {
            proto::get_part_response::Frame::Part(first) => assert_eq!(&first, part),
            proto::get_part_response::Frame::Data(data) => bytes += data.len() as u64,
        }
    }
    assert_eq!(bytes, part.decoded_bytes);
    server.stop().await;
}

#[tokio::test]
async fn an_id_stands_for_the_same_bytes() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let first = client.messages.put_message(put("x", message(1, 100))).await.unwrap().into_inner();
    let again = client.messages.put_message(put("x", message(1, 100))).await.unwrap().into_inner();
    assert_eq!((again.id, again.created), (first.id, false));
    let other = client.messages.put_message(put("x", message(2, 100))).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);
    // Contents have ids of their own.
    let content =
        proto::PutContentRequest { options: Some(options("x")), data: Bytes::from_static(b"content") };
    assert!(client.contents.put_content(content).await.unwrap().into_inner().created);

    client.messages.delete_message(proto::DeleteRequest { id: "x".into() }).await.unwrap();
    assert_eq!(read(&mut client, "x").await.unwrap_err().code(), Code::NotFound);
    let late = client.messages.put_message(put("x", message(1, 100))).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition);
    server.stop().await;
}

#[tokio::test]
async fn updates_show_and_a_hold_holds() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.messages.put_message(put("u", message(1, 100))).await.unwrap();
    let change = proto::UpdateRequest {
        id: "u".into(),
        hold: Some(true),
        pin: Some(proto::Tier::Hot.into()),
        set_labels: [("team".to_owned(), "legal".to_owned())].into(),
        ..Default::default()
    };
    let item = client.messages.update_message(change).await.unwrap().into_inner();
    assert!(item.hold);
    assert_eq!((item.pin(), item.labels["team"].as_str()), (proto::Tier::Hot, "legal"));
    let delete = proto::DeleteRequest { id: "u".into() };
    assert_eq!(
        client.messages.delete_message(delete.clone()).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let change = proto::UpdateRequest {
        id: "u".into(),
        hold: Some(false),
        pin: Some(proto::Tier::Unspecified.into()),
        remove_labels: vec!["team".into()],
        ..Default::default()
    };
    let item = client.messages.update_message(change).await.unwrap().into_inner();
    assert_eq!((item.hold, item.pin(), item.labels.len()), (false, proto::Tier::Unspecified, 0));
    client.messages.delete_message(delete).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let mut stored = Vec::new();
    for seed in 0..25 {
        stored.push(client.messages.put_message(put("", message(seed, 100))).await.unwrap().into_inner().id);
    }
    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let request = proto::ListRequest { page_size: 10, page_token: token, ..Default::default() };
        let page = client.messages.list_messages(request).await.unwrap().into_inner();
        assert!(page.items.len() <= 10);
        listed.extend(page.items.into_iter().map(|item| item.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    listed.sort();
    stored.sort();
    assert_eq!(listed, stored);
    server.stop().await;
}

#[tokio::test]
async fn a_put_in_pieces_needs_its_end() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let sent = message(1, 9 << 20);
    let pieces: Vec<_> = sent.chunks(1 << 20).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let (frames, failure) = put_frames(options("big"), stream::iter(pieces));
    let receipt = client.messages.put_message_stream(frames).await.unwrap().into_inner();
    assert!(failure.take().is_none());
    assert_eq!(receipt.bytes, sent.len() as u64);
    assert!(read(&mut client, "big").await.unwrap() == sent);

    let frame = |frame| PutStreamRequest { frame: Some(frame) };
    let half = vec![
        frame(put_stream_request::Frame::Begin(options("half"))),
        frame(put_stream_request::Frame::Data(message(2, 1000))),
    ];
    let status = client.messages.put_message_stream(stream::iter(half)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(read(&mut client, "half").await.unwrap_err().code(), Code::NotFound);

    let broken = stream::iter([Ok(Bytes::from_static(b"a")), Err(std::io::Error::other("the disk is gone"))]);
    let (frames, failure) = put_frames(options("broken"), broken);
    assert_eq!(client.messages.put_message_stream(frames).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(failure.take().unwrap().to_string(), "the disk is gone");
    server.stop().await;
}

#[tokio::test]
async fn over_a_limit_the_answer_says_what_to_do() {
    let server = TestServer::start_with(Settings::default(), |engine| engine.item_bytes_max = 6 << 20).await;
    let channel = server.channel().await;
    let mut client = Client::new(channel, Some("default")).unwrap();
    // Just over the payload limit, and over the frame limit; the client's own limit is lifted for the latter.
    client.messages = client.messages.max_encoding_message_size(64 << 20);
    for bytes in [(4 << 20) + 1, 5 << 20] {
        let request = put("l", Bytes::from(vec![b'x'; bytes]));
        let status = client.messages.put_message(request).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(
            status.message().contains("4 MiB") && status.message().contains("PutMessageStream"),
            "{status}"
        );
    }
    assert!(client.messages.put_message(put("max", Bytes::from(vec![b'x'; 4 << 20]))).await.is_ok());

    let pieces = (0..7).map(|_| Ok(Bytes::from(vec![b'y'; 1 << 20])));
    let (frames, _) = put_frames(options("l"), stream::iter(pieces));
    let status = client.messages.put_message_stream(frames).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(read(&mut client, "l").await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn tenants_are_named_known_and_apart() {
    let server = TestServer::start().await;
    let mut nobody = Client::new(server.channel().await, None).unwrap();
    let status = nobody.messages.put_message(put("t", message(1, 100))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("tenant-id"));

    let mut acme = Client::new(server.channel().await, Some("acme")).unwrap();
    assert_eq!(
        acme.messages.put_message(put("t", message(1, 100))).await.unwrap_err().code(),
        Code::NotFound
    );
    let tenants = acme
        .admin
        .tenants(proto::TenantsRequest { create: "acme".into() })
        .await
        .unwrap()
        .into_inner()
        .tenants;
    assert!(
        tenants.iter().any(|tenant| tenant.name == "acme")
            && tenants.iter().any(|tenant| tenant.name == "default")
    );
    acme.messages.put_message(put("t", message(1, 100))).await.unwrap();

    let mut client = server.client().await;
    assert_eq!(read(&mut client, "t").await.unwrap_err().code(), Code::NotFound);
    // Without a tenant, admin calls mean all.
    assert_eq!(nobody.admin.stats(proto::StatsRequest::default()).await.unwrap().into_inner().messages, 1);
    server.stop().await;
}

#[tokio::test]
async fn contents_work_like_messages() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let sent = message(5, 300_000);
    let put = proto::PutContentRequest {
        options: Some(proto::PutOptions {
            media_type: "text/plain".into(),
            file_name: "a.txt".into(),
            ..options("c")
        }),
        data: sent.clone(),
    };
    client.contents.put_content(put).await.unwrap();
    let (item, received) =
        collect(client.contents.get_content(get("c")).await.unwrap().into_inner()).await.unwrap();
    assert_eq!((item.media_type.as_str(), item.file_name.as_str()), ("text/plain", "a.txt"));
    assert!(received == sent);
    let stat =
        client.contents.stat_content(proto::StatRequest { id: "c".into() }).await.unwrap().into_inner();
    assert_eq!(stat.bytes, sent.len() as u64);
    assert_eq!(
        client.contents.list_content(proto::ListRequest::default()).await.unwrap().into_inner().items.len(),
        1
    );
    client.contents.delete_content(proto::DeleteRequest { id: "c".into() }).await.unwrap();
    assert_eq!(client.contents.get_content(get("c")).await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn ingest_answers_each_message_once() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let mut frames = Vec::new();
    // More messages than may be in flight at once, small ones in one frame, and a large one in between.
    let large = message(1000, 3 << 20);
    frames.push(begin(1000, options("large")));
    for seed in 0..600 {
        frames.push(begin(seed, options(&format!("m-{seed}"))));
        frames.push(end(seed, message(seed, 2000)));
        if seed < 12 {
            let from = large.len() * usize::try_from(seed).unwrap() / 12;
            let until = large.len() * usize::try_from(seed + 1).unwrap() / 12;
            frames.push(data(1000, large.slice(from..until)));
        }
    }
    frames.push(end(1000, Bytes::new()));
    // Two bad ones, which stop nobody else, and one that is never finished.
    frames.push(begin(2000, proto::PutOptions { pin: 99, ..Default::default() }));
    frames.push(end(2000, message(2000, 100)));
    frames.push(data(2001, message(2001, 100)));
    frames.push(begin(2002, options("unfinished")));
    frames.push(data(2002, message(2002, 100)));

    let answers = ingest(&mut client, frames).await.unwrap();
    let outcomes: BTreeMap<u64, Outcome> =
        answers.iter().cloned().map(|a| (a.correlation_id, a.outcome.unwrap())).collect();
    assert_eq!(answers.len(), outcomes.len());
    assert_eq!(outcomes.len(), 603);
    for (id, outcome) in &outcomes {
        match outcome {
            Outcome::Receipt(receipt) => assert!(receipt.created && *id <= 1000),
            Outcome::Error(error) => {
                assert!([2000, 2001].contains(id), "{id}: {error:?}");
                assert_eq!(Code::from(error.code), Code::InvalidArgument);
            }
        }
    }
    assert!(read(&mut client, "m-599").await.unwrap() == message(599, 2000));
    assert!(read(&mut client, "large").await.unwrap() == large);
    assert_eq!(read(&mut client, "unfinished").await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn ingest_never_mixes_two_messages_under_one_id() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let frames = vec![
        begin(1, options("first")),
        data(1, message(1, 100)),
        begin(1, options("second")),
        end(1, message(2, 100)),
        begin(1, options("third")),
        end(1, message(3, 100)),
    ];
    let answers = ingest(&mut client, frames).await.unwrap();
    assert_eq!(answers.len(), 2);
    assert!(matches!(&answers[0].outcome, Some(Outcome::Error(_))), "{answers:?}");
    assert!(matches!(&answers[1].outcome, Some(Outcome::Receipt(_))), "{answers:?}");
    for gone in ["first", "second"] {
        assert_eq!(read(&mut client, gone).await.unwrap_err().code(), Code::NotFound);
    }
    assert!(read(&mut client, "third").await.unwrap() == message(3, 100));
    server.stop().await;
}

#[tokio::test]
async fn an_ingest_that_is_cancelled_leaves_whole_messages() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let (frames, receiver) = mpsc::channel(4);
    let mut answers =
        client.messages.ingest_messages(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    frames.send(begin(1, options("whole"))).await.unwrap();
    frames.send(end(1, message(1, 5000))).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().correlation_id, 1);
    frames.send(begin(2, options("half"))).await.unwrap();
    frames.send(data(2, message(2, 2 << 20))).await.unwrap();
    drop(answers);
    drop(frames);
    assert!(read(&mut client, "whole").await.unwrap() == message(1, 5000));
    assert_eq!(read(&mut client, "half").await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn cancelled_uploads_and_downloads_leave_the_server_well() {
    let server = TestServer::start_with(Settings { requests_max: 4, ..Default::default() }, |_| {}).await;
    let mut client = server.client().await;
    let sent = message(1, 8 << 20);
    let pieces: Vec<_> = sent.chunks(1 << 20).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let (frames, _) = put_frames(options("big"), stream::iter(pieces));
    client.messages.put_message_stream(frames).await.unwrap();
    // More cancellations than requests are let in at a time: each one gives its slot back.
    for round in 0..12 {
        let mut answer = loop {
            match client.messages.get_message(get("big")).await {
                Ok(answer) => break answer.into_inner(),
                Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
            }
        };
        assert!(answer.message().await.unwrap().is_some());
        drop(answer);

        let begun = stream::iter([PutStreamRequest {
            frame: Some(put_stream_request::Frame::Begin(options("never"))),
        }]);
        let upload = client.messages.put_message_stream(begun.chain(stream::pending()));
        let cancelled = tokio::time::timeout(Duration::from_millis(10), upload).await;
        assert!(
            cancelled.is_err() || cancelled.unwrap().unwrap_err().code() == Code::ResourceExhausted,
            "{round}"
        );
    }
    let received = loop {
        match read(&mut client, "big").await {
            Err(status) if status.code() == Code::ResourceExhausted => {}
            received => break received.unwrap(),
        }
    };
    assert!(received == sent);
    server.stop().await;
}

#[tokio::test]
async fn a_full_server_says_so_and_stays_healthy() {
    let server = TestServer::start_with(Settings { requests_max: 1, ..Default::default() }, |_| {}).await;
    let channel = server.channel().await;
    let mut client = Client::new(channel.clone(), Some("default")).unwrap();
    let (frames, receiver) = mpsc::channel(1);
    let mut answers =
        client.messages.ingest_messages(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let status = client.messages.put_message(put("x", message(1, 100))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let mut health = HealthClient::new(channel);
    let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    drop(frames);
    assert!(answers.message().await.unwrap().is_none());
    drop(answers);
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_is_kept() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let begun =
        stream::iter([PutStreamRequest { frame: Some(put_stream_request::Frame::Begin(options("slow"))) }]);
    let mut request = Request::new(begun.chain(stream::pending()));
    request.set_timeout(Duration::from_millis(50));
    let status = client.messages.put_message_stream(request).await.unwrap_err();
    // The client's transport keeps the same deadline; where it is first, it says CANCELLED.
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status}");

    // An answer that never ends is cut off as well.
    let (frames, receiver) = mpsc::channel(1);
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.set_timeout(Duration::from_millis(50));
    let mut answers = client.messages.ingest_messages(request).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::DeadlineExceeded);
    drop(frames);
    server.stop().await;
}

#[tokio::test]
async fn migrations_report_and_end() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.messages.put_message(put("m", message(1, 10_000))).await.unwrap();
    for dry_run in [true, false] {
        let request = proto::MigrateRequest { dry_run, to: proto::Tier::Cold.into(), ..Default::default() };
        let mut progress = client.admin.migrate(request).await.unwrap().into_inner();
        let mut last = None;
        while let Some(report) = progress.message().await.unwrap() {
            assert!(last.is_none_or(|last: proto::MigrateProgress| !last.done));
            last = Some(report);
        }
        assert!(last.unwrap().done);
    }
    assert!(read(&mut client, "m").await.unwrap() == message(1, 10_000));
    // Once its progress has ended, the next one may begin.
    let mut progress = client.admin.migrate(proto::MigrateRequest::default()).await.unwrap().into_inner();
    while progress.message().await.unwrap().is_some() {}
    server.stop().await;
}

#[tokio::test]
async fn compactions_report_and_end() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for number in 1..=3 {
        let id = format!("m{number}");
        client.messages.put_message(put(&id, message(number, 10_000))).await.unwrap();
        let to = proto::MigrateRequest { to: proto::Tier::Cold.into(), ..Default::default() };
        let mut progress = client.admin.migrate(to).await.unwrap().into_inner();
        while progress.message().await.unwrap().is_some() {}
    }
    let wrong = proto::CompactRequest { dead_percent_min: 101, ..Default::default() };
    assert_eq!(client.admin.compact(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    for (dry_run, packs) in [(true, 0), (false, 1)] {
        let request = proto::CompactRequest { dry_run, ..Default::default() };
        let mut progress = client.admin.compact(request).await.unwrap().into_inner();
        let mut last = None;
        while let Some(report) = progress.message().await.unwrap() {
            assert!(last.is_none_or(|last: proto::CompactProgress| !last.done));
            last = Some(report);
        }
        let last = last.unwrap();
        assert!(last.done && last.planned_objects > 0, "{last:?}");
        assert_eq!((last.packs, last.objects), (packs, packs * last.planned_objects));
    }
    for number in 1..=3 {
        assert!(read(&mut client, &format!("m{number}")).await.unwrap() == message(number, 10_000));
    }
    server.stop().await;
}

/// All answers of an erasure; the last one has `done` set.
async fn erased(client: &mut Client, request: proto::EraseRequest) -> Result<proto::EraseProgress, Status> {
    let mut answers = client.admin.erase(request).await?.into_inner();
    let mut last = None;
    while let Some(answer) = answers.message().await? {
        assert!(last.is_none_or(|last: proto::EraseProgress| !last.done));
        last = Some(answer);
    }
    Ok(last.unwrap())
}

#[tokio::test]
async fn erasures_report_and_end() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for number in 1..=4 {
        client.messages.put_message(put(&format!("m{number}"), message(number, 10_000))).await.unwrap();
    }
    let some = |ids: &[&str]| proto::EraseRequest {
        message_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..Default::default()
    };
    let planned = erased(&mut client, proto::EraseRequest { dry_run: true, ..some(&["m1"]) }).await.unwrap();
    assert!(planned.done && planned.planned_packs == 1 && planned.erased_at.is_none(), "{planned:?}");
    let update = proto::UpdateRequest { id: "m2".to_owned(), hold: Some(true), ..Default::default() };
    client.messages.update_message(update).await.unwrap();
    let held = erased(&mut client, some(&["m1", "m2"])).await.unwrap_err();
    assert!(held.code() == Code::FailedPrecondition && held.message().contains("hold"), "{held}");
    let later = erased(&mut client, proto::EraseRequest { later: true, ..some(&["m1"]) }).await.unwrap();
    assert_eq!((later.requested, later.pending, later.erased), (1, 1, 0));
    let one = proto::EraseRequest {
        what: Some(proto::erase_request::What::MessageId("m3".to_owned())),
        ..Default::default()
    };
    let done = erased(&mut client, one).await.unwrap();
    assert!(done.erased == 2 && done.pending == 0 && done.erased_at.is_some(), "{done:?}");
    assert!(done.rewritten_bytes > 20_000 && done.packs_deleted == 1, "{done:?}");
    for (id, there) in [("m1", false), ("m2", true), ("m3", false), ("m4", true)] {
        assert_eq!(read(&mut client, id).await.is_ok(), there, "{id}");
    }
    let unknown = erased(&mut client, some(&["m9"])).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let both = proto::EraseRequest { content_ids: vec!["c".to_owned()], ..some(&["m4"]) };
    assert_eq!(erased(&mut client, both).await.unwrap_err().code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn what_is_similar_is_found_and_grouped() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let versions = family(5, Document::Docx, 1);
    for (id, bytes) in ["one", "two"].into_iter().zip(&versions) {
        let options = Some(proto::PutOptions { id: id.into(), ..Default::default() });
        let put = proto::PutContentRequest { options, data: bytes.clone().into() };
        let _receipt = client.contents.put_content(put).await.unwrap();
    }
    let asked =
        |limit, score_min| proto::FindSimilarRequest { id: "one".into(), limit, score_min, message: false };
    let before = client.contents.find_similar(asked(0, 0)).await.unwrap().into_inner();
    assert!(before.similar.is_empty(), "what no migration has moved is not in the index: {before:?}");
    let request = proto::MigrateRequest { to: proto::Tier::Archive.into(), ..Default::default() };
    let mut progress = client.admin.migrate(request).await.unwrap().into_inner();
    while progress.message().await.unwrap().is_some() {}

    let found = client.contents.find_similar(asked(0, 0)).await.unwrap().into_inner().similar;
    assert_eq!(found.len(), 1, "{found:?}");
    let found = &found[0];
    assert_eq!((found.bytes, found.part, found.ids.len()), (versions[1].len() as u64, 0, 1));
    let length = |version: usize| i64::try_from(versions[version].len()).unwrap();
    let more = length(1) - length(0);
    assert_eq!(found.bytes_more, more);
    assert!(found.shared > 20 && found.delta_bytes.is_some_and(|bytes| bytes < found.bytes / 2), "{found:?}");
    let stat = proto::StatRequest { id: "two".into() };
    assert_eq!(found.ids[0], client.contents.stat_content(stat).await.unwrap().into_inner().id);
    for (wrong, code) in [(asked(101, 0), Code::InvalidArgument), (asked(1, 101), Code::InvalidArgument)] {
        assert_eq!(client.contents.find_similar(wrong).await.unwrap_err().code(), code);
    }
    let nothing = proto::FindSimilarRequest { id: "none".into(), ..asked(1, 0) };
    assert_eq!(client.contents.find_similar(nothing).await.unwrap_err().code(), Code::NotFound);

    let stats = client.admin.stats(proto::StatsRequest { by: "similar".into() }).await.unwrap().into_inner();
    let [group] = stats.rows.as_slice() else { panic!("one group: {:?}", stats.rows) };
    assert!(group.key.ends_with(" zip") && group.objects == 2, "{group:?}");
    assert_eq!(group.unique_bytes, versions.iter().map(|bytes| bytes.len() as u64).sum::<u64>());
    assert!(group.stored_bytes < group.unique_bytes);
    assert!(stats.saved.unwrap().similar_dedup > 0);
    server.stop().await;
}

#[tokio::test]
async fn admin_calls_answer() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.messages.put_message(put("a", message(1, 10_000))).await.unwrap();
    let stats = client.admin.stats(proto::StatsRequest { by: "tier".into() }).await.unwrap().into_inner();
    assert_eq!((stats.messages, stats.tiers.len()), (1, 4));
    assert!(!stats.rows.is_empty());
    let wrong = client.admin.stats(proto::StatsRequest { by: "colour".into() }).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);

    let shown = client
        .admin
        .tier_policy(proto::TierPolicyRequest::default())
        .await
        .unwrap()
        .into_inner()
        .policy
        .unwrap();
    let own = proto::Policy { warm_after_days: 1, ..shown };
    let set = proto::TierPolicyRequest { change: Some(proto::tier_policy_request::Change::Set(own)) };
    assert_eq!(client.admin.tier_policy(set).await.unwrap().into_inner().policy.unwrap(), own);
    let clear = proto::TierPolicyRequest { change: Some(proto::tier_policy_request::Change::Clear(true)) };
    assert_eq!(client.admin.tier_policy(clear).await.unwrap().into_inner().policy.unwrap(), shown);

    let explained = client
        .admin
        .explain(proto::ExplainRequest { id: "a".into(), content: false })
        .await
        .unwrap()
        .into_inner();
    assert!(!explained.reasons.is_empty());
    client.admin.sweep(proto::SweepRequest::default()).await.unwrap();
    client.admin.list_dictionaries(proto::ListDictionariesRequest {}).await.unwrap();
    client.admin.jobs(proto::JobsRequest {}).await.unwrap();

    let mut scrubbing = client.admin.scrub(proto::ScrubRequest::default()).await.unwrap().into_inner();
    let mut last = None;
    while let Some(answer) = scrubbing.message().await.unwrap() {
        assert!(answer.findings.is_empty(), "{answer:?}");
        last = Some(answer);
    }
    let last = last.unwrap();
    assert!(last.done && last.found == 0 && last.packs > 0 && last.items > 0, "{last:?}");
    let mut repairing = client.admin.repair(proto::RepairRequest::default()).await.unwrap().into_inner();
    let answer = repairing.message().await.unwrap().unwrap();
    assert!(answer.done && !answer.applied && answer.found == 0, "{answer:?}");

    let missing = [client.admin.backup(proto::BackupRequest::default()).await.unwrap_err()];
    for status in missing {
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().ends_with("is not available in this version."), "{status}");
    }
    server.stop().await;
}

#[tokio::test]
async fn health_follows_the_server() {
    let server = TestServer::start().await;
    let mut health = HealthClient::new(server.channel().await);
    for service in ["", "storage.v1.MessageService", "storage.v1.ContentService", "storage.v1.AdminService"] {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    assert_eq!(
        health.check(HealthCheckRequest { service: "other".into() }).await.unwrap_err().code(),
        Code::NotFound
    );

    // A watcher sees the shutdown and does not keep it waiting.
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    server.shutdown.cancel();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none());
    server.stop().await;
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let server = TestServer::start().await;
    let mut reflection = ServerReflectionClient::new(server.channel().await);
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut answers = reflection.server_reflection_info(stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    for name in [
        "storage.v1.MessageService",
        "storage.v1.ContentService",
        "storage.v1.AdminService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    assert!(answers.message().await.unwrap().is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_keeps_what_was_acknowledged() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let engine = server.engine.clone();
    let (frames, sent) = mpsc::channel(64);
    let mut answers = client.messages.ingest_messages(ReceiverStream::new(sent)).await.unwrap().into_inner();
    let sending = tokio::spawn(async move {
        for seed in 0.. {
            let begun = frames.send(begin(seed, options(&format!("s-{seed}")))).await;
            if begun.is_err() || frames.send(end(seed, message(seed, 3000))).await.is_err() {
                return;
            }
        }
    });
    let mut acknowledged = Vec::new();
    let status = loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                assert!(matches!(answer.outcome, Some(Outcome::Receipt(_))), "{answer:?}");
                acknowledged.push(answer.correlation_id);
                if acknowledged.len() == 50 {
                    server.shutdown.cancel();
                }
            }
            Ok(None) => panic!("a stream that was stopped does not end as if it were complete"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(acknowledged.len() >= 50);
    drop(answers);
    sending.await.unwrap();
    for seed in acknowledged {
        let id = format!("s-{seed}");
        let (stat, mut bytes) = engine
            .get(
                "default",
                storage_core::model::ItemKind::Message,
                &id,
                storage_core::model::GetOptions::default(),
            )
            .await
            .unwrap();
        let mut received = Vec::new();
        while let Some(piece) = bytes.next().await {
            received.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(stat.bytes, received.len() as u64);
        assert!(received == message(seed, 3000), "{id}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_same_services_run_inside_the_process() {
    let server = TestServer::start().await;
    let mut client = Client::new(client::in_process(server.engine.clone()), Some("default")).unwrap();
    let sent = message(1, 3 << 20);
    client.messages.put_message(put("in", sent.clone())).await.unwrap();
    assert!(read(&mut client, "in").await.unwrap() == sent);
    assert!(read(&mut server.client().await, "in").await.unwrap() == sent);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn nobody_listening_is_said_plainly() {
    let error = client::connect("127.0.0.1:1").await.unwrap_err();
    assert!(
        error.to_string().contains("127.0.0.1:1") && error.to_string().contains("storage-server"),
        "{error}"
    );
    assert!(client::connect("not a url").await.unwrap_err().to_string().contains("http://"));
}
