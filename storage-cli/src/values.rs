//! The values that options take: moments, durations, sizes, byte ranges, labels. Pure: text in, plain data out; the
//! present time is added later by [`Moment::resolve`].

use std::str::FromStr;
use std::time::Duration;

use storage_core::clock::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const MINUTE_SECONDS: u64 = 60;
const HOUR_SECONDS: u64 = 60 * MINUTE_SECONDS;
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;
const WEEK_SECONDS: u64 = 7 * DAY_SECONDS;

/// A moment as a person writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// An absolute time.
    At(Timestamp),
    /// So long from now.
    FromNow(Duration),
}

impl Moment {
    /// The moment meant, when it is `now`.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::FromNow(duration) => now.plus(duration),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(duration) = text.strip_prefix('+') {
            return self::duration(duration).map(Self::FromNow);
        }
        let midnight = if is_date(text) { Some(format!("{text}T00:00:00Z")) } else { None };
        let parsed = OffsetDateTime::parse(midnight.as_deref().unwrap_or(text), &Rfc3339).map_err(|_| {
            "give a time such as 2026-01-31T12:00:00Z or 2026-01-31, or +400d from now".to_owned()
        })?;
        let millis = parsed.unix_timestamp_nanos().div_euclid(1_000_000);
        let millis = i64::try_from(millis).map_err(|_| "this time is out of range".to_owned())?;
        Ok(Self::At(Timestamp(millis)))
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// A duration: a whole number and `s`, `m`, `h`, `d` or `w`; `0` needs no unit.
pub fn duration(text: &str) -> Result<Duration, String> {
    let hint = || format!("'{text}' is not a duration: give a whole number and s, m, h, d or w, such as 24h");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(hint)?;
    let number: u64 = number.parse().map_err(|_| hint())?;
    let seconds = match unit {
        "s" => 1,
        "m" => MINUTE_SECONDS,
        "h" => HOUR_SECONDS,
        "d" => DAY_SECONDS,
        "w" => WEEK_SECONDS,
        "" if number == 0 => 1,
        _ => return Err(hint()),
    };
    // The protocol counts seconds in a signed number; ten thousand years are enough for a person, too.
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds <= 10_000 * 366 * DAY_SECONDS);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("'{text}' is too long a duration"))
}

/// A duration of whole days, as a tier policy counts them.
pub fn days(text: &str) -> Result<u32, String> {
    let seconds = duration(text)?.as_secs();
    if !seconds.is_multiple_of(DAY_SECONDS) {
        return Err("give whole days, such as 7d".to_owned());
    }
    u32::try_from(seconds / DAY_SECONDS).map_err(|_| "too many days".to_owned())
}

/// A number of bytes: `500MB`, `1.5GiB`, `4096`. kB, MB, GB, TB count by 1000; KiB, MiB, GiB, TiB by 1024.
pub fn size(text: &str) -> Result<u64, String> {
    let hint = || {
        format!("'{text}' is not a size: give bytes, or a unit from kB to TB or KiB to TiB, such as 500MB")
    };
    let split = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, unit) = text.split_at_checked(split).ok_or_else(hint)?;
    let scale: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000_u64.pow(2),
        "gb" => 1000_u64.pow(3),
        "tb" => 1000_u64.pow(4),
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(hint()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 3 || (number.contains('.') && fraction.is_empty()) {
        return Err(hint());
    }
    let whole: u64 = whole.parse().map_err(|_| hint())?;
    let thousandths: u64 = format!("{fraction:0<3}").parse().map_err(|_| hint())?;
    let part = u128::from(thousandths) * u128::from(scale) / 1000;
    let bytes = u128::from(whole) * u128::from(scale) + part;
    u64::try_from(bytes).map_err(|_| format!("'{text}' is too large"))
}

/// A number of bytes a second: a [`size`], with or without `/s`.
pub fn rate(text: &str) -> Result<u64, String> {
    size(text.strip_suffix("/s").unwrap_or(text))
}

/// A [`size`], or `never` for no size at all.
pub fn size_or_never(text: &str) -> Result<u64, String> {
    if text == "never" { Ok(u64::MAX) } else { size(text) }
}

/// A range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte wanted.
    pub offset: u64,
    /// How many; all that follow if absent.
    pub length: Option<u64>,
}

/// `A-B`: the first and the last byte wanted, from 0, both included; `A-` means to the end.
pub fn byte_range(text: &str) -> Result<ByteRange, String> {
    let hint = || {
        format!("'{text}' is not a byte range: give first-last, such as 0-99, or first- for all that follow")
    };
    let (first, last) = text.split_once('-').ok_or_else(hint)?;
    let offset: u64 = first.parse().map_err(|_| hint())?;
    if last.is_empty() {
        return Ok(ByteRange { offset, length: None });
    }
    let last: u64 = last.parse().map_err(|_| hint())?;
    let length = last.checked_sub(offset).and_then(|span| span.checked_add(1)).ok_or_else(hint)?;
    Ok(ByteRange { offset, length: Some(length) })
}

/// `key=value`.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give a label as key=value".to_owned()),
    }
}
