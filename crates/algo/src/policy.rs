//! The clipped policy loss of PPO, VAPO, GRPO and DAPO, and the input of every policy loss.

use std::ops::Range;

use crate::{
    importance::{Ratio, RatioRange},
    stats::{ClipState, PolicyStats},
    terms::TokenLoss,
};

/// Per-token data from before the update; each slice `[N]`.
#[derive(Clone, Copy, Debug)]
pub struct PolicyBatch<'a> {
    /// Log-probs under the policy in the denominator of the ratio.
    pub old_logp: &'a [f32],
    /// Advantages.
    pub advantages: &'a [f32],
    /// Weights of the optimizer step ([`Reduction::token_weights`](crate::Reduction::token_weights)),
    /// optionally times [`truncated_importance_weights`](crate::truncated_importance_weights).
    pub weights: &'a [f32],
}

impl<'a> PolicyBatch<'a> {
    /// The part belonging to a micro-batch.
    ///
    /// # Panics
    /// If the range is not within the batch.
    pub fn slice(self, tokens: Range<usize>) -> PolicyBatch<'a> {
        PolicyBatch {
            old_logp: &self.old_logp[tokens.clone()],
            advantages: &self.advantages[tokens.clone()],
            weights: &self.weights[tokens],
        }
    }

    pub(crate) fn check_lengths(&self, logp: &[f32]) {
        assert_eq!(self.old_logp.len(), logp.len(), "one old log-prob per token");
        assert_eq!(self.advantages.len(), logp.len(), "one advantage per token");
        assert_eq!(self.weights.len(), logp.len(), "one weight per token");
    }
}

/// A policy loss with its gradient and statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyLoss {
    /// `sum_t w_t l_t` over the tokens given.
    pub loss: f64,
    /// Its derivative with respect to each token's log-prob, `[N]`.
    pub dlogp: Vec<f32>,
    /// The ratio used for each token, new over old: its own, or that of its sequence in GSPO; 0 if it is unused. `[N]`
    pub ratios: Vec<f32>,
    /// What was clipped, `[N]`.
    pub clips: Vec<ClipState>,
    /// Statistics of these two columns.
    pub stats: PolicyStats,
}

impl PolicyLoss {
    /// The loss of tokens that are all unused.
    pub(crate) fn unused(tokens: usize) -> PolicyLoss {
        PolicyLoss {
            loss: 0.0,
            dlogp: vec![0.0; tokens],
            ratios: vec![0.0; tokens],
            clips: vec![ClipState::Unused; tokens],
            stats: PolicyStats::default(),
        }
    }

    /// Notes the ratio of a token that is used, and what was clipped.
    pub(crate) fn note(&mut self, t: usize, ratio: Ratio, clip: ClipState) {
        self.ratios[t] = ratio.value as f32;
        self.clips[t] = clip;
        self.stats.push(ratio, clip);
    }

    /// Adds `coefficient` times another loss of the same log-probs, such as VAPO's positive-example
    /// term with mu = 0.1 (VAPO eq. 10).
    ///
    /// # Panics
    /// If the losses have different numbers of tokens.
    pub fn add(&mut self, coefficient: f64, term: &TokenLoss) {
        assert_eq!(term.dlogp.len(), self.dlogp.len(), "losses of the same tokens");
        self.loss += coefficient * term.loss;
        for (sum, added) in self.dlogp.iter_mut().zip(&term.dlogp) {
            *sum += coefficient as f32 * added;
        }
    }
}

/// How far a token's probability may move before its gradient stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Bounds the ratio to `[1 - low, 1 + high]` (PPO; VAPO and DAPO with low < high).
    Ratio(RatioRange),
    /// Bounds the shift of the probability itself, `|pi - pi_old| <= epsilon`, so the ratio to
    /// `1 +- epsilon / pi_old` (DPPO, used by BPCO): rare tokens may move further.
    ProbabilityShift(f64),
}

impl Clip {
    fn bounds(self, old_logp: f32) -> (f64, f64) {
        match self {
            Clip::Ratio(range) => range.bounds(),
            Clip::ProbabilityShift(epsilon) => {
                let range = epsilon * libm::exp(-f64::from(old_logp));
                (1.0 - range, 1.0 + range)
            }
        }
    }
}

/// Computes the clipped surrogate loss (VAPO eq. 8 with r the ratio new/old and A the advantage):
///
/// ```text
/// l_t = -min(r_t A_t, clip(r_t, 1 - eps_low, 1 + eps_high) A_t)
/// ```
///
/// The gradient stops where the advantage would push the ratio further out: at the upper bound for
/// A > 0, at the lower for A < 0. `dual_clip` c > 1 also bounds the loss of bad tokens that became
/// likely, `l_t <= -c A_t` for A < 0 (verl's default is 3, DAPO's script uses 10, VAPO mentions none).
///
/// `logp` `[N]`.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use vapo_algo::*;
/// let batch = PolicyBatch { old_logp: &[-1.0, -1.0], advantages: &[2.0, -1.0], weights: &[0.5, 0.5] };
/// let clip = Clip::Ratio(RatioRange { low: 0.2, high: 0.28 });
/// let loss = clipped_policy_loss(&[-1.0, -1.0], batch, clip, None); // ratio 1: plain policy gradient
/// assert_eq!(loss.dlogp, [-1.0, 0.5]);
/// assert_eq!(loss.loss, -0.5);
/// ```
pub fn clipped_policy_loss(logp: &[f32], batch: PolicyBatch, clip: Clip, dual_clip: Option<f64>) -> PolicyLoss {
    token_losses(logp, batch, |t, ratio| {
        let bounds = clip.bounds(batch.old_logp[t]);
        clipped_token(ratio, f64::from(batch.advantages[t]), bounds, dual_clip)
    })
}

/// A token's unweighted loss, its derivative with respect to the log-ratio, and what was clipped.
pub(crate) fn clipped_token(
    ratio: Ratio,
    advantage: f64,
    (low, high): (f64, f64),
    dual_clip: Option<f64>,
) -> (f64, f64, ClipState) {
    if advantage > 0.0 && ratio.value > high {
        return (-high * advantage, 0.0, ClipState::High);
    }
    if advantage < 0.0 && ratio.value < low {
        return (-low * advantage, 0.0, ClipState::Low);
    }
    if let Some(cap) = dual_clip.filter(|&cap| advantage < 0.0 && ratio.value > cap) {
        return (-cap * advantage, 0.0, ClipState::Dual);
    }
    (-ratio.value * advantage, -ratio.slope * advantage, ClipState::Unclipped)
}

/// Sums weighted token losses; `token` returns the loss of token t with its ratio, the derivative with respect to `logp[t]`,
/// and what was clipped.
pub(crate) fn token_losses(
    logp: &[f32],
    batch: PolicyBatch,
    token: impl Fn(usize, Ratio) -> (f64, f64, ClipState),
) -> PolicyLoss {
    batch.check_lengths(logp);
    let mut result = PolicyLoss::unused(logp.len());
    for (t, &weight) in batch.weights.iter().enumerate() {
        if weight != 0.0 {
            let ratio = Ratio::of(logp[t], batch.old_logp[t]);
            let (loss, slope, clip) = token(t, ratio);
            result.note(t, ratio, clip);
            result.loss += f64::from(weight) * loss;
            result.dlogp[t] = (f64::from(weight) * slope) as f32;
        }
    }
    result
}
