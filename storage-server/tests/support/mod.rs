//! A server on a free port with a store in a temporary directory, and what tests say to it often.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use storage_core::clock::SystemClock;
use storage_core::engine::Engine;
use storage_core::settings::Settings as EngineSettings;
use storage_server::client;
use storage_server::client::Client;
use storage_server::metrics::Metrics;
use storage_server::proto;
use storage_server::proto::IngestEnd;
use storage_server::proto::IngestRequest;
use storage_server::proto::IngestResponse;
use storage_server::proto::PutMessageRequest;
use storage_server::proto::PutOptions;
use storage_server::proto::ingest_request::Frame;
use storage_server::server;
use storage_server::server::ServeError;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::Streaming;
use tonic::transport::Channel;

pub(crate) struct TestServer {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) metrics: Metrics,
    serving: JoinHandle<Result<(), ServeError>>,
    dir: TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(server::Settings::default(), |_| {}).await
    }

    pub(crate) async fn start_with(
        settings: server::Settings,
        change: impl FnOnce(&mut EngineSettings),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut engine_settings = EngineSettings::new(dir.path().join("data"));
        engine_settings.workers = 2;
        change(&mut engine_settings);
        let engine = Engine::open(engine_settings, Arc::new(SystemClock)).await.unwrap();
        Self::over(engine, settings, dir).await
    }

    /// A server on the store in `data_dir`, which stays when the server is gone.
    pub(crate) async fn start_in(data_dir: &Path) -> Self {
        Self::try_start_in(data_dir).await.unwrap()
    }

    pub(crate) async fn try_start_in(data_dir: &Path) -> Result<Self, storage_core::error::Error> {
        let mut engine_settings = EngineSettings::new(data_dir);
        engine_settings.workers = 2;
        let engine = Engine::open(engine_settings, Arc::new(SystemClock)).await?;
        Ok(Self::over(engine, server::Settings::default(), tempfile::tempdir().unwrap()).await)
    }

    /// A server on an open engine; `dir` lives as long.
    pub(crate) async fn over(engine: Engine, settings: server::Settings, dir: TempDir) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let metrics = settings.metrics.clone();
        let serving = tokio::spawn(server::serve(listener, engine.clone(), settings, shutdown.clone()));
        Self { engine, address, shutdown, metrics, serving, dir }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Waits until serving has ended; the directory lives as long as what is returned.
    pub(crate) async fn served(self) -> TempDir {
        self.serving.await.unwrap().unwrap();
        self.dir
    }

    pub(crate) async fn channel(&self) -> Channel {
        client::connect(&self.address.to_string()).await.unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::new(self.channel().await, Some("default")).unwrap()
    }

    /// Shuts down and waits until serving has ended and the engine is closed.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
        self.engine.close().await.unwrap();
    }
}

/// A message of about `bytes` bytes, different for each `seed`.
pub(crate) fn message(seed: u64, bytes: usize) -> Bytes {
    let mut text = format!("Message-ID: <{seed}@example.org>\r\nSubject: number {seed}\r\n\r\n").into_bytes();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend_from_slice(format!("{state:016x} and some more words of the body\r\n").as_bytes());
    }
    text.into()
}

pub(crate) fn options(id: &str) -> PutOptions {
    PutOptions { id: id.to_owned(), ..Default::default() }
}

pub(crate) fn put(id: &str, data: Bytes) -> PutMessageRequest {
    PutMessageRequest { options: Some(options(id)), data }
}

pub(crate) fn get(id: &str) -> proto::GetRequest {
    proto::GetRequest { id: id.to_owned(), ..Default::default() }
}

/// The item and all bytes of an answer.
pub(crate) async fn collect(
    mut answer: Streaming<proto::GetResponse>,
) -> Result<(proto::Item, Vec<u8>), Status> {
    use proto::get_response::Frame as Answer;
    let mut item = None;
    let mut bytes = Vec::new();
    while let Some(frame) = answer.message().await? {
        match frame.frame.unwrap() {
            Answer::Item(first) => assert!(item.replace(first).is_none() && bytes.is_empty()),
            Answer::Data(data) => {
                assert!(item.is_some() && (1..=256 << 10).contains(&data.len()));
                bytes.extend_from_slice(&data);
            }
        }
    }
    Ok((item.unwrap(), bytes))
}

pub(crate) async fn read(client: &mut Client, id: &str) -> Result<Vec<u8>, Status> {
    collect(client.messages.get_message(get(id)).await?.into_inner()).await.map(|(_, bytes)| bytes)
}

pub(crate) fn begin(id: u64, options: PutOptions) -> IngestRequest {
    IngestRequest { correlation_id: id, frame: Some(Frame::Begin(options)) }
}

pub(crate) fn data(id: u64, data: Bytes) -> IngestRequest {
    IngestRequest { correlation_id: id, frame: Some(Frame::Data(data)) }
}

pub(crate) fn end(id: u64, data: Bytes) -> IngestRequest {
    IngestRequest { correlation_id: id, frame: Some(Frame::End(IngestEnd { data })) }
}

/// Sends all frames and collects all answers.
pub(crate) async fn ingest(
    client: &mut Client,
    frames: Vec<IngestRequest>,
) -> Result<Vec<IngestResponse>, Status> {
    let mut answers = client.messages.ingest_messages(stream::iter(frames)).await?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.push(answer);
    }
    Ok(all)
}
