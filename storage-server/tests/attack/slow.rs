//! Clients that are slow, silent, or too many: none of them holds for ever what others need.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use prost::Message;
use storage_server::client;
use storage_server::client::Client;
use storage_server::patience::Patience;
use storage_server::proto::PutStreamRequest;
use storage_server::proto::ingest_response::Outcome;
use storage_server::proto::put_stream_request::Frame;
use storage_server::server::Settings;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::Attacked;
use crate::raw::Raw;
use crate::raw::ended;
use crate::raw::framed;
use crate::support::begin;
use crate::support::data;
use crate::support::get;
use crate::support::message;
use crate::support::options;
use crate::support::put;
use crate::support::read;

const SOON: Duration = Duration::from_millis(200);

fn impatient() -> Patience {
    Patience { handshake: SOON, message: SOON, answer: SOON, pace: SOON, ..Patience::default() }
}

#[tokio::test]
async fn a_connection_that_never_speaks_is_closed() {
    let settings = Settings { connections_max: 20, patience: impatient(), ..Settings::default() };
    let attacked = Attacked::start(settings).await;
    let mut silent = Vec::new();
    // Some say nothing, some a little less than the preface.
    for number in 0..100 {
        let mut stream = TcpStream::connect(attacked.server.address).await.unwrap();
        drop(stream.write_all(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"[..number % 24]).await);
        silent.push(stream);
    }
    attacked.until("storage_connections_refused_total", |refused| refused >= 80).await;
    // All of them end, and it was the server who ended them.
    for mut stream in silent {
        drop(stream.read_to_end(&mut Vec::new()).await);
    }
    attacked.until("storage_connections", |open| open == 0).await;
    attacked.ends_well().await;
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let patience = Patience { idle: SOON, ..Patience::default() };
    let attacked = Attacked::start(Settings { connections_max: 30, patience, ..Settings::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..25 {
        idle.push(Raw::connect(attacked.server.address).await);
    }
    let ended = stream::iter(idle).for_each(async |raw| drop(raw.connection.await));
    // One that has a request, however long, stays.
    let mut busy = attacked.server.client().await;
    let (frames, receiver) = mpsc::channel(4);
    let mut answers =
        busy.messages.ingest_messages(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    ended.await;
    frames.send(begin(1, options("late"))).await.unwrap();
    frames.send(crate::support::end(1, message(7, 100))).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().correlation_id, 1);
    drop((frames, answers, busy));
    attacked.ends_well().await;
}

#[tokio::test]
async fn more_connections_than_there_are_places_shut_nobody_out_for_long() {
    let attacked = Attacked::start(Settings { connections_max: 40, ..Settings::default() }).await;
    let mut flood = Vec::new();
    for _ in 0..300 {
        // The ones above the bound fail in their handshake or later.
        if let Ok(stream) = TcpStream::connect(attacked.server.address).await {
            flood.push(stream);
        }
    }
    attacked.until("storage_connections_refused_total", |refused| refused >= 250).await;
    assert!(attacked.metric("storage_connections").await <= 40);
    drop(flood);
    attacked.ends_well().await;
}

#[tokio::test]
async fn half_open_requests_end_and_give_their_places_back() {
    let settings = Settings { requests_max: 16, patience: impatient(), ..Settings::default() };
    let attacked = Attacked::start(settings).await;
    let mut raw = Raw::connect(attacked.server.address).await;
    let mut open = Vec::new();
    let whole = framed(&put("half", message(1, 100_000)).encode_to_vec());
    for sent in [0, 3, 5, 60, 60_000, whole.len()] {
        for path in ["PutMessage", "PutMessageStream", "IngestMessages", "StatMessage"] {
            let (response, mut send) = raw.open(&format!("/storage.v1.MessageService/{path}")).await;
            send.send_data(Bytes::copy_from_slice(&whole[..sent]), false).unwrap();
            open.push((path, sent, response, send));
        }
    }
    for (path, sent, response, send) in open {
        if path == "IngestMessages" && [0, whole.len()].contains(&sent) {
            // Between two messages a stream may rest.
            continue;
        }
        let code = ended(response).await;
        assert_ne!(code, Code::Ok, "{path} {sent}");
        drop(send);
    }
    drop(raw);
    let mut client = attacked.server.client().await;
    assert_eq!(read(&mut client, "half").await.unwrap_err().code(), Code::NotFound);
    drop(client);
    attacked.ends_well().await;
}

#[tokio::test]
async fn an_answer_that_nobody_takes_holds_no_memory_for_long() {
    let settings = Settings { patience: impatient(), ..Settings::default() };
    let attacked = Attacked::start_with(settings, |engine| {
        engine.get_memory_bytes = 8 << 20;
        engine.tenant_share_percent = 100;
    })
    .await;
    let mut client = attacked.server.client().await;
    client.messages.put_message(put("medium", message(5, 3 << 20))).await.unwrap();
    let mut raw = Raw::connect(attacked.server.address).await;
    let mut untaken = Vec::new();
    for _ in 0..6 {
        let (response, mut send) = raw.open("/storage.v1.MessageService/GetMessage").await;
        send.send_data(framed(&get("medium").encode_to_vec()).into(), true).unwrap();
        untaken.push(response);
    }
    // Two fit; the others wait behind them, and so does a proper client.
    let mut taken = Vec::new();
    for response in untaken {
        taken.push(tokio::spawn(async move { response.await.map(drop) }));
    }
    assert!(read(&mut client, "medium").await.unwrap() == message(5, 3 << 20));
    drop(raw);
    for response in taken {
        drop(response.await.unwrap());
    }
    drop(client);
    attacked.ends_well().await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let settings = Settings { patience: impatient(), ..Settings::default() };
    let attacked = Attacked::start(settings).await;
    let mut client = attacked.server.client().await;
    client.messages.put_message(put("medium", message(5, 3 << 20))).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let mut raw = Raw::connect_with(attacked.server.address, &mut builder).await;
    let (response, mut send) = raw.open("/storage.v1.MessageService/GetMessage").await;
    send.send_data(framed(&get("medium").encode_to_vec()).into(), true).unwrap();
    let body = response.await.unwrap().into_body();
    // The server closes the connection; nothing here asks it to.
    drop(raw.connection.await.unwrap());
    assert!(attacked.metric("storage_connections_stalled_total").await >= 1);
    drop((body, client));
    attacked.ends_well().await;
}

/// An upload that sends so many bytes and then nothing.
async fn begun(mut client: Client, id: String, bytes: usize) -> Code {
    let frame = |frame| PutStreamRequest { frame: Some(frame) };
    let first = [frame(Frame::Begin(options(&id))), frame(Frame::Data(message(1, bytes)))];
    let frames = stream::iter(first).chain(stream::pending());
    client.messages.put_message_stream(frames).await.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn slow_uploads_give_way_to_a_proper_client() {
    let patience = Patience { pace: SOON, ..Patience::default() };
    let settings = Settings { requests_max: 512, patience, ..Settings::default() };
    let attacked = Attacked::start_with(settings, |engine| engine.put_memory_bytes = 16 << 20).await;
    let mut slow = JoinSet::new();
    let channel = attacked.server.channel().await;
    for number in 0..200 {
        let client = Client::new(channel.clone(), Some("default")).unwrap();
        // Some of them have brought enough to hold memory: more than there is.
        let bytes = if number % 20 == 0 { 100_000 } else { 100 };
        slow.spawn(begun(client, format!("slow-{number}"), bytes));
    }
    attacked.until("storage_requests_in_flight", |open| open >= 200).await;
    attacked.until("storage_put_memory_bytes", |held| held > 0).await;
    // The first one needs a tenth of a second of patience, and no more than that.
    let mut client = attacked.server.client().await;
    for number in 0..20 {
        let id = format!("proper-{number}");
        client.messages.put_message(put(&id, message(number, 2 << 20))).await.unwrap();
        assert!(read(&mut client, &id).await.unwrap() == message(number, 2 << 20));
    }
    // Those that held memory gave way; those that held none still wait for their clients.
    let mut given_up = 0;
    while given_up < 10 {
        assert_eq!(slow.join_next().await.unwrap().unwrap(), Code::ResourceExhausted);
        given_up += 1;
    }
    slow.shutdown().await;
    drop((client, channel));
    attacked.ends_well().await;
}

#[tokio::test]
async fn an_ingest_stream_that_goes_on_for_ever_holds_a_bounded_part() {
    let settings = Settings { receive_memory_bytes: 8 << 20, ..Settings::default() };
    let attacked = Attacked::start(settings).await;
    // Many streams with many unfinished messages each: more than there is memory for.
    let mut streams = Vec::new();
    for _ in 0..8 {
        let channel = client::connect(&attacked.server.address.to_string()).await.unwrap();
        let mut client = Client::new(channel, Some("default")).unwrap();
        let (frames, receiver) = mpsc::channel(64);
        let answers =
            client.messages.ingest_messages(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        streams.push((frames, answers, client));
    }
    for (frames, _, _) in &streams {
        for id in 0..3 {
            frames.send(begin(id, options(""))).await.unwrap();
            frames.send(data(id, message(id, 900_000))).await.unwrap();
        }
    }
    // One of them is told that there is no more, for a message or for the stream; the bound holds all the while.
    let waiting = streams.iter_mut().map(|(_, answers, _)| Box::pin(answers.message()));
    let (refused, _, others) = futures::future::select_all(waiting).await;
    drop(others);
    let code = match refused {
        Ok(Some(answer)) => match answer.outcome.unwrap() {
            Outcome::Error(error) => Code::from(error.code),
            Outcome::Receipt(receipt) => panic!("{receipt:?}"),
        },
        Ok(None) => panic!("the stream ended as if it were complete"),
        Err(status) => status.code(),
    };
    assert_eq!(code, Code::ResourceExhausted);
    assert!(attacked.metric("storage_receive_memory_bytes").await <= (8 << 20) * 3 / 4);
    drop(streams);
    attacked.ends_well().await;
}
