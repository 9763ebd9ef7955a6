//! Drawing tokens from logits.

use crate::cpu::head::row_stats;
use crate::cpu::lanes::Isa;
use crate::cpu::shared::Shared;
use crate::cpu::team::Cpu;
use crate::operands::{Drawn, SamplingParams};
use crate::random::Random;
use std::cell::RefCell;

thread_local! {
    static WEIGHTS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Draws one token from each row of `logits` `[m, vocab]`, with the random stream of the row's keys.
pub(crate) fn sample_rows(cpu: &Cpu, logits: &[f32], params: &SamplingParams, keys: &[[u64; 4]], drawn: &mut [Drawn]) {
    let rows = keys.len();
    assert_eq!(drawn.len(), rows);
    let vocab = logits.len() / rows.max(1);
    assert_eq!(logits.len(), rows * vocab);
    let drawn = Shared::new(drawn);
    cpu.for_each(rows, &|row| {
        // SAFETY: one task per row.
        let to = unsafe { drawn.part(row..row + 1) };
        to[0] = choose(cpu.isa(), &logits[row * vocab..(row + 1) * vocab], params, &keys[row]);
    });
}

/// Draws a token for the random stream `keys`.
fn choose(isa: Isa, logits: &[f32], params: &SamplingParams, keys: &[u64]) -> Drawn {
    let num_tokens = params.num_tokens.unwrap_or(logits.len()).clamp(1, logits.len());
    if params.temperature == 0.0 {
        let best = (0..num_tokens).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
        let logp = row_stats(isa, logits, 1.0, None).logp(logits[best], 1.0);
        return Drawn { token: best as u32, logp, sampler_logp: 0.0 };
    }
    let truncates = params.top_k.is_some() || params.top_p < 1.0 || params.min_p > 0.0 || num_tokens < logits.len();
    WEIGHTS.with_borrow_mut(|weights| {
        weights.resize(logits.len(), 0.0);
        let stats = row_stats(isa, logits, params.temperature, Some(weights));
        let uniform = Random::new(keys).uniform();
        let (token, kept) = match truncates {
            true => draw_truncated(weights, params, num_tokens, uniform),
            false => (draw(weights, uniform), 1.0),
        };
        let logp = stats.logp(logits[token], params.temperature);
        Drawn { token: token as u32, logp, sampler_logp: logp - libm::log(kept) as f32 }
    })
}

/// The index where the running sum of `weights` passes `uniform` of their total.
fn draw(weights: &[f32], uniform: f64) -> usize {
    const BLOCK: usize = 64;
    let sum = |w: &[f32]| {
        let mut lanes = [0.0f64; 8];
        w.chunks(8).for_each(|c| lanes.iter_mut().zip(c).for_each(|(l, &x)| *l += f64::from(x)));
        lanes.iter().sum::<f64>()
    };
    let blocks: Vec<f64> = weights.chunks(BLOCK).map(sum).collect();
    let mut left = uniform * blocks.iter().sum::<f64>();
    let mut block = 0;
    while block + 1 < blocks.len() && left >= blocks[block] {
        left -= blocks[block];
        block += 1;
    }
    let mut choice = None;
    for (i, &w) in weights.iter().enumerate().skip(block * BLOCK) {
        if w > 0.0 {
            choice = Some(i); // rounding may leave a remainder past the end: then the last possible token
            if left < f64::from(w) {
                break;
            }
        }
        left -= f64::from(w);
    }
    choice.unwrap_or(0)
}

/// [`draw`] from the first `num_tokens`, after top-k, then top-p of what is left, then min-p, as in transformers; also
/// the share that was left.
fn draw_truncated(weights: &[f32], params: &SamplingParams, num_tokens: usize, uniform: f64) -> (usize, f64) {
    let mut order: Vec<usize> = (0..num_tokens).collect();
    let by_weight = |a: &usize, b: &usize| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b));
    let k = params.top_k.unwrap_or(order.len()).clamp(1, order.len());
    if k < order.len() {
        order.select_nth_unstable_by(k - 1, by_weight);
        order.truncate(k);
    }
    order.sort_unstable_by(by_weight);
    let total: f64 = order.iter().map(|&i| f64::from(weights[i])).sum();
    let mut before = 0.0;
    let mut kept = order.len();
    for (rank, &i) in order.iter().enumerate() {
        if rank > 0 && before >= f64::from(params.top_p) * total {
            kept = rank;
            break;
        }
        before += f64::from(weights[i]);
    }
    order.truncate(kept);
    let least = params.min_p * weights[order[0]];
    order.retain(|&i| weights[i] >= least);
    let kept: Vec<f32> = order.iter().map(|&i| weights[i]).collect();
    let sum = |weights: &[f32]| weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
    (order[draw(&kept, uniform)], sum(&kept) / sum(weights))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 6] = [0.0, 2.0, -1.0, 1.0, 2.0, -30.0];

    fn frequencies(sampling: &SamplingParams) -> Vec<f64> {
        let mut counts = vec![0.0; LOGITS.len()];
        for i in 0..40_000 {
            counts[choose(Isa::detect(), &LOGITS, sampling, &[1, i]).token as usize] += 1.0 / 40_000.0;
        }
        counts
    }

    fn softmax(temperature: f64, keep: &[usize]) -> Vec<f64> {
        let e = |i: usize| if keep.contains(&i) { (f64::from(LOGITS[i]) / temperature).exp() } else { 0.0 };
        let total: f64 = (0..LOGITS.len()).map(e).sum();
        (0..LOGITS.len()).map(|i| e(i) / total).collect()
    }

    fn assert_distribution(sampling: SamplingParams, temperature: f64, keep: &[usize]) {
        for (got, want) in frequencies(&sampling).iter().zip(softmax(temperature, keep)) {
            assert!((got - want).abs() < 0.01, "{sampling:?}: {got} {want}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "thousands of draws; a few are made by the other tests")]
    fn frequencies_follow_the_distribution() {
        assert_distribution(SamplingParams::default(), 1.0, &[0, 1, 2, 3, 4, 5]);
        assert_distribution(SamplingParams { temperature: 0.5, ..SamplingParams::default() }, 0.5, &[0, 1, 2, 3, 4, 5]);
        assert_distribution(SamplingParams { top_k: Some(2), ..SamplingParams::default() }, 1.0, &[1, 4]);
        // Shares: .38 .38 .14 .05 .02 0: the first two hold .76, the third passes .8.
        assert_distribution(SamplingParams { top_p: 0.8, ..SamplingParams::default() }, 1.0, &[1, 4, 3]);
        assert_distribution(SamplingParams { min_p: 0.3, ..SamplingParams::default() }, 1.0, &[1, 4, 3]);
    }

    #[test]
    fn greedy_takes_the_first_of_the_best_and_scores_it_at_temperature_one() {
        let sampling = SamplingParams { temperature: 0.0, ..SamplingParams::default() };
        let Drawn { token, logp, .. } = choose(Isa::detect(), &LOGITS, &sampling, &[0]);
        assert_eq!(token, 1);
        assert!((f64::from(logp) - softmax(1.0, &[0, 1, 2, 3, 4, 5])[1].ln()).abs() < 1e-6);
    }

    #[test]
    fn the_samplers_log_prob_is_that_of_what_truncation_left() {
        let cases = [
            (SamplingParams::default(), vec![0, 1, 2, 3, 4, 5]),
            (SamplingParams { top_p: 0.8, ..SamplingParams::default() }, vec![1, 4, 3]),
            (SamplingParams { top_k: Some(2), ..SamplingParams::default() }, vec![1, 4]),
        ];
        for (sampling, keep) in cases {
            for i in 0..if cfg!(miri) { 2 } else { 20 } {
                let drawn = choose(Isa::detect(), &LOGITS, &sampling, &[1, i]);
                let expected = softmax(1.0, &keep)[drawn.token as usize].ln();
                assert!((f64::from(drawn.sampler_logp) - expected).abs() < 1e-6, "{sampling:?}: {drawn:?} {expected}");
                assert_eq!(drawn.sampler_logp == drawn.logp, keep.len() == LOGITS.len());
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "thousands of draws; a few are made by the other tests")]
    fn ids_beyond_the_tokenizer_are_never_drawn() {
        let masked = SamplingParams { num_tokens: Some(4), ..SamplingParams::default() };
        assert_distribution(masked, 1.0, &[0, 1, 2, 3]);
        let greedy = SamplingParams { temperature: 0.0, num_tokens: Some(1), ..masked };
        assert_eq!(choose(Isa::detect(), &LOGITS, &greedy, &[0]).token, 0);
        let drawn = choose(Isa::detect(), &LOGITS, &masked, &[1, 2]);
        let share = softmax(1.0, &[0, 1, 2, 3, 4, 5])[drawn.token as usize];
        assert!((f64::from(drawn.logp) - share.ln()).abs() < 1e-6, "log-probs are those of the whole distribution");
    }

    #[test]
    fn a_remainder_of_rounding_never_chooses_a_token_of_no_weight() {
        assert_eq!(draw(&[0.0, 0.5, 0.0], 1.0 - 1e-17), 1);
        assert_eq!(draw(&[0.0, 0.5, 0.5, 0.0], 0.0), 1);
    }
}
