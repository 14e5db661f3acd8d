//! Sizes as people write them on a command line.

use anyhow::Context;
use anyhow::Result;

const UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Bytes of a size such as `200MB`, `4GiB` or `12345`.
pub fn parse(text: &str) -> Result<u64> {
    let found =
        UNITS.iter().find_map(|(name, factor)| text.strip_suffix(name).map(|digits| (digits, *factor)));
    let (digits, factor) = found.unwrap_or((text, 1));
    let number: u64 =
        digits.trim().parse().with_context(|| format!("'{text}' is no size; write it like 200MB or 4GiB"))?;
    number.checked_mul(factor).with_context(|| format!("{text} is too much"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes() {
        assert_eq!(parse("200MB").unwrap(), 200_000_000);
        assert_eq!(parse("4 GiB").unwrap(), 4 << 30);
        assert_eq!(parse("17").unwrap(), 17);
        assert!(parse("many").is_err());
        assert!(parse("99999999999GiB").is_err());
    }
}
