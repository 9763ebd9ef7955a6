//! Policy losses compared with hand-worked numbers, region by region.

use vapo_algo::*;

const RANGE: RatioRange = RatioRange { low: 0.2, high: 0.28 };

fn ln(x: f64) -> f32 {
    libm::log(x) as f32
}

/// Loss, gradient and statistics of one token of weight 1 at this ratio.
fn one(ratio: f64, advantage: f32, loss: impl Fn(&[f32], PolicyBatch) -> PolicyLoss) -> (f64, f32, PolicyStats) {
    let old_logp = [-1.0];
    let batch = PolicyBatch { old_logp: &old_logp, advantages: &[advantage], weights: &[1.0] };
    let found = loss(&[old_logp[0] + ln(ratio)], batch);
    (found.loss, found.dlogp[0], found.stats)
}

fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 2e-6, "found {found}, expected {expected}");
}

#[test]
fn clipped_loss_in_each_region() {
    // ratio, advantage, loss, gradient, tokens clipped (low, high)
    let table = [
        (1.5, 2.0, -2.56, 0.0, (0, 1)), // good token far enough: clipped at 1.28
        (1.2, 2.0, -2.4, -2.4, (0, 0)),
        (0.5, 2.0, -1.0, -1.0, (0, 0)), // good token that fell: full gradient
        (0.5, -2.0, 1.6, 0.0, (1, 0)),  // bad token far enough: clipped at 0.8
        (0.9, -2.0, 1.8, 1.8, (0, 0)),
        (1.5, -2.0, 3.0, 3.0, (0, 0)), // bad token that rose: full gradient
        (1.5, 0.0, 0.0, 0.0, (0, 0)),  // an advantage of 0 pushes nowhere
        (0.5, 0.0, 0.0, 0.0, (0, 0)),
    ];
    for (ratio, advantage, loss, gradient, clipped) in table {
        let found = one(ratio, advantage, |logp, batch| clipped_policy_loss(logp, batch, Clip::Ratio(RANGE), None));
        assert_close(found.0, loss);
        assert_close(f64::from(found.1), gradient);
        assert_eq!((found.2.clipped_low, found.2.clipped_high), clipped, "ratio {ratio}, advantage {advantage}");
    }
}

/// Ratios 1.5, 0.5, 4, 1.2, 0.9, of which the last has weight 0, with a dual clip of 3.
#[test]
fn every_loss_tells_of_each_token_what_was_clipped() {
    use ClipState::{Dual, High, Low, Unclipped, Unused};
    let ratios = [1.5, 0.5, 4.0, 1.2, 0.9];
    let (old_logp, advantages, weights) = ([-2.0; 5], [2.0, -1.0, -1.0, 1.0, 1.0], [0.25, 0.25, 0.25, 0.25, 0.0]);
    let logp = ratios.map(|ratio| -2.0 + ln(ratio));
    let batch = PolicyBatch { old_logp: &old_logp, advantages: &advantages, weights: &weights };
    let clipped = clipped_policy_loss(&logp, batch, Clip::Ratio(RANGE), Some(3.0));
    assert_eq!(clipped.clips, [High, Low, Dual, Unclipped, Unused]);
    // 0.1 around a probability of exp(-2): 0.26 to 1.74 times.
    let shifted = clipped_policy_loss(&logp, batch, Clip::ProbabilityShift(0.1), None);
    assert_eq!(shifted.clips, [Unclipped, Unclipped, Unclipped, Unclipped, Unused]);
    // Whatever the sign of the advantage.
    assert_eq!(cispo_loss(&logp, batch, RANGE).clips, [High, Low, High, Unclipped, Unused]);
    let dropped = dis_loss(&logp, batch, RatioRange { low: 0.3, high: 5.0 });
    assert_eq!(dropped.clips, [Unclipped, Low, Unclipped, Unclipped, Unused]);
    for loss in [&clipped, &shifted, &dropped] {
        for (found, expected) in loss.ratios.iter().zip([1.5, 0.5, 4.0, 1.2, 0.0]) {
            assert_close(f64::from(*found), expected);
        }
        let count = |state| loss.clips.iter().filter(|clip| **clip == state).count() as u64;
        let PolicyStats { clipped_low, clipped_high, clipped_dual, .. } = loss.stats;
        assert_eq!([clipped_low, clipped_high, clipped_dual], [Low, High, Dual].map(count));
        assert_eq!(loss.stats.ratio.count(), 5 - count(Unused));
    }

    // Two responses with ratios sqrt(1.5 * 0.5) and (4 * 1.2 * 0.9)^(1/3): each token by its own advantage.
    let sequences = gspo_loss(&logp, batch, &[2, 3], RatioRange { low: 0.1, high: 0.28 });
    assert_eq!(sequences.clips, [Unclipped, Low, Unclipped, High, Unused]);
    let [first, second] = [libm::sqrt(0.75), libm::cbrt(4.32)];
    for (found, expected) in sequences.ratios.iter().zip([first, first, second, second, 0.0]) {
        assert_close(f64::from(*found), expected);
    }
}

#[test]
fn dual_clip_bounds_only_bad_tokens_that_rose() {
    let dual = |ratio, advantage| {
        one(ratio, advantage, |logp, batch| clipped_policy_loss(logp, batch, Clip::Ratio(RANGE), Some(3.0)))
    };
    let (loss, gradient, stats) = dual(4.0, -2.0);
    assert_close(loss, 6.0);
    assert_eq!((gradient, stats.clipped_dual, stats.clipped_low, stats.clipped_high), (0.0, 1, 0, 0));
    let (loss, gradient, stats) = dual(2.9, -2.0);
    assert_close(loss, 5.8);
    assert_close(f64::from(gradient), 5.8);
    assert_eq!(stats.clipped_dual, 0);
    let (loss, _, stats) = dual(4.0, 2.0);
    assert_close(loss, -2.56);
    assert_eq!((stats.clipped_dual, stats.clipped_high), (0, 1));
    assert_eq!(dual(4.0, 0.0).2.clipped_dual, 0);
}

/// The bound is at ratio 1, which is exact.
#[test]
fn a_ratio_at_a_bound_is_not_clipped_and_has_no_weight_in_direct_importance_sampling() {
    for range in [RatioRange { low: 0.0, high: 1.0 }, RatioRange { low: 1.0, high: 0.0 }] {
        for advantage in [2.0, -2.0] {
            let clip = Clip::Ratio(range);
            let clipped = one(1.0, advantage, |logp, batch| clipped_policy_loss(logp, batch, clip, Some(1.0)));
            let cispo = one(1.0, advantage, |logp, batch| cispo_loss(logp, batch, range));
            let dis = one(1.0, advantage, |logp, batch| dis_loss(logp, batch, range));
            assert_eq!([clipped.1, cispo.1, dis.1], [-advantage, -advantage, 0.0]);
            for (_, _, stats) in [clipped, cispo, dis] {
                assert_eq!((stats.clipped_low, stats.clipped_high, stats.clipped_dual), (0, 0, 0));
            }
        }
    }
}

#[test]
fn probability_shift_lets_rare_tokens_move_further() {
    // pi_old = 0.1, epsilon 0.2: ratio up to 3 (probability 0.3), no lower bound.
    let shift = |ratio: f64, advantage: f32, old: f64| {
        let old_logp = [ln(old)];
        let batch = PolicyBatch { old_logp: &old_logp, advantages: &[advantage], weights: &[1.0] };
        clipped_policy_loss(&[ln(old * ratio)], batch, Clip::ProbabilityShift(0.2), None)
    };
    assert_close(shift(2.9, 1.0, 0.1).loss, -2.9);
    let clipped = shift(3.1, 1.0, 0.1);
    assert_close(clipped.loss, -3.0);
    assert_eq!(clipped.dlogp, [0.0]);
    assert_close(f64::from(shift(0.01, -1.0, 0.1).dlogp[0]), 0.01);
    // pi_old = 0.8: ratio within 0.75 and 1.25.
    assert_close(shift(0.7, -1.0, 0.8).loss, 0.75);
    assert_eq!(shift(0.7, -1.0, 0.8).stats.clipped_low, 1);
    assert_close(shift(0.76, -1.0, 0.8).loss, 0.76);
}

#[test]
fn gspo_spreads_the_gradient_of_the_geometric_mean_ratio() {
    // Two responses with s = sqrt(1.5 * 0.6) = 0.948683 and s = 2, the second clipped at 1.28.
    let old_logp = [-1.0, -2.0, -0.5];
    let logp = [-1.0 + ln(1.5), -2.0 + ln(0.6), -0.5 + ln(2.0)];
    let batch = PolicyBatch { old_logp: &old_logp, advantages: &[1.0, 1.0, 3.0], weights: &[0.25, 0.25, 0.5] };
    let found = gspo_loss(&logp, batch, &[2, 1], RANGE);
    assert_close(found.loss, -0.5 * 0.948_683 - 0.5 * 1.28 * 3.0);
    for (gradient, expected) in found.dlogp.iter().zip([-0.25 * 0.948_683, -0.25 * 0.948_683, 0.0]) {
        assert_close(f64::from(*gradient), expected);
    }
    assert_eq!((found.stats.clipped_high, found.stats.ratio.count()), (1, 3));
}

#[test]
fn cispo_bounds_the_weight_and_keeps_the_gradient() {
    let upper_only = RatioRange { low: f64::INFINITY, high: 0.28 };
    // logp = -1 + ln(ratio), loss = -c A logp
    for (ratio, advantage, range, weight) in [
        (1.5, 2.0, RANGE, 1.28),
        (1.5, -2.0, RANGE, 1.28),
        (0.5, 2.0, RANGE, 0.8),
        (0.5, 2.0, upper_only, 0.5),
        (1.1, -2.0, RANGE, 1.1),
    ] {
        let (loss, gradient, _) = one(ratio, advantage, |logp, batch| cispo_loss(logp, batch, range));
        let expected = -weight * f64::from(advantage);
        assert_close(f64::from(gradient), expected);
        assert_close(loss, expected * (-1.0 + libm::log(ratio)));
    }
}

#[test]
fn direct_importance_sampling_drops_tokens_outside() {
    let maths = RatioRange { low: 0.3, high: 5.0 };
    for (ratio, advantage, weight, clipped) in [
        (0.71, 1.0, 0.71, (0, 0)),
        (0.69, 1.0, 0.0, (1, 0)),
        (5.9, -1.0, 5.9, (0, 0)),
        (6.1, -1.0, 0.0, (0, 1)),
        (1.0, -2.0, 1.0, (0, 0)),
    ] {
        let (loss, gradient, stats) = one(ratio, advantage, |logp, batch| dis_loss(logp, batch, maths));
        let expected = -weight * f64::from(advantage);
        assert_close(f64::from(gradient), expected);
        assert_close(loss, expected * (-1.0 + libm::log(ratio)));
        assert_eq!((stats.clipped_low, stats.clipped_high), clipped, "ratio {ratio}");
    }
}

#[test]
fn at_ratio_1_every_loss_has_the_plain_policy_gradient_and_clips_nothing() {
    let logp = [-0.3, -1.7, -2.2];
    let batch = PolicyBatch { old_logp: &logp, advantages: &[1.0, -0.5, 0.25], weights: &[0.5, 0.25, 0.125] };
    let plain = [-0.5, 0.125, -0.031_25];
    for found in [
        clipped_policy_loss(&logp, batch, Clip::Ratio(RANGE), Some(3.0)),
        clipped_policy_loss(&logp, batch, Clip::ProbabilityShift(0.2), None),
        cispo_loss(&logp, batch, RANGE),
        dis_loss(&logp, batch, RANGE),
        gspo_loss(&logp, batch, &[1, 1, 1], RANGE),
    ] {
        assert_eq!(found.dlogp, plain);
        let stats = found.stats;
        assert_eq!(stats.max_abs_log_ratio(), Some(0.0));
        assert_eq!(
            (stats.clip_low_frac(), stats.clip_high_frac(), stats.clip_dual_frac()),
            (Some(0.0), Some(0.0), Some(0.0))
        );
        assert_eq!((stats.ratio.mean(), stats.ratio.max()), (Some(1.0), Some(1.0)));
        assert_eq!((stats.approx_kl(), stats.approx_kl_k3()), (Some(0.0), Some(0.0)));
    }
}

#[test]
fn statistics_of_hand_worked_ratios() {
    // Ratios 2, 0.5, 1, 4: log-ratios add up to ln 4; mean ratio 1.875. Tokens 0 and 1 are clipped, 3 by the dual clip.
    let old_logp = [-1.5; 4];
    let logp = [2.0, 0.5, 1.0, 4.0].map(|ratio| -1.5 + ln(ratio));
    let batch = PolicyBatch { old_logp: &old_logp, advantages: &[1.0, -1.0, 1.0, -1.0], weights: &[0.25; 4] };
    let stats = clipped_policy_loss(&logp, batch, Clip::Ratio(RANGE), Some(3.0)).stats;
    assert_eq!(
        (stats.clip_high_frac(), stats.clip_low_frac(), stats.clip_dual_frac()),
        (Some(0.25), Some(0.25), Some(0.25))
    );
    assert_close(stats.ratio.mean().unwrap(), 1.875);
    assert_close(stats.ratio.max().unwrap(), 4.0);
    assert_close(stats.approx_kl().unwrap(), -libm::log(4.0) / 4.0);
    assert_close(stats.approx_kl_k3().unwrap(), 0.875 - libm::log(4.0) / 4.0);
    assert_close(stats.max_abs_log_ratio().unwrap(), libm::log(4.0));

    let mut fallen = one(0.25, 1.0, |logp, batch| cispo_loss(logp, batch, RANGE)).2;
    fallen.merge(&one(2.0, 1.0, |logp, batch| cispo_loss(logp, batch, RANGE)).2);
    assert_close(fallen.max_abs_log_ratio().unwrap(), libm::log(4.0));
}

/// At ratio 1 the positive-example term is a bonus of mu/p on the advantage of each positive token.
#[test]
fn positive_examples_add_mu_over_their_share_to_the_advantage() {
    let lengths = [3, 2, 5];
    let right = [false, true, false];
    let logp: Vec<f32> = (0..10).map(|t| -0.1 * (t + 1) as f32).collect();
    let advantages: Vec<f32> = (0..10).map(|t| 0.3 - 0.1 * t as f32).collect();
    let weights = Reduction::TokenMean.token_weights(&lengths, &[true; 3]);
    let positives = Reduction::TokenMean.token_weights(&lengths, &right);

    let with_bonus: Vec<f32> =
        (0..10).map(|t| advantages[t] + if (3..5).contains(&t) { 0.1 / 0.2 } else { 0.0 }).collect();
    let clip = Clip::Ratio(RANGE);
    let of = |advantages: &[f32]| {
        clipped_policy_loss(&logp, PolicyBatch { old_logp: &logp, advantages, weights: &weights }, clip, None)
    };
    let mut found = of(&advantages);
    let policy_loss = found.loss;
    let term = positive_lm_loss(&logp, &positives);
    found.add(0.1, &term);
    for (gradient, expected) in found.dlogp.iter().zip(of(&with_bonus).dlogp) {
        assert_close(f64::from(*gradient), f64::from(expected));
    }
    assert_close(term.loss, 0.45); // mean of 0.4 and 0.5
    assert_close(found.loss, policy_loss + 0.045);
}

#[test]
#[should_panic(expected = "one advantage per token")]
fn slices_must_be_of_one_length() {
    let batch = PolicyBatch { old_logp: &[0.0], advantages: &[], weights: &[1.0] };
    cispo_loss(&[0.0], batch, RANGE);
}

#[test]
#[should_panic(expected = "lengths add up")]
fn gspo_lengths_must_cover_the_tokens() {
    let batch = PolicyBatch { old_logp: &[0.0], advantages: &[1.0], weights: &[1.0] };
    gspo_loss(&[0.0], batch, &[2], RANGE);
}
