//! Health, reflection, shutdown, and the services inside a process.

use futures::stream;
use storage_server::client;
use storage_server::client::Client;
use storage_server::proto::ingest_response::Outcome;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::TestServer;
use crate::support::begin;
use crate::support::end;
use crate::support::message;
use crate::support::options;
use crate::support::put;
use crate::support::read;

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
