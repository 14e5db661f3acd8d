//! The caller's id of an imported message: a hash of the source's name, the path inside it and the message's ordinal in
//! its file, so that importing again changes nothing and two copies in two folders stay two messages. Its rule must
//! never change: ids made by it are stored.

use sha2::Digest;
use sha2::Sha256;

const RULE: &[u8] = b"storage-cli import id 1";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The id of message `ordinal` (from 0) of the file at `path` in `source`: 22 characters of base64url, the first 16
/// bytes of SHA-256 over the rule's name and the three values, each led by its length. A `.` stands for a `-` at its
/// beginning, so that no id looks like a flag.
pub fn caller_id(source: &str, path: &[u8], ordinal: u64) -> String {
    let mut hash = Sha256::new();
    for field in [RULE, source.as_bytes(), path, &ordinal.to_le_bytes()] {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let (id, _) = digest.split_at(16);
    let text = base64url(id);
    match text.strip_prefix('-') {
        Some(rest) => format!(".{rest}"),
        None => text,
    }
}

/// Base64 with the alphabet for URLs, without padding.
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        bits <<= 8 * (3 - group.len());
        for place in 0..=group.len() {
            let index = (bits >> (18 - 6 * place)) & 63;
            let letter = ALPHABET.get(index as usize).copied().unwrap_or_default();
            text.push(char::from(letter));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64url;
    use super::caller_id;

    #[test]
    fn base64url_agrees_with_rfc_4648() {
        let cases = [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in cases {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn no_id_looks_like_a_flag() {
        let ids: Vec<String> = (0..1_000).map(|ordinal| caller_id("mail", b"box", ordinal)).collect();
        assert!(ids.iter().all(|id| !id.starts_with('-')));
        assert!(ids.iter().any(|id| id.starts_with('.')), "the case was met");
        assert!(ids.iter().all(|id| id.len() == 22));
    }

    #[test]
    fn every_value_counts_and_none_runs_into_the_next() {
        let id = caller_id("mail", b"cur/1", 0);
        assert_eq!(id.len(), 22);
        assert_eq!(id, caller_id("mail", b"cur/1", 0));
        for other in [
            caller_id("mail2", b"cur/1", 0),
            caller_id("mail", b"cur/2", 0),
            caller_id("mail", b"cur/1", 1),
            caller_id("mailc", b"ur/1", 0),
        ] {
            assert_ne!(id, other);
        }
    }
}
