//! Log-probabilities and entropies of rows of logits, and their gradients.
//!
//! With temperature T everything is of the distribution `softmax(logits / T)`.

use crate::cpu::lanes::Isa;
use crate::cpu::lanes::{LANES, Lanes, dispatch};
use crate::cpu::math::exp;
use crate::cpu::shared::{Shared, in_ranges};
use crate::cpu::team::Cpu;
use crate::operands::{RowGradient, RowScore};

/// Log-sum-exp and entropy of a row of scaled logits.
#[derive(Clone, Copy)]
pub(crate) struct RowStats {
    /// `ln(sum(exp(logit / T)))`.
    log_sum: f32,
    /// Entropy in nats.
    entropy: f32,
}

impl RowStats {
    /// Log-probability of the token with this logit.
    #[inline]
    pub(crate) fn logp(&self, logit: f32, temperature: f32) -> f32 {
        logit * (1.0 / temperature) - self.log_sum
    }
}

/// Statistics of one row `[vocab]`. If `weights` is given (`[vocab]`), it gets `exp(logit / T - max)`.
pub(crate) fn row_stats(isa: Isa, logits: &[f32], temperature: f32, weights: Option<&mut [f32]>) -> RowStats {
    stats(isa, logits, temperature, weights)
}

#[inline(always)]
fn stats_body<L: Lanes>(logits: &[f32], temperature: f32, mut weights: Option<&mut [f32]>) -> RowStats {
    let inverse = L::splat(1.0 / temperature);
    let mut max = L::splat(f32::NEG_INFINITY);
    for z in logits.chunks(LANES) {
        max = max.max(L::load_part(z, f32::NEG_INFINITY).mul(inverse));
    }
    let max_lane = max.max_lane();
    let max = L::splat(max_lane);
    let (mut sum, mut along) = (L::zero(), L::zero());
    for (block, z) in logits.chunks(LANES).enumerate() {
        let below = L::load_part(z, 0.0).mul(inverse).sub(max);
        let mut e = exp(below);
        if z.len() < LANES {
            let mut a = e.to_array();
            a[z.len()..].fill(0.0);
            e = L::from_array(&a);
        }
        sum = sum.add(e);
        along = e.mul_add(below, along);
        if let Some(weights) = &mut weights {
            e.store_part(&mut weights[block * LANES..block * LANES + z.len()]);
        }
    }
    let sum = f64::from(sum.sum());
    let log = libm::log(sum);
    RowStats { log_sum: (f64::from(max_lane) + log) as f32, entropy: (log - f64::from(along.sum()) / sum) as f32 }
}
dispatch! { fn stats(logits: &[f32], temperature: f32, weights: Option<&mut [f32]>) -> RowStats = crate::cpu::head::stats_body }

/// Scores the target of every row of `logits` `[m, vocab]`.
pub(crate) fn score_rows(cpu: &Cpu, logits: &[f32], temperature: f32, targets: &[u32], scores: &mut [RowScore]) {
    let rows = targets.len();
    let vocab = logits.len() / rows.max(1);
    assert!(scores.len() == rows && logits.len() == rows * vocab);
    let scores = Shared::new(scores);
    in_ranges(cpu, rows, logits.len(), |rows| {
        for row in rows {
            let logits = &logits[row * vocab..(row + 1) * vocab];
            let stats = row_stats(cpu.isa(), logits, temperature, None);
            // SAFETY: ranges are disjoint.
            let to = unsafe { scores.part(row..row + 1) };
            to[0] = RowScore {
                logp: stats.logp(logits[targets[row] as usize], temperature),
                entropy: stats.entropy,
                log_sum: stats.log_sum,
            };
        }
    });
}

/// Replaces logits `[m, vocab]` by the gradient of the loss by them:
/// `(dlogp * (1[target] - p) - dentropy * p * (log p + entropy)) / T`.
pub(crate) fn logit_gradients(
    cpu: &Cpu,
    logits: &mut [f32],
    temperature: f32,
    scores: &[RowScore],
    rows: &[RowGradient],
) {
    let vocab = logits.len() / rows.len().max(1);
    assert!(logits.len() == rows.len() * vocab && scores.len() == rows.len());
    let work = logits.len();
    let logits = Shared::new(logits);
    in_ranges(cpu, rows.len(), work, |range| {
        for r in range {
            // SAFETY: ranges are disjoint.
            let row = unsafe { logits.part(r * vocab..(r + 1) * vocab) };
            gradient_row(cpu.isa(), row, temperature, &scores[r], &rows[r]);
        }
    });
}

#[inline(always)]
fn gradient_row_body<L: Lanes>(logits: &mut [f32], temperature: f32, score: &RowScore, row: &RowGradient) {
    let inverse = 1.0 / temperature;
    let (scale, log_sum) = (L::splat(inverse), L::splat(score.log_sum));
    let by_p = L::splat(-(row.dlogp + row.dentropy * score.entropy) * inverse);
    let by_p_log_p = L::splat(-row.dentropy * inverse);
    for z in logits.chunks_mut(LANES) {
        let log_p = L::load_part(z, 0.0).mul(scale).sub(log_sum);
        exp(log_p).mul(log_p.mul_add(by_p_log_p, by_p)).store_part(z);
    }
    logits[row.target as usize] += row.dlogp * inverse;
}
dispatch! { fn gradient_row(logits: &mut [f32], temperature: f32, score: &RowScore, row: &RowGradient) = crate::cpu::head::gradient_row_body }

/// `values[row] = x[row] . weight + bias`: the scalar head of a critic.
///
/// Shapes: `x` `[m, width]`, `weight` `[width]`, `values` `[m]`.
pub(crate) fn scalar_head(cpu: &Cpu, x: &[f32], weight: &[f32], bias: f32, values: &mut [f32]) {
    let width = weight.len();
    assert_eq!(x.len(), values.len() * width);
    dot_rows(cpu.isa(), x, weight, bias, values);
}

#[inline(always)]
fn dot_rows_body<L: Lanes>(x: &[f32], weight: &[f32], bias: f32, values: &mut [f32]) {
    for (x, v) in x.chunks_exact(weight.len()).zip(values) {
        *v = crate::cpu::norm::dot::<L>(x, weight) + bias;
    }
}
dispatch! { fn dot_rows(x: &[f32], weight: &[f32], bias: f32, values: &mut [f32]) = crate::cpu::head::dot_rows_body }

/// The gradient of [`scalar_head`]: `dx[row] = dvalues[row] * weight`; `dweight` and `dbias` `[1]` are added to.
pub(crate) fn scalar_head_backward(
    x: &[f32],
    weight: &[f32],
    dvalues: &[f32],
    dx: &mut [f32],
    dweight: &mut [f32],
    dbias: &mut [f32],
) {
    let width = weight.len();
    assert!(x.len() == dvalues.len() * width && dx.len() == x.len() && dweight.len() == width);
    let mut sums = vec![0.0f64; width];
    for ((x, dx), &d) in x.chunks_exact(width).zip(dx.chunks_exact_mut(width)).zip(dvalues) {
        for (((dx, w), sum), x) in dx.iter_mut().zip(weight).zip(&mut sums).zip(x) {
            *dx = d * w;
            *sum += f64::from(d) * f64::from(*x);
        }
    }
    dweight.iter_mut().zip(sums).for_each(|(w, s)| *w = (f64::from(*w) + s) as f32);
    dbias[0] = (f64::from(dbias[0]) + dvalues.iter().map(|&d| f64::from(d)).sum::<f64>()) as f32;
}
