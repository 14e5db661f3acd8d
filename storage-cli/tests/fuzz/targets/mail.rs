//! Mail: what is taken apart comes back; what claims to have been taken apart is refused or keeps its length.

use storage_cli::mail::mbox;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::mime;
use storage_core::mime::Encoding;
use storage_core::mime::PartInfo;
use storage_core::mime::Sink;
use storage_core::mime::Skeleton;
use storage_core::mime::SplitLimits;
use storage_core::mime::Splitter;

/// Splits `bytes` of input into its first part, whose length the first byte says, and the rest.
fn two(input: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = input.split_first() else {
        return (&[], &[]);
    };
    rest.split_at(usize::from(*length).min(rest.len()))
}

/// The first part is the object that the skeleton's operations refer to.
pub(crate) fn skeleton(input: &[u8]) {
    let (object, skeleton) = two(input);
    let parsed = match Skeleton::parse(skeleton) {
        Ok(parsed) => parsed,
        Err(error) => return assert_eq!(error.kind(), Kind::Corrupt, "{error:?}"),
    };
    // Callers look at the length before they rebuild.
    if parsed.total_bytes() > 4 << 20 {
        return;
    }
    match mime::assemble(skeleton, &|_| Some(object)) {
        Ok(rebuilt) => assert_eq!(rebuilt.len() as u64, parsed.total_bytes()),
        Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "{error:?}"),
    }
}

fn recipe(encoding: Encoding, input: &[u8]) {
    let (recipe, decoded) = two(input);
    let stated = 4 * decoded.len() as u64;
    let mut out = Vec::new();
    match mime::encode_part(encoding, (recipe, decoded), stated, &mut out) {
        Ok(()) => assert_eq!(out.len() as u64, stated),
        Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "{error:?}"),
    }
    assert!(out.len() as u64 <= stated, "more than was stated");
}

pub(crate) fn base64_recipe(input: &[u8]) {
    recipe(Encoding::Base64, input);
}

pub(crate) fn quoted_recipe(input: &[u8]) {
    recipe(Encoding::QuotedPrintable, input);
}

#[derive(Default)]
struct Objects(Vec<Vec<u8>>);

impl Sink for Objects {
    fn part_begin(&mut self, _index: u32, _info: &PartInfo) -> Result<()> {
        self.0.push(Vec::new());
        Ok(())
    }

    fn part_data(&mut self, decoded: &[u8]) -> Result<()> {
        self.0.last_mut().expect("a part that began").extend_from_slice(decoded);
        Ok(())
    }

    fn part_end(&mut self, _index: u32, _decoded_bytes: u64, _encoded_bytes: u64) -> Result<()> {
        Ok(())
    }
}

/// Any bytes are mail. They are fed in pieces whose lengths come from the bytes themselves.
pub(crate) fn split(input: &[u8]) {
    let whole = mime::split(input, SplitLimits::default()).expect("any bytes are mail");
    let mut objects = Objects::default();
    let mut splitter = Splitter::new(SplitLimits::default());
    let mut rest = input;
    while let Some(first) = rest.first() {
        let (now, later) = rest.split_at((usize::from(*first) * 7 + 1).min(rest.len()));
        splitter.push(now, &mut objects).expect("any bytes are mail");
        rest = later;
    }
    let pieces = splitter.finish(&mut objects).expect("any bytes are mail");
    assert!(pieces == whole.split, "the pieces made a difference");
    let object = |index: u32| objects.0.get(index as usize).map(Vec::as_slice);
    let rebuilt = mime::assemble(&pieces.skeleton, &object).expect("a skeleton of our own");
    assert!(rebuilt == input, "other bytes came back");
}

/// The mbox reader ends, keeps to its bound, and reads what the writer makes of its messages as the same messages.
pub(crate) fn mbox(input: &[u8]) {
    let read = |bytes: &[u8]| {
        let mut reader = mbox::Reader::new(bytes, 50_000);
        let (mut messages, mut message) = (Vec::new(), Vec::new());
        while let Some(found) = reader.next_message(&mut message).expect("bytes in memory") {
            assert!(message.len() <= 50_000);
            if found == mbox::Found::Message {
                messages.push(message.clone());
            }
        }
        messages
    };
    let messages = read(input);
    assert!(messages.iter().map(Vec::len).sum::<usize>() <= input.len());
    let mut written = Vec::new();
    for message in &messages {
        let _added =
            mbox::write(&mut written, "a@b.example", "Thu Jan  1 00:00:00 1970", message).expect("memory");
    }
    let again = read(&written);
    let ended = |message: &Vec<u8>| match message.last() {
        Some(b'\n') | None => message.clone(),
        Some(_) => [message.as_slice(), b"\n"].concat(),
    };
    assert!(again == messages.iter().map(ended).collect::<Vec<_>>(), "written and read are others");
}
