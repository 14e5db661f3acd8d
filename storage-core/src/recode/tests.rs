//! Tests of recoding: exact round trips, hostile inputs, hostile stored forms, and what was written for ever.

use proptest::prelude::ProptestConfig;
use proptest::proptest;
use storage_fixtures::documents::Kind as Document;
use storage_fixtures::documents::family;
use storage_fixtures::documents::parts::JpegKind;
use storage_fixtures::documents::parts::archive;
use storage_fixtures::documents::parts::gzip;
use storage_fixtures::documents::parts::jpeg;
use storage_fixtures::documents::parts::pdf_with_jpeg;
use storage_fixtures::documents::parts::png;

use crate::codec::Codec;
use crate::error::Kind;
use crate::media::MediaClass;
use crate::pack::TransformId;
use crate::recode::Limits;
use crate::recode::Recoded;
use crate::recode::container;
use crate::recode::decode;
use crate::recode::deflate;
use crate::recode::encode;
use crate::recode::encode_with;
use crate::recode::op;
use crate::recode::op::Op;
use crate::recode::unpack::Engines;

/// Time enough for every sample.
fn limits() -> Limits {
    Limits { decode_nanos_max: 60_000_000, ..Limits::at_level(19) }
}

fn text(lines: usize) -> Vec<u8> {
    let line = |line: usize| format!("{line}: {} and then {}\n", line * 7919 % 1009, line * line % 641);
    (0..lines).flat_map(|number| line(number).into_bytes()).collect()
}

/// Recodes what must be worth it and compares what comes back.
fn recoded(what: &str, object: &[u8]) -> Recoded {
    let class = MediaClass::of("application/octet-stream", object);
    let recoded = encode(class, object, &limits()).unwrap_or_else(|| panic!("{what} was not recoded"));
    let again = decode(recoded.transform, &recoded.parameters, &recoded.stored, object.len());
    assert!(again.is_ok_and(|again| again == object), "{what} came back as other bytes");
    recoded
}

/// What a container of that stored form says.
fn ops(recoded: &Recoded, object: &[u8]) -> Vec<Op> {
    assert_eq!(recoded.transform, TransformId::DEFLATE);
    container::read(&recoded.stored, object.len()).unwrap().ops
}

fn contains(ops: &[Op], wanted: &dyn Fn(&Op) -> bool) -> bool {
    ops.iter().any(|op| {
        wanted(op)
            || match op {
                Op::Deflate { inner, .. } | Op::Idat { inner, .. } => contains(inner, wanted),
                Op::Literal { .. } | Op::Jpeg { .. } => false,
            }
    })
}

/// Everything that is tried in more than one test.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let photo = jpeg(5, 60, JpegKind::Baseline);
    let letter = family(4, Document::Docx, 0).remove(0);
    let members: [(&str, &[u8], bool); 3] =
        [("letter.docx", &letter, true), ("photo.jpg", &photo, true), ("notes.txt", &text(200), true)];
    vec![
        ("jpeg", photo.clone()),
        ("png", png(8, 140)),
        ("pdf", family(5, Document::Pdf, 0).remove(0)),
        ("xlsx", family(6, Document::Xlsx, 0).remove(0)),
        ("gzip", gzip(&[text(1_500), text(1_500)].concat(), 9)),
        ("pdf with jpeg", pdf_with_jpeg(&photo, &text(100))),
        ("zip", archive(&members)),
    ]
}

#[test]
fn what_is_recoded_comes_back_exactly() {
    for (what, object) in samples() {
        let recoded = recoded(what, &object);
        let expected = if what == "jpeg" { 2 } else { 3 };
        assert_eq!((what, recoded.transform.0, recoded.parameters.len()), (what, expected, 0));
        let compressed = |bytes: &[u8]| Codec::Zstd { level: 19 }.encode(bytes).unwrap().len();
        assert!(compressed(&recoded.stored) < compressed(&object), "{what} is not smaller");
    }
}

#[test]
fn a_jpeg_that_cannot_be_recoded_stays_as_it_is() {
    // Its first scans come one for each component, which the recoder does not take.
    assert_eq!(encode(MediaClass::Jpeg, &jpeg(5, 60, JpegKind::Progressive), &limits()), None);
}

#[test]
fn streams_inside_streams_are_found() {
    let samples = samples();
    let of = |wanted: &str| &samples.iter().find(|(what, _)| *what == wanted).unwrap().1;
    let is_jpeg = |op: &Op| matches!(op, Op::Jpeg { .. });
    let pdf = ops(&recoded("pdf with jpeg", of("pdf with jpeg")), of("pdf with jpeg"));
    assert!(pdf.iter().any(is_jpeg), "a JPEG in a PDF");
    assert!(contains(&pdf, &|op| matches!(op, Op::Deflate { wrapper: op::Wrapper::Zlib(_), .. })));
    let zip = ops(&recoded("zip", of("zip")), of("zip"));
    let deflated_jpeg = |op: &Op| matches!(op, Op::Deflate { inner, .. } if contains(inner, &is_jpeg));
    assert!(zip.iter().any(deflated_jpeg), "a JPEG that was deflated");
    let nested = |op: &Op| matches!(op, Op::Deflate { inner, .. } if contains(inner, &|op| matches!(op, Op::Deflate { .. })));
    assert!(zip.iter().any(nested), "a document inside an archive");
    assert!(contains(&ops(&recoded("png", of("png")), of("png")), &|op| matches!(op, Op::Idat { .. })));
}

#[test]
fn plain_bytes_of_versions_compress_together() {
    let versions = family(4, Document::Docx, 1);
    let stored: Vec<u8> = versions.iter().flat_map(|version| recoded("a version", version).stored).collect();
    let codec = Codec::Zstd { level: 19 };
    let (one, both) = (recoded("one", &versions[0]).stored, codec.encode(&stored).unwrap().len());
    let one = codec.encode(&one).unwrap().len();
    assert!(both < one + one / 2, "{one} bytes for one, {both} for two");
}

#[test]
fn depth_and_time_and_space_are_bounded() {
    let (what, zip) = samples().pop().unwrap();
    let class = MediaClass::Zip;
    assert_eq!(what, "zip");
    let none = Limits { decode_nanos_max: 0, ..limits() };
    assert_eq!(encode(class, &zip, &none), None, "no time");
    let none = Limits { unpacked_bytes_max: 10, ..limits() };
    assert!(encode(class, &zip, &none).is_none_or(|recoded| recoded.stored.len() <= zip.len() + 100));
    let flat = Limits { depth_max: 1, ..limits() };
    let flat = encode(class, &zip, &flat).unwrap();
    let nested = |op: &Op| matches!(op, Op::Deflate { inner, .. } if contains(inner, &|op| matches!(op, Op::Deflate { .. })));
    assert!(!contains(&ops(&flat, &zip), &nested));
    assert_eq!(encode(MediaClass::Text, &zip, &limits()), None, "text is never recoded");
    assert_eq!(encode(class, &zip[..400], &limits()), None, "too short");
}

#[test]
fn bombs_cost_their_limit() {
    let mut bomb = gzip(&vec![0; 12 << 20], 9);
    for _ in 0..2 {
        assert!(bomb.len() < 100 << 10);
        let recoded = encode(MediaClass::Compressed, &bomb, &limits());
        let bound = (bomb.len() * 32).min(8 << 20) + bomb.len();
        assert!(recoded.is_none_or(|recoded| recoded.stored.len() <= bound));
        bomb = gzip(&bomb, 9);
    }
    // Thousands of small streams, each of which is allowed by itself.
    let member = gzip(&vec![7; 60 << 10], 9);
    let many: Vec<u8> = std::iter::repeat_n(member, 400).flatten().collect();
    let recoded = encode(MediaClass::Compressed, &many, &limits());
    assert!(recoded.is_none_or(|recoded| recoded.stored.len() <= many.len() * 33));
}

#[test]
fn bytes_made_to_waste_time_are_given_up() {
    let stream = gzip(&text(1_500), 9).split_off(28);
    let header = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    // Each header says that the same stream follows it.
    let headers = (0..1_000_u16).rev().flat_map(|left| {
        let skipped = (30 * left).to_le_bytes();
        [header.as_slice(), &skipped, &[0, 0]].concat()
    });
    let zip: Vec<u8> = headers.chain(stream).collect();
    let repeated = |start: &[u8]| start.repeat((60 << 10) / start.len());
    let wasteful = [
        zip,
        repeated(b"\xff\xd8\xff\xda\0\x02"),
        repeated(b"\0\0\x80\0IDAT"),
        repeated(b"\x78\x9c"),
        repeated(b"\x1f\x8b\x08\x1fabcdef"),
        repeated(&[&b"\x78\x9c\0\x10\0\xef\xff"[..], &[0x78; 16]].concat()),
    ];
    for object in wasteful {
        if let Some(recoded) = encode(MediaClass::Binary, &object, &limits()) {
            assert!(decode(recoded.transform, &[], &recoded.stored, object.len()).unwrap() == object);
        }
    }
}

#[test]
fn damaged_objects_come_back_as_they_were_damaged() {
    for (what, object) in samples() {
        let class = MediaClass::of("", &object);
        for at in (0..object.len()).step_by(object.len() / 7) {
            let mut flipped = object.clone();
            flipped[at] ^= 0x10;
            for damaged in [&object[..at], &flipped] {
                if let Some(recoded) = encode(class, damaged, &limits()) {
                    let again = decode(recoded.transform, &[], &recoded.stored, damaged.len());
                    assert!(again.is_ok_and(|again| again == damaged), "{what} damaged at {at}");
                }
            }
        }
    }
}

#[test]
fn every_damaged_byte_of_a_container_is_noticed() {
    let object = gzip(&[text(1_500), text(1_500)].concat(), 6);
    let recoded = recoded("gzip", &object);
    for at in (0..300).chain((300..recoded.stored.len()).step_by(61)) {
        let mut stored = recoded.stored.clone();
        stored[at] ^= 1;
        assert!(decode(TransformId::DEFLATE, &[], &stored, object.len()).is_err(), "byte {at}");
        let cut = &recoded.stored[..at];
        assert!(decode(TransformId::DEFLATE, &[], cut, object.len()).is_err(), "cut at {at}");
    }
    for length in [0, 1, object.len() - 1, object.len() + 1, usize::MAX] {
        assert!(decode(TransformId::DEFLATE, &[], &recoded.stored, length).is_err());
        assert!(decode(TransformId::JPEG, &[], &recoded.stored, length).is_err());
    }
}

/// A container whose operations are `ops`, rightly summed.
fn sealed(ops: &[u8], data: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    crate::pack::wire::put_varint(&mut body, ops.len() as u64);
    crate::pack::wire::put_varint(&mut body, data.len() as u64);
    body.extend_from_slice(&[ops, data, plain].concat());
    [&[1], crc32c::crc32c(&body).to_le_bytes().as_slice(), &body].concat()
}

#[test]
fn operations_with_a_right_checksum_are_still_not_believed() {
    let object = archive(&[("a", &text(150), true), ("b.jpg", &jpeg(5, 60, JpegKind::Baseline), false)]);
    let recoded = recoded("zip", &object);
    let sections = container::read(&recoded.stored, object.len()).unwrap();
    let mut written = Vec::new();
    op::write(&sections.ops, &mut written);
    let same = sealed(&written, sections.data, sections.plain);
    assert_eq!(same, recoded.stored);
    for at in 0..written.len() {
        for bit in 0..8 {
            let mut ops = written.clone();
            ops[at] ^= 1 << bit;
            let stored = sealed(&ops, sections.data, sections.plain);
            match decode(TransformId::DEFLATE, &[], &stored, object.len()) {
                Ok(made) => assert_eq!(made.len(), object.len()),
                Err(error) => {
                    assert!(
                        matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented),
                        "byte {at}: {error}"
                    );
                }
            }
        }
    }
}

#[test]
fn impossible_operations_are_refused() {
    let refused = |ops: &[u8], bytes: usize| {
        let error = decode(TransformId::DEFLATE, &[], &sealed(ops, &[], &[]), bytes).unwrap_err();
        assert!(matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented), "{ops:?}: {error}");
    };
    refused(&[], 0);
    refused(&[1, 0, 5], 5); // A literal of bytes that are not there.
    refused(&[0xff, 0xff, 0xff, 0x7f], 1); // More operations than bytes.
    refused(&[1, 0, 0xff, 0xff, 0xff, 0xff, 0x7f], 1 << 20);
    refused(&[1, 9, 0, 0], 0); // An unknown operation.
    refused(&[1, 2, 0x78, 0x9c, 3, 0, 0], 3); // A zlib stream shorter than its frame.
    refused(&[1, 3, 1, 0, 0xff, 0xff, 0xff, 0x7f, 0], 1); // Chunks without end.
    refused(&[1, 4, 0xff, 0xff, 0x3f, 0], 1 << 20); // A JPEG from nothing.
    let deep: Vec<u8> = std::iter::repeat_n([1, 1, 0, 0], 2_000).flatten().collect();
    refused(&deep, 0);
    assert!(op::read(&vec![0; 300 << 10]).is_err());
}

#[test]
fn a_damaged_jpeg_is_bounded_by_its_stated_length() {
    let object = jpeg(5, 60, JpegKind::Baseline);
    let stored = recoded("jpeg", &object).stored;
    let positions = (0..60).chain((60..stored.len()).step_by(stored.len() / 60));
    for at in positions {
        for flip in [1, 0x80] {
            let mut damaged = stored.clone();
            damaged[at] ^= flip;
            if let Ok(made) = decode(TransformId::JPEG, &[], &damaged, object.len()) {
                assert_eq!(made.len(), object.len());
            }
        }
    }
    assert!(decode(TransformId::JPEG, &[], &stored, object.len() - 1).is_err());
}

#[test]
fn what_a_newer_version_wrote_is_named() {
    let kinds =
        [(4, vec![], vec![1]), (3, vec![1], vec![1]), (2, vec![0], vec![]), (3, vec![], vec![2, 0, 0, 0, 0])];
    for (transform, parameters, stored) in kinds {
        let error = decode(TransformId(transform), &parameters, &stored, 600).unwrap_err();
        assert_eq!(error.kind(), Kind::Unimplemented);
    }
}

#[test]
fn an_engine_that_panics_or_lies_leaves_the_object_plain() {
    let object = gzip(&[text(1_500), text(1_500)].concat(), 6);
    let photo = jpeg(5, 60, JpegKind::Baseline);
    let panics = Engines { undo: |_, _| panic!("as if a crate had"), jpeg: |_| panic!("as if a crate had") };
    let lies = Engines {
        undo: |stream, bytes| {
            let mut undone = deflate::undo(stream, bytes)?;
            undone.corrections.clear();
            Some(undone)
        },
        jpeg: |_| Some(vec![0; 600]),
    };
    for object in [object, photo] {
        for engines in [panics, lies] {
            assert_eq!(encode_with(&object, &limits(), engines), None);
        }
        assert!(encode_with(&object, &limits(), Engines::REAL).is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_operations_are_read_or_refused(bytes: Vec<u8>, length in 0_usize..5_000) {
        let stored = sealed(&bytes, &[], &[]);
        if let Ok(made) = decode(TransformId::DEFLATE, &[], &stored, length) {
            assert_eq!(made.len(), length);
        }
        let _error = decode(TransformId::JPEG, &[], &bytes, length).unwrap_err();
    }

    #[test]
    fn bytes_that_look_like_streams_do_no_harm(picked: Vec<(u8, [u8; 3])>) {
        let starts: [&[u8]; 7] = [
            b"PK\x03\x04\x14\0\0\0\x08\0", b"\x1f\x8b\x08\x1f", b"\xff\xd8\xff\xc0", b"IDAT", b"\x78\x9c", b"stream\n",
            b"\xff\xda\0\x02",
        ];
        let mut object = vec![0; 600];
        for (pick, bytes) in picked {
            object.extend_from_slice(starts[usize::from(pick) % starts.len()]);
            object.extend_from_slice(&bytes);
        }
        assert_eq!(encode(MediaClass::Binary, &object, &limits()), None);
    }
}

/// What an earlier version wrote. The files are never changed; new ones are added by the ignored test below.
const GOLDEN: [&str; 7] = ["jpeg", "png", "pdf", "xlsx", "gzip", "pdf with jpeg", "zip"];

fn golden(name: &str, ending: &str) -> std::path::PathBuf {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden/recode/v1");
    root.join(format!("{}.{ending}", name.replace(' ', "-")))
}

#[test]
fn what_was_written_decodes_for_ever() {
    for name in GOLDEN {
        let [object, stored] =
            ["object", "stored"].map(|ending| std::fs::read(golden(name, ending)).unwrap());
        let transform = if name == "jpeg" { TransformId::JPEG } else { TransformId::DEFLATE };
        let made = decode(transform, &[], &stored, object.len());
        assert!(made.is_ok_and(|made| made == object), "{name} does not come back any more");
    }
}

#[test]
#[ignore = "writes golden files that are not there yet; it never replaces one"]
fn write_golden_files() {
    for (name, object) in samples() {
        let stored = recoded(name, &object).stored;
        for (ending, bytes) in [("object", object), ("stored", stored)] {
            let path = golden(name, ending);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if !path.exists() {
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
}
