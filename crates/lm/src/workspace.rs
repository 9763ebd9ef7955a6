//! The buffers of a pass, reused from one to the next: allocated and counted by the same lists.

use crate::ModelConfig;
use crate::config::Norms;
use vapo_kernels::{Buffer, Device};

/// Buffers of the decoder's forward pass, and of the backward pass.
#[derive(Default)]
pub(crate) struct Workspace {
    /// What is kept per layer for the backward pass; without one, a single layer's, overwritten by the next.
    pub(crate) layers: Vec<LayerBuffers>,
    /// Residual stream between layers, after the last one the result, `[m, hidden]`.
    pub(crate) hidden: Buffer,
    pub(crate) normed: Buffer,
    /// Output of the gated layer; while attention runs, queries or keys after their norm.
    pub(crate) active: Buffer,
    pub(crate) gradient: GradientBuffers,
}

/// Activations of a layer that its backward pass needs.
#[derive(Default)]
pub(crate) struct LayerBuffers {
    /// Residual stream before the layer `[m, hidden]`.
    pub(crate) input: Buffer,
    /// Queries and keys before their norm `[m, heads * size]`, `[m, kv_heads * size]`, where they have one.
    pub(crate) raw: [Buffer; 2],
    /// Queries, keys (rotated) and values `[m, shape.width()]`.
    pub(crate) qkv: Buffer,
    /// Output of attention `[m, heads * size]`.
    pub(crate) attended: Buffer,
    /// Residual stream after attention `[m, hidden]`.
    pub(crate) middle: Buffer,
    /// Both halves of the gated layer `[m, 2 * intermediate]`.
    pub(crate) gate_up: Buffer,
    /// What attention and the gated layer give to their norms `[m, hidden]`, where these stand after them.
    pub(crate) outputs: [Buffer; 2],
}

/// Gradients within a layer, named as what they are the gradient by.
#[derive(Default)]
pub(crate) struct GradientBuffers {
    pub(crate) hidden: Buffer,
    pub(crate) attended: Buffer,
    pub(crate) qkv: Buffer,
    pub(crate) active: Buffer,
    /// Queries or keys, after and before their norm.
    pub(crate) raw: [Buffer; 2],
    /// What attention or the gated layer gives to a norm after it.
    pub(crate) output: Buffer,
}

/// Buffers around the head, for the `n` positions that are scored.
#[derive(Default)]
pub(crate) struct HeadBuffers {
    /// Residual stream at those positions `[n, hidden]`.
    pub(crate) rows: Buffer,
    pub(crate) normed: Buffer,
    /// A chunk of `[n, vocab]`.
    pub(crate) logits: Buffer,
    /// Gradients by `normed` and by `rows`.
    pub(crate) dnormed: Buffer,
    pub(crate) drows: Buffer,
    /// Gradient by the decoder's output, all positions `[m, hidden]`.
    pub(crate) dhidden: Buffer,
}

/// Called with each buffer of a list and its values per row.
type Visit<'a> = &'a mut dyn FnMut(&mut Buffer, usize);

/// Widths of queries and keys where they have a norm of their own.
fn raw_widths(config: &ModelConfig) -> [usize; 2] {
    match config.family.facts().query_key_norm {
        Some(_) => [config.attention.query_width(), config.attention.key_width()],
        None => [0, 0],
    }
}

/// Width of the residual stream if norms stand after attention and the gated layer.
fn output_width(config: &ModelConfig) -> usize {
    if config.family.facts().norms == Norms::Before { 0 } else { config.hidden_size }
}

impl Workspace {
    /// Makes the buffers of a forward pass of `rows` tokens ready.
    pub(crate) fn reserve(&mut self, device: &Device, config: &ModelConfig, rows: usize, keep: bool) {
        self.forward_buffers(config, keep, &mut |buffer, width| {
            buffer.resize(device, rows * width);
        });
    }

    /// Makes the buffers of a backward pass of `rows` tokens ready.
    pub(crate) fn reserve_gradients(&mut self, device: &Device, config: &ModelConfig, rows: usize) {
        self.gradient.buffers(config, &mut |buffer, width| {
            buffer.resize(device, rows * width);
        });
    }

    fn forward_buffers(&mut self, config: &ModelConfig, keep: bool, visit: Visit) {
        self.layers.resize_with(if keep { config.num_layers } else { 1 }, LayerBuffers::default);
        self.layers.iter_mut().for_each(|layer| layer.buffers(config, visit));
        visit(&mut self.hidden, config.hidden_size);
        visit(&mut self.normed, config.hidden_size);
        visit(&mut self.active, config.intermediate_size.max(raw_widths(config)[0]));
    }
}

impl LayerBuffers {
    fn buffers(&mut self, config: &ModelConfig, visit: Visit) {
        visit(&mut self.input, config.hidden_size);
        self.raw.iter_mut().zip(raw_widths(config)).for_each(|(raw, width)| visit(raw, width));
        visit(&mut self.qkv, config.attention.width());
        visit(&mut self.attended, config.attention.query_width());
        visit(&mut self.middle, config.hidden_size);
        visit(&mut self.gate_up, 2 * config.intermediate_size);
        self.outputs.iter_mut().for_each(|output| visit(output, output_width(config)));
    }
}

impl GradientBuffers {
    fn buffers(&mut self, config: &ModelConfig, visit: Visit) {
        visit(&mut self.hidden, config.hidden_size);
        visit(&mut self.attended, config.attention.query_width());
        visit(&mut self.qkv, config.attention.width());
        visit(&mut self.active, config.intermediate_size);
        self.raw.iter_mut().for_each(|raw| visit(raw, raw_widths(config)[0]));
        visit(&mut self.output, output_width(config));
    }
}

impl HeadBuffers {
    /// Makes the buffers of a backward pass ready: `rows` tokens, `scored` of them with a loss.
    pub(crate) fn reserve_gradients(&mut self, device: &Device, config: &ModelConfig, rows: usize, scored: usize) {
        self.gradients(config, rows, scored, &mut |buffer, len| {
            buffer.resize(device, len);
        });
    }

    /// Unlike in the lists above, `visit` gets the buffers' lengths.
    fn gradients(&mut self, config: &ModelConfig, rows: usize, scored: usize, visit: Visit) {
        visit(&mut self.dnormed, scored * config.hidden_size);
        visit(&mut self.drows, scored * config.hidden_size);
        visit(&mut self.dhidden, rows * config.hidden_size);
    }
}

/// Bytes of activations while `rows` tokens pass and `scored` of them reach the head; with `train`, also what is kept
/// for the gradient, and the gradients by activations. Logits are not included.
pub fn activation_bytes(config: &ModelConfig, rows: usize, scored: usize, train: bool) -> usize {
    let (mut per_row, mut head) = (0, 2 * scored * config.hidden_size);
    let mut count = |_: &mut Buffer, width| per_row += width;
    Workspace::default().forward_buffers(config, train, &mut count);
    if train {
        GradientBuffers::default().buffers(config, &mut count);
        HeadBuffers::default().gradients(config, rows, scored, &mut |_, len| head += len);
    }
    size_of::<f32>() * (rows * per_row + head)
}
