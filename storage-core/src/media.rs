//! Media classes: what is compressed together and counted together. Pure.

/// The class of an object's bytes. The numbers are permanent; they stand in packs and in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaClass {
    /// Skeletons: headers, boundaries, short bodies.
    Skeleton,
    /// Plain text bodies.
    Text,
    /// HTML.
    Html,
    /// Other text: patches, logs, source, CSV, calendars, XML.
    Markup,
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// Other images.
    Image,
    /// PDF.
    Pdf,
    /// Zip containers: Office Open XML, `OpenDocument`, archives.
    Zip,
    /// Streams compressed by gzip and the like.
    Compressed,
    /// OLE documents, audio, video, programs: all the rest.
    Binary,
}

impl MediaClass {
    /// All classes in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Skeleton,
        Self::Text,
        Self::Html,
        Self::Markup,
        Self::Jpeg,
        Self::Png,
        Self::Image,
        Self::Pdf,
        Self::Zip,
        Self::Compressed,
        Self::Binary,
    ];

    /// The permanent number.
    pub fn code(self) -> u8 {
        match self {
            Self::Skeleton => 0,
            Self::Text => 1,
            Self::Html => 2,
            Self::Markup => 3,
            Self::Jpeg => 4,
            Self::Png => 5,
            Self::Image => 6,
            Self::Pdf => 7,
            Self::Zip => 8,
            Self::Compressed => 9,
            Self::Binary => 10,
        }
    }

    /// The class of a number; unknown numbers of later versions count as binary.
    pub fn of_code(code: u8) -> Self {
        Self::ALL.into_iter().find(|class| class.code() == code).unwrap_or(Self::Binary)
    }

    /// The name shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skeleton => "skeleton",
            Self::Text => "text",
            Self::Html => "html",
            Self::Markup => "markup",
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Image => "image",
            Self::Pdf => "pdf",
            Self::Zip => "zip",
            Self::Compressed => "compressed",
            Self::Binary => "binary",
        }
    }

    /// Whether dictionaries are worth a try.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Skeleton | Self::Text | Self::Html | Self::Markup)
    }

    /// The class of bytes that call themselves `media_type`. The first bytes decide where they are telling,
    /// because senders often say `application/octet-stream`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::by_magic(bytes).unwrap_or_else(|| Self::by_type(media_type, bytes))
    }

    fn by_magic(bytes: &[u8]) -> Option<Self> {
        const MAGICS: [(&[u8], MediaClass); 11] = [
            (b"\xff\xd8\xff", MediaClass::Jpeg),
            (b"\x89PNG\r\n\x1a\n", MediaClass::Png),
            (b"GIF8", MediaClass::Image),
            (b"RIFF", MediaClass::Image),
            (b"%PDF-", MediaClass::Pdf),
            (b"PK\x03\x04", MediaClass::Zip),
            (b"\x1f\x8b", MediaClass::Compressed),
            (b"BZh", MediaClass::Compressed),
            (b"\xfd7zXZ\0", MediaClass::Compressed),
            (b"7z\xbc\xaf\x27\x1c", MediaClass::Compressed),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", MediaClass::Binary),
        ];
        MAGICS.into_iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, class)| class)
    }

    fn by_type(media_type: &str, bytes: &[u8]) -> Self {
        match media_type {
            "text/plain" => Self::Text,
            "text/html" => Self::Html,
            other if other.starts_with("text/") || other.ends_with("xml") || other.ends_with("json") => {
                Self::Markup
            }
            other if other.starts_with("image/") => Self::Image,
            other if other.starts_with("message/") => Self::Markup,
            _ if looks_like_text(bytes) => Self::Markup,
            _ => Self::Binary,
        }
    }
}

/// Whether the first kilobyte has no NUL and hardly any control characters.
fn looks_like_text(bytes: &[u8]) -> bool {
    let head = bytes.get(..1024).unwrap_or(bytes);
    let odd =
        head.iter().filter(|byte| **byte < 0x20 && !matches!(**byte, b'\t' | b'\n' | b'\r' | 0x0c)).count();
    !head.is_empty() && odd * 50 < head.len()
}

#[cfg(test)]
mod tests {
    use super::MediaClass;

    #[test]
    fn codes_are_permanent_and_distinct() {
        for (index, class) in MediaClass::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(class.code()), index);
            assert_eq!(MediaClass::of_code(class.code()), class);
        }
        assert_eq!(MediaClass::of_code(200), MediaClass::Binary);
    }

    #[test]
    fn bytes_beat_the_declared_type() {
        assert_eq!(MediaClass::of("application/octet-stream", b"%PDF-1.4"), MediaClass::Pdf);
        assert_eq!(MediaClass::of("image/png", b"\xff\xd8\xff\xe0"), MediaClass::Jpeg);
        assert_eq!(MediaClass::of("application/octet-stream", b"diff --git a/x b/x\n"), MediaClass::Markup);
        assert_eq!(MediaClass::of("application/octet-stream", b"\0\x01\x02\x03"), MediaClass::Binary);
        assert_eq!(MediaClass::of("text/html", b"<p>"), MediaClass::Html);
    }
}
