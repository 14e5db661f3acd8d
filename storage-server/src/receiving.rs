//! A request's body on its way in. Guarantees that what it brings is counted before it is collected, and that a message
//! that has begun is complete within a bound, however slowly its bytes come. It reads the lengths of the messages and
//! nothing else of them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;
use tokio::time::Sleep;
use tokio::time::sleep;
use tonic::Status;
use tonic::body::Body;

use crate::gate::ReceiveMemory;
use crate::gate::no_memory;
use crate::limits;

/// A flag byte and a length stand before each message.
const PREFIX_BYTES: usize = 5;

/// The memory of a request, shared with who answers it.
pub(crate) type SharedMemory = Arc<Mutex<ReceiveMemory>>;

/// Gives back all of it.
pub(crate) fn release(memory: &SharedMemory) {
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    // Nothing is always free.
    drop(memory.resize(0));
}

/// A request's body.
pub(crate) struct Receiving {
    body: Body,
    memory: SharedMemory,
    messages: Messages,
    /// Where a message is under way: until when it may be.
    timer: Option<Pin<Box<Sleep>>>,
    message_time_max: Duration,
    /// Whether the client may leave a pause after a message.
    streaming: bool,
}

impl Receiving {
    /// `streaming` where the client may send many messages.
    pub(crate) fn new(body: Body, memory: SharedMemory, message_time_max: Duration, streaming: bool) -> Self {
        Self { body, memory, messages: Messages::default(), timer: None, message_time_max, streaming }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Status> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        self.messages.take(data, &mut memory)?;
        if self.streaming && self.messages.is_between() {
            self.timer = None;
        }
        Ok(())
    }

    /// What to do while nothing comes.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.streaming && self.messages.is_between() {
            return Poll::Pending;
        }
        let limit = self.message_time_max;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(context).map(|()| {
            Some(Err(Status::deadline_exceeded(
                "The request did not come completely within a minute. Send it again.",
            )))
        })
    }
}

impl http_body::Body for Receiving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let counted = frame.data_ref().map_or(Ok(()), |data| self.take(data));
                Poll::Ready(Some(counted.map(|()| frame)))
            }
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => self.wait(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where in its messages a body is.
#[derive(Debug, Default)]
struct Messages {
    prefix: [u8; PREFIX_BYTES],
    prefix_bytes: usize,
    /// Bytes of the present message that came, and that are still to come.
    came: usize,
    missing: usize,
}

impl Messages {
    fn is_between(&self) -> bool {
        self.prefix_bytes == 0 && self.missing == 0
    }

    fn take(&mut self, mut data: &[u8], memory: &mut ReceiveMemory) -> Result<(), Status> {
        while let Some((first, rest)) = data.split_first() {
            if self.missing > 0 {
                let now = self.missing.min(data.len());
                (self.came, self.missing) = (self.came + now, self.missing - now);
                memory.resize(self.came)?;
                data = data.get(now..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.prefix.get_mut(self.prefix_bytes) {
                *place = *first;
            }
            self.prefix_bytes += 1;
            data = rest;
            if self.prefix_bytes == PREFIX_BYTES {
                self.begin(memory)?;
            }
        }
        Ok(())
    }

    /// A prefix is complete. The message before it was handed on, or this one would not be read.
    fn begin(&mut self, memory: &mut ReceiveMemory) -> Result<(), Status> {
        let [_, length @ ..] = self.prefix;
        let length = length.into_iter().fold(0, |length, byte| length << 8 | usize::from(byte));
        (self.prefix_bytes, self.came, self.missing) = (0, 0, length);
        memory.resize(0)?;
        // One that is over the limit is refused by the decoder, which says why.
        if length <= limits::REQUEST_BYTES_MAX && !memory.has_room(length) {
            return Err(no_memory());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Gate;
    use http::HeaderMap;
    use proptest::collection::vec;
    use proptest::prop_assert_eq;
    use proptest::proptest;
    use tonic::Code;

    fn gate(bytes: usize) -> Gate {
        Gate::new(8, bytes, 100, |_| true)
    }

    fn message(bytes: usize) -> Vec<u8> {
        let length = u32::try_from(bytes).unwrap();
        let mut all = vec![0];
        all.extend((0..4).rev().map(|place| u8::try_from(length >> (8 * place) & 0xff).unwrap()));
        all.resize(PREFIX_BYTES + bytes, b'x');
        all
    }

    #[test]
    fn a_message_that_does_not_fit_is_refused_at_its_length() {
        let gate = gate(1 << 20);
        let mut memory = gate.memory(gate.key(&HeaderMap::new()));
        let mut messages = Messages::default();
        messages.take(&message(1 << 20), &mut memory).unwrap();
        assert_eq!(gate.receiving_bytes(), 1 << 20);
        // The next one begins: the one before was handed on.
        messages.take(&message(10_000), &mut memory).unwrap();
        assert_eq!(gate.receiving_bytes(), limits::RECEIVE_STEP_BYTES);
        let mut other = gate.memory(gate.key(&HeaderMap::new()));
        other.resize(700_000).unwrap();
        let refused = messages.take(message(300_000).get(..5).unwrap(), &mut memory).unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
    }

    #[test]
    fn a_length_alone_holds_nothing() {
        let gate = gate(4 << 20);
        let mut memory = gate.memory(gate.key(&HeaderMap::new()));
        let mut messages = Messages::default();
        messages.take(message(4 << 20).get(..100).unwrap(), &mut memory).unwrap();
        assert_eq!(gate.receiving_bytes(), 0);
        assert!(!messages.is_between());
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_stays_incomplete_ends_the_request() {
        use http_body_util::BodyExt;
        let gate = gate(4 << 20);
        for (streaming, sent, ends) in
            [(false, 0, true), (false, 100, true), (true, 0, false), (true, 3, true), (true, 100, true)]
        {
            let memory = Arc::new(Mutex::new(gate.memory(gate.key(&HeaderMap::new()))));
            let begun = Bytes::from(message(1_000)).slice(..sent);
            let frames = futures::stream::iter([Ok::<_, Status>(Frame::data(begun))]);
            let never = futures::StreamExt::chain(frames, futures::stream::pending());
            let body = Body::new(http_body_util::StreamBody::new(never));
            let mut receiving = Receiving::new(body, memory, Duration::from_mins(1), streaming);
            assert!(receiving.frame().await.unwrap().is_ok());
            let next = tokio::time::timeout(Duration::from_secs(61), receiving.frame()).await;
            match next {
                Ok(frame) => {
                    assert!(ends, "{streaming} {sent}");
                    assert_eq!(frame.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
                }
                Err(_) => assert!(!ends, "{streaming} {sent}"),
            }
        }
    }

    proptest! {
        /// However the bytes are cut, the messages are found, and nothing stays held.
        #[test]
        fn any_cut(lengths in vec(0_usize..20_000, 1..6), cut in 1_usize..5_000) {
            let gate = gate(4 << 20);
            let mut memory = gate.memory(gate.key(&HeaderMap::new()));
            let mut messages = Messages::default();
            let all: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            for piece in all.chunks(cut) {
                messages.take(piece, &mut memory).unwrap();
            }
            prop_assert_eq!(messages.is_between(), true);
            prop_assert_eq!(messages.came, *lengths.last().unwrap());
            drop(memory);
            prop_assert_eq!(gate.receiving_bytes(), 0);
        }
    }
}
