//! The kernels: whole operations over whole buffers, one function each, one `match` over the devices.

use crate::buffer::{View, ViewMut};
use crate::cache::{KvCache, SampleCache};
use crate::cpu;
use crate::device::Device;
use crate::number::bf16;
use crate::operands::{
    Activation, AdamWStep, Columns, Drawn, Norm, Rotary, RowGradient, RowScore, SamplingParams, Turn, Values, Weight,
    Write,
};
use crate::shape::{Attention, BLOCK, Tree};
use std::borrow::Cow;
use std::sync::Arc;

// Moving values.

/// `to = 0`.
pub fn zero(device: &Device, to: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::rows::zero(cpu, to.cpu()),
    }
}

/// `to = from`, of one length.
pub fn copy(device: &Device, from: View, to: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::rows::copy(cpu, from.cpu(), to.cpu()),
    }
}

/// `to += from`, of one length.
pub fn add(device: &Device, from: View, to: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::rows::add(cpu, from.cpu(), to.cpu()),
    }
}

/// `to[i] = from[rows[i]]`.
///
/// Shapes: `from` `[m, width]`, `to` `[rows.len(), width]`.
pub fn gather_rows(device: &Device, from: View, rows: &[usize], width: usize, to: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::rows::gather_rows(cpu, from.cpu(), rows, width, to.cpu()),
    }
}

/// `to[rows[i]] += from[i]`, in the order of `i`; a row may occur several times.
///
/// Shapes: `from` `[rows.len(), width]`, `to` `[m, width]`.
pub fn scatter_add_rows(device: &Device, from: View, rows: &[usize], width: usize, to: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::rows::scatter_add_rows(cpu, from.cpu(), rows, width, to.cpu()),
    }
}

/// Copies some columns of every row of an array to as many columns of the rows of another.
pub fn copy_columns(device: &Device, from: (View, Columns), to: (ViewMut, Columns)) {
    match device {
        Device::Cpu(cpu) => cpu::rows::copy_columns(cpu, (from.0.cpu(), from.1), (to.0.cpu(), to.1)),
    }
}

// Weights.

/// Stores a matrix `[outputs, inputs]`, given row-major, in the device's form ([`Device::matrix_len`] values).
pub fn write_matrix(device: &Device, matrix: &[f32], outputs: usize, inputs: usize, to: ViewMut) {
    match device {
        Device::Cpu(_) => cpu::panels::pack(matrix, outputs, inputs, to.cpu()),
    }
}

/// The row-major values of a matrix `[outputs, inputs]` that [`write_matrix`] stored.
pub fn read_matrix(device: &Device, from: View, outputs: usize, inputs: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; outputs * inputs];
    match device {
        Device::Cpu(_) => cpu::panels::unpack(from.cpu(), outputs, inputs, &mut matrix),
    }
    matrix
}

/// `to = from`, rounded to the nearest bf16, ties to even.
pub fn round_to_bf16(device: &Device, from: View, to: ViewMut<bf16>) {
    match device {
        Device::Cpu(cpu) => cpu::element::round_to_bf16(cpu, from.cpu(), to.cpu()),
    }
}

/// `to = from`, exactly.
pub fn widen(device: &Device, from: View<bf16>, to: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::element::widen(cpu, from.cpu(), to.cpu()),
    }
}

// Products.

/// `y[m][..] = x[m] * W^T` for several weights that share the input; their outputs lie side by side in `y`.
///
/// Shapes: `x` `[m, inputs]`, `y` `[m, sum of outputs]`. Every element is one chain of fused multiply-adds over the
/// inputs in order, whatever `m` and the threads.
pub fn linear(device: &Device, x: View, weights: &[Weight], y: ViewMut, write: Write) {
    match device {
        Device::Cpu(cpu) => cpu::matrix::linear(cpu, x.cpu(), &weights_on_cpu(weights), y.cpu(), write),
    }
}

/// `dx[m] = sum over weights of dy[m] * W`: the gradient of [`linear`] by its input.
///
/// Shapes: `dy` `[m, sum of outputs]`, `dx` `[m, inputs]`.
pub fn linear_dx(device: &Device, dy: View, weights: &[Weight], dx: ViewMut, write: Write) {
    match device {
        Device::Cpu(cpu) => cpu::matrix::linear_dx(cpu, dy.cpu(), &weights_on_cpu(weights), dx.cpu(), write),
    }
}

/// `dw += dy^T * x`: the gradient of [`linear`] by one weight, in the form of weights.
///
/// Shapes: `x` `[m, inputs]`; `dy` `[m, columns.width]`, of which `columns` belong to this weight.
pub fn linear_dw(device: &Device, x: View, dy: View, columns: Columns, dw: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::matrix::linear_dw(cpu, x.cpu(), dy.cpu(), columns, dw.cpu()),
    }
}

/// Sets every row of `y` `[m, width]` to the biases side by side, to which [`linear`] then adds.
pub fn fill_rows(device: &Device, biases: &[Values], y: ViewMut) {
    match device {
        Device::Cpu(cpu) => {
            let biases: Vec<_> = biases.iter().map(|bias| values_on_cpu(*bias)).collect();
            cpu::matrix::fill_rows(cpu, &biases, y.cpu());
        }
    }
}

/// Adds a bias to every row of `y` `[m, width]`.
pub fn add_to_rows(device: &Device, bias: Values, y: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::rows::add_to_rows(cpu, &values_on_cpu(bias).widened(), y.cpu()),
    }
}

/// `sums[c] += sum over rows of y[row][columns.first + c]`: the gradient of a bias.
///
/// Shapes: `y` `[m, columns.width]`, `sums` `[columns.len]`.
pub fn add_column_sums(device: &Device, y: View, columns: Columns, sums: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::matrix::add_column_sums(cpu, y.cpu(), columns, sums.cpu()),
    }
}

// Attention.

/// `out[t] = softmax(q[t] K^T * scale) V` over the keys of `t`'s sequence up to `t` that its window holds, for each head.
///
/// Shapes: `qkv` `[m, shape.width()]`, all rows in `trees`; `out` `[m, heads * head_size]`.
pub fn attention(device: &Device, layer: Attention, qkv: View, trees: &[Tree], out: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::attention::attention(cpu, layer, qkv.cpu(), trees, out.cpu()),
    }
}

/// The gradient of [`attention()`]: `dqkv` becomes the gradient by queries, keys and values.
///
/// Shapes: `qkv`, `dqkv` `[m, shape.width()]`, `out`, `dout` `[m, heads * head_size]`.
pub fn attention_backward(
    device: &Device,
    layer: Attention,
    qkv: View,
    trees: &[Tree],
    out: View,
    dout: View,
    dqkv: ViewMut,
) {
    match device {
        Device::Cpu(cpu) => {
            cpu::attention::attention_backward(cpu, layer, qkv.cpu(), trees, out.cpu(), dout.cpu(), dqkv.cpu())
        }
    }
}

/// Stores the keys and values of whole prompts for one layer: cache `i` gets rows `offsets[i]..offsets[i + 1]`.
///
/// Shapes: `qkv` `[m, shape.width()]`.
pub fn fill(device: &Device, layer: usize, qkv: View, offsets: &[usize], caches: &mut [KvCache]) {
    match device {
        Device::Cpu(cpu) => cpu::decode::fill(cpu, layer, qkv.cpu(), offsets, caches),
    }
}

/// The cache of a sample that continues `prompt` (of `prompt_tokens` tokens), with `own` as its memory.
pub fn start_sample(device: &Device, prompt: Arc<KvCache>, prompt_tokens: usize, mut own: KvCache) -> SampleCache {
    let shared = prompt_tokens / BLOCK * BLOCK;
    match device {
        Device::Cpu(_) => cpu::decode::copy_tokens(&prompt, shared..prompt_tokens, &mut own),
    }
    SampleCache { prompt, shared, own, len: prompt_tokens }
}

/// Stores the keys and values of each sample's next token for one layer; after the last layer the token is counted
/// by [`SampleCache::advance`].
///
/// Shapes: `qkv` `[samples, shape.width()]`.
pub fn append(device: &Device, layer: usize, qkv: View, samples: &mut [SampleCache]) {
    match device {
        Device::Cpu(cpu) => cpu::decode::append(cpu, layer, qkv.cpu(), samples),
    }
}

/// Attention of one new token per sample, its keys and values already [appended](append) for this layer.
///
/// Shapes: `qkv` `[samples, shape.width()]`, `out` `[samples, heads * head_size]`.
pub fn decode_attention(
    device: &Device,
    attention: Attention,
    layer: usize,
    qkv: View,
    samples: &[SampleCache],
    out: ViewMut,
) {
    match device {
        Device::Cpu(cpu) => cpu::decode::decode_attention(cpu, attention, layer, qkv.cpu(), samples, out.cpu()),
    }
}

// Rows and elements.

/// `x[row] = table[tokens[row]] * scale`.
///
/// Shapes: `table` a matrix `[vocab, width]`, `x` `[m, width]`. Tokens are below `vocab`.
pub fn embed(device: &Device, table: Values, tokens: &[u32], scale: f32, x: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::elementwise::embed(cpu, values_on_cpu(table), tokens, scale, x.cpu()),
    }
}

/// `dtable[tokens[row]] += dx[row] * scale`, rows in order.
pub fn embed_backward(device: &Device, tokens: &[u32], dx: View, scale: f32, dtable: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::elementwise::embed_backward(cpu, tokens, dx.cpu(), scale, dtable.cpu()),
    }
}

/// Normalizes every row: `y[row] = x[row] / sqrt(mean(x[row]^2) + eps) * (offset + weight)`.
///
/// Shapes: `x`, `y` `[m, width]`, the norm's weight `[width]`.
pub fn rms_norm(device: &Device, x: View, norm: Norm, y: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::norm::rms_norm(cpu, x.cpu(), &factors_on_cpu(norm), norm.eps, y.cpu()),
    }
}

/// `dx[row] += gradient of rms_norm by x[row]`, `dweight += its gradient by the weight`.
///
/// Shapes: `x`, `dy`, `dx` `[m, width]`, `dweight` `[width]`.
pub fn rms_norm_backward(device: &Device, x: View, norm: Norm, dy: View, dx: ViewMut, dweight: ViewMut) {
    match device {
        Device::Cpu(cpu) => {
            let factors = factors_on_cpu(norm);
            cpu::norm::rms_norm_backward(cpu, x.cpu(), &factors, norm.eps, dy.cpu(), dx.cpu(), dweight.cpu())
        }
    }
}

/// Rotates the first `heads` heads of each row of `x` `[m, width]` by its position, in the "rotate half" convention
/// of Hugging Face checkpoints; of a head, its first `2 * frequencies` values.
pub fn rotate(device: &Device, rotary: &Rotary, positions: &[u32], x: ViewMut, heads: usize, turn: Turn) {
    match device {
        Device::Cpu(cpu) => {
            let tables = cpu::elementwise::Tables {
                head_size: rotary.head_size,
                half: rotary.half,
                cos: rotary.cos.view().cpu(),
                sin: rotary.sin.view().cpu(),
            };
            cpu::elementwise::rotate(cpu, &tables, positions, x.cpu(), heads, turn)
        }
    }
}

/// `y = activation(gate) * up` where `gate_up` `[m, 2 * width]` holds both halves; `y` `[m, width]` (Shazeer 2020).
pub fn gated(device: &Device, activation: Activation, gate_up: View, width: usize, y: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::gated::gated(cpu, activation, gate_up.cpu(), width, y.cpu()),
    }
}

/// Replaces `gate_up` by its gradient, given `dy`, the gradient of [`gated`]'s output; writes that output to `dy`
/// (the next product needs it, and making it again is cheaper than keeping it).
pub fn gated_backward(device: &Device, activation: Activation, gate_up: ViewMut, width: usize, dy: ViewMut) {
    match device {
        Device::Cpu(cpu) => cpu::gated::gated_backward(cpu, activation, gate_up.cpu(), width, dy.cpu()),
    }
}

// Heads.

/// Scores the target of every row of `logits` `[m, vocab]` in the distribution `softmax(logits / temperature)`.
pub fn score_rows(device: &Device, logits: View, temperature: f32, targets: &[u32], scores: &mut [RowScore]) {
    match device {
        Device::Cpu(cpu) => cpu::head::score_rows(cpu, logits.cpu(), temperature, targets, scores),
    }
}

/// Replaces logits `[m, vocab]` by the gradient of the loss by them:
/// `(dlogp * (1[target] - p) - dentropy * p * (log p + entropy)) / T`.
pub fn logit_gradients(device: &Device, logits: ViewMut, temperature: f32, scores: &[RowScore], rows: &[RowGradient]) {
    match device {
        Device::Cpu(cpu) => cpu::head::logit_gradients(cpu, logits.cpu(), temperature, scores, rows),
    }
}

/// `values[row] = x[row] . weight + bias`: the scalar head of a critic.
///
/// Shapes: `x` `[m, width]`, `weight` `[width]`, `bias` `[1]`, `values` `[m]`.
pub fn scalar_head(device: &Device, x: View, weight: Values, bias: Values, values: &mut [f32]) {
    match device {
        Device::Cpu(cpu) => {
            let bias = values_on_cpu(bias).widened()[0];
            cpu::head::scalar_head(cpu, x.cpu(), &values_on_cpu(weight).widened(), bias, values)
        }
    }
}

/// The gradient of [`scalar_head`]: `dx[row] = dvalues[row] * weight`; `dweight` and `dbias` `[1]` are added to.
pub fn scalar_head_backward(
    device: &Device,
    x: View,
    weight: Values,
    dvalues: &[f32],
    dx: ViewMut,
    dweight: ViewMut,
    dbias: ViewMut,
) {
    match device {
        Device::Cpu(_) => {
            let weight = values_on_cpu(weight).widened();
            cpu::head::scalar_head_backward(x.cpu(), &weight, dvalues, dx.cpu(), dweight.cpu(), dbias.cpu())
        }
    }
}

/// Draws one token from each row of `logits` `[m, vocab]`; row `i` uses the random stream of `keys[i]`.
pub fn sample_rows(device: &Device, logits: View, params: &SamplingParams, keys: &[[u64; 4]], drawn: &mut [Drawn]) {
    match device {
        Device::Cpu(cpu) => cpu::sampling::sample_rows(cpu, logits.cpu(), params, keys, drawn),
    }
}

// Optimizer.

/// Sums of squares of each block of [`SQUARES_BLOCK`](crate::SQUARES_BLOCK) values, in f64. Added in order they are the squared norm, with the same
/// bits for any number of threads, and for parts of a buffer that begin with a block as for the whole.
pub fn block_squares(device: &Device, x: View) -> Vec<f64> {
    match device {
        Device::Cpu(cpu) => cpu::optimizer::block_squares(cpu, x.cpu()),
    }
}

/// One AdamW step over flat buffers of one length; `gradient` is zeroed on the way.
pub fn adamw(
    device: &Device,
    step: &AdamWStep,
    parameters: ViewMut,
    gradient: ViewMut,
    first: ViewMut,
    second: ViewMut,
) {
    match device {
        Device::Cpu(cpu) => {
            cpu::optimizer::adamw(cpu, step, parameters.cpu(), gradient.cpu(), first.cpu(), second.cpu())
        }
    }
}

fn values_on_cpu(values: Values<'_>) -> cpu::element::Panels<'_> {
    match values {
        Values::F32(values) => cpu::element::Panels::F32(values.cpu()),
        Values::Bf16(values) => cpu::element::Panels::Bf16(values.cpu()),
    }
}

/// What a norm multiplies by.
fn factors_on_cpu<'a>(norm: Norm<'a>) -> Cow<'a, [f32]> {
    let weight = values_on_cpu(norm.weight).widened();
    if norm.offset == 0.0 { weight } else { weight.iter().map(|w| norm.offset + w).collect() }
}

fn weights_on_cpu<'a>(weights: &[Weight<'a>]) -> Vec<cpu::matrix::Weight<'a>> {
    let on_cpu =
        |w: &Weight<'a>| cpu::matrix::Weight { panels: values_on_cpu(w.values), outputs: w.outputs, inputs: w.inputs };
    weights.iter().map(on_cpu).collect()
}
