//! Dictionaries that have lost touch, and those that nothing needs. What a class holds changes: a dictionary that saves on
//! its newest part less than half of what it saved when it was made is followed by one sampled from that part, if that
//! pays. The old one goes on serving the blocks that were written with it, and goes when no pack needs it. A dictionary of
//! a class that has nothing in the archive any more retires, too.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use crate::catalog::rows::DictionaryRow;
use crate::catalog::rows::FrameUse;
use crate::catalog::rows::TenantRow;
use crate::clock::DAY_MILLIS;
use crate::error::Result;
use crate::media::MediaClass;
use crate::ops::compact::dictionaries::RETRY;
use crate::ops::compact::run::Run;
use crate::ops::rewrite::dictionary;
use crate::ops::rewrite::dictionary::BYTES_PER_DICTIONARY_BYTE;
use crate::ops::rewrite::dictionary::Trial;

/// A dictionary has drifted where it saves this part of what it did, or less.
const GAIN_LEFT: f64 = 0.5;

/// A dictionary that was made and never used is kept for so many days.
const UNUSED_DAYS: i64 = 30;

impl Run<'_> {
    /// Follows a dictionary that has drifted; whether a new one was made.
    pub(super) async fn replace_drifted(
        &self,
        (tenant, class): (&TenantRow, MediaClass),
        active: &DictionaryRow,
        archived: &[FrameUse],
    ) -> Result<bool> {
        let bytes: u64 = archived.iter().map(|used| used.bytes).sum();
        if !self.is_to_be_tried((tenant, class), active, bytes) {
            return Ok(false);
        }
        let Some(codec) = dictionary::codec_of(self.store, active).await? else {
            return Ok(false);
        };
        let units = self.sampled_units(tenant, class, archived).await?;
        let newest = units.get(units.len() / 2..).unwrap_or_default();
        let tail = newest.get(newest.len() / 2..).unwrap_or_default();
        let gain = dictionary::gain_on(self.store, class, codec.clone(), tail).await?;
        if gain.is_none_or(|gain| gain > active.dictionary.gain * GAIN_LEFT) {
            return Ok(false);
        }
        tracing::info!(
            tenant = tenant.name,
            class = class.name(),
            gain,
            was = active.dictionary.gain,
            "a dictionary has drifted"
        );
        let served = newest.iter().map(|unit| unit.bytes).sum();
        // The old one stays for what it serves: its bytes are not given back.
        let trial = Trial { tenant, class, units: newest, served, replaced: Some((codec, 0)) };
        Ok(dictionary::sample(self.store, trial).await?.is_some())
    }

    /// Whether enough came since the dictionary was made, or was tried last.
    fn is_to_be_tried(
        &self,
        (tenant, class): (&TenantRow, MediaClass),
        active: &DictionaryRow,
        bytes: u64,
    ) -> bool {
        let made_for = active.dictionary.bytes.saturating_mul(BYTES_PER_DICTIONARY_BYTE);
        let mut trials = self.store.drift_trials.lock().unwrap_or_else(PoisonError::into_inner);
        let last = trials.get(&(tenant.key, class.code())).copied().unwrap_or(0).max(made_for);
        let due = bytes >= last.saturating_add(last / RETRY);
        if due {
            let _ = trials.insert((tenant.key, class.code()), bytes);
        }
        due
    }

    /// Retires dictionaries of classes that have nothing in the archive. Sweep removes them.
    pub(super) async fn retire_unneeded(&self, tenant: &TenantRow) -> Result<()> {
        let used: BTreeSet<u8> =
            self.known.uses.iter().filter(|used| used.tenant == tenant.key).map(|used| used.class).collect();
        let before = self.store.now().0.saturating_sub(UNUSED_DAYS * DAY_MILLIS);
        let unneeded = |row: &&DictionaryRow| {
            let old = row.dictionary.created.0 < before;
            row.active && row.packs == 0 && old && !used.contains(&row.dictionary.class)
        };
        let rows = self.store.catalog.dictionaries(Some(tenant.key)).await?;
        let keys: Vec<_> = rows.iter().filter(unneeded).map(|row| row.key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        self.store.catalog.retire_dictionaries(&keys).await
    }
}
