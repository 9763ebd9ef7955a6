//! What kernels take besides buffers: weights in their formats, per-row settings and results.
//!
//! Token ids, positions, row numbers and per-token results (log-probs, values) are host memory: a few bytes per row,
//! where losses and samplers work.

use crate::buffer::{Buffer, View};
use crate::device::Device;
use crate::number::bf16;

/// Weights in one of the formats that kernels read.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    /// Read as they are.
    F32(View<'a, f32>),
    /// Widened when they are read: half the memory traffic.
    Bf16(View<'a, bf16>),
}

/// A weight matrix `[outputs, inputs]`, stored as its device likes: [`Device::matrix_len`] values.
#[derive(Clone, Copy)]
pub struct Weight<'a> {
    /// The values.
    pub values: Values<'a>,
    /// Rows of the matrix: length of the result.
    pub outputs: usize,
    /// Columns of the matrix: length of the argument.
    pub inputs: usize,
}

/// Whether a product overwrites its output or adds to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Write {
    /// The output becomes the product.
    Replace,
    /// The product is added to the output (a residual, a bias): one rounding at its size, not one per input.
    Accumulate,
}

/// Some columns of an array with rows of `width` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Values in a row of the array.
    pub width: usize,
    /// The first of the columns.
    pub first: usize,
    /// Number of columns.
    pub len: usize,
}

impl Columns {
    /// All columns of rows of `width` values.
    pub fn all(width: usize) -> Columns {
        Columns { width, first: 0, len: width }
    }
}

/// A root-mean-square norm (Zhang & Sennrich 2019): `y = x / sqrt(mean(x^2) + eps) * (offset + weight)`.
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    /// One factor per value of a row.
    pub weight: Values<'a>,
    /// Added to every weight: 0, or 1 where weights are stored as differences from 1.
    pub offset: f32,
    /// Added to the mean square.
    pub eps: f32,
}

/// The function of the gate in a gated layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)` (Elfwing et al. 2018).
    Silu,
    /// GELU in its `tanh` form (Hendrycks & Gimpel 2016).
    GeluTanh,
}

/// Cosines and sines of rotary positions (Su et al. 2021): `[positions, frequencies]` each.
pub struct Rotary {
    pub(crate) head_size: usize,
    /// Number of frequencies: half of the values of a head that are rotated, which are its first ones.
    pub(crate) half: usize,
    pub(crate) cos: Buffer,
    pub(crate) sin: Buffer,
}

impl Rotary {
    /// Tables for positions `0..positions` of heads of `head_size` values, given at most `head_size / 2` inverse
    /// frequencies (radians per token). Rotated values are also multiplied by `amplitude`.
    pub fn new(
        device: &Device,
        head_size: usize,
        inverse_frequencies: &[f64],
        amplitude: f64,
        positions: usize,
    ) -> Rotary {
        let half = inverse_frequencies.len();
        assert!(2 * half <= head_size, "{half} frequencies of a head of {head_size} values");
        let angles = (0..positions).flat_map(|p| inverse_frequencies.iter().map(move |f| p as f64 * f));
        let entry = |a: f64| ((libm::cos(a) * amplitude) as f32, (libm::sin(a) * amplitude) as f32);
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.map(entry).unzip();
        Rotary { head_size, half, cos: Buffer::from_slice(device, &cos), sin: Buffer::from_slice(device, &sin) }
    }

    /// Number of positions that the tables cover.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }
}

/// Which way [`rotate`](crate::rotate) turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// To a token's position (forward pass).
    Forward,
    /// Back (the gradient of the forward turn).
    Back,
}

/// What a row of logits says about its target, under the temperature-scaled distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowScore {
    /// Log-probability of the target, nats.
    pub logp: f32,
    /// Entropy of the distribution, nats.
    pub entropy: f32,
    /// `ln(sum(exp(logit / T)))`.
    pub log_sum: f32,
}

/// Derivatives of a loss by a row's target log-probability and entropy.
#[derive(Clone, Copy, Debug)]
pub struct RowGradient {
    /// The token whose log-probability counts.
    pub target: u32,
    /// dL/dlogp.
    pub dlogp: f32,
    /// dL/dentropy.
    pub dentropy: f32,
}

/// How tokens are drawn from logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingParams {
    /// Logits are divided by this; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Only the `k` likeliest tokens.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together hold this share; 1 for all.
    pub top_p: f32,
    /// Only tokens at least this share of the likeliest one's probability; 0 for all.
    pub min_p: f32,
    /// Only tokens below this id: models often have more logits than their tokenizer has tokens.
    pub num_tokens: Option<usize>,
}

impl Default for SamplingParams {
    fn default() -> SamplingParams {
        SamplingParams { temperature: 1.0, top_k: None, top_p: 1.0, min_p: 0.0, num_tokens: None }
    }
}

/// A drawn token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drawn {
    /// The token.
    pub token: u32,
    /// Its log-probability in the whole temperature-scaled distribution, the trainer's; greedy choices are scored at
    /// temperature 1.
    pub logp: f32,
    /// Its log-probability in the distribution it was drawn from: larger by what truncation left out, equal without
    /// truncation.
    pub sampler_logp: f32,
}

/// Values whose squares are summed together.
pub const SQUARES_BLOCK: usize = 4096;

/// The numbers of one AdamW step (Loshchilov & Hutter 2019, algorithm 2).
#[derive(Clone, Copy, Debug)]
pub struct AdamWStep {
    /// Step size.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay: parameters shrink by `learning_rate * weight_decay`.
    pub weight_decay: f32,
    /// `1 - beta1^t`.
    pub correction1: f32,
    /// `1 - beta2^t`.
    pub correction2: f32,
    /// Factor on every gradient: global-norm clipping.
    pub gradient_scale: f32,
}
