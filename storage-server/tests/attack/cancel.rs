//! Calls that are given up, in every phase, and deadlines that pass.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use prost::Message;
use storage_server::proto;
use storage_server::proto::PutStreamRequest;
use storage_server::proto::put_stream_request::Frame;
use storage_server::server::Settings;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::Request;

use crate::Attacked;
use crate::raw::Raw;
use crate::raw::framed;
use crate::raw::send_all;
use crate::support::get;
use crate::support::message;
use crate::support::options;
use crate::support::put;
use crate::support::read;

fn frame(frame: Frame) -> Bytes {
    Bytes::from(framed(&PutStreamRequest { frame: Some(frame) }.encode_to_vec()))
}

#[tokio::test]
async fn an_upload_may_be_given_up_in_every_phase() {
    let attacked = Attacked::start(Settings { requests_max: 8, ..Settings::default() }).await;
    let large = message(3, 6 << 20);
    let pieces: Vec<Bytes> = large.chunks(200_000).map(Bytes::copy_from_slice).collect();
    // How many frames are sent before the client goes away: none, `begin`, some, all of the data.
    for sent in [0, 1, 2, 5, 25, pieces.len() + 1] {
        for _ in 0..3 {
            let mut raw = Raw::connect(attacked.server.address).await;
            let (response, mut send) = raw.open("/storage.v1.MessageService/PutMessageStream").await;
            let begin = frame(Frame::Begin(options("given-up")));
            let frames =
                std::iter::once(begin).chain(pieces.iter().cloned().map(|data| frame(Frame::Data(data))));
            for frame in frames.take(sent) {
                // The server may have answered already, because its places were taken.
                if !send_all(&mut send, frame).await {
                    break;
                }
            }
            send.send_reset(h2::Reason::CANCEL);
            drop(response);
        }
    }
    let mut client = attacked.server.client().await;
    assert_eq!(read(&mut client, "given-up").await.unwrap_err().code(), Code::NotFound);
    // No pack of an upload that was given up is left.
    attacked.until(r#"storage_packs{tier="hot"}"#, |packs| packs == 1).await;
    drop(client);
    attacked.ends_well().await;
}

#[tokio::test]
async fn a_put_that_is_given_up_before_its_answer_is_stored_whole_or_not_at_all() {
    let attacked = Attacked::start(Settings::default()).await;
    let path = "/storage.v1.MessageService/PutMessage";
    let mut raw = Raw::connect(attacked.server.address).await;
    for number in 0..40 {
        let request = put(&format!("g-{number}"), message(number, 30_000));
        let (response, mut send) = raw.open(path).await;
        send.send_data(Bytes::from(framed(&request.encode_to_vec())), true).unwrap();
        for _ in 0..number {
            tokio::task::yield_now().await;
        }
        send.send_reset(h2::Reason::CANCEL);
        drop(response);
    }
    attacked.until("storage_requests_in_flight", |open| open == 0).await;
    let mut client = attacked.server.client().await;
    for number in 0..40 {
        // Sending it again always works, whichever way it went.
        let id = format!("g-{number}");
        let again = client.messages.put_message(put(&id, message(number, 30_000))).await;
        assert!(again.is_ok(), "{again:?}");
        assert!(read(&mut client, &id).await.unwrap() == message(number, 30_000));
    }
    drop((client, raw));
    attacked.ends_well().await;
}

#[tokio::test]
async fn downloads_may_be_given_up() {
    let attacked = Attacked::start(Settings { requests_max: 8, ..Settings::default() }).await;
    let mut client = attacked.server.client().await;
    let large = message(4, 5 << 20);
    let pieces: Vec<_> = large.chunks(1 << 20).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let (frames, _) = storage_server::client::put_frames(options("large"), stream::iter(pieces));
    client.messages.put_message_stream(frames).await.unwrap();
    client.messages.put_message(put("medium", message(5, 3 << 20))).await.unwrap();
    for round in 0..20 {
        let id = if round % 2 == 0 { "large" } else { "medium" };
        let mut answer = loop {
            match client.messages.get_message(get(id)).await {
                Ok(answer) => break answer.into_inner(),
                Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status}"),
            }
        };
        for _ in 0..round % 4 {
            assert!(answer.message().await.unwrap().is_some());
        }
        drop(answer);
    }
    drop(client);
    attacked.ends_well().await;
}

#[tokio::test]
async fn a_storm_of_deadlines_loses_nothing_that_was_acknowledged() {
    let attacked = Attacked::start(Settings::default()).await;
    let client = attacked.server.client().await;
    let mut running = JoinSet::new();
    for number in 0..400_u64 {
        let mut client = client.clone();
        running.spawn(async move {
            let id = format!("d-{number}");
            let mut request = Request::new(put(&id, message(number, 5_000)));
            request.set_timeout(Duration::from_micros(200 + 100 * (number % 100)));
            client.messages.put_message(request).await.map(|_| number)
        });
    }
    let mut acknowledged = Vec::new();
    while let Some(ended) = running.join_next().await {
        match ended.unwrap() {
            Ok(number) => acknowledged.push(number),
            Err(status) => assert!(
                [Code::DeadlineExceeded, Code::Cancelled, Code::ResourceExhausted].contains(&status.code()),
                "{status}"
            ),
        }
    }
    let mut client = client;
    for number in acknowledged {
        assert!(read(&mut client, &format!("d-{number}")).await.unwrap() == message(number, 5_000));
    }
    drop(client);
    attacked.ends_well().await;
}

#[tokio::test]
async fn a_stop_under_load_keeps_what_was_acknowledged() {
    let settings = Settings { drain: Duration::from_millis(500), ..Settings::default() };
    let attacked = Attacked::start(settings).await;
    let (server, mut running) = (&attacked.server, JoinSet::new());
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(Raw::connect(server.address).await);
    }
    // Uploads that never end.
    for number in 0..20 {
        let begun = PutStreamRequest { frame: Some(Frame::Begin(options(&format!("never-{number}")))) };
        let mut client = server.client().await;
        running.spawn(async move {
            drop(client.messages.put_message_stream(stream::iter([begun]).chain(stream::pending())).await);
            Vec::new()
        });
    }
    for worker in 0..4 {
        let mut client = server.client().await;
        running.spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                let seed = worker * 100_000 + number;
                let put = put(&format!("l-{seed}"), message(seed, 4_000));
                match client.messages.put_message(put).await {
                    Ok(_) => acknowledged.push(seed),
                    Err(_) => break,
                }
            }
            acknowledged
        });
    }
    attacked.until("storage_log_group_requests_total", |requests| requests > 100).await;
    let engine = server.engine.clone();
    server.shutdown.cancel();
    // Those that never end are cut off when the time to drain is over.
    let after = attacked.server.served().await;
    let mut acknowledged = Vec::new();
    drop(idle);
    while let Some(ended) = running.join_next().await {
        acknowledged.extend(ended.unwrap());
    }
    assert!(acknowledged.len() > 50);
    let mut client = storage_server::client::Client::new(
        storage_server::client::in_process(engine.clone()),
        Some("default"),
    )
    .unwrap();
    for seed in acknowledged {
        assert!(read(&mut client, &format!("l-{seed}")).await.unwrap() == message(seed, 4_000));
    }
    for number in 0..20 {
        let id = format!("never-{number}");
        let stat = client.messages.stat_message(proto::StatRequest { id }).await;
        assert_eq!(stat.unwrap_err().code(), Code::NotFound);
    }
    drop(client);
    engine.close().await.unwrap();
    drop(after);
}
