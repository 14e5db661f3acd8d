//! The parts of a message: how they are found and named, and the limits.

use crate::error::Kind;
use crate::mime::Op;
use crate::mime::Role;
use crate::mime::Skeleton;
use crate::mime::SplitLimits;
use crate::mime::Splitter;
use crate::mime::tests::Refuse;
use crate::mime::tests::attachment;
use crate::mime::tests::base64;
use crate::mime::tests::noise;
use crate::mime::tests::round_trip;
use crate::mime::tests::round_trip_large;
use crate::mime::tests::round_trip_with;

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
