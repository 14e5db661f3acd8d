//! Who gets in: bounds on the requests in flight and on the bytes that are being received, with a share for each tenant,
//! answered at once when one is reached; and the deadline a caller sets with `grpc-timeout`, which holds until the last
//! byte of an answer. It knows no service.

use std::sync::Arc;
use std::sync::Mutex;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use http::HeaderMap;
use http::Request;
use http::Response;
use http_body::Body as _;
use storage_core::budget::Held;
use tokio::time::Instant;
use tokio::time::timeout_at;
use tonic::Code;
use tonic::Status;
use tonic::body::Body;
use tower::Layer;
use tower::Service;

use crate::answering::Answering;
use crate::answering::Holding;
use crate::answering::too_late;
use crate::gate::Gate;
use crate::gate::Key;
use crate::gate::busy;
use crate::limits;
use crate::metrics::requests::Calls;
use crate::patience::Patience;
use crate::peer::Peer;
use crate::receiving::Receiving;
use crate::receiving::SharedMemory;
use crate::receiving::release;
use crate::stalls::Stalls;

/// The transport has a timer of its own for the same deadline and would answer `CANCELLED`; this one comes first.
const AHEAD_OF_TRANSPORT: Duration = Duration::from_millis(2);

/// Health checks and reflection, which are answered however busy the server is.
const EXEMPT_PREFIX: &str = "/grpc.";

/// Admits a bounded number of requests at a time, over all connections.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub(crate) gate: Arc<Gate>,
    pub(crate) stalls: Arc<Stalls>,
    pub(crate) calls: Calls,
    pub(crate) patience: Patience,
}

impl<S> Layer<S> for Admission {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted { inner, admission: self.clone() }
    }
}

impl Admission {
    fn admit(&self, exempt: bool, key: &Key) -> Option<Held> {
        if exempt { self.gate.admit_exempt() } else { self.gate.admit(key) }
    }

    /// Counts what the request brings, for as long as it is not handed on.
    fn receive(&self, request: Request<Body>, key: Key) -> (Request<Body>, SharedMemory) {
        let memory = Arc::new(Mutex::new(self.gate.memory(key)));
        let streaming = self.calls.takes_a_stream(request.uri().path());
        let shared = Arc::clone(&memory);
        let time = self.patience.message;
        (request.map(|body| Body::new(Receiving::new(body, shared, time, streaming))), memory)
    }

    /// Guards an answer until it is over.
    fn guard(
        &self,
        response: Response<Body>,
        mut holding: Holding,
        (peer, deadline): (Option<Peer>, Option<Instant>),
    ) -> Response<Body> {
        let response = explained(response);
        if let Some(status) = Status::from_header_map(response.headers()) {
            holding.call.ended(status.code());
        }
        if response.body().is_end_stream() {
            return response;
        }
        let watched = peer.map(|peer| self.stalls.watch(peer));
        response.map(|body| Body::new(Answering::new(body, deadline, watched, holding)))
    }
}

/// A service behind [`Admission`].
#[derive(Debug, Clone)]
pub(crate) struct Admitted<S> {
    inner: S,
    admission: Admission,
}

impl<S> Service<Request<Body>> for Admitted<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let mut call = self.admission.calls.begin(path);
        let key = self.admission.gate.key(request.headers());
        let Some(slot) = self.admission.admit(path.starts_with(EXEMPT_PREFIX), &key) else {
            call.ended(Code::ResourceExhausted);
            return Box::pin(async { Ok(busy().into_http()) });
        };
        let peer = request.extensions().get::<Peer>().cloned();
        let mut holding = Holding { slot, in_flight: peer.as_ref().map(Peer::begin), call };
        let deadline = deadline(request.headers());
        let (request, memory) = self.admission.receive(request, key);
        let response = self.inner.call(request);
        let admission = self.admission.clone();
        Box::pin(async move {
            let Some(response) = in_time(response, deadline).await else {
                holding.call.ended(Code::DeadlineExceeded);
                return Ok(too_late().into_http());
            };
            release(&memory);
            Ok(admission.guard(response?, holding, (peer, deadline)))
        })
    }
}

/// What comes of a future before the deadline, if there is one; none afterwards.
async fn in_time<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    match deadline {
        Some(at) => timeout_at(at, future).await.ok(),
        None => Some(future.await),
    }
}

/// The moment `grpc-timeout` stands for.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let timeout = parse_timeout(text)?;
    Instant::now().checked_add(timeout.saturating_sub(AHEAD_OF_TRANSPORT))
}

/// One to eight digits and a unit. Malformed values count as none, as the transport counts them.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// What the decoder answers to bytes that are no message of the call, as if the server were at fault.
const UNDECODABLE: &str = "failed to decode Protobuf message";

/// The services never answer `OUT_OF_RANGE`; the decoder does, to a request over its limit. Says instead what to do.
fn explained(response: Response<Body>) -> Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    match status.code() {
        Code::OutOfRange => Status::resource_exhausted(limits::TOO_LARGE).into_http(),
        Code::Internal if status.message().starts_with(UNDECODABLE) => {
            Status::invalid_argument("The request is not a message that this call takes.").into_http()
        }
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use bytes::Bytes;
    use futures::future::BoxFuture;
    use http_body::Frame;
    use std::convert::Infallible;
    use std::pin::Pin;
    use tower::service_fn;

    type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn admission(requests_max: usize) -> Admission {
        Admission {
            gate: Arc::new(Gate::new(requests_max, 1 << 20, 100, |_| true)),
            stalls: Arc::default(),
            calls: Metrics::new().calls(),
            patience: Patience::default(),
        }
    }

    /// A service that answers at once where `answers`, else never; its body never ends.
    fn inner(
        answers: bool,
    ) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer> {
        service_fn(move |_| -> Answer {
            if answers {
                Box::pin(async { Ok(Response::new(Body::new(Endless))) })
            } else {
                Box::pin(std::future::pending())
            }
        })
    }

    struct Endless;

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Pending
        }
    }

    fn request(path: &str, timeout: Option<&str>) -> Request<Body> {
        let mut request = Request::builder().uri(path);
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        request.body(Body::empty()).unwrap()
    }

    fn refusal(response: &Response<Body>) -> Option<Code> {
        Status::from_header_map(response.headers()).map(|status| status.code())
    }

    #[tokio::test]
    async fn a_slot_is_held_until_the_answer_is_dropped() {
        let mut service = admission(1).layer(inner(true));
        let first = service.call(request("/a", None)).await.unwrap();
        assert_eq!(refusal(&first), None);
        assert_eq!(refusal(&service.call(request("/a", None)).await.unwrap()), Some(Code::ResourceExhausted));
        assert_eq!(
            refusal(&service.call(request("/grpc.health.v1.Health/Check", None)).await.unwrap()),
            None
        );
        drop(first);
        assert_eq!(refusal(&service.call(request("/a", None)).await.unwrap()), None);
        // A request that is cancelled before its answer gives its slot back, too.
        let mut service = admission(1).layer(inner(false));
        drop(service.call(request("/a", None)));
        assert_eq!(service.admission.gate.requests(), 0);
    }

    #[tokio::test]
    async fn a_deadline_holds_before_the_answer_and_within_it() {
        let mut never = admission(1).layer(inner(false));
        assert_eq!(
            refusal(&never.call(request("/a", Some("5m"))).await.unwrap()),
            Some(Code::DeadlineExceeded)
        );

        let mut endless = admission(1).layer(inner(true));
        let mut body = endless.call(request("/a", Some("5m"))).await.unwrap().into_body();
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let trailers = frame.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(Status::from_header_map(&trailers).unwrap().code(), Code::DeadlineExceeded);
        assert!(body.is_end_stream());
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        for (text, wanted) in [
            ("1H", Some(Duration::from_hours(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("123456789n", None),
            ("", None),
            ("S", None),
            ("+1S", None),
            ("1x", None),
            ("1é", None),
        ] {
            assert_eq!(parse_timeout(text), wanted, "{text}");
        }
    }

    #[tokio::test]
    async fn a_request_over_the_decoder_s_limit_is_told_what_to_do() {
        let over = explained(Status::out_of_range("decoded message length too large").into_http());
        let status = Status::from_header_map(over.headers()).unwrap();
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, limits::TOO_LARGE));
        let other = explained(Status::not_found("nothing").into_http());
        assert_eq!(refusal(&other), Some(Code::NotFound));
    }
}
