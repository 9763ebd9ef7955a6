//! Invariance of the gradient under any split into micro-batches and any order of responses, and absence
//! of NaN.

use vapo_algo::*;

const LENGTHS: [usize; 6] = [3, 1, 5, 2, 4, 1];
const INCLUDED: [bool; 6] = [true, true, false, true, true, true];
const RIGHT: [bool; 6] = [true, false, false, false, true, false];
const REDUCTIONS: [Reduction; 4] = [
    Reduction::TokenMean,
    Reduction::SequenceMeanTokenMean,
    Reduction::SequenceMeanTokenSum,
    Reduction::SequenceMeanTokenSumNorm { budget: 8 },
];
const RANGE: RatioRange = RatioRange { low: 0.2, high: 0.28 };

/// The columns of an optimizer step of 16 tokens, with ratios on both sides of the clip.
struct Step {
    lengths: Vec<usize>,
    logp: Vec<f32>,
    old_logp: Vec<f32>,
    advantages: Vec<f32>,
    values: Vec<f32>,
    weights: Vec<f32>,
    positives: Vec<f32>,
}

impl Step {
    /// The same responses in the given order; a token's numbers depend only on its response and position.
    fn in_order(order: &[usize], reduction: Reduction) -> Step {
        let lengths: Vec<usize> = order.iter().map(|&response| LENGTHS[response]).collect();
        let included: Vec<bool> = order.iter().map(|&response| INCLUDED[response]).collect();
        let right: Vec<bool> = order.iter().map(|&response| RIGHT[response]).collect();
        let column = |scale: f64, shift: f64| -> Vec<f32> {
            let tokens = order.iter().flat_map(|&response| (0..LENGTHS[response]).map(move |t| 10 * response + t));
            tokens.map(|key| (shift + scale * libm::sin(key as f64 * 1.7 + shift)) as f32).collect()
        };
        Step {
            logp: column(2.5, -1.5),
            old_logp: column(0.3, -1.4),
            advantages: column(1.0, 0.2),
            values: column(0.5, 0.5),
            weights: reduction.token_weights(&lengths, &included),
            positives: Reduction::TokenMean.token_weights(&lengths, &right),
            lengths,
        }
    }

    /// Loss and per-token gradients of policy, positive-example, KL and value terms, over micro-batches
    /// of at most `responses` responses.
    fn gradients(&self, responses: usize) -> ([f64; 6], [Vec<f32>; 6], PolicyStats, ValueStats) {
        let mut losses = [0.0; 6];
        let mut gradients: [Vec<f32>; 6] = Default::default();
        let (mut policy_stats, mut value_stats) = (PolicyStats::default(), ValueStats::default());
        let mut start = 0;
        for lengths in self.lengths.chunks(responses) {
            let tokens = start..start + lengths.iter().sum::<usize>();
            start = tokens.end;
            let logp = &self.logp[tokens.clone()];
            let columns =
                PolicyBatch { old_logp: &self.old_logp, advantages: &self.advantages, weights: &self.weights };
            let batch = columns.slice(tokens.clone());
            let values = ValueBatch { targets: &self.advantages, old_values: &self.old_logp, weights: &self.weights }
                .slice(tokens.clone());

            let clipped = clipped_policy_loss(logp, batch, Clip::Ratio(RANGE), Some(3.0));
            let gspo = gspo_loss(logp, batch, lengths, RANGE);
            let cispo = cispo_loss(logp, batch, RANGE);
            let positive = positive_lm_loss(logp, &self.positives[tokens.clone()]);
            let kl = kl_loss(logp, batch.old_logp, batch.weights, KlEstimator::K3);
            let value = value_loss(&self.values[tokens], values, Some(0.2));
            policy_stats.merge(&clipped.stats);
            value_stats.merge(&value.stats);
            let parts = [
                (clipped.loss, clipped.dlogp),
                (gspo.loss, gspo.dlogp),
                (cispo.loss, cispo.dlogp),
                (positive.loss, positive.dlogp),
                (kl.loss, kl.dlogp),
                (value.loss, value.dvalue),
            ];
            for (index, (loss, gradient)) in parts.into_iter().enumerate() {
                losses[index] += loss;
                gradients[index].extend(gradient);
            }
        }
        (losses, gradients, policy_stats, value_stats)
    }
}

fn assert_same(found: [f64; 6], expected: [f64; 6]) {
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "found {found:?}, expected {expected:?}");
    }
}

#[test]
fn micro_batches_do_not_change_loss_gradient_or_statistics() {
    for reduction in REDUCTIONS {
        let step = Step::in_order(&[0, 1, 2, 3, 4, 5], reduction);
        let whole = step.gradients(6);
        assert!(whole.0.iter().all(|&loss| loss != 0.0), "every term contributes: {:?}", whole.0);
        let (policy, value) = (whole.2, whole.3);
        for clipped in [policy.clipped_low, policy.clipped_high, policy.clipped_dual, value.clipped] {
            assert!(clipped > 0, "every clip is active: {policy:?} {value:?}");
        }
        for responses in 1..6 {
            let split = step.gradients(responses);
            assert_same(split.0, whole.0);
            assert_eq!(split.1, whole.1, "gradients are equal to the last bit");
            assert_eq!(split.2.clip_low_frac(), policy.clip_low_frac());
            assert_eq!(split.2.clip_high_frac(), policy.clip_high_frac());
            assert_eq!(split.2.clip_dual_frac(), policy.clip_dual_frac());
            assert_eq!(split.2.ratio.count(), 11);
            assert!((split.2.approx_kl_k3().unwrap() - policy.approx_kl_k3().unwrap()).abs() < 1e-12);
            assert_eq!(split.3.clip_frac(), value.clip_frac());
        }
    }
}

#[test]
fn the_order_of_responses_does_not_change_the_loss() {
    for reduction in REDUCTIONS {
        let sorted = Step::in_order(&[0, 1, 2, 3, 4, 5], reduction).gradients(2);
        let shuffled = Step::in_order(&[4, 2, 5, 0, 3, 1], reduction).gradients(2);
        assert_same(shuffled.0, sorted.0);
    }
}

#[test]
fn excluded_tokens_have_no_gradient_for_any_values() {
    let poison = [f32::NAN, f32::INFINITY];
    let weights = [0.0, 0.0];
    let batch = PolicyBatch { old_logp: &poison, advantages: &poison, weights: &weights };
    for loss in [
        clipped_policy_loss(&poison, batch, Clip::Ratio(RANGE), None),
        cispo_loss(&poison, batch, RANGE),
        dis_loss(&poison, batch, RANGE),
        gspo_loss(&poison, batch, &[2], RANGE),
    ] {
        assert_eq!((loss.loss, loss.dlogp), (0.0, vec![0.0; 2]));
        assert_eq!(loss.stats, PolicyStats::default());
    }
    let values = ValueBatch { targets: &poison, old_values: &poison, weights: &weights };
    assert_eq!(value_loss(&poison, values, Some(0.2)).dvalue, [0.0; 2]);
    assert_eq!(entropy_bonus(&poison, &weights, 0.1).loss, 0.0);
}

#[test]
fn without_correct_answers_the_positive_term_is_zero() {
    let weights = Reduction::TokenMean.token_weights(&[2, 1], &[false, false]);
    let found = positive_lm_loss(&[-1.0, -2.0, -3.0], &weights);
    assert_eq!(found, TokenLoss { loss: 0.0, dlogp: vec![0.0; 3], tokens: 0 });
}

#[test]
fn extremes_stay_finite() {
    let extremes = [0.0, -1e-30, -88.0, -1e4, f32::MIN];
    let bounds =
        [ValueBound::Unbounded, ValueBound::Sigmoid { lo: -1.0, hi: 1.0 }, ValueBound::Atan { lo: -1.0, hi: 1.0 }];
    for logp in extremes {
        for old_logp in extremes {
            for advantage in [-1e6, 0.0, 1e6] {
                let batch = PolicyBatch { old_logp: &[old_logp], advantages: &[advantage], weights: &[1e-3] };
                for loss in [
                    clipped_policy_loss(&[logp], batch, Clip::Ratio(RANGE), None),
                    clipped_policy_loss(&[logp], batch, Clip::ProbabilityShift(0.2), Some(3.0)),
                    gspo_loss(&[logp], batch, &[1], RANGE),
                    cispo_loss(&[logp], batch, RANGE),
                    dis_loss(&[logp], batch, RANGE),
                ] {
                    assert!(loss.loss.is_finite() && loss.dlogp[0].is_finite(), "{logp} {old_logp} {advantage}");
                }
            }
            for estimator in [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3] {
                let loss = kl_loss(&[logp], &[old_logp], &[1e-3], estimator);
                assert!(loss.loss.is_finite() && loss.dlogp[0].is_finite(), "{estimator} {logp} {old_logp}");
            }
        }
        for bound in bounds {
            for raw in [logp, -logp] {
                let value = bound.value(raw);
                assert!(value.is_finite() && bound.derivative(raw) >= 0.0);
                assert!(bound == ValueBound::Unbounded || (-1.0..=1.0).contains(&value), "{bound:?} at {raw}: {value}");
            }
        }
    }
}

#[test]
fn value_bounds_reach_their_ends_and_their_middle() {
    for bound in [ValueBound::Sigmoid { lo: 0.0, hi: 4.0 }, ValueBound::Atan { lo: 0.0, hi: 4.0 }] {
        assert_eq!(bound.value(0.0), 2.0);
        assert!(bound.value(1e7) > 3.999 && bound.value(-1e7) < 0.001);
    }
    assert!((ValueBound::Sigmoid { lo: 0.0, hi: 1.0 }.value(1.0) - 0.731_058_6).abs() < 1e-6);
    assert!((ValueBound::Atan { lo: 0.0, hi: 1.0 }.value(1.0) - 0.75).abs() < 1e-6);
}

#[test]
fn the_raw_output_of_a_value_is_the_inverse_except_near_the_bounds() {
    let (lo, hi) = (-1.0, 3.0);
    for bound in [ValueBound::Sigmoid { lo, hi }, ValueBound::Atan { lo, hi }] {
        // A hundredth of the range is 0.04.
        for (value, expected) in [(-0.9, -0.9), (0.3, 0.3), (2.5, 2.5), (-1.0, -0.96), (3.0, 2.96), (7.0, 2.96)] {
            let found = bound.value(bound.raw(value));
            assert!((found - expected).abs() < 1e-5, "{bound:?} at {value}: {found}, expected {expected}");
        }
    }
    assert_eq!(ValueBound::Unbounded.raw(7.0), 7.0);
}

#[test]
fn value_loss_of_hand_worked_numbers() {
    // Old value 0, clip 0.2. Value 0.5, target 0: clipped to 0.2, the larger error is 0.5 itself.
    // Value 0.5, target 1: clipped to 0.2, larger error -0.8, no gradient. Value 0.1, target 1: inside, -0.9.
    let batch = ValueBatch { targets: &[0.0, 1.0, 1.0], old_values: &[0.0; 3], weights: &[1.0; 3] };
    let found = value_loss(&[0.5, 0.5, 0.1], batch, Some(0.2));
    assert!((found.loss - 0.5 * (0.25 + 0.64 + 0.81)).abs() < 1e-7, "{}", found.loss);
    assert_eq!(found.dvalue, [0.5, 0.0, 0.1 - 1.0]);
    assert_eq!(found.stats.clip_frac(), Some(1.0 / 3.0));
    assert!((found.stats.squared_error.mean().unwrap() - (0.25 + 0.25 + 0.81) / 3.0).abs() < 1e-7);
    assert_eq!(found.stats.values.max(), Some(0.5));
}
