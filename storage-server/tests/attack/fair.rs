//! One tenant cannot starve another: of places, of memory for what comes in, of memory for puts.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use prost::Message;
use storage_server::client::Client;
use storage_server::proto;
use storage_server::proto::PutStreamRequest;
use storage_server::proto::put_stream_request::Frame;
use storage_server::server::Settings;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::Attacked;
use crate::raw::Raw;
use crate::raw::framed;
use crate::support::message;
use crate::support::options;
use crate::support::put;
use crate::support::read;

async fn second_tenant(attacked: &Attacked) -> Client {
    let mut client = Client::new(attacked.server.channel().await, Some("quiet")).unwrap();
    client.admin.tenants(proto::TenantsRequest { create: "quiet".to_owned() }).await.unwrap();
    client
}

async fn is_served(client: &mut Client) {
    for number in 0..10 {
        let id = format!("q-{number}");
        let sent = message(number, 300_000);
        client.messages.put_message(put(&id, sent.clone())).await.unwrap();
        assert!(read(client, &id).await.unwrap() == sent);
    }
}

#[tokio::test]
async fn places_are_shared() {
    let attacked = Attacked::start(Settings { requests_max: 8, ..Settings::default() }).await;
    let mut quiet = second_tenant(&attacked).await;
    let loud = attacked.server.client().await;
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..20 {
        let mut loud = loud.clone();
        let (frames, receiver) = mpsc::channel(1);
        match loud.messages.ingest_messages(ReceiverStream::new(receiver)).await {
            Ok(answers) => held.push((frames, answers)),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                refused += 1;
            }
        }
    }
    assert_eq!((held.len(), refused), (6, 14));
    is_served(&mut quiet).await;
    // Inventing tenants gains nothing: all names that are none share one share.
    let mut invented = Vec::new();
    for number in 0..20 {
        let name = format!("invented-{number}");
        let mut client = Client::new(attacked.server.channel().await, Some(&name)).unwrap();
        let (frames, receiver) = mpsc::channel(1);
        let answers = client.messages.ingest_messages(ReceiverStream::new(receiver)).await;
        invented.extend(answers.ok().map(|answers| (frames, answers)));
    }
    assert!(invented.len() <= 2, "{}", invented.len());
    drop((held, invented, quiet, loud));
    attacked.ends_well().await;
}

#[tokio::test]
async fn memory_for_requests_is_shared() {
    let settings = Settings { receive_memory_bytes: 8 << 20, ..Settings::default() };
    let attacked = Attacked::start(settings).await;
    let mut quiet = second_tenant(&attacked).await;
    // Requests of almost 4 MiB that lack their last bytes: two fill the share of 6 MiB.
    let whole = Bytes::from(framed(&put("", message(1, 4_000_000)).encode_to_vec()));
    let mut raw = Raw::connect(attacked.server.address).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let (response, mut send) = raw.open("/storage.v1.MessageService/PutMessage").await;
        send.reserve_capacity(whole.len());
        send.send_data(whole.slice(..whole.len() - 10), false).unwrap();
        open.push((response, send));
    }
    attacked.until("storage_receive_memory_bytes", |held| held >= 3 << 20).await;
    let mut loud = attacked.server.client().await;
    let code = loop {
        match loud.messages.put_message(put("l", message(2, 4_000_000))).await {
            Ok(_) => {}
            Err(status) => break status.code(),
        }
    };
    assert_eq!(code, Code::ResourceExhausted);
    assert!(attacked.metric("storage_receive_memory_bytes").await <= 6 << 20);
    is_served(&mut quiet).await;
    drop((open, raw, quiet, loud));
    attacked.ends_well().await;
}

#[tokio::test]
async fn memory_for_puts_is_shared() {
    let attacked =
        Attacked::start_with(Settings::default(), |engine| engine.put_memory_bytes = 16 << 20).await;
    let mut quiet = second_tenant(&attacked).await;
    let mut loud = JoinSet::new();
    for number in 0..10 {
        let mut client = attacked.server.client().await;
        loud.spawn(async move {
            let frame = |frame| PutStreamRequest { frame: Some(frame) };
            let begun = [
                frame(Frame::Begin(options(&format!("loud-{number}")))),
                frame(Frame::Data(message(number, 200_000))),
            ];
            drop(client.messages.put_message_stream(stream::iter(begun).chain(stream::pending())).await);
        });
    }
    attacked.until("storage_put_memory_bytes", |held| held >= 8 << 20).await;
    is_served(&mut quiet).await;
    assert!(attacked.metric("storage_put_memory_bytes").await <= 12 << 20);
    loud.shutdown().await;
    drop(quiet);
    attacked.ends_well().await;
}
