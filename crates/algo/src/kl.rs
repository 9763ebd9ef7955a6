//! Divergence from a reference policy, estimated from the sampled tokens only.

use std::{fmt, str::FromStr};

use crate::{ParseNameError, terms::TokenLoss};

/// Estimators of KL(policy || reference) from one token, with `d = logp - ref_logp` (Schulman's k1 to k3).
///
/// As a loss (gradient through `logp`) their expected gradients differ on the policy's own samples:
/// k1's is 0, k2's is that of the KL divergence, k3's (GRPO) is that of the reverse divergence. k1 belongs in
/// the reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KlEstimator {
    /// `k1`: `d`; unbiased, of either sign.
    K1,
    /// `k2`: `d^2 / 2`; biased, never negative.
    K2,
    /// `k3`: `exp(-d) - 1 + d`; unbiased, never negative. Constant below d = -20, where it is astronomical.
    K3,
}

const K3_MIN_DIFFERENCE: f64 = -20.0;

impl KlEstimator {
    /// The estimate at one token.
    pub fn value(self, logp: f32, ref_logp: f32) -> f64 {
        let difference = f64::from(logp) - f64::from(ref_logp);
        match self {
            KlEstimator::K1 => difference,
            KlEstimator::K2 => 0.5 * difference * difference,
            KlEstimator::K3 => {
                let difference = difference.max(K3_MIN_DIFFERENCE);
                libm::exp(-difference) - 1.0 + difference
            }
        }
    }

    /// Its derivative with respect to `logp`: `1`, `d`, `1 - exp(-d)`, or 0 where k3 is constant.
    pub fn derivative(self, logp: f32, ref_logp: f32) -> f64 {
        let difference = f64::from(logp) - f64::from(ref_logp);
        match self {
            KlEstimator::K1 => 1.0,
            KlEstimator::K2 => difference,
            KlEstimator::K3 if difference < K3_MIN_DIFFERENCE => 0.0,
            KlEstimator::K3 => 1.0 - libm::exp(-difference),
        }
    }
}

/// Computes `sum_t w_t k(logp_t, ref_logp_t)`, to be added to a policy loss with coefficient beta.
///
/// `logp`, `ref_logp`, `weights` `[N]`.
///
/// # Panics
/// If the slices differ in length.
pub fn kl_loss(logp: &[f32], ref_logp: &[f32], weights: &[f32], estimator: KlEstimator) -> TokenLoss {
    assert_eq!(ref_logp.len(), logp.len(), "one reference log-prob per token");
    TokenLoss::sum(logp, weights, |t| {
        (estimator.value(logp[t], ref_logp[t]), estimator.derivative(logp[t], ref_logp[t]))
    })
}

impl fmt::Display for KlEstimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KlEstimator::K1 => "k1",
            KlEstimator::K2 => "k2",
            KlEstimator::K3 => "k3",
        })
    }
}

impl FromStr for KlEstimator {
    type Err = ParseNameError;

    fn from_str(name: &str) -> Result<KlEstimator, ParseNameError> {
        [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3]
            .into_iter()
            .find(|estimator| estimator.to_string() == name)
            .ok_or_else(|| ParseNameError::new("KL estimator", name, "k1, k2 or k3"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [KlEstimator; 3] = [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3];

    #[test]
    fn hand_worked_estimates() {
        // d = 0.5 and -0.5; exp(-0.5) = 0.606531, exp(0.5) = 1.648721
        for (logp, expected) in [(-1.0, [0.5, 0.125, 0.106_531]), (-2.0, [-0.5, 0.125, 0.148_721])] {
            for (estimator, value) in ALL.iter().zip(expected) {
                let found = estimator.value(logp, -1.5);
                assert!((found - value).abs() < 1e-6, "{estimator}: found {found}, expected {value}");
            }
        }
    }

    #[test]
    fn k3_is_constant_below_a_difference_of_minus_20() {
        let largest = libm::exp(20.0) - 1.0 - 20.0;
        for (logp, slope) in [(-21.0, 1.0 - libm::exp(20.0)), (-21.5, 0.0)] {
            let (value, derivative) = (KlEstimator::K3.value(logp, -1.0), KlEstimator::K3.derivative(logp, -1.0));
            assert_eq!((value, derivative), (largest, slope));
        }
    }

    #[test]
    fn k1_and_k3_are_unbiased_over_a_whole_distribution() {
        let (policy, reference) = ([0.7, 0.2, 0.1], [0.5, 0.25, 0.25]);
        let exact: f64 = policy.iter().zip(reference).map(|(p, q)| p * libm::log(p / q)).sum();
        for estimator in [KlEstimator::K1, KlEstimator::K3] {
            let expected: f64 = policy
                .iter()
                .zip(reference)
                .map(|(&p, q)| p * estimator.value(libm::log(p) as f32, libm::log(q) as f32))
                .sum();
            assert!((expected - exact).abs() < 1e-6, "{estimator}: found {expected}, expected {exact}");
        }
    }

    #[test]
    fn same_policies_are_at_distance_0_and_far_ones_stay_finite() {
        for estimator in ALL {
            assert_eq!(estimator.value(-3.0, -3.0), 0.0);
            assert!(estimator.value(-1e4, -0.1).is_finite() && estimator.derivative(-1e4, -0.1).is_finite());
            assert_eq!(estimator.to_string().parse(), Ok(estimator));
        }
        assert_eq!(
            "k4".parse::<KlEstimator>().unwrap_err().to_string(),
            "unknown KL estimator `k4`, expected k1, k2 or k3"
        );
    }
}
