//! Ratios of a token's probability under two policies.

/// The interval `[1 - low, 1 + high]` around ratio 1 (VAPO and DAPO: 0.2 and 0.28, "clip-higher").
///
/// Infinity removes a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatioRange {
    /// How far a ratio may fall below 1.
    pub low: f64,
    /// How far a ratio may rise above 1.
    pub high: f64,
}

impl RatioRange {
    pub(crate) fn bounds(self) -> (f64, f64) {
        (1.0 - self.low, 1.0 + self.high)
    }
}

/// Bound of |log ratio| before exponentiation, as in verl: exp(20) still has finite products in f32.
const MAX_ABS_LOG_RATIO: f64 = 20.0;

/// A probability ratio new/old.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// Its logarithm, clamped to +-20.
    pub(crate) log: f64,
    /// The ratio.
    pub(crate) value: f64,
    /// Its derivative with respect to the unclamped logarithm: the ratio itself, or 0 where it is clamped.
    pub(crate) slope: f64,
}

impl Ratio {
    pub(crate) fn from_log(log_ratio: f64) -> Ratio {
        let log = log_ratio.clamp(-MAX_ABS_LOG_RATIO, MAX_ABS_LOG_RATIO);
        let value = libm::exp(log);
        Ratio { log, value, slope: if log == log_ratio { value } else { 0.0 } }
    }

    /// The ratio of one token; exactly 1 for equal log-probs.
    pub(crate) fn of(logp: f32, old_logp: f32) -> Ratio {
        Ratio::from_log(f64::from(logp) - f64::from(old_logp))
    }
}

/// Corrects for samples drawn by another policy or engine (truncated importance sampling):
/// `min(pi_old / pi_sampler, cap)` per token; published caps are 2 and 10.
///
/// Multiply the weights of the policy loss by the result; it is a constant in the gradient.
///
/// `old_logp`, `sampler_logp` `[N]`, result `[N]`.
///
/// # Panics
/// If the slices differ in length.
pub fn truncated_importance_weights(old_logp: &[f32], sampler_logp: &[f32], cap: f64) -> Vec<f32> {
    assert_eq!(sampler_logp.len(), old_logp.len(), "one sampler log-prob per token");
    let tokens = old_logp.iter().zip(sampler_logp);
    tokens.map(|(&old, &sampler)| Ratio::of(old, sampler).value.min(cap) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn importance_weight_is_trainer_over_sampler_up_to_the_cap() {
        // probabilities (0.5, 0.2, 0.9) over (0.25, 0.4, 0.1): 2, 0.5, 9 -> 4
        let ln = |p: f64| libm::log(p) as f32;
        let found = truncated_importance_weights(&[ln(0.5), ln(0.2), ln(0.9)], &[ln(0.25), ln(0.4), ln(0.1)], 4.0);
        for (a, b) in found.iter().zip([2.0, 0.5, 4.0]) {
            assert!((a - b).abs() < 1e-6, "{found:?}");
        }
        assert_eq!(truncated_importance_weights(&[-3.25], &[-3.25], 2.0), [1.0]);
    }

    #[test]
    fn log_ratio_is_clamped_before_the_exponential() {
        for (far, log) in [(1e30, 20.0), (-1e30, -20.0), (f64::INFINITY, 20.0), (f64::NEG_INFINITY, -20.0)] {
            let ratio = Ratio::from_log(far);
            assert_eq!(ratio, Ratio { log, value: libm::exp(log), slope: 0.0 });
        }
        let inside = Ratio::from_log(0.5);
        assert_eq!(inside.slope, inside.value);
    }
}
