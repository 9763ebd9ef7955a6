//! The steps of a solution: the first wrong one, and settings for how often a demonstrator gets them right.

use crate::Error;

/// Where a response first goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongStep {
    /// The step, from 0.
    pub step: usize,
    /// The first wrong character of the response, from 0, in bytes; its length if the response ends too early.
    pub offset: usize,
}

/// Checks that a setting is a probability.
pub(super) fn check_probability(setting: &'static str, value: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::Setting { setting, expected: "a probability".to_owned(), found: value.to_string() })
}
