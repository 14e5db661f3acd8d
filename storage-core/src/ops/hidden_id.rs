//! What stands for a caller's id that must not be kept: the id of an erased item stays gone for a while like that of a
//! deleted one, but the id itself may be part of what was erased (a Message-ID, an address). Pure.

use std::fmt::Write;

use sha2::Digest;
use uuid::Uuid;

use crate::model::ItemKind;

/// Bytes of the hash that are kept.
const KEPT_BYTES: usize = 20;

/// What stands for an id of a tenant's: the beginning of a hash of all three.
pub(crate) fn hidden_id(tenant: Uuid, kind: ItemKind, id: &str) -> String {
    let mut hash = sha2::Sha256::new();
    hash.update(b"erased id");
    hash.update(tenant.as_bytes());
    hash.update([u8::from(kind == ItemKind::Content)]);
    hash.update(id.as_bytes());
    let mut hidden = "erased:".to_owned();
    for byte in hash.finalize().iter().take(KEPT_BYTES) {
        // Writing to a string cannot fail.
        let _ = write!(hidden, "{byte:02x}");
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::hidden_id;
    use crate::model::ItemKind;
    use uuid::Uuid;

    #[test]
    fn what_stands_for_an_id_never_changes_and_tells_ids_apart() {
        let tenant = Uuid::from_u128(1);
        let hidden = hidden_id(tenant, ItemKind::Message, "a@b");
        assert_eq!(hidden.len(), 47);
        let others = [
            hidden_id(tenant, ItemKind::Content, "a@b"),
            hidden_id(Uuid::from_u128(2), ItemKind::Message, "a@b"),
            hidden_id(tenant, ItemKind::Message, "a@c"),
        ];
        assert!(!others.contains(&hidden));
        assert_eq!(hidden, "erased:578a16175c904df2ece13a03746f0c2a7202ec37");
    }
}
