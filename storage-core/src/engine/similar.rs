//! What is nearly the same.

use crate::engine::Engine;
use crate::error::Error;
use crate::error::Result;
use crate::model::ItemKind;
use crate::ops::items;
use crate::ops::similar;
use crate::report::Similar;
use crate::report::SimilarOptions;

/// Results of one search at most.
const LIMIT_MAX: u32 = 100;

impl Engine {
    /// Objects that are nearly the same as those of an item, the likest first. Only what a migration has moved is found.
    pub async fn find_similar(
        &self,
        tenant: &str,
        kind: ItemKind,
        id: &str,
        options: SimilarOptions,
    ) -> Result<Vec<Similar>> {
        if !(1..=LIMIT_MAX).contains(&options.limit) || options.score_min > 100 {
            return Err(Error::invalid("The limit is 1 to 100, and the lowest score 0 to 100."));
        }
        let tenant = self.tenant(tenant).await?;
        let row = items::find(self.store(), &tenant, kind, id).await?;
        similar::find(self.store(), &tenant, &row, options).await
    }
}
