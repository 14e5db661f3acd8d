//! A thin client: channels and clients with the limits of [`crate::limits`] set, over a socket or inside the process,
//! so that a program works the same way with either. It knows nothing of what is asked.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use futures::Stream;
use futures::StreamExt;
use futures::stream;
use hyper_util::rt::TokioIo;
use storage_core::engine::Engine;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::Status;
use tonic::metadata::Ascii;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tonic::transport::Uri;
use tower::service_fn;

use crate::limits;
use crate::proto::PutEnd;
use crate::proto::PutOptions;
use crate::proto::PutStreamRequest;
use crate::proto::admin_service_client::AdminServiceClient;
use crate::proto::content_service_client::ContentServiceClient;
use crate::proto::message_service_client::MessageServiceClient;
use crate::proto::put_stream_request::Frame;
use crate::server;
use crate::tenant;
use crate::tenant::TENANT_KEY;

const IN_PROCESS_BUFFER_BYTES: usize = 256 << 10;

/// A channel that adds the tenant to every call.
pub type TenantChannel = InterceptedService<Channel, TenantHeader>;

/// Clients of all services for one tenant. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// Whole messages.
    pub messages: MessageServiceClient<TenantChannel>,
    /// Single bodies and attachments.
    pub contents: ContentServiceClient<TenantChannel>,
    /// Upkeep and insight.
    pub admin: AdminServiceClient<TenantChannel>,
}

impl Client {
    /// Clients over `channel` that name `tenant` in every call; with `None`, admin calls mean all tenants and others fail.
    pub fn new(channel: Channel, tenant: Option<&str>) -> Result<Self, Status> {
        let channel = InterceptedService::new(channel, TenantHeader::new(tenant)?);
        Ok(Self {
            messages: MessageServiceClient::new(channel.clone())
                .max_decoding_message_size(limits::RESPONSE_BYTES_MAX)
                .max_encoding_message_size(limits::REQUEST_BYTES_MAX),
            contents: ContentServiceClient::new(channel.clone())
                .max_decoding_message_size(limits::RESPONSE_BYTES_MAX)
                .max_encoding_message_size(limits::REQUEST_BYTES_MAX),
            admin: AdminServiceClient::new(channel).max_decoding_message_size(limits::RESPONSE_BYTES_MAX),
        })
    }
}

/// Adds `tenant-id` to calls.
#[derive(Debug, Clone)]
pub struct TenantHeader(Option<MetadataValue<Ascii>>);

impl TenantHeader {
    fn new(name: Option<&str>) -> Result<Self, Status> {
        let Some(name) = name else { return Ok(Self(None)) };
        match name.parse() {
            Ok(value) if tenant::is_name(name) => Ok(Self(Some(value))),
            _ => Err(tenant::malformed()),
        }
    }
}

impl Interceptor for TenantHeader {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            let _replaced = request.metadata_mut().insert(TENANT_KEY, value.clone());
        }
        Ok(request)
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub struct ConnectError {
    message: String,
    source: tonic::transport::Error,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Connects to the server at `url`, such as `http://127.0.0.1:7401`. The scheme may be left out.
pub async fn connect(url: &str) -> Result<Channel, ConnectError> {
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let endpoint = Endpoint::from_shared(full).map_err(|source| ConnectError {
        message: format!("'{url}' is not the address of a server; write it like http://127.0.0.1:7401."),
        source,
    })?;
    configured(endpoint).connect().await.map_err(|source| ConnectError {
        message: format!("No server answers at {url}. Is storage-server running there?"),
        source,
    })
}

/// The same services as a server's, run inside this process on `engine`. They end when the last clone of the channel
/// is dropped; closing the engine is left to the caller. Call it inside a tokio runtime.
pub fn in_process(engine: Engine) -> Channel {
    let (connections, incoming) = mpsc::channel::<io::Result<DuplexStream>>(1);
    let serving = server::serve_incoming(ReceiverStream::new(incoming), engine);
    // Detached: it ends by itself when `connections` is dropped with the channel.
    drop(tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the in-process server failed");
        }
    }));
    let connector = service_fn(move |_: Uri| {
        let connections = connections.clone();
        async move {
            let (near, far) = tokio::io::duplex(IN_PROCESS_BUFFER_BYTES);
            connections.send(Ok(far)).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok::<_, io::Error>(TokioIo::new(near))
        }
    });
    configured(Endpoint::from_static("http://in-process")).connect_with_connector_lazy(connector)
}

fn configured(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(limits::CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(limits::HEADER_BYTES_MAX)
        .http2_keep_alive_interval(limits::PING_INTERVAL)
        .keep_alive_timeout(limits::PING_TIMEOUT)
}

/// The frames of a `Put…Stream` call: `begin`, the pieces, `end`. If a piece cannot be read, the frames stop without
/// `end`, so that nothing is stored, and the error is left in the returned [`ReadFailure`].
pub fn put_frames<S>(
    options: PutOptions,
    pieces: S,
) -> (impl Stream<Item = PutStreamRequest> + use<S>, ReadFailure)
where
    S: Stream<Item = io::Result<Bytes>>,
{
    let failure = ReadFailure::default();
    let kept = failure.clone();
    let begin = stream::once(async { Frame::Begin(options) });
    let end = stream::once(async { Ok(Frame::End(PutEnd::default())) });
    let rest = pieces
        .map(|piece| piece.map(Frame::Data))
        .chain(end)
        .scan(kept, |kept, frame| std::future::ready(frame.map_err(|error| kept.set(error)).ok()));
    (begin.chain(rest).map(|frame| PutStreamRequest { frame: Some(frame) }), failure)
}

/// Where [`put_frames`] leaves the error of its source.
#[derive(Debug, Clone, Default)]
pub struct ReadFailure(Arc<Mutex<Option<io::Error>>>);

impl ReadFailure {
    fn set(&self, error: io::Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The error that stopped the frames, once.
    pub fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
