//! Statistics that can be merged: the merged summaries of micro-batches or workers equal the summary of the whole.

use crate::importance::Ratio;
use serde::{Deserialize, Serialize};

/// Count, mean, spread and extremes of a stream of numbers.
///
/// Mean and squared deviations are updated in place (Welford; merged by Chan et al.), which keeps the
/// variance accurate for large numbers that differ little, and exactly 0 for equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    count: u64,
    mean: f64,
    squared_deviations: f64,
    min: f64,
    max: f64,
}

impl Default for Summary {
    fn default() -> Summary {
        Summary { count: 0, mean: 0.0, squared_deviations: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Summary {
    /// Summarizes a slice.
    pub fn of(numbers: &[f32]) -> Summary {
        let mut summary = Summary::default();
        numbers.iter().for_each(|&number| summary.push(f64::from(number)));
        summary
    }

    /// Adds one number.
    pub fn push(&mut self, number: f64) {
        self.count += 1;
        let before = number - self.mean;
        self.mean += before / self.count as f64;
        self.squared_deviations += before * (number - self.mean);
        self.min = self.min.min(number);
        self.max = self.max.max(number);
    }

    /// Adds all numbers of another summary.
    pub fn merge(&mut self, other: &Summary) {
        if other.count == 0 {
            return;
        }
        let (own, added) = (self.count as f64, other.count as f64);
        let difference = other.mean - self.mean;
        self.count += other.count;
        self.mean += difference * added / (own + added);
        self.squared_deviations += other.squared_deviations + difference * difference * own * added / (own + added);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean, if there were any.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// Their sample variance (divisor n - 1), if there were at least two.
    pub fn variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.squared_deviations / (self.count - 1) as f64)
    }

    /// Their sample standard deviation, if there were at least two.
    pub fn std(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }

    /// The smallest, if there were any.
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest, if there were any.
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }
}

/// How much of the variation of returns the critic explains: `EV = 1 - Var(R - V) / Var(R)`.
///
/// 1 is perfect, 0 is the best that a constant reaches, below 0 is worse than a constant. With Monte-Carlo
/// returns the ceiling is `Var(E[R|s]) / Var(R)`, less than 1. Use Monte-Carlo returns
/// ([`value_targets`](crate::value_targets) with lambda 1): a bootstrapped target contains the critic's
/// own prediction and makes the result look too good.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExplainedVariance {
    returns: Summary,
    errors: Summary,
}

impl ExplainedVariance {
    /// Accumulates values `[N]` against Monte-Carlo returns `[N]`.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn of(values: &[f32], returns: &[f32]) -> ExplainedVariance {
        assert_eq!(returns.len(), values.len(), "one return per value");
        let mut accumulated = ExplainedVariance::default();
        for (&value, &monte_carlo) in values.iter().zip(returns) {
            accumulated.push(value, monte_carlo);
        }
        accumulated
    }

    /// Adds the value of one state and the return that followed it.
    pub fn push(&mut self, value: f32, monte_carlo_return: f32) {
        let target = f64::from(monte_carlo_return);
        self.returns.push(target);
        self.errors.push(target - f64::from(value));
    }

    /// Adds all data of another accumulator.
    pub fn merge(&mut self, other: &ExplainedVariance) {
        self.returns.merge(&other.returns);
        self.errors.merge(&other.errors);
    }

    /// The explained variance; `None` if the returns do not vary, for example if all answers are right.
    pub fn value(&self) -> Option<f64> {
        let variance = self.returns.variance().filter(|&variance| variance > 0.0)?;
        Some(1.0 - self.errors.variance()? / variance)
    }

    /// The errors `R - V`: their mean is the critic's bias.
    pub fn errors(&self) -> &Summary {
        &self.errors
    }
}

/// What a policy loss did with a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClipState {
    /// Its weight is 0: it is not part of the loss.
    #[default]
    Unused,
    /// It is within the bounds, or beyond one that does not apply to the sign of its advantage.
    Unclipped,
    /// It is clipped at the lower bound.
    Low,
    /// It is clipped at the upper bound.
    High,
    /// It is clipped by the dual clip.
    Dual,
}

/// Statistics of a policy loss, over tokens of non-zero weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyStats {
    /// The ratio used in the loss, new over old: of the token, or of its sequence in GSPO.
    pub ratio: Summary,
    /// Its logarithm, clamped to +-20.
    pub log_ratio: Summary,
    /// Tokens clipped at the lower bound.
    pub clipped_low: u64,
    /// Tokens clipped at the upper bound.
    pub clipped_high: u64,
    /// Tokens clipped by the dual clip.
    pub clipped_dual: u64,
}

impl PolicyStats {
    /// Adds a token that is used.
    pub(crate) fn push(&mut self, ratio: Ratio, clip: ClipState) {
        self.ratio.push(ratio.value);
        self.log_ratio.push(ratio.log);
        match clip {
            ClipState::Unused | ClipState::Unclipped => {}
            ClipState::Low => self.clipped_low += 1,
            ClipState::High => self.clipped_high += 1,
            ClipState::Dual => self.clipped_dual += 1,
        }
    }

    /// Adds the statistics of another micro-batch.
    pub fn merge(&mut self, other: &PolicyStats) {
        self.ratio.merge(&other.ratio);
        self.log_ratio.merge(&other.log_ratio);
        self.clipped_low += other.clipped_low;
        self.clipped_high += other.clipped_high;
        self.clipped_dual += other.clipped_dual;
    }

    /// Share of tokens clipped at the lower bound, if there are tokens.
    pub fn clip_low_frac(&self) -> Option<f64> {
        self.frac(self.clipped_low)
    }

    /// Share of tokens clipped at the upper bound, if there are tokens.
    pub fn clip_high_frac(&self) -> Option<f64> {
        self.frac(self.clipped_high)
    }

    /// Share of tokens clipped by the dual clip, if there are tokens.
    pub fn clip_dual_frac(&self) -> Option<f64> {
        self.frac(self.clipped_dual)
    }

    /// Largest |log ratio|; exactly 0 in the first update after sampling by the same engine.
    pub fn max_abs_log_ratio(&self) -> Option<f64> {
        Some(self.log_ratio.max()?.max(-self.log_ratio.min()?))
    }

    /// Estimates KL(old || new) from the old policy's samples by `-log r` (k1; verl's `ppo_kl`).
    pub fn approx_kl(&self) -> Option<f64> {
        self.log_ratio.mean().map(|mean| -mean)
    }

    /// Estimates KL(old || new) by `(r - 1) - log r` (k3): never negative, less noisy.
    pub fn approx_kl_k3(&self) -> Option<f64> {
        Some(self.ratio.mean()? - 1.0 - self.log_ratio.mean()?)
    }

    fn frac(&self, tokens: u64) -> Option<f64> {
        (self.ratio.count() > 0).then(|| tokens as f64 / self.ratio.count() as f64)
    }
}

/// Statistics of a value loss, over tokens of non-zero weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ValueStats {
    /// The critic's values.
    pub values: Summary,
    /// Unclipped squared errors `(V - target)^2`.
    pub squared_error: Summary,
    /// Tokens whose gradient was removed by the clip.
    pub clipped: u64,
}

impl ValueStats {
    /// Adds the statistics of another micro-batch.
    pub fn merge(&mut self, other: &ValueStats) {
        self.values.merge(&other.values);
        self.squared_error.merge(&other.squared_error);
        self.clipped += other.clipped;
    }

    /// Share of tokens whose gradient was removed by the clip, if there are tokens.
    pub fn clip_frac(&self) -> Option<f64> {
        (self.values.count() > 0).then(|| self.clipped as f64 / self.values.count() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() - expected).abs() < 1e-12, "found {found:?}, expected {expected}");
    }

    #[test]
    fn summary_of_hand_worked_numbers() {
        let summary = Summary::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]); // squares around 5: 32
        assert_eq!(summary.count(), 8);
        assert_close(summary.mean(), 5.0);
        assert_close(summary.variance(), 32.0 / 7.0);
        assert_eq!((summary.min(), summary.max()), (Some(2.0), Some(9.0)));
    }

    #[test]
    fn nothing_has_no_statistics() {
        let none = Summary::default();
        assert_eq!((none.mean(), none.std(), none.min(), none.max()), (None, None, None, None));
        assert_eq!(Summary::of(&[3.0]).variance(), None);
        let policy = PolicyStats::default();
        assert_eq!((policy.clip_low_frac(), policy.approx_kl(), policy.approx_kl_k3()), (None, None, None));
        assert_eq!(ValueStats::default().clip_frac(), None);
    }

    #[test]
    fn merged_parts_equal_the_whole() {
        let numbers = [0.3, -2.0, 5.5, 0.1, 9.0, -7.25, 1.0];
        for cut in 0..=numbers.len() {
            let mut merged = Summary::of(&numbers[..cut]);
            merged.merge(&Summary::of(&numbers[cut..]));
            let whole = Summary::of(&numbers);
            assert_eq!(merged.count(), whole.count());
            assert_close(merged.mean(), whole.mean().unwrap());
            assert_close(merged.variance(), whole.variance().unwrap());
            assert_eq!((merged.min(), merged.max()), (whole.min(), whole.max()));
        }
    }

    #[test]
    fn variance_survives_a_large_offset() {
        let summary = Summary::of(&[1e6, 1e6 + 1.0, 1e6 + 2.0]);
        assert_close(summary.variance(), 1.0);
    }

    #[test]
    fn explained_variance_of_hand_worked_numbers() {
        // R - V = (0.5, -0.25, -0.5, 0.25): sum of squares 0.625; R around 0.5: 1. EV = 0.375.
        let explained = ExplainedVariance::of(&[0.5, 0.25, 0.5, 0.75], &[1.0, 0.0, 0.0, 1.0]);
        assert_close(explained.value(), 0.375);
        assert_close(explained.errors().mean(), 0.0);
    }

    #[test]
    fn explained_variance_is_1_for_truth_0_for_a_constant_and_negative_for_worse() {
        let returns = [1.0, 0.0, 0.0, 1.0];
        assert_close(ExplainedVariance::of(&returns, &returns).value(), 1.0);
        assert_close(ExplainedVariance::of(&[0.7; 4], &returns).value(), 0.0);
        assert_close(ExplainedVariance::of(&[0.0, 1.0, 1.0, 0.0], &returns).value(), -3.0);
    }

    #[test]
    fn explained_variance_is_undefined_when_returns_agree() {
        assert_eq!(ExplainedVariance::of(&[0.1, 0.9, 0.4], &[0.1; 3]).value(), None);
        assert_eq!(ExplainedVariance::of(&[0.1], &[1.0]).value(), None);
        assert_eq!(ExplainedVariance::default().value(), None);
        let mut merged = ExplainedVariance::of(&[0.5, 0.5], &[0.1, 0.1]);
        merged.merge(&ExplainedVariance::of(&[0.25, 0.5], &[0.1, 0.1]));
        assert_eq!(merged.value(), None);
    }

    #[test]
    fn explained_variance_comes_from_global_sums() {
        // The returns of each half are equal, so the result of each half alone is undefined.
        let mut merged = ExplainedVariance::of(&[0.75, 0.5], &[1.0, 1.0]);
        merged.merge(&ExplainedVariance::of(&[0.25, 0.5], &[0.0, 0.0]));
        let whole = ExplainedVariance::of(&[0.75, 0.5, 0.25, 0.5], &[1.0, 1.0, 0.0, 0.0]);
        assert_close(merged.value(), whole.value().unwrap());
        assert_close(merged.value(), 0.375);
    }
}
