//! Between the protocol's types and the words and numbers of the command line. Pure. What a server sends is not trusted:
//! unknown tiers and broken times have a name, never a panic.

use std::fmt::Write;
use std::time::Duration;

use clap::ValueEnum;
use storage_core::clock::Timestamp;
use storage_server::proto::Tier;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A tier on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TierName {
    /// Uncompressed.
    Hot,
    /// LZ4.
    Warm,
    /// Zstd.
    Cold,
    /// Zstd with a dictionary.
    Archive,
}

impl TierName {
    /// The protocol's number.
    pub fn number(self) -> i32 {
        let tier = match self {
            Self::Hot => Tier::Hot,
            Self::Warm => Tier::Warm,
            Self::Cold => Tier::Cold,
            Self::Archive => Tier::Archive,
        };
        tier.into()
    }
}

/// The name of the tier with that number; none for the number that means "no tier".
pub fn tier_name(number: i32) -> Option<&'static str> {
    match Tier::try_from(number) {
        Ok(Tier::Unspecified) => None,
        Ok(Tier::Hot) => Some("hot"),
        Ok(Tier::Warm) => Some("warm"),
        Ok(Tier::Cold) => Some("cold"),
        Ok(Tier::Archive) => Some("archive"),
        Err(_) => Some("unknown"),
    }
}

/// A moment for the protocol.
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.0.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    prost_types::Timestamp { seconds: at.0.div_euclid(1000), nanos }
}

/// A moment from the protocol.
pub fn moment(at: &prost_types::Timestamp) -> OffsetDateTime {
    let nanos = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A moment from the protocol in RFC 3339.
pub fn rfc3339(at: &prost_types::Timestamp) -> String {
    moment(at).format(&Rfc3339).unwrap_or_default()
}

/// A duration for the protocol.
pub fn duration(duration: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default() }
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The text, or nothing where it is empty.
pub fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
