//! Nothing is allocated from a length that was not bounded: inputs that claim huge lengths and hold next to nothing are
//! read with an allocator that counts. One test, so that nothing else allocates meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on, and looks at what it is about"
)]

use bytes::Bytes;
use peak_alloc::PeakAlloc;
use storage_core::codec::CodecId;
use storage_core::codec::DECODED_BYTES_MAX;
use storage_core::codec::decode;
use storage_core::mime::Encoding;
use storage_core::mime::Skeleton;
use storage_core::mime::SplitLimits;
use storage_core::mime::encode_part;
use storage_core::mime::split;
use storage_core::pack::Footer;
use storage_core::pack::Frame;
use storage_core::pack::PackIndex;
use storage_core::pack::PackName;
use storage_fixtures::mime::worst::SHAPES;
use uuid::Uuid;

#[allow(dead_code, reason = "only frames are sealed here")]
#[path = "support/seal.rs"]
mod seal;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes allocated at most, beyond those that were there, while `work` runs.
fn peak(work: impl FnOnce()) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    work();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

#[track_caller]
fn stays_below(limit: usize, what: &str, work: impl FnOnce()) {
    let used = peak(work);
    assert!(used < limit, "{what}: {used} bytes, {limit} were allowed");
}

fn name() -> PackName {
    PackName(Uuid::nil())
}

/// A frame of kind `kind` with these codecs, lengths (verbatim, table stored and decoded, stream stored and decoded) and
/// sections, sealed.
fn frame(kind: u8, [table_codec, codec]: [u8; 2], lengths: [usize; 5], sections: &[u8]) -> Bytes {
    let mut bytes = vec![b't', b'F', b'R', b'M', 1, kind, 64, 0, table_codec, 0, codec, 0];
    bytes.extend_from_slice(&[0; 20]);
    for length in lengths {
        bytes.extend_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
    }
    bytes.extend_from_slice(&[0; 12]);
    bytes.extend_from_slice(sections);
    let _length = seal::frame(name().0.as_bytes(), &mut bytes);
    Bytes::from(bytes)
}

fn codecs() {
    // A zstd frame that claims 64 MiB; gzip and lz4 headers with nothing behind them.
    let mut zstd = vec![0x28, 0xB5, 0x2F, 0xFD, 0xA0];
    zstd.extend_from_slice(&u32::try_from(DECODED_BYTES_MAX).unwrap().to_le_bytes());
    zstd.extend_from_slice(&[1, 0, 0]);
    let gzip = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255, 3, 0];
    let lz4 = [0x04, 0x22, 0x4D, 0x18, 0x68, 0x40, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0];
    for (codec, stored) in
        [(CodecId::NONE, &[][..]), (CodecId::LZ4, &lz4), (CodecId::GZIP, &gzip), (CodecId::ZSTD, &zstd)]
    {
        stays_below(1 << 20, codec.name(), || {
            assert!(decode(codec, stored, DECODED_BYTES_MAX, None).is_err());
        });
    }
}

fn packs() {
    // Lengths in a frame's header that its bytes do not have.
    let huge = [16 << 20, 16 << 20, 16 << 20, 64 << 20, 64 << 20];
    stays_below(64 << 10, "a frame's header", || {
        assert!(Frame::parse(name(), 0, frame(1, [0, 0], huge, b"short")).is_err());
    });
    // A table of 16 MiB and a stream of 64 MiB in a few bytes of zstd: refused before there is room for them.
    let claims = [0x28, 0xB5, 0x2F, 0xFD, 0xA0, 0, 0, 0, 1, 1, 0, 0];
    let stored = [claims, claims].concat();
    let bomb = frame(1, [3, 3], [0, 12, 16 << 20, 12, 64 << 20], &stored);
    stays_below(64 << 10, "a table that claims 16 MiB", || {
        let frame = Frame::parse(name(), 0, bomb).expect("a frame");
        assert!(frame.head().block_table().is_err() && frame.stream(None).is_err());
    });
    // Records that claim more than there is.
    for record in
        [&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1][..], &[1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]]
    {
        for kind in 1..=6 {
            let length = record.len();
            stays_below(64 << 10, "a record", || {
                let frame = Frame::parse(name(), 0, frame(kind, [0, 0], [0, length, length, 0, 0], record));
                let head = frame.expect("a frame");
                let head = head.head();
                let failed = match kind {
                    1 => head.block_table().is_err(),
                    2 => head.segment().is_err(),
                    3 => head.tombstones().is_err(),
                    4 => head.policies().is_err(),
                    5 => head.tenant().is_err(),
                    _ => head.dictionary().is_err(),
                };
                assert!(failed, "kind {kind}");
            });
        }
    }
    // An index that counts 2^60 tenants, and one with 2^20 frames of which there is none.
    let many = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
    let mut frames = vec![1];
    frames.extend_from_slice(&[7; 16]);
    frames.extend_from_slice(&[0, 0x80, 0x80, 0x40]);
    for list in [many.as_slice(), &frames] {
        let mut footer = b"PACKTAIL\x01\x00\x00\x00".to_vec();
        let length = u32::try_from(list.len()).unwrap().to_le_bytes();
        footer.extend_from_slice(&[length, length, [0xFF; 4], crc32c::crc32c(list).to_le_bytes()].concat());
        footer.extend_from_slice(&44_u64.to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(name().0.as_bytes()), &footer);
        footer.extend_from_slice(&checksum.to_le_bytes());
        let footer = Footer::parse(name(), &footer, 44 + list.len() as u64 + 40).expect("a footer");
        stays_below(64 << 10, "an index", || assert!(PackIndex::parse(&footer, list).is_err()));
    }
}

/// Tables become many times as much in memory, but not without bound: what is smallest in a table and largest in memory.
fn tables() {
    let mut object = vec![2, 3, 1, 1, 0];
    object.extend_from_slice(&[2, 3, 1, 1, 1].repeat(200_000));
    stays_below(64 * object.len(), "entries", || {
        let sections = [&[7; 32], object.as_slice()].concat();
        let frame =
            Frame::parse(name(), 0, frame(1, [0, 0], [32, object.len(), object.len(), 0, 0], &sections));
        assert_eq!(frame.expect("a frame").head().block_table().expect("entries").entries.len(), 200_001);
    });
    let unknown = [101, 0].repeat(500_000);
    let length = u32::try_from(unknown.len() + 6).unwrap();
    let mut record: Vec<u8> = vec![];
    let mut rest = length;
    while rest >= 0x80 {
        record.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    record.push(rest.to_le_bytes()[0]);
    record.extend_from_slice(&[1, 1, 0, 2, 1, 0]);
    record.extend_from_slice(&unknown);
    stays_below(64 * record.len(), "unknown fields", || {
        let sections = [&[7; 10], record.as_slice()].concat();
        let frame =
            Frame::parse(name(), 0, frame(3, [0, 0], [10, record.len(), record.len(), 0, 0], &sections));
        let tombstones = frame.expect("a frame").head().tombstones().expect("a tombstone");
        assert_eq!(tombstones[0].unknown.iter().count(), 500_000);
    });
}

fn skeletons() {
    // Two bytes an operation: what they become is bounded, however many bytes there are.
    let mut operations = vec![1, 0x80, 0x80, 0x40];
    operations.resize(4 + (2 << 20), 0);
    stays_below(64 << 10, "2^20 operations", || assert!(Skeleton::parse(&operations).is_err()));
    let mut most = vec![1, 0x80, 0x80, 0x04];
    most.resize(4 + 2 * 65_536, 0);
    stays_below(24 << 20, "65,536 operations", || {
        assert_eq!(Skeleton::parse(&most).expect("the most there may be").ops().len(), 65_536);
    });
    // Recipes that claim to write, or to hold, more than there is.
    for (encoding, recipe) in [
        (Encoding::Base64, &[0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0][..]),
        (Encoding::Base64, &[3, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
        (Encoding::Base64, &[2, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
        (Encoding::QuotedPrintable, &[0, 76, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
    ] {
        stays_below(64 << 10, "a recipe", || {
            let mut out = Vec::new();
            assert!(encode_part(encoding, (recipe, b"abc"), u64::MAX, &mut out).is_err());
        });
    }
}

/// Splitting in memory holds the objects and the skeleton; besides them no more than windows.
fn splitting() {
    for (shape, make) in SHAPES {
        let message = make(1 << 18);
        stays_below(3 * message.len() + (8 << 20), shape, || {
            drop(split(&message, SplitLimits::default()).expect("any bytes are mail"));
        });
    }
}

#[test]
fn huge_claims_take_no_memory() {
    codecs();
    packs();
    tables();
    skeletons();
    splitting();
}
