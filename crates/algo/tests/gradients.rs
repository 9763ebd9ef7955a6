//! Every gradient compared with central differences of its loss, on both sides of every boundary.

use vapo_algo::*;

/// Compares `gradient` with central differences of `loss` around `point`.
fn assert_gradient(point: &[f32], gradient: &[f32], loss: impl Fn(&[f32]) -> f64) {
    const STEP: f32 = 1e-3;
    assert_eq!(gradient.len(), point.len());
    for t in 0..point.len() {
        let (mut above, mut below) = (point.to_vec(), point.to_vec());
        above[t] += STEP;
        below[t] -= STEP;
        let width = f64::from(above[t]) - f64::from(below[t]);
        let expected = (loss(&above) - loss(&below)) / width;
        let error = (f64::from(gradient[t]) - expected).abs();
        assert!(
            error <= 1e-5 * expected.abs().max(0.1),
            "at {t}: gradient {}, difference quotient {expected}",
            gradient[t]
        );
    }
}

/// Every combination of these ratios and advantages; ratios lie on both sides of 1 - 0.2, 1, 1 + 0.28
/// and 3, and beyond the clamp of the log-ratio.
struct Grid {
    logp: Vec<f32>,
    old_logp: Vec<f32>,
    advantages: Vec<f32>,
    weights: Vec<f32>,
}

fn grid() -> Grid {
    let mut grid = Grid { logp: vec![], old_logp: vec![], advantages: vec![], weights: vec![] };
    for ratio in [0.3, 0.79, 0.81, 1.0, 1.27, 1.29, 2.98, 3.02, 6.5, 1e-10] {
        for (index, advantage) in [1.5, -0.7, 0.0].into_iter().enumerate() {
            let old_logp = -1.25 - 0.5 * index as f32;
            grid.old_logp.push(old_logp);
            grid.logp.push(old_logp + libm::log(ratio) as f32);
            grid.advantages.push(advantage);
            grid.weights.push(0.125 * (1 + grid.weights.len() % 3) as f32);
        }
    }
    grid
}

impl Grid {
    fn batch(&self) -> PolicyBatch<'_> {
        PolicyBatch { old_logp: &self.old_logp, advantages: &self.advantages, weights: &self.weights }
    }
}

const RANGE: RatioRange = RatioRange { low: 0.2, high: 0.28 };

#[test]
fn clipped_policy_loss_gradient() {
    let grid = grid();
    for clip in [Clip::Ratio(RANGE), Clip::ProbabilityShift(0.2)] {
        for dual_clip in [None, Some(3.0)] {
            let loss = |logp: &[f32]| clipped_policy_loss(logp, grid.batch(), clip, dual_clip);
            assert_gradient(&grid.logp, &loss(&grid.logp).dlogp, |logp| loss(logp).loss);
        }
    }
}

#[test]
fn clipped_policy_loss_has_no_gradient_beyond_the_clamp_of_the_log_ratio() {
    let batch = PolicyBatch { old_logp: &[-30.0, 0.0], advantages: &[-1.0, 1.0], weights: &[1e-9, 1.0] };
    let clip = Clip::Ratio(RANGE);
    let logp = [-1.0, -50.0];
    let loss = clipped_policy_loss(&logp, batch, clip, None);
    assert_eq!(loss.dlogp, [0.0; 2]);
    assert!((loss.loss - 0.485_165).abs() < 1e-5, "1e-9 exp(20): {}", loss.loss);
}

#[test]
fn gspo_gradient() {
    // Mean log-ratios of the responses: 0.1, 0.3 (above), -0.3 (below), -0.3 with a good answer, 0.02.
    let offsets = [0.3, -0.1, 0.6, 0.0, -0.5, -0.1, -0.4, -0.2, 0.02];
    let lengths = [2, 2, 2, 2, 1];
    let old_logp = [-1.0, -2.0, -0.5, -1.5, -0.25, -3.0, -1.0, -2.0, -0.75];
    let logp: Vec<f32> = old_logp.iter().zip(offsets).map(|(old, offset)| old + offset).collect();
    for sign in [1.0, -1.0] {
        let advantages = [1.0, 0.5, 2.0, -1.0, -1.0, 0.25, 1.0, 0.5, 1.0].map(|advantage: f32| sign * advantage);
        let weights = [0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.4, 0.1, 0.2];
        let batch = PolicyBatch { old_logp: &old_logp, advantages: &advantages, weights: &weights };
        let loss = |logp: &[f32]| gspo_loss(logp, batch, &lengths, RANGE);
        let found = loss(&logp);
        assert!(found.stats.clipped_low > 0 && found.stats.clipped_high > 0);
        assert_gradient(&logp, &found.dlogp, |logp| loss(logp).loss);
    }
}

/// The importance weight is a constant: only the log-prob that it multiplies varies.
#[test]
fn detached_losses_gradient() {
    let grid = grid();
    let ratio = |t: usize| libm::exp((f64::from(grid.logp[t]) - f64::from(grid.old_logp[t])).max(-20.0));
    let clipped = |t: usize| ratio(t).clamp(1.0 - RANGE.low, 1.0 + RANGE.high);
    let masked = |t: usize| {
        if (0.8..1.28).contains(&ratio(t)) { ratio(t) } else { 0.0 }
    };
    let expected = |coefficient: &dyn Fn(usize) -> f64, logp: &[f32]| -> f64 {
        let term = |t: usize| grid.weights[t] as f64 * coefficient(t) * grid.advantages[t] as f64 * logp[t] as f64;
        -(0..logp.len()).map(term).sum::<f64>()
    };
    let cispo = cispo_loss(&grid.logp, grid.batch(), RANGE);
    assert!((cispo.loss - expected(&clipped, &grid.logp)).abs() < 1e-9);
    assert_gradient(&grid.logp, &cispo.dlogp, |logp| expected(&clipped, logp));
    let dis = dis_loss(&grid.logp, grid.batch(), RANGE);
    assert!((dis.loss - expected(&masked, &grid.logp)).abs() < 1e-9);
    assert_gradient(&grid.logp, &dis.dlogp, |logp| expected(&masked, logp));
}

#[test]
fn kl_gradient() {
    let logp = [-1.0, -0.1, -3.0, -2.0, -0.5, -26.0];
    let ref_logp = [-1.5, -2.0, -1.0, -2.0, -40.0, -1.0];
    let weights = [0.25, 0.5, 0.125, 1.0, 0.25, 1e-8];
    for estimator in [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3] {
        let loss = |logp: &[f32]| kl_loss(logp, &ref_logp, &weights, estimator);
        let found = loss(&logp);
        assert!(found.loss > 0.0);
        assert_gradient(&logp, &found.dlogp, |logp| loss(logp).loss);
    }
}

#[test]
fn positive_lm_gradient() {
    let (logp, weights) = ([-1.0, -0.5, -2.0], [0.5, 0.0, 0.5]);
    let found = positive_lm_loss(&logp, &weights);
    assert_eq!((found.loss, found.tokens), (1.5, 2));
    assert_gradient(&logp, &found.dlogp, |logp| positive_lm_loss(logp, &weights).loss);
}

#[test]
fn entropy_bonus_gradient() {
    let (entropy, weights) = ([0.5, 2.0, 1.0], [0.25, 0.5, 0.0]);
    let found = entropy_bonus(&entropy, &weights, 0.01);
    assert!((found.loss - -0.01 * 1.125).abs() < 1e-12);
    assert_gradient(&entropy, &found.dentropy, |entropy| entropy_bonus(entropy, &weights, 0.01).loss);
}

#[test]
fn value_loss_gradient() {
    // Old values of 0, clip at 0.2: values on both sides of both bounds, targets on both sides of each.
    let mut values = vec![];
    let mut targets = vec![];
    for value in [-0.5, -0.21, -0.19, 0.0, 0.19, 0.21, 0.5] {
        for target in [-1.0, -0.1, 0.1, 1.0] {
            values.push(value);
            targets.push(target);
        }
    }
    let old_values = vec![0.0; values.len()];
    let weights: Vec<f32> = (0..values.len()).map(|t| 0.125 * (1 + t % 4) as f32).collect();
    let batch = ValueBatch { targets: &targets, old_values: &old_values, weights: &weights };
    for clip in [None, Some(0.2)] {
        let loss = |values: &[f32]| value_loss(values, batch, clip);
        let found = loss(&values);
        assert_eq!(found.stats.clipped > 0, clip.is_some());
        assert_gradient(&values, &found.dvalue, |values| loss(values).loss);
    }
}

#[test]
fn value_bound_derivatives() {
    let raw = [-4.0, -1.0, -0.1, 0.0, 0.3, 2.0, 5.0];
    let (lo, hi) = (-1.0, 2.0);
    for bound in [ValueBound::Unbounded, ValueBound::Sigmoid { lo, hi }, ValueBound::Atan { lo, hi }] {
        for z in raw {
            let step = 0.01;
            let quotient = (bound.value(z + step) - bound.value(z - step)) / (2.0 * step);
            let found = bound.derivative(z);
            assert!((found - quotient).abs() < 1e-4, "{bound:?} at {z}: {found}, quotient {quotient}");
        }
    }
}
