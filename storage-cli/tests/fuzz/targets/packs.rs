//! Packs: as they are, and with their checksums made right again, so that what is behind the checksums is reached.

use bytes::Bytes;
use storage_core::codec::builtin;
use storage_core::error::Error;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::pack::Footer;
use storage_core::pack::Frame;
use storage_core::pack::FrameKind;
use storage_core::pack::PackHeader;
use storage_core::pack::PackIndex;
use storage_core::pack::PackName;
use storage_core::pack::PackWriter;
use storage_core::pack::ScanDepth;
use storage_core::pack::Scanner;
use storage_core::pack::arrange as order;
use uuid::Uuid;

use crate::seal;

/// What reading may answer about bytes that are wrong.
#[track_caller]
fn expected(error: &Error) {
    assert!(matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented), "{error:?}");
}

#[track_caller]
fn settle<T>(result: Result<T>) -> Option<T> {
    result.inspect_err(expected).ok()
}

/// An arranged stream; the first two bytes say what length is claimed for it.
pub(crate) fn arranged(input: &[u8]) {
    let Some((length, bytes)) = input.split_first_chunk() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes(*length));
    if let Some(restored) = settle(order::restore(bytes, length)) {
        assert_eq!(restored.len(), length);
    }
}

/// Anything, cut into units at every NUL: it comes back.
pub(crate) fn arrange(input: &[u8]) {
    let units: Vec<&[u8]> = input.split(|byte| *byte == 0).collect();
    let stream = units.concat();
    let arranged = order::arrange(&units).expect("whatever is arranged can be restored");
    assert!(order::restore(&arranged, stream.len()).expect("it was proved") == stream);
}

fn range(bytes: &[u8], offset: u64, length: u64) -> Bytes {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(bytes.len());
    Bytes::copy_from_slice(&bytes[start..end])
}

/// Header, footer, index, and every frame of the index.
pub(crate) fn pack(bytes: &[u8]) {
    let name = settle(PackHeader::parse(bytes)).map_or(PackName(Uuid::nil()), |header| header.name);
    let Some(footer) = settle(Footer::parse(name, bytes, bytes.len() as u64)) else {
        return;
    };
    let stored = range(bytes, footer.index_offset, u64::from(footer.index_bytes));
    let Some(index) = settle(PackIndex::parse(&footer, &stored)) else {
        return;
    };
    assert_eq!(index.counters().total(), bytes.len() as u64, "the sums add up");
    for entry in index.entries() {
        if let Some(frame) =
            settle(Frame::parse(name, entry.ordinal, range(bytes, entry.offset, entry.bytes().into())))
        {
            read(&frame);
        }
    }
}

/// The records and the content of a frame.
fn read(frame: &Frame) {
    let head = frame.head();
    match frame.header().kind {
        FrameKind::Block => {
            let table = settle(head.block_table());
            let dictionary = frame.header().dictionary();
            let known = dictionary.and_then(|id| builtin::dictionary(id).expect("the built-in one"));
            if dictionary.is_some() && known.is_none() {
                return;
            }
            if let Some((table, stream)) = table.zip(settle(frame.stream(known.as_deref()))) {
                let cut: usize =
                    table.entries.iter().map(|entry| entry.cut(&stream).expect("inside").len()).sum();
                assert_eq!(cut, stream.len(), "entries fill the stream");
            }
            return;
        }
        FrameKind::Segment => drop(settle(head.segment())),
        FrameKind::Tombstone => drop(settle(head.tombstones())),
        FrameKind::Policy => drop(settle(head.policies())),
        FrameKind::Tenant => drop(settle(head.tenant())),
        FrameKind::Dictionary => drop(settle(head.dictionary())),
    }
    if frame.header().dictionary().is_none() {
        let decoded = settle(frame.stream(None));
        assert!(decoded.is_none_or(|stream| stream.len() == frame.header().stream_decoded as usize));
    }
}

/// The same behind right checksums.
pub(crate) fn pack_sealed(bytes: &[u8]) {
    let mut sealed = bytes.to_vec();
    seal::pack(&mut sealed);
    pack(&sealed);
    scan(&sealed);
}

/// A walk without the index: it ends, never behind the pack, and what it found is whole.
pub(crate) fn scan(bytes: &[u8]) {
    let Some(header) = settle(PackHeader::parse(bytes)) else {
        return;
    };
    let mut writer = PackWriter::new(header);
    for depth in [ScanDepth::Tables, ScanDepth::Everything] {
        let mut scanner = Scanner::new(header.name, bytes.len() as u64, depth);
        let mut reads = 0;
        loop {
            let next = scanner.next_with(|offset, length| {
                reads += 1;
                assert!(offset + u64::from(length) <= bytes.len() as u64, "a read beyond the pack");
                Ok(range(bytes, offset, length.into()))
            });
            let Some(Some(found)) = settle(next) else {
                break;
            };
            if let Some(frame) = found.frame() {
                writer.resume(found.index_entry()).expect("frames in order");
                read(frame);
            }
        }
        assert!(reads <= 3 * (bytes.len() / 64 + 2), "{reads} reads");
        assert!(scanner.end().valid_bytes <= bytes.len() as u64);
    }
    assert!(writer.finish().expect("an index").bytes > 0);
}

/// The printer for people.
pub(crate) fn inspect(bytes: &[u8]) {
    let mut sealed = bytes.to_vec();
    seal::pack(&mut sealed);
    for pack in [bytes, &sealed] {
        let mut told = 0;
        let mut read = |offset: u64, length: u32| Ok(range(pack, offset, length.into()));
        let mut tell = |reading: &storage_core::pack::inspect::Reading| {
            told += reading.to_string().len();
            assert!(!reading.to_string().contains('\x1b'), "text from a pack drives no terminal");
            Ok(())
        };
        let name = Some(PackName(Uuid::nil()));
        let problems = storage_core::pack::inspect::inspect(name, pack.len() as u64, &mut read, &mut tell);
        assert!(problems.is_ok() && told > 0);
    }
}

/// A table of every kind of frame: the first byte is the kind, the second how long the verbatim part is.
pub(crate) fn tables(input: &[u8]) {
    let [kind, verbatim, rest @ ..] = input else {
        return;
    };
    let (verbatim, coded) = rest.split_at(usize::from(*verbatim).min(rest.len()));
    let stream = if *kind % 7 < 2 { vec![7; coded.len()] } else { Vec::new() };
    let mut bytes = vec![b't', b'F', b'R', b'M', 1, kind % 7, 64, 0];
    bytes.extend_from_slice(&[0; 24]);
    for length in [verbatim.len(), coded.len(), coded.len(), stream.len(), stream.len()] {
        bytes.extend_from_slice(&u32::try_from(length).expect("short").to_le_bytes());
    }
    bytes.extend_from_slice(&[0; 12]);
    bytes.extend_from_slice(&[verbatim, coded, &stream].concat());
    let name = PackName(Uuid::nil());
    assert_eq!(seal::frame(name.0.as_bytes(), &mut bytes), Some(bytes.len()));
    if let Some(frame) = settle(Frame::parse(name, 0, Bytes::from(bytes))) {
        read(&frame);
    }
}
