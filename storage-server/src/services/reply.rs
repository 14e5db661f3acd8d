//! Bytes of an item as frames of an answer: nothing is read before the connection takes it, nothing is copied, and at
//! most one piece of the engine's is held. A small item is ready in full, so it goes out in one write.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use futures::stream::BoxStream;
use storage_core::engine::GetStream;
use storage_core::model::ItemStat;
use storage_core::model::PartStat;
use tonic::Status;

use crate::convert::failed;
use crate::convert::item;
use crate::limits;
use crate::proto;

/// An item, then its bytes.
pub(super) fn item(
    stat: ItemStat,
    bytes: GetStream,
) -> BoxStream<'static, Result<proto::GetResponse, Status>> {
    use proto::get_response::Frame;
    let wrap = |frame| proto::GetResponse { frame: Some(frame) };
    let first = stream::once(async move { Ok(wrap(Frame::Item(item::wire_item(stat)))) });
    first.chain(frames(bytes).map(move |data| data.map(|data| wrap(Frame::Data(data))))).boxed()
}

/// A part, then its bytes.
pub(super) fn part(
    stat: PartStat,
    bytes: GetStream,
) -> BoxStream<'static, Result<proto::GetPartResponse, Status>> {
    use proto::get_part_response::Frame;
    let wrap = |frame| proto::GetPartResponse { frame: Some(frame) };
    let first = stream::once(async move { Ok(wrap(Frame::Part(item::wire_part(stat)))) });
    first.chain(frames(bytes).map(move |data| data.map(|data| wrap(Frame::Data(data))))).boxed()
}

/// The bytes in frames; ends after an error.
fn frames(bytes: GetStream) -> BoxStream<'static, Result<Bytes, Status>> {
    let source = stream::unfold(Some(bytes), |bytes| async {
        let mut bytes = bytes?;
        match bytes.next().await? {
            Ok(piece) => Some((Ok(piece), Some(bytes))),
            Err(error) => Some((Err(failed("get")(error)), None)),
        }
    });
    source.flat_map(|piece| stream::iter(cut(piece))).boxed()
}

/// Cuts a piece into frames, without copying.
fn cut(piece: Result<Bytes, Status>) -> VecDeque<Result<Bytes, Status>> {
    let mut frames = VecDeque::new();
    let mut rest = match piece {
        Ok(rest) => rest,
        Err(status) => return VecDeque::from([Err(status)]),
    };
    while rest.len() > limits::FRAME_BYTES_MAX {
        frames.push_back(Ok(rest.split_to(limits::FRAME_BYTES_MAX)));
    }
    if !rest.is_empty() {
        frames.push_back(Ok(rest));
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn frames_are_bounded_and_lose_nothing() {
        for bytes in [0, 1, limits::FRAME_BYTES_MAX, limits::FRAME_BYTES_MAX + 1, 1 << 20] {
            let piece: Bytes = (0..bytes).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let frames: Vec<Bytes> = cut(Ok(piece.clone())).into_iter().map(Result::unwrap).collect();
            assert!(frames.iter().all(|frame| (1..=limits::FRAME_BYTES_MAX).contains(&frame.len())));
            assert_eq!(frames.concat(), piece);
        }
    }

    #[test]
    fn an_error_stays_one() {
        let frames = cut(Err(Status::data_loss("damaged")));
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].as_ref().unwrap_err().code(), Code::DataLoss);
    }
}
