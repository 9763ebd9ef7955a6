//! Policy losses that treat the importance weight as a constant in the gradient: `l_t = -c(r_t) A_t logp_t`.
//!
//! Unlike the clipped surrogate they bound *how much* a token counts, not whether it may move further.

use crate::{
    importance::RatioRange,
    policy::{PolicyBatch, PolicyLoss, token_losses},
    stats::ClipState,
};

/// Computes the loss of CISPO (MiniMax-M1): `l_t = -sg(clip(r_t, 1 - low, 1 + high)) A_t logp_t`, where sg
/// stops the gradient; every token keeps its gradient.
///
/// The paper bounds the weight only from above (`low` infinite); verl clamps both sides; ScaleRL uses
/// `high` 5. The counts of clipped tokens are those whose weight was bounded, regardless of the advantage's sign.
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
/// `batch.old_logp` are the log-probs recorded while sampling; no other old policy is used. SAO:
/// low 0.3, high 5 (mathematics), 0.8 and 3 (code). Tokens outside the range have no loss and are counted by side.
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
    token_losses(logp, batch, |t, ratio| {
        let clip = match ratio.value {
            ratio if ratio < low => ClipState::Low,
            ratio if ratio > high => ClipState::High,
            _ => ClipState::Unclipped,
        };
        let slope = -coefficient(ratio.value) * f64::from(batch.advantages[t]);
        (slope * f64::from(logp[t]), slope, clip)
    })
}
