//! The critic's loss, and bounds that keep values within the range of rewards.

use std::{f64::consts::PI, ops::Range};

use crate::stats::ValueStats;

/// Per-state data from before the critic's update; each slice `[N]`.
#[derive(Clone, Copy, Debug)]
pub struct ValueBatch<'a> {
    /// Targets, from [`value_targets`](crate::value_targets).
    pub targets: &'a [f32],
    /// The critic's values at the time the targets were computed.
    pub old_values: &'a [f32],
    /// Weights of the optimizer step, from [`Reduction::token_weights`](crate::Reduction::token_weights).
    pub weights: &'a [f32],
}

impl<'a> ValueBatch<'a> {
    /// The part belonging to a micro-batch.
    ///
    /// # Panics
    /// If the range is not within the batch.
    pub fn slice(self, tokens: Range<usize>) -> ValueBatch<'a> {
        ValueBatch {
            targets: &self.targets[tokens.clone()],
            old_values: &self.old_values[tokens.clone()],
            weights: &self.weights[tokens],
        }
    }
}

/// A value loss with its gradient and statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueLoss {
    /// `sum_t w_t l_t` over the tokens given.
    pub loss: f64,
    /// Its derivative with respect to each value, `[N]`.
    pub dvalue: Vec<f32>,
    /// Its statistics.
    pub stats: ValueStats,
}

/// Computes half the squared error; with `clip`, that of the value or of the value clipped to within `clip` of
/// the old one, whichever is larger:
///
/// ```text
/// l_t = 1/2 max((V - G)^2, (clip(V, V_old - clip, V_old + clip) - G)^2),    G the target
/// ```
///
/// The paper does not state its value loss; PPO implementations clip at 0.2 or 0.5, or not at all.
///
/// `values` `[N]`.
///
/// # Panics
/// If the slices differ in length.
///
/// ```
/// use vapo_algo::{ValueBatch, value_loss};
/// let batch = ValueBatch { targets: &[1.0], old_values: &[0.0], weights: &[0.5] };
/// let loss = value_loss(&[0.5], batch, None);
/// assert_eq!((loss.loss, loss.dvalue), (0.0625, vec![-0.25]));
/// ```
pub fn value_loss(values: &[f32], batch: ValueBatch, clip: Option<f64>) -> ValueLoss {
    assert_eq!(batch.targets.len(), values.len(), "one target per value");
    assert_eq!(batch.old_values.len(), values.len(), "one old value per value");
    assert_eq!(batch.weights.len(), values.len(), "one weight per value");
    let mut result = ValueLoss { loss: 0.0, dvalue: vec![0.0; values.len()], stats: ValueStats::default() };
    for (t, &weight) in batch.weights.iter().enumerate() {
        if weight == 0.0 {
            continue;
        }
        let (value, target) = (f64::from(values[t]), f64::from(batch.targets[t]));
        let old_value = f64::from(batch.old_values[t]);
        let clipped = clip.map_or(value, |clip| value.max(old_value - clip).min(old_value + clip));
        let (error, clipped_error) = (value - target, clipped - target);
        let is_clipped = clipped_error * clipped_error > error * error;
        let (worse, slope) = if is_clipped { (clipped_error, 0.0) } else { (error, error) };
        result.loss += f64::from(weight) * 0.5 * worse * worse;
        result.dvalue[t] = (f64::from(weight) * slope) as f32;
        result.stats.values.push(value);
        result.stats.squared_error.push(error * error);
        result.stats.clipped += u64::from(is_clipped);
    }
    result
}

/// How the critic's raw output z is mapped to a value. `lo` and `hi` are the least and greatest return.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ValueBound {
    /// `V = z`.
    #[default]
    Unbounded,
    /// `V = lo + (hi - lo) sigmoid(z)`.
    Sigmoid {
        /// Least value.
        lo: f64,
        /// Greatest value.
        hi: f64,
    },
    /// `V = lo + (hi - lo) (1/2 + atan(z)/pi)` (BPCO): its gradient falls as 1/z^2, not exponentially.
    Atan {
        /// Least value.
        lo: f64,
        /// Greatest value.
        hi: f64,
    },
}

impl ValueBound {
    /// Maps one raw output to a value.
    ///
    /// ```
    /// use vapo_algo::ValueBound;
    /// assert_eq!(ValueBound::Sigmoid { lo: -1.0, hi: 1.0 }.value(0.0), 0.0);
    /// ```
    pub fn value(self, raw: f32) -> f32 {
        let raw = f64::from(raw);
        match self {
            ValueBound::Unbounded => raw as f32,
            ValueBound::Sigmoid { lo, hi } => (lo + (hi - lo) * sigmoid(raw)) as f32,
            ValueBound::Atan { lo, hi } => (lo + (hi - lo) * (0.5 + libm::atan(raw) / PI)) as f32,
        }
    }

    /// The raw output that maps to this value, after moving the value at least a hundredth of the range away from the bounds.
    ///
    /// ```
    /// use vapo_algo::ValueBound;
    /// let bound = ValueBound::Sigmoid { lo: 0.0, hi: 1.0 };
    /// assert!((bound.value(bound.raw(0.1)) - 0.1).abs() < 1e-6);
    /// assert!((bound.value(bound.raw(0.0)) - 0.01).abs() < 1e-6);
    /// ```
    pub fn raw(self, value: f32) -> f32 {
        let share = |lo: f64, hi: f64| ((f64::from(value) - lo) / (hi - lo)).clamp(0.01, 0.99);
        match self {
            ValueBound::Unbounded => value,
            ValueBound::Sigmoid { lo, hi } => {
                let share = share(lo, hi);
                libm::log(share / (1.0 - share)) as f32
            }
            ValueBound::Atan { lo, hi } => libm::tan(PI * (share(lo, hi) - 0.5)) as f32,
        }
    }

    /// dV/dz, the factor that turns a derivative with respect to the value into one with respect to the raw output.
    pub fn derivative(self, raw: f32) -> f32 {
        let raw = f64::from(raw);
        match self {
            ValueBound::Unbounded => 1.0,
            ValueBound::Sigmoid { lo, hi } => ((hi - lo) * sigmoid(raw) * sigmoid(-raw)) as f32,
            ValueBound::Atan { lo, hi } => ((hi - lo) / (PI * (1.0 + raw * raw))) as f32,
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}
