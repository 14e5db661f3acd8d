//! Cases by hand, one per irregularity. Every check goes through [`round_trip`], which also requires that
//! the result does not depend on chunking.

mod encodings;
mod skeletons;
mod structure;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::mime::Encoding;
use crate::mime::Op;
use crate::mime::PartInfo;
use crate::mime::Sink;
use crate::mime::Skeleton;
use crate::mime::SplitInMemory;
use crate::mime::SplitLimits;
use crate::mime::Splitter;
use crate::mime::assemble;
use crate::mime::split;

/// Gathers objects and checks that events come in order.
#[derive(Default)]
pub(super) struct Gather {
    open: Option<u32>,
    objects: Vec<Vec<u8>>,
}

impl Sink for Gather {
    fn part_begin(&mut self, index: u32, _info: &PartInfo) -> Result<()> {
        assert_eq!(self.open.replace(index), None);
        self.objects.push(Vec::new());
        Ok(())
    }

    fn part_data(&mut self, decoded: &[u8]) -> Result<()> {
        assert!(self.open.is_some() && decoded.len() <= 64 * 1024);
        self.objects.last_mut().unwrap().extend_from_slice(decoded);
        Ok(())
    }

    fn part_end(&mut self, index: u32, decoded_bytes: u64, _encoded_bytes: u64) -> Result<()> {
        assert_eq!(self.open.take(), Some(index));
        assert_eq!(self.objects.last().unwrap().len() as u64, decoded_bytes);
        Ok(())
    }
}

/// A refusal of the sink must reach the caller.
pub(super) struct Refuse;

impl Sink for Refuse {
    fn part_begin(&mut self, _index: u32, _info: &PartInfo) -> Result<()> {
        Err(Error::new(Kind::ResourceExhausted, "no"))
    }

    fn part_data(&mut self, _decoded: &[u8]) -> Result<()> {
        Ok(())
    }

    fn part_end(&mut self, _index: u32, _decoded_bytes: u64, _encoded_bytes: u64) -> Result<()> {
        Ok(())
    }
}

/// Splits, rebuilds and compares; splits again in chunks of `chunk_bytes` and compares that.
pub(crate) fn round_trip_with(message: &[u8], limits: &SplitLimits, chunk_bytes: usize) -> SplitInMemory {
    let whole = split(message, limits.clone()).unwrap();
    let objects: Vec<&[u8]> = whole.objects.iter().map(|(_, bytes)| &bytes[..]).collect();
    let rebuilt = assemble(&whole.split.skeleton, &|object| objects.get(object as usize).copied()).unwrap();
    assert!(rebuilt == message, "rebuilt message differs");
    let parsed = Skeleton::parse(&whole.split.skeleton).unwrap();
    assert_eq!(parsed.total_bytes(), message.len() as u64);
    assert_eq!(parsed.ops().iter().map(Op::encoded_bytes).sum::<u64>(), parsed.total_bytes());
    assert!(parsed.parts().iter().map(|part| &part.summary).eq(&whole.split.parts));
    assert_eq!(parsed.object_count() as usize, objects.len());
    let mut gather = Gather::default();
    let mut splitter = Splitter::new(limits.clone());
    for chunk in message.chunks(chunk_bytes) {
        splitter.push(chunk, &mut gather).unwrap();
    }
    let again = splitter.finish(&mut gather).unwrap();
    assert_eq!(again, whole.split);
    assert!(gather.objects.iter().eq(whole.objects.iter().map(|(_, bytes)| bytes)));
    whole
}

pub(super) fn round_trip(message: &[u8]) -> SplitInMemory {
    round_trip_with(message, &SplitLimits::default(), 7)
}

pub(super) fn round_trip_large(message: &[u8]) -> SplitInMemory {
    round_trip_with(message, &SplitLimits::default(), 30_011)
}

/// Bytes without a pattern, the same every time.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

/// Base64 of `bytes` in lines of `width` characters that end in `line_end`.
pub(crate) fn base64(bytes: &[u8], width: usize, line_end: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    let mut column = 0;
    for triple in bytes.chunks(3) {
        let word =
            triple.iter().chain([&0, &0]).take(3).fold(0usize, |word, byte| word * 256 + usize::from(*byte));
        for index in 0..4 {
            let value = (word >> (18 - 6 * index)) & 63;
            text.push(if index > triple.len() { '=' } else { char::from(LETTERS[value]) });
            column += 1;
            if column == width {
                text.push_str(line_end);
                column = 0;
            }
        }
    }
    if column > 0 {
        text.push_str(line_end);
    }
    text
}

pub(super) fn attachment(encoding: &str, body: &str) -> Vec<u8> {
    format!(
        "From: a@example.org\r\nContent-Type: application/x-test; name=\"a.bin\"\r\n\
         Content-Transfer-Encoding: {encoding}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Splits a message whose body is this base64 text; its first part must have decoded to `decoded`.
pub(super) fn base64_case(body: &str, decoded: &[u8], recipe_bytes_max: usize) {
    let message = attachment("base64", body);
    let whole = round_trip_large(&message);
    assert_eq!(whole.split.parts[0].info.encoding, Encoding::Base64);
    let parsed = Skeleton::parse(&whole.split.skeleton).unwrap();
    let op = &parsed.ops()[parsed.parts()[0].op];
    let (recipe, bytes) = match op {
        Op::Inline { recipe, decoded, .. } => (recipe, &whole.split.skeleton[decoded.clone()]),
        Op::Object { recipe, .. } => (recipe, &whole.objects[0].1[..]),
        Op::Literal(_) => panic!("not decoded"),
    };
    assert!(bytes == decoded, "decoded to other bytes");
    assert!(recipe.len() <= recipe_bytes_max, "recipe of {} bytes", recipe.len());
}
