//! The state machine of an ingest stream, without an engine.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;
use tonic::Code;

use crate::ingest::assembly::Assembly;
use crate::ingest::assembly::Bounds;
use crate::ingest::assembly::Step;
use crate::proto::IngestEnd;
use crate::proto::IngestRequest;
use crate::proto::PutOptions;
use crate::proto::ingest_request::Frame;

const BOUNDS: Bounds =
    Bounds { collect_bytes_max: 10, messages_max: 3, bytes_max: 20, submitted_bytes_max: 20, large_max: 1 };

fn begin(id: u64) -> IngestRequest {
    IngestRequest { correlation_id: id, frame: Some(Frame::Begin(PutOptions::default())) }
}

fn data(id: u64, data: &str) -> IngestRequest {
    IngestRequest { correlation_id: id, frame: Some(Frame::Data(Bytes::copy_from_slice(data.as_bytes()))) }
}

fn end(id: u64, data: &str) -> IngestRequest {
    let end = IngestEnd { data: Bytes::copy_from_slice(data.as_bytes()) };
    IngestRequest { correlation_id: id, frame: Some(Frame::End(end)) }
}

#[track_caller]
fn assert_waits(step: &Step) {
    assert!(matches!(step, Step::Wait), "{step:?}");
}

#[track_caller]
fn assert_fails(step: Step, code: Code) {
    match step {
        Step::Fail { status, .. } => assert_eq!(status.code(), code),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn submitted(step: Step) -> (u64, Bytes) {
    match step {
        Step::Submit { id, bytes, .. } => (id, bytes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn interleaved_messages_come_apart() {
    let mut assembly = Assembly::new(BOUNDS);
    for request in [begin(1), begin(2), data(1, "a"), data(2, "x"), data(1, "b")] {
        assert_waits(&assembly.take(request));
    }
    assert_eq!(submitted(assembly.take(end(2, "y"))), (2, Bytes::from("xy")));
    assert_eq!(submitted(assembly.take(end(1, ""))), (1, Bytes::from("ab")));
    assert!(!assembly.has_open());
}

#[test]
fn a_message_that_grows_is_passed_on() {
    let mut assembly = Assembly::new(BOUNDS);
    assert_waits(&assembly.take(begin(1)));
    assert_waits(&assembly.take(data(1, "0123456789")));
    let step = assembly.take(data(1, "a"));
    assert!(matches!(&step, Step::Begin { id: 1, bytes, .. } if bytes == "0123456789a"), "{step:?}");
    let step = assembly.take(data(1, "b"));
    assert!(matches!(&step, Step::Push { id: 1, bytes } if bytes == "b"), "{step:?}");

    // A second large one has to wait for the first; a small one does not.
    assert_waits(&assembly.take(begin(2)));
    assert_fails(assembly.take(data(2, "0123456789a")), Code::ResourceExhausted);
    assert_waits(&assembly.take(begin(3)));
    assert_eq!(submitted(assembly.take(end(3, "s"))).0, 3);

    let step = assembly.take(end(1, "c"));
    assert!(matches!(&step, Step::Finish { id: 1, bytes } if bytes == "c"), "{step:?}");
    assert_waits(&assembly.take(begin(4)));
    let step = assembly.take(data(4, "0123456789a"));
    assert!(matches!(step, Step::Begin { id: 4, .. }), "{step:?}");
}

#[test]
fn a_failed_message_is_answered_once() {
    let mut assembly = Assembly::new(BOUNDS);
    let options = PutOptions { pin: 99, ..Default::default() };
    let bad = IngestRequest { correlation_id: 1, frame: Some(Frame::Begin(options)) };
    assert_fails(assembly.take(bad), Code::InvalidArgument);
    for request in [data(1, "a"), data(1, "b"), end(1, "c")] {
        assert_waits(&assembly.take(request));
    }
    // From here on the id is free again.
    assert_fails(assembly.take(end(1, "")), Code::InvalidArgument);
    assert_waits(&assembly.take(begin(1)));
    assert_eq!(submitted(assembly.take(end(1, "new"))).1, "new");
}

#[test]
fn a_caller_may_give_up_on_a_failed_message() {
    let mut assembly = Assembly::new(BOUNDS);
    for id in 0..100 {
        assert_fails(assembly.take(data(id, "x")), Code::InvalidArgument);
    }
    assert_waits(&assembly.take(begin(99)));
    assert_waits(&assembly.take(data(99, "a")));
    assert_eq!(submitted(assembly.take(end(99, "b"))).1, "ab");
}

#[test]
fn unknown_and_empty_frames_have_their_own_error() {
    let mut assembly = Assembly::new(BOUNDS);
    assert_fails(assembly.take(data(7, "x")), Code::InvalidArgument);
    assert_waits(&assembly.take(data(7, "x")));
    assert_fails(assembly.take(end(8, "x")), Code::InvalidArgument);
    assert_fails(assembly.take(IngestRequest { correlation_id: 9, frame: None }), Code::InvalidArgument);
}

#[test]
fn two_unfinished_messages_under_one_id_are_never_mixed() {
    let mut assembly = Assembly::new(BOUNDS);
    assert_waits(&assembly.take(begin(1)));
    assert_waits(&assembly.take(data(1, "first")));
    assert_fails(assembly.take(begin(1)), Code::InvalidArgument);
    assert_waits(&assembly.take(data(1, "second")));
    assert_waits(&assembly.take(end(1, "")));
}

#[test]
fn an_id_is_taken_until_its_message_is_answered() {
    let mut assembly = Assembly::new(BOUNDS);
    assert_waits(&assembly.take(begin(1)));
    assert_eq!(submitted(assembly.take(end(1, "a"))).1, "a");
    assert_fails(assembly.take(begin(1)), Code::InvalidArgument);
    assert_waits(&assembly.take(end(1, "b")));
    assembly.answered(1, 1);
    assert_waits(&assembly.take(begin(1)));
    assert_eq!(submitted(assembly.take(end(1, "c"))).1, "c");
}

#[test]
fn reading_pauses_only_while_something_can_make_room() {
    let mut assembly = Assembly::new(BOUNDS);
    for id in 0..3 {
        assert_waits(&assembly.take(begin(id)));
    }
    // Three unfinished ones: one of them has to be able to finish.
    assert!(!assembly.is_full());
    assert_fails(assembly.take(begin(3)), Code::ResourceExhausted);
    assert_eq!(submitted(assembly.take(end(0, "a"))).0, 0);
    assert!(assembly.is_full());
    assembly.answered(0, 1);
    assert!(!assembly.is_full());
}

#[test]
fn unfinished_bytes_are_bounded() {
    let mut assembly = Assembly::new(BOUNDS);
    for id in 0..3 {
        assert_waits(&assembly.take(begin(id)));
    }
    assert_waits(&assembly.take(data(0, "012345678")));
    assert_waits(&assembly.take(data(1, "012345678")));
    assert!(!assembly.is_full());
    assert_fails(assembly.take(data(2, "012345678")), Code::ResourceExhausted);
    assert_eq!(submitted(assembly.take(end(0, "9"))).1, "0123456789");
    assert!(!assembly.is_full());
    assert_eq!(submitted(assembly.take(end(1, "9"))).1, "0123456789");
    assert!(assembly.is_full());
}

proptest! {
    /// Whatever frames come: memory is bounded, an unfinished message can always go on, and every message that is
    /// submitted was begun.
    #[test]
    fn any_frames(frames in vec((0u64..5, 0u8..4, 0usize..15), 0..200), answers in any::<u64>()) {
        let mut assembly = Assembly::new(BOUNDS);
        let mut in_flight: Vec<(u64, usize)> = Vec::new();
        for (turn, (id, sort, bytes)) in frames.into_iter().enumerate() {
            if assembly.is_full() || answers >> (turn % 64) & 1 == 1 {
                if let Some((id, bytes)) = in_flight.pop() {
                    assembly.answered(id, bytes);
                } else {
                    prop_assert!(!assembly.is_full());
                }
            }
            let text = "x".repeat(bytes);
            let request = match sort {
                0 => begin(id),
                1 | 2 => data(id, &text),
                _ => end(id, &text),
            };
            match assembly.take(request) {
                Step::Submit { id, bytes, .. } => {
                    prop_assert!(bytes.len() <= BOUNDS.collect_bytes_max + 14);
                    prop_assert!(!in_flight.iter().any(|(other, _)| *other == id));
                    in_flight.push((id, bytes.len()));
                }
                Step::Finish { id, .. } => in_flight.push((id, 0)),
                _ => {}
            }
        }
        for (id, bytes) in in_flight {
            assembly.answered(id, bytes);
        }
        prop_assert_eq!(assembly.is_full(), false);
    }
}
