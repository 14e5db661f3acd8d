//! The dictionary that small tenants share: usual headers, HTML and reply boilerplate of our own writing. It holds
//! nobody's content, so nothing that is erased was ever in it.

use std::sync::Arc;

use uuid::Uuid;

use crate::codec::Dictionary;
use crate::codec::DictionaryKind;
use crate::error::Result;

/// The permanent id of version 1.
pub const BUILTIN_V1: Uuid = Uuid::from_u128(0x6d61_696c_2d64_8963_8000_0000_0000_0001);

/// Its bytes. Never change them: blocks that were written with them need them for ever.
const BUILTIN_V1_BYTES: &[u8] = include_bytes!("builtin_v1.txt");

/// The built-in dictionary of that id.
pub fn dictionary(id: Uuid) -> Result<Option<Arc<Dictionary>>> {
    if id != BUILTIN_V1 {
        return Ok(None);
    }
    let dictionary = Dictionary::new(BUILTIN_V1, DictionaryKind::RawContent, Arc::from(BUILTIN_V1_BYTES))?;
    Ok(Some(Arc::new(dictionary)))
}
