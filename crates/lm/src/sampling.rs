//! Choosing a token from logits.

use crate::StopStrings;
use crate::random::Random;
use std::cell::RefCell;
use vapo_kernels::{Isa, row_stats};

/// How to sample.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// Logits are divided by this; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Only the `k` likeliest tokens.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together hold this share; 1 for all.
    pub top_p: f32,
    /// Only tokens at least this share of the likeliest one's probability; 0 for all.
    pub min_p: f32,
    /// Longest answer, tokens.
    pub max_new_tokens: usize,
    /// Tokens that end an answer and belong to it.
    pub stop_tokens: Vec<u32>,
    /// Texts that end an answer.
    pub stop_strings: Option<StopStrings>,
    /// Sequences decoded at once.
    pub slots: usize,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            max_new_tokens: 256,
            stop_tokens: Vec::new(),
            stop_strings: None,
            slots: 64,
        }
    }
}

impl Sampling {
    fn truncates(&self) -> bool {
        self.top_k.is_some() || self.top_p < 1.0 || self.min_p > 0.0
    }
}

thread_local! {
    static WEIGHTS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A drawn token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) token: u32,
    /// Its log-probability in the whole temperature-scaled distribution, the trainer's; greedy choices are scored at
    /// temperature 1.
    pub(crate) logp: f32,
    /// Its log-probability in what it was drawn from: larger by what truncation left out, equal without truncation.
    pub(crate) sampler_logp: f32,
}

/// Draws a token for the random stream `keys`.
pub(crate) fn choose(isa: Isa, logits: &[f32], sampling: &Sampling, keys: &[u64]) -> Drawn {
    if sampling.temperature == 0.0 {
        let best = (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
        let logp = row_stats(isa, logits, 1.0, None).logp(logits[best], 1.0);
        return Drawn { token: best as u32, logp, sampler_logp: 0.0 };
    }
    WEIGHTS.with_borrow_mut(|weights| {
        weights.resize(logits.len(), 0.0);
        let stats = row_stats(isa, logits, sampling.temperature, Some(weights));
        let uniform = Random::new(keys).uniform();
        let (token, kept) = match sampling.truncates() {
            true => draw_truncated(weights, sampling, uniform),
            false => (draw(weights, uniform), 1.0),
        };
        let logp = stats.logp(logits[token], sampling.temperature);
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

/// [`draw`] after top-k, then top-p of what is left, then min-p, as in transformers; also the share that was left.
fn draw_truncated(weights: &[f32], sampling: &Sampling, uniform: f64) -> (usize, f64) {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    let by_weight = |a: &usize, b: &usize| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b));
    let k = sampling.top_k.unwrap_or(order.len()).clamp(1, order.len());
    if k < order.len() {
        order.select_nth_unstable_by(k - 1, by_weight);
        order.truncate(k);
    }
    order.sort_unstable_by(by_weight);
    let total: f64 = order.iter().map(|&i| f64::from(weights[i])).sum();
    let mut before = 0.0;
    let mut kept = order.len();
    for (rank, &i) in order.iter().enumerate() {
        if rank > 0 && before >= f64::from(sampling.top_p) * total {
            kept = rank;
            break;
        }
        before += f64::from(weights[i]);
    }
    order.truncate(kept);
    let least = sampling.min_p * weights[order[0]];
    order.retain(|&i| weights[i] >= least);
    let kept: Vec<f32> = order.iter().map(|&i| weights[i]).collect();
    let sum = |weights: &[f32]| weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
    (order[draw(&kept, uniform)], sum(&kept) / sum(weights))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 6] = [0.0, 2.0, -1.0, 1.0, 2.0, -30.0];

    fn frequencies(sampling: &Sampling) -> Vec<f64> {
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

    fn assert_distribution(sampling: Sampling, temperature: f64, keep: &[usize]) {
        for (got, want) in frequencies(&sampling).iter().zip(softmax(temperature, keep)) {
            assert!((got - want).abs() < 0.01, "{sampling:?}: {got} {want}");
        }
    }

    #[test]
    fn frequencies_follow_the_distribution() {
        assert_distribution(Sampling::default(), 1.0, &[0, 1, 2, 3, 4, 5]);
        assert_distribution(Sampling { temperature: 0.5, ..Sampling::default() }, 0.5, &[0, 1, 2, 3, 4, 5]);
        assert_distribution(Sampling { top_k: Some(2), ..Sampling::default() }, 1.0, &[1, 4]);
        // Shares: .38 .38 .14 .05 .02 0: the first two hold .76, the third passes .8.
        assert_distribution(Sampling { top_p: 0.8, ..Sampling::default() }, 1.0, &[1, 4, 3]);
        assert_distribution(Sampling { min_p: 0.3, ..Sampling::default() }, 1.0, &[1, 4, 3]);
    }

    #[test]
    fn greedy_takes_the_first_of_the_best_and_scores_it_at_temperature_one() {
        let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
        let Drawn { token, logp, .. } = choose(Isa::detect(), &LOGITS, &sampling, &[0]);
        assert_eq!(token, 1);
        assert!((f64::from(logp) - softmax(1.0, &[0, 1, 2, 3, 4, 5])[1].ln()).abs() < 1e-6);
    }

    #[test]
    fn the_samplers_log_prob_is_that_of_what_truncation_left() {
        let cases = [
            (Sampling::default(), vec![0, 1, 2, 3, 4, 5]),
            (Sampling { top_p: 0.8, ..Sampling::default() }, vec![1, 4, 3]),
            (Sampling { top_k: Some(2), ..Sampling::default() }, vec![1, 4]),
        ];
        for (sampling, keep) in cases {
            for i in 0..20 {
                let drawn = choose(Isa::detect(), &LOGITS, &sampling, &[1, i]);
                let expected = softmax(1.0, &keep)[drawn.token as usize].ln();
                assert!((f64::from(drawn.sampler_logp) - expected).abs() < 1e-6, "{sampling:?}: {drawn:?} {expected}");
                assert_eq!(drawn.sampler_logp == drawn.logp, keep.len() == LOGITS.len());
            }
        }
    }

    #[test]
    fn a_remainder_of_rounding_never_chooses_a_token_of_no_weight() {
        assert_eq!(draw(&[0.0, 0.5, 0.0], 1.0 - 1e-17), 1);
        assert_eq!(draw(&[0.0, 0.5, 0.5, 0.0], 0.0), 1);
    }
}
