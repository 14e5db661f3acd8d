//! A bound on the connections of a server. A connection over the bound is closed at once, so that its client learns
//! it early; an unbounded number would end in a process without file descriptors. One that does not begin to speak, has
//! had no request for long, or whose client does not take its answers is closed, so that none holds its place for ever.
//!
//! Closing lingers: what the client still sends is read and dropped for a moment. A socket closed with unread bytes is
//! reset, and the reset could overtake the last answers on their way to the client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use crate::limits;
use crate::patience::Patience;
use crate::peer::Peer;

/// What a client of HTTP/2 sends first has so many bytes.
const PREFACE_BYTES: usize = 24;

/// The places for connections of one server.
#[derive(Debug)]
pub(crate) struct Places {
    slots: Arc<Semaphore>,
    count: usize,
    refused: AtomicU64,
    closing: CancellationToken,
}

impl Places {
    /// `connections_max` of them.
    pub(crate) fn new(connections_max: usize) -> Self {
        let count = connections_max.min(Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(count)),
            count,
            refused: AtomicU64::new(0),
            closing: CancellationToken::new(),
        }
    }

    /// Closes all connections, whatever is under way on them.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.count.saturating_sub(self.slots.available_permits())
    }

    /// Connections that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        if slot.is_none() {
            let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
            // A flood of connections must not become a flood of lines.
            if refused.is_power_of_two() {
                tracing::warn!(refused, "connections were refused; the server has as many as it takes");
            }
        }
        slot
    }
}

/// A connection that gives its slot back when it is closed.
#[derive(Debug)]
pub(crate) struct Limited {
    stream: TcpStream,
    /// Set once the sending half is closed: until when to linger.
    linger: Option<Pin<Box<Sleep>>>,
    peer: Peer,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    patience: Patience,
    /// When to look again whether to go on waiting.
    look: Pin<Box<Sleep>>,
    /// What was read of the preface.
    preface: usize,
    _slot: OwnedSemaphorePermit,
}

impl Limited {
    /// The connection with a slot; none, and the connection closed, where all are taken.
    pub(crate) fn admit(stream: TcpStream, places: &Places, patience: Patience) -> Option<Self> {
        let slot = places.take()?;
        let peer = Peer::new(places.closing.child_token());
        let closing = Box::pin(peer.closing().clone().cancelled_owned());
        let look = Box::pin(sleep(patience.handshake));
        Some(Self { stream, linger: None, peer, closing, patience, look, preface: 0, _slot: slot })
    }

    /// Nothing came: whether to go on waiting for it. An end is told like one that the client made.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)));
        }
        loop {
            ready!(self.look.as_mut().poll(context));
            if self.preface < PREFACE_BYTES {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)));
            }
            let idle = self.peer.idle().unwrap_or_default();
            let Some(left) = self.patience.idle.checked_sub(idle).filter(|left| !left.is_zero()) else {
                return Poll::Ready(Ok(()));
            };
            self.look.set(sleep(left));
        }
    }
}

impl Connected for Limited {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Limited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                self.preface = self.preface.saturating_add(buffer.filled().len() - before);
                Poll::Ready(read)
            }
            Poll::Pending => self.wait(context),
        }
    }
}

impl AsyncWrite for Limited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        let Self { stream, linger, .. } = &mut *self;
        let linger = linger.get_or_insert_with(|| Box::pin(sleep(limits::LINGER)));
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return linger.as_mut().poll(context).map(Ok),
            }
        }
    }
}
