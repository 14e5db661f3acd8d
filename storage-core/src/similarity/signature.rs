//! What an object is recognised by: its digest, its grams and its windows. Which of them an index keeps, and which it is
//! asked for.

use crate::media::MediaClass;
use crate::recode;
use crate::recode::Stream;
use crate::similarity::Feature;
use crate::similarity::digest::Digest;
use crate::similarity::windows;

/// Shorter objects are not looked at: what a delta could save of them, their block saves.
const BYTES_MIN: u64 = 4 << 10;

/// The same for text, which blocks with a dictionary compress better.
const TEXT_BYTES_MIN: u64 = 32 << 10;

/// Longer objects are not looked at.
const BYTES_MAX: u64 = 16 << 20;

/// Bytes that the streams of an object are undone to.
const CONTENT_BYTES_MAX: usize = 8 << 20;

/// Features of each method that an index keeps of an object.
const KEPT: usize = 2;

/// Windows among which those are chosen, the highest first.
const CHOICE: usize = 16;

/// Windows that an index is asked for: more than those that are kept are chosen from, because the other object may have
/// higher ones besides.
const ASKED: usize = 32;

/// Whether an object of that length is worth a signature.
pub fn is_useful(class: MediaClass, bytes: u64) -> bool {
    let least = if class.is_text() { TEXT_BYTES_MIN } else { BYTES_MIN };
    class != MediaClass::Skeleton && (least..=BYTES_MAX).contains(&bytes)
}

/// What an object is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    digest: Option<Digest>,
    grams: Vec<Feature>,
    sketch: Vec<u64>,
}

/// How alike two objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Likeness {
    /// What ssdeep says: 0 to 100.
    pub score: u32,
    /// The percentage of both contents that is the same, as their windows tell.
    pub shared: u32,
}

impl Signature {
    /// The signature of an object; none where it is not worth one.
    pub fn of(class: MediaClass, object: &[u8]) -> Option<Self> {
        if !is_useful(class, u64::try_from(object.len()).ok()?) {
            return None;
        }
        let streams = if recode::applies(class) && class != MediaClass::Jpeg {
            recode::streams(object, CONTENT_BYTES_MAX)
        } else {
            Vec::new()
        };
        Some(Self::with(object, &streams))
    }

    /// The signature of an object whose streams are known.
    pub fn with(object: &[u8], streams: &[Stream]) -> Self {
        let parts = parts(object, streams);
        let digest = match parts.as_slice() {
            [whole] => Digest::of(whole),
            parts => Digest::of(&parts.concat()),
        };
        let grams = digest.as_ref().map_or_else(Vec::new, Digest::grams);
        Self { digest, grams, sketch: windows::sketch(&parts) }
    }

    /// The digest, where there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What an index is asked for to find objects like this one.
    pub fn asked(&self) -> Vec<Feature> {
        let windows = self.sketch.iter().take(ASKED).map(|hash| windows::feature(*hash));
        self.grams.iter().copied().chain(windows).collect()
    }

    /// What an index keeps of this object: the first few of each method that are not crowded already. What every
    /// document of a kind has (a theme, a font) tells nothing of this one.
    pub fn kept(&self, crowded: impl Fn(Feature) -> bool) -> Vec<Feature> {
        let windows = self.sketch.iter().take(CHOICE).map(|hash| windows::feature(*hash));
        let windows = windows.filter(|feature| !crowded(*feature)).take(KEPT);
        let grams = self.grams.iter().copied().filter(|feature| !crowded(*feature)).take(KEPT);
        let mut kept: Vec<Feature> = grams.chain(windows).collect();
        kept.sort_unstable();
        kept.dedup();
        kept
    }

    /// How alike two objects are.
    pub fn likeness(&self, other: &Self) -> Likeness {
        let score = match (&self.digest, &other.digest) {
            (Some(one), Some(two)) => one.score(two),
            _ => 0,
        };
        Likeness { score, shared: windows::shared(&self.sketch, &other.sketch) }
    }
}

/// The object with what its deflate streams hold in their place.
fn parts<'a>(object: &'a [u8], streams: &'a [Stream]) -> Vec<&'a [u8]> {
    let (mut parts, mut done) = (Vec::new(), 0);
    for stream in streams {
        if let Some(content) = &stream.content {
            parts.extend(object.get(done..stream.start));
            parts.push(content.as_slice());
            done = stream.end;
        }
    }
    parts.extend(object.get(done..));
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { vec![object] } else { parts }
}
