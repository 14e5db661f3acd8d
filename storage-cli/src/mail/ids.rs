//! The caller's id of an imported message: a hash of the source's name, the path inside it and the message's ordinal in
//! its file, so that importing again changes nothing and two copies in two folders stay two messages. Its rule must
//! never change: ids made by it are stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest;
use sha2::Sha256;

const RULE: &[u8] = b"storage-cli import id 1";

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
    let text = URL_SAFE_NO_PAD.encode(id);
    match text.strip_prefix('-') {
        Some(rest) => format!(".{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::caller_id;

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
