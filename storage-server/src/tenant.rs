//! Which tenant a call is for: the metadata key `tenant-id`. It checks the form of the name; whether the tenant
//! exists is the engine's answer.

use tonic::Status;
use tonic::metadata::MetadataMap;

/// The metadata key that names the tenant.
pub const TENANT_KEY: &str = "tenant-id";

const NAME_BYTES_MAX: usize = 128;

/// The tenant of a call that needs one.
pub fn required(metadata: &MetadataMap) -> Result<String, Status> {
    optional(metadata)?.ok_or_else(|| {
        Status::invalid_argument(
            "Name the tenant in the metadata key `tenant-id`; the tenant `default` always exists.",
        )
    })
}

/// The tenant of a call where none means all.
pub fn optional(metadata: &MetadataMap) -> Result<Option<String>, Status> {
    let mut values = metadata.get_all(TENANT_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Status::invalid_argument(
            "Send the metadata key `tenant-id` once; a call is for one tenant.",
        ));
    }
    let name = value.to_str().map_err(|_| malformed())?;
    if is_name(name) { Ok(Some(name.to_owned())) } else { Err(malformed()) }
}

/// Whether `name` has the form of a tenant's name.
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

pub(crate) fn malformed() -> Status {
    Status::invalid_argument("A tenant's name is 1 to 128 of a-z, A-Z, 0-9, '.', '_' and '-'.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn metadata(values: &[&str]) -> MetadataMap {
        let mut map = MetadataMap::new();
        for value in values {
            assert!(map.append(TENANT_KEY, value.parse().unwrap()) || values.len() == 1 || map.len() == 1);
        }
        map
    }

    #[test]
    fn a_name_is_taken_as_it_is() {
        assert_eq!(required(&metadata(&["Acme-1.eu_2"])).unwrap(), "Acme-1.eu_2");
    }

    #[test]
    fn a_missing_name_is_an_error_only_where_it_is_needed() {
        let status = required(&MetadataMap::new()).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("`tenant-id`"), "{}", status.message());
        assert_eq!(optional(&MetadataMap::new()).unwrap(), None);
    }

    #[test]
    fn malformed_and_repeated_names_are_refused() {
        let long = "x".repeat(129);
        for values in [&[""][..], &["a b"], &["a/b"], &[long.as_str()], &["a", "b"]] {
            assert_eq!(optional(&metadata(values)).unwrap_err().code(), Code::InvalidArgument, "{values:?}");
        }
    }
}
