//! An answer's body on its way out: it ends at the caller's deadline, is counted when it is over, and gives back what its
//! request held when it is dropped.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body::SizeHint;
use storage_core::budget::Held;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep_until;
use tonic::Code;
use tonic::Status;
use tonic::body::Body;

use crate::metrics::requests::Call;
use crate::peer::InFlight;
use crate::stalls::Watched;

/// What a request holds until its answer is over.
#[derive(Debug)]
pub(crate) struct Holding {
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) slot: Held,
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) call: Call,
}

/// An answer's body.
pub(crate) struct Answering {
    body: Body,
    deadline: Option<Pin<Box<Sleep>>>,
    over: bool,
    watched: Option<Watched>,
    holding: Holding,
}

impl Answering {
    pub(crate) fn new(
        body: Body,
        deadline: Option<Instant>,
        watched: Option<Watched>,
        holding: Holding,
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(sleep_until(at)));
        Self { body, deadline, over: false, watched, holding }
    }

    /// Notes how the answer went, from the trailers that end it.
    fn note(&mut self, frame: &Result<Frame<Bytes>, Status>) {
        match frame {
            Ok(frame) => {
                if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                    self.holding.call.ended(status.code());
                }
            }
            Err(status) => self.holding.call.ended(status.code()),
        }
    }
}

/// The answer to a request whose deadline has passed.
pub(crate) fn too_late() -> Status {
    Status::deadline_exceeded("The deadline of the request has passed.")
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Some(watched) = &self.watched {
            watched.asked();
        }
        let late = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready());
        if late {
            self.over = true;
            // What is left to read stops here.
            self.body = Body::empty();
            self.holding.call.ended(Code::DeadlineExceeded);
            let mut trailers = HeaderMap::new();
            let added = too_late().add_header(&mut trailers);
            return Poll::Ready(Some(added.map(|()| Frame::trailers(trailers))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(frame)) = &polled {
            self.note(frame);
            if let Some(watched) = &self.watched {
                watched.handed();
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.deadline.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}
