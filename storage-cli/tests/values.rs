//! What options accept and refuse, and what the accepted mean.

use std::time::Duration;

use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::proptest;
use storage_cli::values::ByteRange;
use storage_cli::values::Moment;
use storage_cli::values::byte_range;
use storage_cli::values::days;
use storage_cli::values::duration;
use storage_cli::values::label;
use storage_cli::values::rate;
use storage_cli::values::size;
use storage_cli::values::size_or_never;
use storage_core::clock::Timestamp;

#[test]
fn durations() {
    for (text, seconds) in [
        ("0", 0),
        ("0s", 0),
        ("90s", 90),
        ("5m", 300),
        ("1h", 3600),
        ("24h", 86_400),
        ("2d", 172_800),
        ("1w", 604_800),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for text in [
        "",
        "5",
        "h",
        "-1h",
        "1.5h",
        "1y",
        "1H",
        " 1h",
        "1h ",
        "99999999999999999999d",
        "9999999999999d",
        "d1",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn days_are_whole() {
    assert_eq!(days("7d"), Ok(7));
    assert_eq!(days("2w"), Ok(14));
    assert_eq!(days("48h"), Ok(2));
    assert_eq!(days("0"), Ok(0));
    assert!(days("36h").is_err());
    assert!(days("7").is_err());
}

#[test]
fn sizes() {
    for (text, bytes) in [
        ("0", 0),
        ("4096", 4096),
        ("4096B", 4096),
        ("500MB", 500_000_000),
        ("500mb", 500_000_000),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("1.5 GiB", 1_610_612_736),
        ("0.001MB", 1000),
        ("2TB", 2_000_000_000_000),
        ("1TiB", 1 << 40),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for text in
        ["", "MB", "-1", "1.", ".5MB", "1..2MB", "1.2345MB", "10M", "1PB", "99999999TiB", "1e3", "12 monkeys"]
    {
        assert!(size(text).is_err(), "{text}");
    }
    assert_eq!(rate("20MB/s"), Ok(20_000_000));
    assert_eq!(rate("20MB"), Ok(20_000_000));
    assert!(rate("20MB/h").is_err());
    assert_eq!(size_or_never("never"), Ok(u64::MAX));
    assert_eq!(size_or_never("1MiB"), Ok(1 << 20));
}

#[test]
fn moments() {
    let now = Timestamp(1_000_000);
    let at = |text: &str| text.parse::<Moment>().map(|moment| moment.resolve(now));
    assert_eq!(at("1970-01-01T00:00:01Z"), Ok(Timestamp(1000)));
    assert_eq!(at("1970-01-01T01:00:00.250+01:00"), Ok(Timestamp(250)));
    assert_eq!(at("1969-12-31T23:59:59.999Z"), Ok(Timestamp(-1)));
    assert_eq!(at("1970-01-02"), Ok(Timestamp(86_400_000)));
    assert_eq!(at("+0s"), Ok(now));
    assert_eq!(at("+400d"), Ok(Timestamp(1_000_000 + 400 * 86_400_000)));
    assert_eq!(at("+2w"), Ok(Timestamp(1_000_000 + 14 * 86_400_000)));
    assert_eq!(at("+36h"), Ok(Timestamp(1_000_000 + 36 * 3_600_000)));
    for text in [
        "",
        "now",
        "400d",
        "+",
        "+400",
        "-1d",
        "2026-01-31 12:00",
        "2026-13-01",
        "2026-02-30T00:00:00Z",
        "12345",
    ] {
        assert!(at(text).is_err(), "{text}");
    }
}

#[test]
fn byte_ranges_name_their_last_byte() {
    assert_eq!(byte_range("0-99"), Ok(ByteRange { offset: 0, length: Some(100) }));
    assert_eq!(byte_range("7-7"), Ok(ByteRange { offset: 7, length: Some(1) }));
    assert_eq!(byte_range("100-"), Ok(ByteRange { offset: 100, length: None }));
    for text in ["", "-", "5", "-5", "9-8", "a-b", "0-18446744073709551615", "1-2-3"] {
        assert!(byte_range(text).is_err(), "{text}");
    }
}

#[test]
fn labels() {
    assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
    assert_eq!(label("a="), Ok(("a".to_owned(), String::new())));
    assert!(label("=b").is_err());
    assert!(label("a").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let parsed = (duration(&text), size(&text), byte_range(&text), text.parse::<Moment>(), label(&text));
        drop(parsed);
    }

    #[test]
    fn plain_numbers_are_sizes(bytes in any::<u64>()) {
        prop_assert_eq!(size(&bytes.to_string()), Ok(bytes));
    }
}
