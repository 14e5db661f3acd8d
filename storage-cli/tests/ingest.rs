//! Pipelined ingest against a server that misbehaves by plan: connections that break and a store that is busy lose no
//! message and store none twice.

#![expect(clippy::unwrap_used, reason = "a test that panics is a test that failed")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::BytesMut;
use sha2::Digest;
use sha2::Sha256;
use storage_cli::args::Target;
use storage_cli::ingest::Event;
use storage_cli::ingest::ingest;
use storage_cli::store::Store;
use storage_server::proto;
use storage_server::proto::ingest_request::Frame;
use storage_server::proto::ingest_response::Outcome;
use storage_server::proto::message_service_server::MessageService;
use storage_server::proto::message_service_server::MessageServiceServer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::transport::Server;

type Answers<T> = ReceiverStream<Result<T, Status>>;

/// What the server does to its callers.
#[derive(Debug, Clone, Copy, Default)]
struct Plan {
    /// Breaks every stream after so many messages, while there are more than that to come.
    break_after: Option<usize>,
    /// Refuses every message once as unavailable.
    busy: bool,
    /// Refuses every message with this code.
    refuse: Option<Code>,
}

/// A server that keeps messages by id and counts how often each came to be.
#[derive(Debug, Clone, Default)]
struct Fake {
    plan: Plan,
    stored: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    refused: Arc<Mutex<BTreeSet<String>>>,
}

impl Fake {
    fn answer(&self, id: String, bytes: Vec<u8>) -> Outcome {
        let error = |code: Code| proto::IngestError { code: code.into(), message: "As planned.".to_owned() };
        if let Some(code) = self.plan.refuse {
            return Outcome::Error(error(code));
        }
        if self.plan.busy && self.refused.lock().unwrap().insert(id.clone()) {
            return Outcome::Error(error(Code::Unavailable));
        }
        let sha256 = Sha256::digest(&bytes).to_vec().into();
        let receipt =
            proto::PutReceipt { id: id.clone(), bytes: bytes.len() as u64, sha256, ..Default::default() };
        let created = self.stored.lock().unwrap().insert(id, bytes).is_none();
        Outcome::Receipt(proto::PutReceipt { created, ..receipt })
    }
}

#[tonic::async_trait]
impl MessageService for Fake {
    type IngestMessagesStream = Answers<proto::IngestResponse>;
    type GetMessageStream = Answers<proto::GetResponse>;
    type GetPartStream = Answers<proto::GetPartResponse>;

    async fn ingest_messages(
        &self,
        request: Request<Streaming<proto::IngestRequest>>,
    ) -> Result<Response<Self::IngestMessagesStream>, Status> {
        let fake = self.clone();
        let mut frames = request.into_inner();
        let (answers, stream) = mpsc::channel(64);
        drop(tokio::spawn(async move {
            let mut open: BTreeMap<u64, (String, BytesMut)> = BTreeMap::new();
            let mut taken = 0;
            while let Ok(Some(proto::IngestRequest { correlation_id, frame })) = frames.message().await {
                let (id, bytes) = match frame.unwrap() {
                    Frame::Begin(options) => {
                        drop(open.insert(correlation_id, (options.id, BytesMut::new())));
                        continue;
                    }
                    Frame::Data(data) => {
                        open.get_mut(&correlation_id).unwrap().1.extend_from_slice(&data);
                        continue;
                    }
                    Frame::End(end) => {
                        let (id, mut bytes) = open.remove(&correlation_id).unwrap();
                        bytes.extend_from_slice(&end.data);
                        (id, bytes.to_vec())
                    }
                    Frame::Whole(whole) => (whole.options.unwrap().id, whole.data.to_vec()),
                };
                let outcome = fake.answer(id, bytes);
                taken += 1;
                // The message is stored, but nobody hears of it.
                if fake.plan.break_after.is_some_and(|most| taken > most) {
                    let _ = answers.send(Err(Status::unavailable("Broken as planned."))).await;
                    return;
                }
                let answer = proto::IngestResponse { correlation_id, outcome: Some(outcome) };
                let _ = answers.send(Ok(answer)).await;
            }
        }));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn put_message(
        &self,
        _: Request<proto::PutMessageRequest>,
    ) -> Result<Response<proto::PutReceipt>, Status> {
        Err(Status::unimplemented("Not in this plan."))
    }
    async fn put_message_stream(
        &self,
        _: Request<Streaming<proto::PutStreamRequest>>,
    ) -> Result<Response<proto::PutReceipt>, Status> {
        Err(Status::unimplemented("Not in this plan."))
    }
    async fn get_message(
        &self,
        _: Request<proto::GetRequest>,
    ) -> Result<Response<Self::GetMessageStream>, Status> {
        Err(Status::unimplemented("Not in this plan."))
    }
    async fn get_part(
        &self,
        _: Request<proto::GetPartRequest>,
    ) -> Result<Response<Self::GetPartStream>, Status> {
        Err(Status::unimplemented("Not in this plan."))
    }
    async fn stat_message(&self, _: Request<proto::StatRequest>) -> Result<Response<proto::Item>, Status> {
        Err(Status::unimplemented("Not in this plan."))
    }
    async fn list_messages(
        &self,
        _: Request<proto::ListRequest>,
    ) -> Result<Response<proto::ListResponse>, Status> {
        Err(Status::unimplemented("Not in this plan."))
    }
    async fn update_message(
        &self,
        _: Request<proto::UpdateRequest>,
    ) -> Result<Response<proto::Item>, Status> {
        Err(Status::unimplemented("Not in this plan."))
    }
    async fn delete_message(
        &self,
        _: Request<proto::DeleteRequest>,
    ) -> Result<Response<proto::DeleteResponse>, Status> {
        Err(Status::unimplemented("Not in this plan."))
    }
}

/// A message of its own for each number; some are larger than a frame.
fn message(number: usize) -> Vec<u8> {
    let bytes = if number.is_multiple_of(40) { (1 << 20) + number } else { number * 7 };
    b"0123456789abcde".iter().copied().cycle().take(bytes).collect()
}

/// Ingests `count` messages into a server with that plan. Returns what was told, how it ended, and the server.
async fn ingested(plan: Plan, count: usize) -> (Vec<Event>, Result<(), String>, Fake) {
    let fake = Fake { plan, ..Fake::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let service = MessageServiceServer::new(fake.clone());
    drop(tokio::spawn(
        Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)),
    ));
    let store = Store::open(&Target { server, ..Target::default() }).await.unwrap();
    let mut events = Vec::new();
    let produce = move |feed: &storage_cli::ingest::Feed| {
        for number in 0..count {
            let options = proto::PutOptions { id: format!("{number:04}"), ..Default::default() };
            if !feed.send(number.to_string(), options, message(number)) {
                return;
            }
        }
    };
    let tell = |event| {
        events.push(event);
        Ok(())
    };
    let done =
        ingest(&store, 8, produce, tell).await.map_err(|failure| failure.sentence().unwrap().to_owned());
    (events, done, fake)
}

fn assert_all_stored(count: usize, events: &[Event], fake: &Fake) {
    let told: BTreeSet<&str> = events
        .iter()
        .map(|event| match event {
            Event::Stored { source, .. } => source.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((events.len(), told.len()), (count, count), "every message is told once");
    let expected: Vec<Vec<u8>> = (0..count).map(message).collect();
    assert_eq!(fake.stored.lock().unwrap().values().cloned().collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_messages_arrive_as_they_are() {
    let (events, done, fake) = ingested(Plan::default(), 200).await;
    assert_eq!(done, Ok(()));
    assert_all_stored(200, &events, &fake);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_is_taken_up_again() {
    let (events, done, fake) = ingested(Plan { break_after: Some(40), ..Plan::default() }, 100).await;
    assert_eq!(done, Ok(()));
    assert_all_stored(100, &events, &fake);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_store_gets_the_messages_later() {
    let (events, done, fake) = ingested(Plan { busy: true, ..Plan::default() }, 8).await;
    assert_eq!(done, Ok(()));
    assert_all_stored(8, &events, &fake);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_fails_alone_and_a_missing_tenant_ends_it_all() {
    let (events, done, _) =
        ingested(Plan { refuse: Some(Code::InvalidArgument), ..Plan::default() }, 20).await;
    assert_eq!(done, Ok(()));
    assert_eq!(events.len(), 20);
    for event in &events {
        let Event::Failed { reason, .. } = event else { panic!("{event:?}") };
        assert_eq!(reason, "As planned.");
    }
    let (events, done, _) = ingested(Plan { refuse: Some(Code::NotFound), ..Plan::default() }, 500).await;
    assert_eq!((events.len(), done), (0, Err("As planned.".to_owned())));
}
