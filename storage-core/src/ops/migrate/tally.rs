//! What a migration tells: its plan and what came of it, added up by the tiers that content moved from and to.

use crate::ops::rewrite::unit::Change;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::ops::rewrite::unit::Tally;
use crate::report::MigrateReport;
use crate::report::Move;

impl Tally for MigrateReport {
    /// The stored bytes of a block are shared out among the tiers its units came from, by decoded bytes.
    fn block(&mut self, units: &mut dyn Iterator<Item = &PlannedUnit>, stored_bytes: u64) {
        let units: Vec<&PlannedUnit> = units.collect();
        let total: u64 = units.iter().map(|unit| unit.bytes).sum();
        let mut left = stored_bytes;
        for (index, unit) in units.iter().enumerate() {
            let share = if index + 1 == units.len() {
                left
            } else {
                stored_bytes.saturating_mul(unit.bytes) / total.max(1)
            };
            left = left.saturating_sub(share);
            add_move(self, unit, share);
        }
    }

    fn pack(&mut self) {
        self.packs += 1;
    }

    fn overtaken(&mut self, units: u64) {
        self.overtaken += units;
    }

    fn damaged(&mut self) {
        self.damaged += 1;
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

/// Adds one unit to a report.
pub(super) fn add_move(report: &mut MigrateReport, unit: &PlannedUnit, stored_bytes: u64) {
    let name = format!("{} -> {}", unit.from.tier.name(), unit.to.name());
    let moves = if unit.change == Change::AddCopy { &mut report.copies } else { &mut report.moves };
    let sum: &mut Move = moves.entry(name).or_default();
    sum.objects += 1;
    sum.decoded_bytes += unit.bytes;
    sum.stored_bytes += stored_bytes;
}
