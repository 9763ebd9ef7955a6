//! The work allowed for one comparison.

use std::cell::Cell;

/// Steps left for one comparison; a step is a few nanoseconds to a few tens of nanoseconds.
pub(super) struct Budget(Cell<u64>);

/// A few milliseconds of the most expensive steps.
const STEPS: u64 = 60_000;

impl Budget {
    pub(super) fn new() -> Budget {
        Budget(Cell::new(STEPS))
    }

    /// Takes steps; returns `None` if fewer are left, and then always.
    pub(super) fn spend(&self, steps: u64) -> Option<()> {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or(0));
        left.map(drop)
    }
}
