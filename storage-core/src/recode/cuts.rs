//! Where a large object is cut into pieces that are recoded one by one: between its compressed streams, so that each lies
//! in one piece as long as it fits there.

use crate::recode::checksum::adler32;
use crate::recode::deflate::inflate;
use crate::recode::find;
use crate::recode::find::Guess;
use crate::recode::find::Patience;

/// A stream that holds more is cut like any other bytes: it would not be recoded.
const CONTENT_BYTES_MAX: usize = 8 << 20;

/// The lengths of the pieces, each of at most `piece_bytes_max` bytes, which add up to the object's.
pub fn cuts(object: &[u8], piece_bytes_max: usize) -> Vec<usize> {
    let mut pieces =
        Pieces { lengths: Vec::new(), begun: 0, whole: 0, piece_bytes_max: piece_bytes_max.max(1) };
    let (mut from, mut patience) = (0, Patience::of(object.len()));
    while let Some(guess) = find::next(object, from, &mut patience) {
        match extent(object, &guess, &mut patience) {
            Some((start, end)) if end - start <= pieces.piece_bytes_max => {
                pieces.make_room(end);
                if end - pieces.begun > pieces.piece_bytes_max {
                    pieces.end_at(start);
                }
                (pieces.whole, from) = (end, end);
            }
            Some((_, end)) => from = end,
            None => from = guess.found_at() + 1,
        }
    }
    pieces.make_room(object.len());
    pieces.end_at(object.len());
    pieces.lengths
}

struct Pieces {
    lengths: Vec<usize>,
    begun: usize,
    /// Where the last stream ended that lies in the piece as a whole.
    whole: usize,
    piece_bytes_max: usize,
}

impl Pieces {
    /// Ends the piece behind its last stream, where it would be too long up to `end`.
    fn make_room(&mut self, end: usize) {
        if end - self.begun > self.piece_bytes_max && self.whole > self.begun {
            self.end_at(self.whole);
        }
    }

    /// Ends the piece at `end`, and pieces before it where that is too far.
    fn end_at(&mut self, end: usize) {
        while end > self.begun {
            let length = (end - self.begun).min(self.piece_bytes_max);
            self.lengths.push(length);
            self.begun += length;
        }
    }
}

/// Where a stream begins and ends.
fn extent(object: &[u8], guess: &Guess, patience: &mut Patience) -> Option<(usize, usize)> {
    let mut inflated = |at: usize| match inflate(object.get(at..)?, CONTENT_BYTES_MAX) {
        Ok(inflated) => Some((at + inflated.stream, inflated.content)),
        Err(in_vain) => {
            patience.lose(in_vain);
            None
        }
    };
    match guess {
        Guess::Deflate(at) => inflated(*at).map(|(end, _)| (*at, end)),
        Guess::Zlib { at, announced } => {
            let (end, content) = inflated(*at + 2)?;
            let mut checksum = adler32(&content).to_le_bytes();
            checksum.reverse();
            let right = object.get(end..)?.starts_with(&checksum);
            (right || *announced).then_some((*at, if right { end + checksum.len() } else { end }))
        }
        Guess::Idat { at, end, .. } => Some((*at, *end)),
        Guess::Jpeg { at, outline } => Some((*at, at + outline.bytes)),
    }
}

#[cfg(test)]
mod tests {
    use storage_fixtures::documents::parts::JpegKind;
    use storage_fixtures::documents::parts::jpeg;

    use super::cuts;

    #[test]
    fn pieces_add_up_and_streams_stay_whole() {
        let photo = jpeg(5, 60, JpegKind::Baseline);
        let gap = vec![b'.'; 1_000];
        let object: Vec<u8> =
            [&gap, &photo, &gap, &photo, &photo, &gap].into_iter().flatten().copied().collect();
        for most in [1, 700, photo.len(), photo.len() + 1_500, object.len(), usize::MAX] {
            let lengths = cuts(&object, most);
            assert_eq!(lengths.iter().sum::<usize>(), object.len());
            assert!(lengths.iter().all(|length| *length > 0 && *length <= most));
        }
        assert_eq!(cuts(&object, photo.len() + 1_500), [1_000 + photo.len(); 3]);
        assert!(cuts(&[], 10).is_empty());
    }
}
