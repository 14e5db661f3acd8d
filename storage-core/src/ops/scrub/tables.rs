//! The tables of the blocks that rows point to. Rows that lie together come together, so a few tables serve many.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::rows::Location;
use crate::error::Result;
use crate::ops::read::moved_away;
use crate::ops::survey::Damage;
use crate::ops::survey::is_unreadable;
use crate::pack::BlockTable;
use crate::pack::FrameKind;
use crate::store::Store;

/// Tables kept.
const TABLES_MAX: usize = 64;

/// A table, or why there is none.
pub(super) type Table = Result<Arc<BlockTable>, Damage>;

/// The tables read last.
#[derive(Debug, Default)]
pub(super) struct Tables {
    tables: HashMap<(Uuid, u32), Table>,
    order: VecDeque<(Uuid, u32)>,
}

impl Tables {
    /// The table of the block that holds a location.
    pub(super) async fn at(&mut self, store: &Store, location: &Location) -> Result<Table> {
        let key = (location.pack, location.place.frame);
        if let Some(table) = self.tables.get(&key) {
            return Ok(table.clone());
        }
        let table = read(store, location).await?;
        if self.order.len() >= TABLES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            let _ = self.tables.remove(&oldest);
        }
        self.order.push_back(key);
        let _ = self.tables.insert(key, table.clone());
        Ok(table)
    }
}

async fn read(store: &Store, location: &Location) -> Result<Table> {
    let entry = match store.index_entry(location.pack, location.place.frame).await {
        Ok(entry) if entry.kind == FrameKind::Block => entry,
        Ok(entry) => return Ok(Err(format!("The frame there is a {}, no block.", entry.kind.name()))),
        Err(error) if moved_away(&error) || is_unreadable(&error) => {
            return Ok(Err(error.message().to_owned()));
        }
        Err(error) => return Err(error),
    };
    let head = store.head_at(location.pack, &entry).await;
    match head.and_then(|head| head.block_table()) {
        Ok(table) => Ok(Ok(Arc::new(table))),
        Err(error) if is_unreadable(&error) || error.kind() == crate::error::Kind::NotFound => {
            Ok(Err(error.message().to_owned()))
        }
        Err(error) => Err(error),
    }
}
