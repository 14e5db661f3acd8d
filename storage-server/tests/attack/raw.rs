//! A client that does what no proper one would: streams that it leaves open, frames that are none, answers it does not
//! take.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::RecvStream;
use h2::SendStream;
use h2::client::ResponseFuture;
use h2::client::SendRequest;
use http::HeaderMap;
use http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::Status;

/// One HTTP/2 connection.
pub(crate) struct Raw {
    send: SendRequest<Bytes>,
    pub(crate) connection: JoinHandle<Result<(), h2::Error>>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &mut h2::client::Builder::new()).await
    }

    pub(crate) async fn connect_with(address: SocketAddr, builder: &mut h2::client::Builder) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (send, connection) = builder.handshake(stream).await.unwrap();
        Self { send, connection: tokio::spawn(connection) }
    }

    /// A call with its headers sent and its body open.
    pub(crate) async fn open(&mut self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        self.open_with(path, HeaderMap::new()).await.unwrap()
    }

    pub(crate) async fn open_with(
        &mut self,
        path: &str,
        headers: HeaderMap,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut request = Request::builder()
            .method("POST")
            .uri(format!("http://server{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("tenant-id", "default")
            .body(())
            .unwrap();
        request.headers_mut().extend(headers);
        self.send.clone().ready().await?.send_request(request, false)
    }

    /// A whole call: how it ends.
    pub(crate) async fn call(&mut self, path: &str, body: Bytes) -> Code {
        let (response, mut send) = self.open(path).await;
        // The server may have answered already; then nobody takes the body.
        drop(send.send_data(body, true));
        ended(response).await
    }
}

/// A message as it stands on the wire.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    let mut all = vec![0];
    all.extend((0..4).rev().map(|place| u8::try_from(length >> (8 * place) & 0xff).unwrap()));
    all.extend_from_slice(message);
    all
}

/// Sends all of it as the server makes room; false where the server takes no more.
pub(crate) async fn send_all(send: &mut SendStream<Bytes>, mut bytes: Bytes) -> bool {
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        let room = match send.capacity() {
            0 => match std::future::poll_fn(|context| send.poll_capacity(context)).await {
                Some(Ok(room)) => room,
                Some(Err(_)) | None => return false,
            },
            room => room,
        };
        if send.send_data(bytes.split_to(room.min(bytes.len())), false).is_err() {
            return false;
        }
    }
    true
}

/// The code that a call ends with. A stream or connection that is reset says so in its own way.
pub(crate) async fn ended(response: ResponseFuture) -> Code {
    let response = match response.await {
        Ok(response) => response,
        Err(error) => return reset(&error),
    };
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status.code();
    }
    if response.status() != 200 {
        return Code::Unknown;
    }
    match drain(response.into_body()).await {
        Ok(Some(trailers)) => {
            Status::from_header_map(&trailers).map_or(Code::Unknown, |status| status.code())
        }
        Ok(None) => Code::Unknown,
        Err(error) => reset(&error),
    }
}

async fn drain(mut body: RecvStream) -> Result<Option<HeaderMap>, h2::Error> {
    while let Some(data) = body.data().await {
        let bytes = data?.len();
        body.flow_control().release_capacity(bytes)?;
    }
    body.trailers().await
}

fn reset(error: &h2::Error) -> Code {
    if error.is_reset() || error.is_go_away() || error.is_io() { Code::Unavailable } else { Code::Unknown }
}
