//! Transfer encodings: what is decoded, what is kept as it is, and what the recipes cost.

use crate::mime::Encoding;
use crate::mime::Op;
use crate::mime::Role;
use crate::mime::Skeleton;
use crate::mime::tests::attachment;
use crate::mime::tests::base64;
use crate::mime::tests::base64_case;
use crate::mime::tests::noise;
use crate::mime::tests::round_trip;
use crate::mime::tests::round_trip_large;

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
