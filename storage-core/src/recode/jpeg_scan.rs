//! The outline of a JPEG file: where it ends, and how large its picture is. Looks at markers only.

/// Samples of all components of a picture at most. Decoding holds two bytes for each.
pub(super) const SAMPLES_MAX: u64 = 24 << 20;

/// Pixels for which samples are counted, so that the count stays whole.
const FULL: u64 = 1 << 12;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const TEM: u8 = 0x01;

/// The outline of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outline {
    /// Bytes from the first marker to the end of the last.
    pub(super) bytes: usize,
    /// Samples of all components.
    pub(super) samples: u64,
}

/// The outline of the file that `bytes` begin with; none where it has no end, or no picture that may be recoded.
pub(super) fn outline(bytes: &[u8]) -> Option<Outline> {
    let mut walk = Walk { bytes, at: 2, samples: 0 };
    loop {
        match walk.marker()? {
            EOI => break,
            SOI => return None,
            SOS => {
                let _header = walk.segment()?;
                walk.skip_coded()?;
            }
            TEM | 0xd0..=0xd7 => {}
            marker => walk.note(marker)?,
        }
    }
    let allowed = walk.samples > 0 && walk.samples <= SAMPLES_MAX;
    allowed.then_some(Outline { bytes: walk.at, samples: walk.samples })
}

/// The samples that a header states, which is a file's bytes behind its first marker up to the first scan.
pub(super) fn samples(header: &[u8]) -> Option<u64> {
    let mut walk = Walk { bytes: header, at: 0, samples: 0 };
    while walk.at < header.len() {
        match walk.marker()? {
            SOS | EOI => break,
            SOI => return None,
            TEM | 0xd0..=0xd7 => {}
            marker => walk.note(marker)?,
        }
    }
    Some(walk.samples)
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    samples: u64,
}

impl<'a> Walk<'a> {
    /// The next marker; bytes that fill the space before it are skipped.
    fn marker(&mut self) -> Option<u8> {
        if *self.bytes.get(self.at)? != 0xff {
            return None;
        }
        while *self.bytes.get(self.at)? == 0xff {
            self.at += 1;
        }
        let marker = *self.bytes.get(self.at)?;
        self.at += 1;
        (marker != 0).then_some(marker)
    }

    /// The content of a segment with a length.
    fn segment(&mut self) -> Option<&'a [u8]> {
        let length = self.bytes.get(self.at..)?.first_chunk().copied().map(big_endian)?;
        let end = self.at.checked_add(usize::from(length))?;
        let segment = self.bytes.get(self.at..end)?.get(2..)?;
        self.at = end;
        Some(segment)
    }

    /// Takes a segment and notes the size of the picture where it states it. Of several the largest counts.
    fn note(&mut self, marker: u8) -> Option<()> {
        let segment = self.segment()?;
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let (fixed, components) = segment.split_first_chunk()?;
            let [_, high, low, wide, narrow, count] = *fixed;
            let (rows, columns) = (big_endian([high, low]), big_endian([wide, narrow]));
            // Blocks at the edges are whole ones, of up to 32 samples a side.
            let padded = |side: u16| u64::from(side) + 32;
            let pixels = padded(rows) * padded(columns);
            let samples = pixels.saturating_mul(sampled(components, count)?).div_ceil(FULL);
            self.samples = self.samples.max(samples);
        }
        Some(())
    }

    /// Skips coded data up to the next marker.
    fn skip_coded(&mut self) -> Option<()> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += memchr::memchr(0xff, rest)?;
            match *self.bytes.get(self.at + 1)? {
                0 | 0xd0..=0xd7 => self.at += 2,
                0xff => self.at += 1,
                _ => return Some(()),
            }
        }
    }
}

/// Samples of all components for [`FULL`] pixels.
fn sampled(components: &[u8], count: u8) -> Option<u64> {
    let factors = |component: &[u8; 3]| (u64::from(component[1] >> 4), u64::from(component[1] & 15));
    let (components, _) = components.as_chunks();
    let components = components.get(..usize::from(count))?;
    let across = components.iter().map(|component| factors(component).0).max()?;
    let down = components.iter().map(|component| factors(component).1).max()?;
    let sum: u64 = components.iter().map(factors).map(|(across, down)| across * down).sum();
    (sum * FULL).checked_div(across * down)
}

fn big_endian([high, low]: [u8; 2]) -> u16 {
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::outline;

    #[test]
    fn a_file_without_an_end_has_no_outline() {
        assert_eq!(outline(b"\xff\xd8\xff\xda\0\x02abc"), None);
        assert_eq!(outline(b"\xff\xd8\xff\xd9"), None, "no picture");
        assert_eq!(outline(b"\xff\xd8"), None);
    }
}
