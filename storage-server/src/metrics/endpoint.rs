//! Metrics over HTTP: `GET /metrics` and nothing else. A few scrapes at a time, each within a bound, so that this door
//! cannot be used to fill the process.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use storage_core::engine::Engine;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

const CONNECTIONS_MAX: usize = 8;

/// How long a connection may take, from its first byte to its last.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(30);

/// How long to wait after a connection could not be accepted, such as for want of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers scrapes on `listener` until `shutdown` is cancelled.
pub async fn serve(listener: TcpListener, metrics: Metrics, engine: Engine, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let (metrics, engine, shutdown) = (metrics.clone(), engine.clone(), shutdown.clone());
        drop(tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                answered = timeout(CONNECTION_TIME_MAX, connection(stream, metrics, engine)) => {
                    if let Ok(Err(error)) = answered {
                        tracing::debug!(%error, "a scrape's connection failed");
                    }
                }
            }
            drop(place);
        }));
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "a scrape could not be accepted");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, metrics: Metrics, engine: Engine) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let (metrics, engine) = (metrics.clone(), engine.clone());
        async move { Ok::<_, Infallible>(answer(&request, &metrics, &engine).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer<B>(request: &Request<B>, metrics: &Metrics, engine: &Engine) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "Metrics are at /metrics.\n");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "Metrics are read with GET.\n");
    }
    match metrics.text(engine).await {
        Ok(text) => {
            let mut response = Response::new(Full::new(Bytes::from(text)));
            let _none =
                response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(OPEN_METRICS));
            response
        }
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "The metrics could not be written.\n")
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
