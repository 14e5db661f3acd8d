//! Splitting and writing mailboxes: line ends, quoting, edges, and that what is written reads back.

#![expect(clippy::unwrap_used, reason = "a test that panics is a test that failed")]

use std::io::Cursor;

use proptest::collection::vec;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::strategy::Just;
use storage_cli::mail::mbox;
use storage_cli::mail::mbox::Found;

fn read(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = mbox::Reader::new(Cursor::new(bytes), usize::MAX);
    let mut messages = Vec::new();
    let mut message = Vec::new();
    while let Some(found) = reader.next_message(&mut message).unwrap() {
        assert_eq!(found, Found::Message);
        messages.push(message.clone());
    }
    messages
}

fn texts(bytes: &str) -> Vec<String> {
    read(bytes.as_bytes()).into_iter().map(|message| String::from_utf8(message).unwrap()).collect()
}

fn written(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        let added = mbox::write(&mut bytes, "a@b.example", "Thu Jan  1 00:00:00 1970", message).unwrap();
        assert_eq!(added, message.last().is_some_and(|byte| *byte != b'\n'));
    }
    bytes
}

#[test]
fn messages_end_before_the_empty_line_of_the_next() {
    let mailbox = "From a Thu\nA: 1\n\nx\n\nFrom b Fri\nB: 2\n\ny\n\n";
    assert_eq!(texts(mailbox), ["A: 1\n\nx\n", "B: 2\n\ny\n"]);
    let mailbox = "From a Thu\r\nA: 1\r\n\r\nx\r\n\r\nFrom b Fri\r\nB: 2\r\n\r\ny\r\n\r\n";
    assert_eq!(texts(mailbox), ["A: 1\r\n\r\nx\r\n", "B: 2\r\n\r\ny\r\n"]);
}

#[test]
fn only_one_empty_line_is_taken() {
    assert_eq!(texts("From a\nx\n\n\n\nFrom b\n\n\n"), ["x\n\n\n", "\n"]);
    assert_eq!(texts("From a\r\nx\r\n\n\r\nFrom b\n"), ["x\r\n\n", ""]);
}

#[test]
fn a_separator_needs_an_empty_line_before_it() {
    assert_eq!(
        texts("From a\nx\nFrom here on it is body\n\nFrom b\ny\n"),
        ["x\nFrom here on it is body\n", "y\n"]
    );
    assert_eq!(texts("From a\nx\n\nFROM b\n\nfrom c\n\n From d\n\nFrom: e\n").len(), 1);
}

#[test]
fn quoting_is_undone_once() {
    let mailbox = "From a\n>From x\n>>From y\n>>>From z\n>Fro\n> From\n a >From\n>From\n";
    assert_eq!(texts(mailbox), ["From x\n>From y\n>>From z\n>Fro\n> From\n a >From\n>From\n"]);
}

#[test]
fn edges() {
    assert_eq!(texts(""), Vec::<String>::new());
    assert_eq!(texts("From a"), [""]);
    assert_eq!(texts("From a\n"), [""]);
    assert_eq!(texts("From a\n\n"), [""]);
    assert_eq!(texts("From a\nFrom b\n"), ["", ""]);
    assert_eq!(texts("From a\nno newline at the end"), ["no newline at the end"]);
    assert_eq!(texts("From a\nx\n>From "), ["x\nFrom "]);
    assert_eq!(texts("From a\nx\r\n\r\n"), ["x\r\n"]);
    assert_eq!(read(b"From a\n\0\xff\r\r\n\n"), [b"\0\xff\r\r\n"]);
}

#[test]
fn lines_longer_than_a_piece_stay_whole() {
    let long = format!("{}From x\n\n", "y".repeat(64 * 1024));
    let mailbox = format!("From {}\n{long}\nFrom b\n>From z\n", "s".repeat(200_000));
    assert_eq!(texts(&mailbox), [long, "From z\n".to_owned()]);
}

#[test]
fn a_message_that_is_too_large_does_not_hide_the_next() {
    let mailbox = format!("From a\n{}\n\nFrom b\nsmall\n\nFrom c\n{}\n", "x\n".repeat(600), "y".repeat(2000));
    let mut reader = mbox::Reader::new(Cursor::new(mailbox.as_bytes()), 1000);
    let mut message = Vec::new();
    assert_eq!(reader.next_message(&mut message).unwrap(), Some(Found::TooLarge));
    assert_eq!(reader.next_message(&mut message).unwrap(), Some(Found::Message));
    assert_eq!(message, b"small\n");
    assert_eq!(reader.next_message(&mut message).unwrap(), Some(Found::TooLarge));
    assert_eq!(reader.next_message(&mut message).unwrap(), None);
}

#[test]
fn a_missing_final_newline_is_added_because_the_format_cannot_do_without() {
    assert_eq!(read(&written(&[b"x".to_vec(), b"y\n".to_vec()])), [b"x\n".to_vec(), b"y\n".to_vec()]);
}

/// Lines that try to be mistaken for separators, quotes and ends.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just(b"From ".to_vec()),
        Just(b"From".to_vec()),
        Just(b"".to_vec()),
        Just(b"X: y".to_vec()),
        Just(vec![b'>'; 1001]),
        vec(any::<u8>(), 0..12),
    ];
    let end = prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..]), Just(&b"\n\n"[..]), Just(&b"\r"[..])];
    (0_usize..3, text, end).prop_map(|(quotes, text, end)| [&vec![b'>'; quotes][..], &text, end].concat())
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    vec(line(), 0..8).prop_map(|lines| {
        let mut message = lines.concat();
        if message.last().is_some_and(|byte| *byte != b'\n') {
            message.push(b'\n');
        }
        message
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_reads_back(messages in vec(message(), 0..6)) {
        prop_assert_eq!(read(&written(&messages)), messages);
    }

    #[test]
    fn any_bytes_can_be_read(bytes in vec(any::<u8>(), 0..300)) {
        let total: usize = read(&bytes).iter().map(Vec::len).sum();
        assert!(total <= bytes.len());
    }
}
