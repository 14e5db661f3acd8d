//! Puts in pieces and ingest streams: limits, cancellation, deadlines.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
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
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::TestServer;
use crate::support::begin;
use crate::support::data;
use crate::support::end;
use crate::support::get;
use crate::support::ingest;
use crate::support::message;
use crate::support::options;
use crate::support::put;
use crate::support::read;

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
