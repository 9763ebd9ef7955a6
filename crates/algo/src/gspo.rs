//! Group sequence policy optimization: one ratio per response.

use crate::{
    importance::{Ratio, RatioRange},
    policy::{PolicyBatch, PolicyLoss, clipped_token},
};

/// Computes the clipped loss of the length-normalized sequence ratio (GSPO):
///
/// ```text
/// s   = (pi(y) / pi_old(y))^(1/|y|) = exp(mean_t (logp_t - old_logp_t))
/// l_t = -min(s A_t, clip(s, 1 - low, 1 + high) A_t)
/// ```
///
/// All tokens of a response share s, so `dL/dlogp_t = -s/|y| sum_u w_u A_u` over its unclipped tokens u:
/// the gradient is spread evenly. Published range: 3e-4 and 4e-4. In the statistics, each token counts with
/// the ratio of its response.
///
/// `logp` `[N]`, `lengths` `[R]` response tokens, in order.
///
/// # Panics
/// If the slices differ in length or `lengths` does not add up to N.
pub fn gspo_loss(logp: &[f32], batch: PolicyBatch, lengths: &[usize], range: RatioRange) -> PolicyLoss {
    batch.check_lengths(logp);
    assert_eq!(lengths.iter().sum::<usize>(), logp.len(), "lengths add up to the number of tokens");
    let mut result = PolicyLoss::unused(logp.len());
    let mut start = 0;
    for &length in lengths {
        let tokens = start..start + length;
        start = tokens.end;
        let response = batch.slice(tokens.clone());
        let log_ratios = logp[tokens.clone()].iter().zip(response.old_logp);
        let sum: f64 = log_ratios.map(|(&new, &old)| f64::from(new) - f64::from(old)).sum();
        let ratio = Ratio::from_log(sum / length as f64);
        let slope = sequence_loss(ratio, (tokens.start, response), range, &mut result);
        result.dlogp[tokens].fill((slope / length as f64) as f32);
    }
    result
}

/// Adds the loss and statistics of one response, whose tokens begin at `start`; returns the loss's derivative with respect to
/// the logarithm of its ratio.
fn sequence_loss(
    ratio: Ratio,
    (start, response): (usize, PolicyBatch),
    range: RatioRange,
    result: &mut PolicyLoss,
) -> f64 {
    let mut total_slope = 0.0;
    for (t, (&weight, &advantage)) in response.weights.iter().zip(response.advantages).enumerate() {
        if weight != 0.0 {
            let (loss, slope, clip) = clipped_token(ratio, f64::from(advantage), range.bounds(), None);
            result.note(start + t, ratio, clip);
            result.loss += f64::from(weight) * loss;
            total_slope += f64::from(weight) * slope;
        }
    }
    total_slope
}
