//! Who gets in: a bound on the requests in flight in the whole server, answered at once when it is reached, and the
//! deadline a caller sets with `grpc-timeout`, which holds until the last byte of an answer. It knows no service.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderMap;
use http::Request;
use http::Response;
use http_body::Body as _;
use http_body::Frame;
use http_body::SizeHint;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep_until;
use tokio::time::timeout_at;
use tonic::Code;
use tonic::Status;
use tonic::body::Body;
use tower::Layer;
use tower::Service;

use crate::limits;

/// The transport has a timer of its own for the same deadline and would answer `CANCELLED`; this one comes first.
const AHEAD_OF_TRANSPORT: Duration = Duration::from_millis(2);

/// Health checks and reflection, which are answered however busy the server is.
const EXEMPT_PREFIX: &str = "/grpc.";

/// Admits a bounded number of requests at a time, over all connections.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    slots: Arc<Semaphore>,
}

impl Admission {
    /// At most `requests_max` at a time.
    pub(crate) fn new(requests_max: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(requests_max)) }
    }
}

impl<S> Layer<S> for Admission {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted { inner, slots: Arc::clone(&self.slots) }
    }
}

/// A service behind [`Admission`].
#[derive(Debug, Clone)]
pub(crate) struct Admitted<S> {
    inner: S,
    slots: Arc<Semaphore>,
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
        let slot = if request.uri().path().starts_with(EXEMPT_PREFIX) {
            None
        } else if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            Some(slot)
        } else {
            return Box::pin(async { Ok(busy().into_http()) });
        };
        let deadline = deadline(request.headers());
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = match deadline {
                Some(at) => match timeout_at(at, response).await {
                    Ok(response) => response?,
                    Err(_) => return Ok(too_late().into_http()),
                },
                None => response.await?,
            };
            Ok(explained(response).map(|body| guarded(body, slot, deadline)))
        })
    }
}

fn busy() -> Status {
    Status::resource_exhausted("The server has as many requests in hand as it takes; try again in a moment.")
}

fn too_late() -> Status {
    Status::deadline_exceeded("The deadline of the request has passed.")
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

/// The services never answer `OUT_OF_RANGE`; the decoder does, to a request over its limit. Says instead what to do.
fn explained(response: Response<Body>) -> Response<Body> {
    let over_limit =
        Status::from_header_map(response.headers()).is_some_and(|status| status.code() == Code::OutOfRange);
    if over_limit { Status::resource_exhausted(limits::TOO_LARGE).into_http() } else { response }
}

fn guarded(body: Body, slot: Option<OwnedSemaphorePermit>, deadline: Option<Instant>) -> Body {
    if body.is_end_stream() || (slot.is_none() && deadline.is_none()) {
        return body;
    }
    Body::new(Guarded {
        body,
        deadline: deadline.map(|at| Box::pin(sleep_until(at))),
        over: false,
        _slot: slot,
    })
}

/// A body that ends at its deadline, and gives its slot back when it is dropped.
struct Guarded {
    body: Body,
    deadline: Option<Pin<Box<Sleep>>>,
    over: bool,
    _slot: Option<OwnedSemaphorePermit>,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let late = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready());
        if late {
            self.over = true;
            // What is left to read stops here.
            self.body = Body::empty();
            let mut trailers = HeaderMap::new();
            let added = too_late().add_header(&mut trailers);
            return Poll::Ready(Some(added.map(|()| Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.deadline.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::BoxFuture;
    use std::convert::Infallible;
    use tower::service_fn;

    type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

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
        let mut service = Admission::new(1).layer(inner(true));
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
        let mut service = Admission::new(1).layer(inner(false));
        drop(service.call(request("/a", None)));
        assert_eq!(service.slots.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_deadline_holds_before_the_answer_and_within_it() {
        let mut never = Admission::new(1).layer(inner(false));
        assert_eq!(
            refusal(&never.call(request("/a", Some("5m"))).await.unwrap()),
            Some(Code::DeadlineExceeded)
        );

        let mut endless = Admission::new(1).layer(inner(true));
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
