//! Scaling advantages over the whole batch.

use std::{fmt, iter::repeat_n, str::FromStr};

use crate::{ParseNameError, stats::Summary};

/// How the advantages of a batch are scaled before the policy update. Value targets are not affected.
///
/// Named `none`, `whiten`, `std` in configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// No scaling (the VAPO paper mentions no normalization; BPCO advises against it).
    #[default]
    None,
    /// `(A - mean(A)) / sqrt(var(A) + 1e-8)`: subtracting the mean changes signs relative to the critic.
    Whiten,
    /// `A / sqrt(var(A) + 1e-8)`: the scale of whitening, but signs are kept.
    Std,
}

/// Prevents a division by 0 in a batch of equal advantages.
const VARIANCE_EPSILON: f64 = 1e-8;

impl Normalization {
    /// Scales `advantages` `[N]` in place by the mean and sample variance over all tokens of included
    /// responses. `lengths` `[R]` are the tokens of each response, `included` `[R]` says which count;
    /// advantages of the others become 0. The batch must be complete: statistics of a micro-batch would
    /// make the gradient depend on the split. Equal advantages have no deviation and are not divided.
    ///
    /// For one advantage per response instead of one per token, pass lengths of 1.
    ///
    /// # Panics
    /// If `lengths` and `included` differ in length or `lengths` does not add up to N.
    pub fn apply(self, advantages: &mut [f32], lengths: &[usize], included: &[bool]) {
        assert_eq!(included.len(), lengths.len(), "one inclusion flag per response");
        let responses = lengths.iter().zip(included);
        let counts: Vec<bool> = responses.flat_map(|(&length, &included)| repeat_n(included, length)).collect();
        assert_eq!(counts.len(), advantages.len(), "one advantage per response token");

        let mut batch = Summary::default();
        for (&advantage, _) in advantages.iter().zip(&counts).filter(|&(_, &counts)| counts) {
            batch.push(f64::from(advantage));
        }
        let varying = batch.variance().filter(|&variance| variance > 0.0);
        let scale = varying.map_or(1.0, |variance| 1.0 / (variance + VARIANCE_EPSILON).sqrt());
        let (center, scale) = match self {
            Normalization::None => (0.0, 1.0),
            Normalization::Whiten => (batch.mean().unwrap_or(0.0), scale),
            Normalization::Std => (0.0, scale),
        };
        for (advantage, counts) in advantages.iter_mut().zip(counts) {
            let scaled = (f64::from(*advantage) - center) * scale;
            *advantage = if counts { scaled as f32 } else { 0.0 };
        }
    }
}

impl fmt::Display for Normalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Normalization::None => "none",
            Normalization::Whiten => "whiten",
            Normalization::Std => "std",
        })
    }
}

impl FromStr for Normalization {
    type Err = ParseNameError;

    fn from_str(name: &str) -> Result<Normalization, ParseNameError> {
        [Normalization::None, Normalization::Whiten, Normalization::Std]
            .into_iter()
            .find(|choice| choice.to_string() == name)
            .ok_or_else(|| ParseNameError::new("advantage normalization", name, "none, whiten or std"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Included tokens 1, 3, 2, 6: mean 3, sample variance (4 + 0 + 1 + 9)/3 = 14/3.
    const ADVANTAGES: [f32; 6] = [1.0, 3.0, 100.0, -100.0, 2.0, 6.0];
    const LENGTHS: [usize; 3] = [2, 2, 2];
    const INCLUDED: [bool; 3] = [true, false, true];

    fn normalized(choice: Normalization) -> [f32; 6] {
        let mut advantages = ADVANTAGES;
        choice.apply(&mut advantages, &LENGTHS, &INCLUDED);
        advantages
    }

    fn assert_close(found: [f32; 6], expected: [f32; 6]) {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5, "found {found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn whitening_uses_the_included_tokens_of_the_whole_batch() {
        let s = (14.0f32 / 3.0).sqrt();
        assert_close(normalized(Normalization::Whiten), [-2.0 / s, 0.0, 0.0, 0.0, -1.0 / s, 3.0 / s]);
    }

    #[test]
    fn dividing_by_the_deviation_keeps_signs() {
        let s = (14.0f32 / 3.0).sqrt();
        assert_close(normalized(Normalization::Std), [1.0 / s, 3.0 / s, 0.0, 0.0, 2.0 / s, 6.0 / s]);
    }

    #[test]
    fn none_only_clears_excluded_responses() {
        assert_eq!(normalized(Normalization::None), [1.0, 3.0, 0.0, 0.0, 2.0, 6.0]);
    }

    #[test]
    fn equal_advantages_and_empty_batches_stay_finite() {
        let mut equal = [0.5; 4];
        Normalization::Whiten.apply(&mut equal, &[4], &[true]);
        assert_eq!(equal, [0.0; 4]);
        Normalization::Whiten.apply(&mut [], &[], &[]);
        let mut undivided = [0.5, 0.5, 0.25];
        Normalization::Std.apply(&mut undivided, &[2, 1], &[true, false]);
        assert_eq!(undivided, [0.5, 0.5, 0.0]);
    }

    #[test]
    fn a_tiny_deviation_does_not_inflate_the_advantages() {
        // 1e-4 / sqrt(2e-8 + 1e-8)
        let mut advantages = [1e-4, -1e-4];
        Normalization::Std.apply(&mut advantages, &[1, 1], &[true, true]);
        assert!((advantages[0] - 0.577_350).abs() < 1e-5, "{advantages:?}");
    }

    #[test]
    fn names_round_trip_and_the_error_for_an_unknown_name_lists_the_choices() {
        for choice in [Normalization::None, Normalization::Whiten, Normalization::Std] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = "batch".parse::<Normalization>().unwrap_err();
        assert_eq!(error.to_string(), "unknown advantage normalization `batch`, expected none, whiten or std");
    }
}
