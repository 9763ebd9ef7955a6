//! What one comparison may take, and how strict it is.

use std::cell::Cell;

use serde::{Deserialize, Serialize};

/// Whether a rounded decimal equals the exact value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// Only with at least six places and six digits: `0.333333` for 1/3.
    #[default]
    Strict,
    /// If the reference, rounded to the digits given, at least three significant ones, is the answer: `0.333` for 1/3.
    GivenDigits,
}

/// Steps left for one comparison; a step is a few nanoseconds to a few tens of nanoseconds.
pub(super) struct Budget {
    left: Cell<u64>,
    pub(super) rounding: Rounding,
}

/// A few milliseconds of the most expensive steps.
const STEPS: u64 = 60_000;

impl Budget {
    pub(super) fn new(rounding: Rounding) -> Budget {
        Budget { left: Cell::new(STEPS), rounding }
    }

    /// Takes steps; returns `None` if fewer are left, and then always.
    pub(super) fn spend(&self, steps: u64) -> Option<()> {
        let left = self.left.get().checked_sub(steps);
        self.left.set(left.unwrap_or(0));
        left.map(drop)
    }
}
