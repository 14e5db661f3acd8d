//! What erasing asks of a catalog. The same contract as everywhere: a method that writes is one transaction, and a row that
//! cannot be understood is `Corrupt`.

use std::fmt;

use uuid::Uuid;

use crate::catalog::Answer;
use crate::catalog::rows::ErasureRow;
use crate::catalog::rows::GoneId;
use crate::clock::Timestamp;
use crate::ids::DictionaryKey;
use crate::ids::TenantKey;
use crate::model::ItemKind;

/// Erasures, and what they need to leave nothing behind.
pub trait Erasures: Send + Sync + fmt::Debug {
    /// Erasures that were asked for and are not done, in the order they were asked for.
    fn pending_erasures(&self) -> Answer<'_, Vec<ErasureRow>>;
    /// The erasure of an item, done or not.
    fn erasure(&self, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Answer<'_, Option<ErasureRow>>;
    /// Notes that nothing of these items is left. Their hashes are forgotten.
    fn end_erasures<'a>(&'a self, items: &'a [(TenantKey, ItemKind, Uuid)], at: Timestamp) -> Answer<'a, ()>;
    /// Deleted callers' ids are kept as what stands for them. One that is not there changes nothing.
    fn hide_gone_ids<'a>(&'a self, ids: &'a [GoneId]) -> Answer<'a, ()>;
    /// No new block may use these dictionaries.
    fn retire_dictionaries<'a>(&'a self, dictionaries: &'a [DictionaryKey]) -> Answer<'a, ()>;
    /// Rewrites the database so that nothing of a row that is gone stays in its files, and makes it durable. Returns the
    /// bytes written.
    fn expunge(&self) -> Answer<'_, u64>;
}
