//! Policy losses whose importance weight is a constant to the gradient: `l_t = -c(r_t) A_t logp_t`.
//!
//! Unlike the clipped surrogate they bound *how much* a token counts, not whether it may move on.

use crate::{
    importance::{Ratio, RatioRange},
    policy::{PolicyBatch, PolicyLoss, token_losses},
};

/// Computes the loss of CISPO (MiniMax-M1): `l_t = -sg(clip(r_t, 1 - low, 1 + high)) A_t logp_t`, where sg
/// stops the gradient; no token ever loses it.
///
/// The paper bounds the weight only from above (`low` infinite); verl clamps both sides; ScaleRL uses
/// `high` 5. Counts of clipped tokens tell whose weight was bounded, whatever the advantage's sign.
///
/// `logp` `[N]`.
///
/// # Panics
/// If the slices differ in length.
pub fn cispo_loss(logp: &[f32], batch: PolicyBatch, range: RatioRange) -> PolicyLoss {
    let (low, high) = range.bounds();
    weighted_logp_loss(logp, batch, range, |ratio| ratio.max(low).min(high))
}

/// Computes the loss of direct importance sampling (SAO section 3.1): `l_t = -w_t A_t logp_t` with
/// `w_t = sg(r_t)` if `1 - low < r_t < 1 + high`, else 0.
///
/// `batch.old_logp` are the log-probs recorded while sampling; no other old policy takes part. SAO:
/// low 0.3, high 5 (mathematics), 0.8 and 3 (code). Tokens outside have no loss, counted by side.
///
/// `logp` `[N]`.
///
/// # Panics
/// If the slices differ in length.
pub fn dis_loss(logp: &[f32], batch: PolicyBatch, range: RatioRange) -> PolicyLoss {
    let (low, high) = range.bounds();
    let trusted = move |ratio: f64| low < ratio && ratio < high;
    weighted_logp_loss(logp, batch, range, |ratio| if trusted(ratio) { ratio } else { 0.0 })
}

fn weighted_logp_loss(
    logp: &[f32],
    batch: PolicyBatch,
    range: RatioRange,
    coefficient: impl Fn(f64) -> f64,
) -> PolicyLoss {
    let (low, high) = range.bounds();
    token_losses(logp, batch, |t, stats| {
        let ratio = Ratio::of(logp[t], batch.old_logp[t]);
        stats.ratio.push(ratio.value);
        stats.log_ratio.push(ratio.log);
        stats.clipped_low += u64::from(ratio.value < low);
        stats.clipped_high += u64::from(ratio.value > high);
        let slope = -coefficient(ratio.value) * f64::from(batch.advantages[t]);
        (slope * f64::from(logp[t]), slope)
    })
}
