//! Properties over generated messages, mutations of them, and hostile skeletons. Seeds are fixed, so a
//! failure here is the same everywhere.

use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::prelude::prop_oneof;
use proptest::prelude::proptest;
use proptest::test_runner::RngSeed;

use crate::mime::Encoding;
use crate::mime::Skeleton;
use crate::mime::SplitLimits;
use crate::mime::assemble;
use crate::mime::encode_part;
use crate::mime::split;
use crate::mime::tests::base64;
use crate::mime::tests::noise;
use crate::mime::tests::round_trip_with;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(0x6d69_6d65),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Limits small enough that short messages meet all of them.
fn limits() -> impl Strategy<Value = SplitLimits> {
    let tight = SplitLimits {
        body_object_bytes: 60,
        attachment_object_bytes: 20,
        literal_run_bytes_max: 200,
        skeleton_bytes_max: 1500,
        parts_max: 6,
        depth_max: 2,
        recipe_bytes_base: 64,
    };
    prop_oneof![proptest::strategy::Just(SplitLimits::default()), proptest::strategy::Just(tight)]
}

fn base64_leaf() -> impl Strategy<Value = Vec<u8>> {
    let line_end = prop_oneof!["\n", "\r\n", "\n\n", " \r\n"];
    let tail = prop_oneof!["", "\n", "footer text\n", "QQ==\n", "Q", "=", "\r"];
    (0..900usize, prop_oneof![60..77usize, 1..9usize], line_end, tail).prop_map(
        |(len, width, line_end, tail)| {
            let head = "Content-Type: application/x-a; name=a\nContent-Transfer-Encoding: base64\n\n";
            [head, &base64(&noise(len), width, &line_end), &tail].concat().into_bytes()
        },
    )
}

fn quoted_leaf() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        "=C3=A4",
        "=e9",
        "=\n",
        "=\r\n",
        "= \n",
        "=20\n",
        "\n",
        "\r\n",
        "[a-z]{1,9} ",
        "=",
        "=0D=0A",
        "[ -~]{30,80}"
    ];
    prop::collection::vec(token, 0..60).prop_map(|tokens| {
        ["Content-Transfer-Encoding: quoted-printable\r\n\r\n", &tokens.concat()].concat().into_bytes()
    })
}

fn plain_leaf() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        "\n",
        "\r\n",
        "Content-Type: text/html\n\n",
        "Content-Type: message/rfc822\n\n",
        "Content-Disposition: attachment\n\n"
    ];
    (head, prop::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(head, body)| [head.as_bytes(), &body].concat())
}

/// A message as a tree of multiparts with leaves of all sorts.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![base64_leaf(), quoted_leaf(), plain_leaf()];
    leaf.prop_recursive(4, 12, 4, |inner| {
        let line_end = prop_oneof!["\n", "\r\n"];
        ("[a-c]{1,2}", line_end, prop::collection::vec(inner, 0..4), any::<bool>()).prop_map(
            |(boundary, line_end, parts, closed)| {
                let mut message =
                    format!("Content-Type: multipart/mixed; boundary={boundary}{line_end}{line_end}")
                        .into_bytes();
                for part in parts {
                    message.extend_from_slice(format!("{line_end}--{boundary}{line_end}").as_bytes());
                    message.extend_from_slice(&part);
                }
                if closed {
                    message.extend_from_slice(format!("{line_end}--{boundary}--{line_end}").as_bytes());
                }
                message
            },
        )
    })
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn any_message_comes_back_whatever_the_chunks(message in message(), limits in limits(), chunk in 1..200usize) {
        let _whole = round_trip_with(&message, &limits, chunk);
    }

    #[test]
    fn a_damaged_message_comes_back(
        message in message(),
        limits in limits(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut message = message;
        for (at, byte) in damage {
            if !message.is_empty() {
                let at = at.index(message.len());
                message[at] = byte;
            }
        }
        message.truncate(cut.index(message.len() + 1));
        let _whole = round_trip_with(&message, &limits, 11);
    }

    #[test]
    fn a_damaged_skeleton_is_refused_or_keeps_its_length(
        message in message(),
        damage in prop::collection::vec((0..60usize, any::<u8>()), 1..4),
    ) {
        let whole = split(&message, SplitLimits { body_object_bytes: 60, ..SplitLimits::default() }).unwrap();
        let mut skeleton = whole.split.skeleton;
        for (at, byte) in damage {
            if let Some(slot) = skeleton.get_mut(at) {
                *slot = byte;
            }
        }
        let objects: Vec<&[u8]> = whole.objects.iter().map(|(_, bytes)| &bytes[..]).collect();
        if let Ok(rebuilt) = assemble(&skeleton, &|object| objects.get(object as usize).copied()) {
            assert_eq!(rebuilt.len() as u64, Skeleton::parse(&skeleton).unwrap().total_bytes());
        }
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), decoded in prop::collection::vec(any::<u8>(), 0..60)) {
        let hostile = [&[1u8][..], &bytes].concat();
        if let Ok(rebuilt) = assemble(&hostile, &|_| Some(&decoded)) {
            assert_eq!(rebuilt.len() as u64, Skeleton::parse(&hostile).unwrap().total_bytes());
        }
        for encoding in [Encoding::Base64, Encoding::QuotedPrintable] {
            let mut out = Vec::new();
            let _refused = encode_part(encoding, (&bytes, &decoded), 4096, &mut out);
            // A refused call may leave what earlier strides made, never more than was stated.
            assert!(out.len() <= 4096);
        }
    }
}
