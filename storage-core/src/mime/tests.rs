//! Cases by hand, one per irregularity. Every check goes through [`round_trip`], which also requires that
//! the result does not depend on chunking.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::mime::Encoding;
use crate::mime::Op;
use crate::mime::PartInfo;
use crate::mime::Role;
use crate::mime::Sink;
use crate::mime::Skeleton;
use crate::mime::SplitInMemory;
use crate::mime::SplitLimits;
use crate::mime::Splitter;
use crate::mime::assemble;
use crate::mime::encode_part;
use crate::mime::split;

/// Gathers objects and checks that events come in order.
#[derive(Default)]
struct Gather {
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
struct Refuse;

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

fn round_trip(message: &[u8]) -> SplitInMemory {
    round_trip_with(message, &SplitLimits::default(), 7)
}

fn round_trip_large(message: &[u8]) -> SplitInMemory {
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

fn attachment(encoding: &str, body: &str) -> Vec<u8> {
    format!(
        "From: a@example.org\r\nContent-Type: application/x-test; name=\"a.bin\"\r\n\
         Content-Transfer-Encoding: {encoding}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Splits a message whose body is this base64 text; its first part must have decoded to `decoded`.
fn base64_case(body: &str, decoded: &[u8], recipe_bytes_max: usize) {
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

#[test]
fn small_and_odd_messages_come_back() {
    for message in [
        &b""[..],
        b"\n",
        b"\r\n",
        b"x",
        b"\r",
        b"no header at all",
        b"A: b\n\n",
        b"A: b\r\n\r\n\0\0\r\rbody\r",
        b"--\n--x\n",
        b": \n:\n\n",
        b"\xff\xfe\n\n\xff",
        b"Content-Type\n\nx",
        b"Content-Type:\n\tmultipart/mixed;\n boundary\n\nx",
        b"Content-Type: multipart/mixed; boundary=b",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\n--b--\n--b\n",
        b"Content-Transfer-Encoding: base64\n\n",
        b"Content-Transfer-Encoding: base64\n\n=",
        b"Content-Transfer-Encoding: quoted-printable\n\n=",
    ] {
        let _whole = round_trip_with(message, &SplitLimits::default(), 1);
    }
}

#[test]
fn short_message_costs_a_few_bytes() {
    let message = b"Subject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nShort body.\r\n";
    let whole = round_trip(message);
    assert_eq!(whole.split.message_id.as_deref(), Some("1@example.org"));
    assert!(whole.split.skeleton.len() <= message.len() + 8);
    assert_eq!(whole.split.parts.len(), 1);
    assert_eq!(whole.split.parts[0].info.media_type, "text/plain");
    assert_eq!(whole.split.parts[0].encoded_bytes, 13);
}

#[test]
fn regular_base64_has_a_recipe_of_a_handful_of_bytes() {
    for len in [57, 58, 59, 100, 1024, 5000, 100_000] {
        let bytes = noise(len);
        for (width, line_end) in
            [(76, "\r\n"), (76, "\n"), (60, "\n"), (72, "\r\n"), (61, "\n"), (1_000_000, "\n")]
        {
            base64_case(&base64(&bytes, width, line_end), &bytes, 16);
        }
        base64_case(base64(&bytes, 76, "\n").trim_end(), &bytes, 16);
        base64_case(&base64(&bytes, 76, "\n\n"), &bytes, 16);
        base64_case(&base64(&bytes, 76, " \r\n"), &bytes, 16);
    }
}

#[test]
fn irregular_base64_is_decoded_all_the_same() {
    let bytes = noise(20_000);
    let regular = base64(&bytes, 76, "\n");
    let footer = "_______________\nlist mailing list\nhttps://example.org/list\n";
    base64_case(&format!("\n  \n{regular}"), &bytes, 30);
    base64_case(&format!("{regular}\n\n\n{footer}"), &bytes, 100);
    base64_case(&regular.replacen('\n', "\r\n", 100), &bytes, 30);
    base64_case(&regular.replacen('\n', "\n\n", 50), &bytes, 120);
    base64_case(&regular.replacen('\n', " \n", 20), &bytes, 30);
    let mut stray = regular.clone();
    stray.insert(5000, ' ');
    stray.insert(5001, '!');
    base64_case(&stray, &bytes, 60);
    let mut text = String::new();
    for (index, line) in bytes.chunks(90).enumerate() {
        text.push_str(&base64(line, 40 + index % 41, "\n"));
    }
    let whole = round_trip_large(&attachment("base64", &text));
    assert_eq!(whole.split.parts[0].info.encoding, Encoding::Base64);
}

#[test]
fn texts_in_a_row_are_joined() {
    let (first, second) = (noise(1000), noise(2000));
    let text = format!("{}{}", base64(&first, 76, "\r\n"), base64(&second, 76, "\r\n"));
    base64_case(&text, &[first, second].concat(), 40);
}

#[test]
fn odd_ends_of_base64_come_back() {
    let regular = base64(&noise(1500), 76, "\n");
    for tail in [
        "QQ==", "QUI=", "QR==", "QUJ=", "Q", "QQ", "QQ=", "Q\nQ==", "QQ=\n=", "QQ===", "====", "QQ==QQ==",
        "Q=Q=", "QQ==\r", "QQ== \t",
    ] {
        let whole = round_trip(&attachment("base64", &format!("{regular}{tail}")));
        let part = &whole.split.parts[0];
        assert_eq!(part.info.encoding, Encoding::Base64, "{tail}");
        assert!(part.decoded_bytes >= 1500);
        let _whole = round_trip(&attachment("base64", tail));
    }
}

#[test]
fn text_that_claims_to_be_base64_is_kept() {
    let text = "This is plainly a text, and was never encoded by anyone.\n".repeat(100);
    let whole = round_trip(&attachment("base64", &text));
    assert_eq!(whole.split.parts[0].info.encoding, Encoding::Identity);
    assert_eq!(whole.objects[0].1, text.as_bytes());
}

#[test]
fn hostile_base64_is_bounded() {
    let blanks = format!(
        "{}{}{}",
        base64(&noise(60_000), 76, "\n"),
        "\r\n".repeat(530_000),
        base64(&noise(600), 76, "\n")
    );
    let whole = round_trip_large(&attachment("base64", &blanks));
    assert!(whole.split.skeleton.len() < 600_000);
    let ragged: String =
        (0..60_000).map(|index| ["QUJD\n", "Q\n", "QUI\n", " Q=\n", "!\n"][index * index % 5]).collect();
    let whole = round_trip_large(&attachment("base64", &ragged));
    assert!(whole.split.skeleton.len() < 1_200_000);
    let one_line = format!("{}{}", base64(&noise(200_001), usize::MAX, ""), "\0".repeat(100));
    let whole = round_trip_large(&attachment("base64", &one_line));
    assert_eq!(whole.split.parts[0].info.encoding, Encoding::Base64);
}

#[test]
fn quoted_printable_is_decoded() {
    let line = "Gr=C3=BC=C3=9Fe aus einem ganz gew=C3=B6hnlichen Text, der lang genug ist, um=\n umbrochen zu werden.\n=20\n";
    for text in [
        line.repeat(100),
        line.repeat(2000),
        line.replace('\n', "\r\n").repeat(100),
        line.to_lowercase().repeat(100),
    ] {
        let whole = round_trip_large(&attachment("quoted-printable", &text));
        let part = &whole.split.parts[0];
        assert_eq!(part.info.encoding, Encoding::QuotedPrintable);
        let parsed = Skeleton::parse(&whole.split.skeleton).unwrap();
        let Op::Object { recipe, .. } = &parsed.ops()[parsed.parts()[0].op] else { panic!("no object") };
        assert!(recipe.len() as u64 * 8 <= part.encoded_bytes - part.decoded_bytes + 16);
        assert!(!whole.objects[0].1.contains(&b'='));
    }
}

#[test]
fn odd_quoted_printable_comes_back() {
    let usual = "Caf=C3=A9 and =E2=82=AC, na=C3=AFve=20\n".repeat(20);
    for odd in [
        "=",
        "=\n",
        "=\r\n",
        "= \n=\t\r\n",
        "==\n",
        "=3",
        "=3\n",
        "=zz",
        "=e9=E9=eF",
        "=\n=\n=\n",
        "a \n",
        "=0D=0A",
        "\r",
        "=00",
        "\0",
        ".\n",
    ] {
        let _inside = round_trip(&attachment("quoted-printable", &format!("{usual}{odd}{usual}")));
        let _after = round_trip(&attachment("quoted-printable", &format!("{usual}{odd}")));
        let _alone = round_trip(&attachment("quoted-printable", odd));
    }
}

#[test]
fn quoted_printable_that_turns_wild_is_ended() {
    let usual = "Caf=C3=A9 and =E2=82=AC, na=C3=AFve=20\n".repeat(4000);
    let wild: String =
        noise(200_000).iter().map(|byte| if byte & 1 == 0 { "=\n" } else { "=e9=E9" }).collect();
    let whole = round_trip_large(&attachment("quoted-printable", &format!("{usual}{wild}")));
    assert_eq!(whole.split.parts[0].info.encoding, Encoding::QuotedPrintable);
    assert_eq!(whole.split.parts.last().unwrap().info.role, Role::Raw);
    let breaks = format!("{usual}{}", "=\n".repeat(100_000));
    let whole = round_trip_large(&attachment("quoted-printable", &breaks));
    assert_eq!(whole.split.parts[0].info.encoding, Encoding::QuotedPrintable);
}

#[test]
fn leaves_are_found_and_named() {
    let body = "Hello.\r\n".repeat(600);
    let data = noise(3000);
    let message = format!(
        "Message-ID:\r\n <outer@example.org>\r\nContent-Type: multipart/mixed;\r\n boundary=\"out er\"\r\n\r\npreamble\r\n--out er\r\n\r\n{body}\r\n\
         --out er\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <inner@example.org>\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n\
         --in\r\nContent-Type: text/html\r\n\r\n<p>\r\n--in--\r\n\r\n--out er\r\nContent-Type: Image/PNG\r\n\
         Content-Disposition: attachment; filename*=utf-8''gr%C3%BCn.png\r\nContent-Transfer-Encoding: BASE64 \r\n\r\n{}\r\n--out er--\r\nepilogue",
        base64(&data, 76, "\r\n")
    );
    let whole = round_trip(message.as_bytes());
    assert_eq!(whole.split.message_id.as_deref(), Some("outer@example.org"));
    let seen: Vec<_> =
        whole.split.parts.iter().map(|part| (part.info.role, &*part.info.media_type, part.object)).collect();
    assert_eq!(
        seen,
        [
            (Role::Body, "text/plain", Some(0)),
            (Role::Body, "text/html", None),
            (Role::Attachment, "image/png", Some(1)),
        ]
    );
    assert_eq!(whole.objects[0].1, body.as_bytes());
    assert_eq!(whole.objects[1].1, data);
    assert_eq!(whole.split.parts[2].info.file_name.as_deref(), Some("grün.png"));
    let parsed = Skeleton::parse(&whole.split.skeleton).unwrap();
    let Op::Literal(range) = &parsed.ops()[parsed.parts()[1].op] else { panic!("not literal") };
    assert_eq!(&whole.split.skeleton[range.clone()], b"<p>");
}

#[test]
fn deep_nesting_stops_at_the_limit() {
    let entity = |level| format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n");
    let message = (0..2000).map(entity).collect::<Vec<_>>().concat();
    let whole = round_trip_large(message.as_bytes());
    assert_eq!(whole.split.parts.len(), 1);
    assert_eq!(whole.split.parts[0].info.media_type, "multipart/mixed");
    let chain = "Content-Type: message/rfc822\n\n".repeat(12_000);
    assert_eq!(round_trip_large(chain.as_bytes()).split.parts[0].info.role, Role::Raw);
}

#[test]
fn many_parts_end_in_one_raw_object() {
    let message = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(6_000));
    let whole = round_trip_large(message.as_bytes());
    assert_eq!(whole.split.parts.len(), 4097);
    assert_eq!(whole.objects.len(), 1);
    let part = format!("--b\nContent-Type: image/png\n\n{}\n", "y".repeat(1100));
    let message = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", part.repeat(5000));
    assert_eq!(round_trip_large(message.as_bytes()).objects.len(), 4097);
}

#[test]
fn huge_headers_become_one_raw_object() {
    let header = format!("X-Long: {}\n", "h".repeat(100)).repeat(4_000);
    let whole = round_trip_large(format!("{header}\nbody\n").as_bytes());
    assert_eq!(whole.split.parts[0].info.role, Role::Raw);
    assert_eq!(whole.split.parts[1].decoded_bytes, 5);
    assert!(whole.split.skeleton.len() < 100);
    let whole = round_trip_large(format!("X: {}", "h".repeat(1_000_000)).as_bytes());
    assert_eq!(whole.split.parts.len(), 1);
}

#[test]
fn small_limits_change_placement_but_not_the_message() {
    let limits = SplitLimits { skeleton_bytes_max: 300, literal_run_bytes_max: 60, ..SplitLimits::default() };
    let part = format!(
        "--b\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n{}",
        base64(&noise(90), 76, "\n")
    );
    let message = format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", part.repeat(20));
    let whole = round_trip_with(message.as_bytes(), &limits, 3);
    assert_eq!(whole.split.parts.last().unwrap().info.role, Role::Raw);
    assert!(whole.split.skeleton.len() < 700);
}

#[test]
fn a_refusal_of_the_sink_reaches_the_caller() {
    let mut splitter = Splitter::new(SplitLimits::default());
    let message = attachment("7bit", &"x\n".repeat(5000));
    let pushed = splitter.push(&message, &mut Refuse);
    let result = pushed.and_then(|()| splitter.finish(&mut Refuse).map(|_| ()));
    assert_eq!(result.unwrap_err().kind(), Kind::ResourceExhausted);
}

#[test]
fn recipes_that_disagree_are_corrupt() {
    let mut out = Vec::new();
    let blank_lines = [0u8, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    for (encoding, recipe, decoded, length) in [
        (Encoding::Identity, &b"x"[..], &b""[..], 0),
        (Encoding::Identity, b"", b"abc", 2),
        (Encoding::Base64, b"", b"abc", 4),
        (Encoding::Base64, &[2, 4], b"", 4),
        (Encoding::Base64, &[2, 4], b"abcd", 4),
        (Encoding::Base64, &[2, 4], b"abc", 5),
        (Encoding::Base64, &[2 | 5 << 2, 0, 0xff], b"a", 2),
        (Encoding::Base64, &[0x80], b"abc", 4),
        (Encoding::Base64, &blank_lines, b"", u64::MAX),
        (Encoding::QuotedPrintable, b"", b"", 0),
        (Encoding::QuotedPrintable, &[7, 0], b"", 0),
        (Encoding::QuotedPrintable, &[0, 0, 40], b"abc", 3),
        (Encoding::QuotedPrintable, &[0, 0, 2, 200], b"abc", 3),
    ] {
        let error = encode_part(encoding, (recipe, decoded), length, &mut out).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{encoding:?} {recipe:?}");
    }
}

#[test]
fn the_bytes_of_recipes_and_skeletons_stand() {
    let message = attachment("base64", &base64(&noise(300_000), 76, "\r\n"));
    let whole = round_trip_large(&message);
    let head = b"\x01\x02\x00\x6a\x57\x00\x12application/x-test\x05a.bin\xa0\x87\x19\xe0\xa7\x12\x06\x04\x8f\x29\x4c\x05\x0c";
    assert_eq!(whole.split.skeleton[..head.len()], head[..], "{:02x?}", &whole.split.skeleton[..head.len()]);
}

#[test]
fn malformed_skeletons_are_refused() {
    for skeleton in [
        &b""[..],
        b"\x00",
        b"\x02\x00",
        b"\x01",
        b"\x01\x01",
        b"\x01\x01\x00\x05abc",
        b"\x01\x00x",
        b"\x01\x01\x04\x01",
        b"\x01\x01\x83\x01\x05",
        b"\x01\x01\x03\x7f\x05",
        b"\x01\xff\xff\x03",
    ] {
        assert_eq!(Skeleton::parse(skeleton).unwrap_err().kind(), Kind::Corrupt, "{skeleton:?}");
    }
    assert_eq!(Skeleton::parse(b"\x01\x00").unwrap().total_bytes(), 0);
    let missing = split(&attachment("7bit", &"x\n".repeat(5000)), SplitLimits::default()).unwrap();
    assert_eq!(assemble(&missing.split.skeleton, &|_| None).unwrap_err().kind(), Kind::Corrupt);
    assert_eq!(assemble(&missing.split.skeleton, &|_| Some(b"x")).unwrap_err().kind(), Kind::Corrupt);
}

/// A recipe that writes much and then fails leaves nothing of it.
#[test]
fn a_refused_recipe_leaves_no_more_than_was_stated() {
    let literal = [&[3, 100][..], &[b'x'; 100], &[0xFF]].concat();
    let mut out = b"before".to_vec();
    let refused = encode_part(Encoding::Base64, (&literal, b"abc"), 4, &mut out).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt);
    assert_eq!(out, b"before");
}
