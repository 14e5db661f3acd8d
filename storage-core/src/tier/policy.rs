//! Which tier an item belongs in, from its age, its reads and its size. Pure: no clock, no I/O.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::DAY_MILLIS;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::model::Tier;

/// When content moves between tiers. Days count from the later of creation and last access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TierPolicy {
    /// Days until hot content becomes warm.
    pub warm_after_days: u32,
    /// Days until it becomes cold.
    pub cold_after_days: u32,
    /// Days until it becomes archive.
    pub archive_after_days: u32,
    /// Objects above this many bytes skip the warm tier, where LZ4 gains little on them.
    pub skip_warm_bytes_min: u64,
    /// Reads on one day that bring a copy of archived or cold content back to the hot tier.
    pub promote_hot_reads: u32,
    /// Reads on one day that bring a copy of archived or cold content back to the warm tier.
    pub promote_warm_reads: u32,
}

impl Default for TierPolicy {
    fn default() -> Self {
        Self {
            warm_after_days: 7,
            cold_after_days: 30,
            archive_after_days: 180,
            skip_warm_bytes_min: u64::MAX,
            promote_hot_reads: 50,
            promote_warm_reads: 10,
        }
    }
}

impl TierPolicy {
    /// Checks that the thresholds are in order.
    pub fn validate(&self) -> Result<()> {
        if self.warm_after_days > self.cold_after_days || self.cold_after_days > self.archive_after_days {
            return Err(Error::invalid(
                "The tier policy must satisfy warm_after_days <= cold_after_days <= archive_after_days.",
            ));
        }
        if self.promote_warm_reads == 0 || self.promote_warm_reads > self.promote_hot_reads {
            return Err(Error::invalid(
                "The tier policy must satisfy 1 <= promote_warm_reads <= promote_hot_reads.",
            ));
        }
        Ok(())
    }

    /// The coldest tier that content last used at `used` may be in at `now`. Never warmer for a later `now`.
    pub fn target(&self, used: Timestamp, now: Timestamp, bytes: u64) -> Tier {
        let days = now.0.saturating_sub(used.0).div_euclid(DAY_MILLIS);
        if days >= i64::from(self.archive_after_days) {
            Tier::Archive
        } else if days >= i64::from(self.cold_after_days) {
            Tier::Cold
        } else if days >= i64::from(self.warm_after_days) && bytes < self.skip_warm_bytes_min {
            Tier::Warm
        } else {
            Tier::Hot
        }
    }

    /// For how many days content last used at `used` has been due for `tier` at `now`; negative where it is not due yet.
    pub fn days_overdue(&self, tier: Tier, used: Timestamp, now: Timestamp) -> i64 {
        let after = match tier {
            Tier::Hot => 0,
            Tier::Warm => self.warm_after_days,
            Tier::Cold => self.cold_after_days,
            Tier::Archive => self.archive_after_days,
        };
        now.0.saturating_sub(used.0).div_euclid(DAY_MILLIS).saturating_sub(i64::from(after))
    }

    /// The tier that content read `reads` times on one day deserves a copy in, if any.
    pub fn promotion(&self, reads: u32) -> Option<Tier> {
        if reads >= self.promote_hot_reads {
            Some(Tier::Hot)
        } else if reads >= self.promote_warm_reads {
            Some(Tier::Warm)
        } else {
            None
        }
    }
}
