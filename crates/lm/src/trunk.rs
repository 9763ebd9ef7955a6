//! The decoder: embedding and layers, forward and backward, written out.
//!
//! `m` tokens of any number of sequences pass together; only attention knows which belong to one sequence.
//! The backward pass makes cheap things again (norms, activations) instead of keeping them.

use crate::Model;
use crate::layout::Layer;
use vapo_kernels::*;

/// The tokens of a pass and where each stands in its sequence.
pub(crate) struct Tokens<'a> {
    pub(crate) ids: &'a [u32],
    pub(crate) positions: &'a [u32],
}

/// Buffers of a pass, reused from one to the next.
#[derive(Default)]
pub(crate) struct Workspace {
    layers: Vec<LayerBuffers>,
    /// Residual stream after the last layer, `[m, hidden]`.
    output: Buffer,
    normed: Buffer,
    active: Buffer,
    gradient: GradientBuffers,
}

/// What the backward pass needs of a layer.
#[derive(Default)]
struct LayerBuffers {
    /// Residual stream before the layer `[m, hidden]`.
    input: Buffer,
    /// Queries and keys before their norm `[m, heads * size]`, `[m, kv_heads * size]` (Qwen3 only).
    raw: [Buffer; 2],
    /// Queries, keys (rotated) and values `[m, shape.width()]`.
    qkv: Buffer,
    /// Output of attention `[m, heads * size]`.
    attended: Buffer,
    /// Residual stream after attention `[m, hidden]`.
    middle: Buffer,
    /// Both halves of the gated layer `[m, 2 * intermediate]`.
    gate_up: Buffer,
}

#[derive(Default)]
struct GradientBuffers {
    hidden: Buffer,
    attended: Buffer,
    qkv: Buffer,
    active: Buffer,
    raw: [Buffer; 2],
}

/// How a pass attends: over the packed sequences, or over caches. Gets the layer, `qkv` and the output.
pub(crate) type Attend<'a> = &'a mut dyn FnMut(usize, &[f32], &mut [f32]);

/// Runs the trunk; the result is [`Workspace::output`]. With `keep`, what [`backward`] needs is kept per layer.
pub(crate) fn forward(
    device: &Device,
    model: &Model,
    tokens: &Tokens,
    keep: bool,
    work: &mut Workspace,
    attend: Attend,
) {
    let config = &model.config;
    let rows = tokens.ids.len();
    let hidden = rows * config.hidden_size;
    let num_layers = model.layout.layers.len();
    work.layers.resize_with(if keep { num_layers } else { 1 }, LayerBuffers::default);
    embed(device, model.parameters.panels(model.layout.embedding.range()), tokens.ids, work.output.reserve(hidden));
    for (i, layer) in model.layout.layers.iter().enumerate() {
        let buffers = &mut work.layers[if keep { i } else { 0 }];
        buffers.input.reserve(hidden).copy_from_slice(&work.output[..hidden]);
        layer_forward(device, model, layer, tokens, buffers, &mut work.normed, &mut work.active, &mut |qkv, out| {
            attend(i, qkv, out)
        });
        let output = &mut work.output[..hidden];
        output.copy_from_slice(&buffers.middle[..hidden]);
        let active = &work.active[..rows * config.intermediate_size];
        linear(device, active, &[model.parameters.matrix(&layer.down)], output, Write::Accumulate);
    }
}

impl Workspace {
    /// The residual stream after the last layer, `[m, hidden]`.
    pub(crate) fn output(&self, len: usize) -> &[f32] {
        &self.output[..len]
    }
}

/// All of a layer but its last product, which goes straight into the residual stream.
#[allow(clippy::too_many_arguments)]
fn layer_forward(
    device: &Device,
    model: &Model,
    layer: &Layer,
    tokens: &Tokens,
    buffers: &mut LayerBuffers,
    normed: &mut Buffer,
    active: &mut Buffer,
    attend: &mut dyn FnMut(&[f32], &mut [f32]),
) {
    let (config, p) = (&model.config, &model.parameters);
    let (rows, shape, eps) = (tokens.ids.len(), config.attention, config.rms_norm_eps);
    let hidden = rows * config.hidden_size;
    let normed = normed.reserve(hidden);
    let qkv = buffers.qkv.reserve(rows * shape.width());

    rms_norm(device, &buffers.input[..hidden], &p.vector(&layer.input_norm), eps, normed);
    let weights = layer.qkv.each_ref().map(|w| p.matrix(w));
    match &layer.qkv_bias {
        None => linear(device, normed, &weights, qkv, Write::Replace),
        Some(biases) => {
            let biases = biases.each_ref().map(|b| p.vector(b));
            fill_rows(device, &biases.each_ref().map(|b| &**b), qkv);
            linear(device, normed, &weights, qkv, Write::Accumulate);
        }
    }
    if let Some(norms) = &layer.qk_norm {
        for ((weight, part), raw) in norms.iter().zip(query_key_columns(shape)).zip(&mut buffers.raw) {
            let raw = raw.reserve(rows * part.len);
            copy_columns(device, (qkv, shape.width(), part.first), (raw, part.len, 0), part.len);
            let scaled = active.reserve(rows * part.len);
            rms_norm(device, raw, &p.vector(weight), eps, scaled);
            copy_columns(device, (scaled, part.len, 0), (qkv, shape.width(), part.first), part.len);
        }
    }
    rotate(device, &model.rotary, tokens.positions, qkv, shape.heads + shape.kv_heads, Turn::Forward);
    let attended = buffers.attended.reserve(rows * shape.heads * shape.head_size);
    attend(qkv, attended);
    let middle = buffers.middle.reserve(hidden);
    middle.copy_from_slice(&buffers.input[..hidden]);
    linear(device, attended, &[p.matrix(&layer.output)], middle, Write::Accumulate);

    rms_norm(device, middle, &p.vector(&layer.post_norm), eps, normed);
    let gate_up = buffers.gate_up.reserve(rows * 2 * config.intermediate_size);
    linear(device, normed, &layer.gate_up.each_ref().map(|w| p.matrix(w)), gate_up, Write::Replace);
    swiglu(device, gate_up, config.intermediate_size, active.reserve(rows * config.intermediate_size));
}

/// Where queries and keys lie in a row of `qkv`.
struct Columns {
    first: usize,
    len: usize,
}

fn query_key_columns(shape: AttentionShape) -> [Columns; 2] {
    let queries = shape.heads * shape.head_size;
    [Columns { first: 0, len: queries }, Columns { first: queries, len: shape.kv_heads * shape.head_size }]
}

/// The gradient of [`forward`] over packed sequences, run just before with `keep`.
/// `doutput` `[m, hidden]` is the gradient by the trunk's output (overwritten); weight gradients are added to `grads`.
pub(crate) fn backward(
    device: &Device,
    model: &Model,
    tokens: &Tokens,
    trees: &[Tree],
    work: &mut Workspace,
    doutput: &mut [f32],
    grads: &mut [f32],
) {
    for (i, layer) in model.layout.layers.iter().enumerate().rev() {
        layer_backward(
            device,
            model,
            layer,
            tokens,
            trees,
            &mut work.layers[i],
            &mut work.normed,
            &mut work.gradient,
            doutput,
            grads,
        );
    }
    embed_backward(device, tokens.ids, doutput, &mut grads[model.layout.embedding.range()]);
}

/// `dx`: gradient by the layer's output on entry, by its input on return.
#[allow(clippy::too_many_arguments)]
fn layer_backward(
    device: &Device,
    model: &Model,
    layer: &Layer,
    tokens: &Tokens,
    trees: &[Tree],
    kept: &mut LayerBuffers,
    normed: &mut Buffer,
    gradient: &mut GradientBuffers,
    dx: &mut [f32],
    grads: &mut [f32],
) {
    let (config, p) = (&model.config, &model.parameters);
    let (rows, shape, eps) = (tokens.ids.len(), config.attention, config.rms_norm_eps);
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let heads = shape.heads * shape.head_size;
    let normed = normed.reserve(rows * hidden);
    let dhidden = gradient.hidden.reserve(rows * hidden);

    // Gated layer.
    let (middle, gate_up) = (&kept.middle[..rows * hidden], &mut kept.gate_up[..rows * 2 * inner]);
    let active = gradient.active.reserve(rows * inner);
    linear_dx(device, dx, &[p.matrix(&layer.down)], active, Write::Replace);
    swiglu_backward(device, gate_up, inner, active);
    linear_dw(device, active, dx, hidden, 0, hidden, &mut grads[layer.down.range()]);
    rms_norm(device, middle, &p.vector(&layer.post_norm), eps, normed);
    for (i, w) in layer.gate_up.iter().enumerate() {
        linear_dw(device, normed, gate_up, 2 * inner, i * inner, inner, &mut grads[w.range()]);
    }
    linear_dx(device, gate_up, &layer.gate_up.each_ref().map(|w| p.matrix(w)), dhidden, Write::Replace);
    rms_norm_backward(
        device,
        middle,
        &p.vector(&layer.post_norm),
        eps,
        dhidden,
        dx,
        &mut grads[layer.post_norm.clone()],
    );

    // Attention.
    let (attended, qkv) = (&kept.attended[..rows * heads], &kept.qkv[..rows * shape.width()]);
    let dattended = gradient.attended.reserve(rows * heads);
    let dqkv = gradient.qkv.reserve(rows * shape.width());
    linear_dx(device, dx, &[p.matrix(&layer.output)], dattended, Write::Replace);
    linear_dw(device, attended, dx, hidden, 0, hidden, &mut grads[layer.output.range()]);
    attention_backward(device, shape, qkv, trees, attended, dattended, dqkv);
    rotate(device, &model.rotary, tokens.positions, dqkv, shape.heads + shape.kv_heads, Turn::Back);
    if let Some(norms) = &layer.qk_norm {
        for ((weight, part), raw) in norms.iter().zip(query_key_columns(shape)).zip(&kept.raw) {
            let [dscaled, draw] = gradient.raw.each_mut().map(|b| b.reserve(rows * part.len));
            copy_columns(device, (dqkv, shape.width(), part.first), (dscaled, part.len, 0), part.len);
            draw.fill(0.0);
            let raw = &raw[..rows * part.len];
            rms_norm_backward(device, raw, &p.vector(weight), eps, dscaled, draw, &mut grads[weight.clone()]);
            copy_columns(device, (draw, part.len, 0), (dqkv, shape.width(), part.first), part.len);
        }
    }
    let input = &kept.input[..rows * hidden];
    rms_norm(device, input, &p.vector(&layer.input_norm), eps, normed);
    let mut offset = 0;
    for (i, w) in layer.qkv.iter().enumerate() {
        linear_dw(device, normed, dqkv, shape.width(), offset, w.outputs, &mut grads[w.range()]);
        if let Some(biases) = &layer.qkv_bias {
            add_column_sums(device, dqkv, shape.width(), offset, &mut grads[biases[i].clone()]);
        }
        offset += w.outputs;
    }
    linear_dx(device, dqkv, &layer.qkv.each_ref().map(|w| p.matrix(w)), dhidden, Write::Replace);
    rms_norm_backward(
        device,
        input,
        &p.vector(&layer.input_norm),
        eps,
        dhidden,
        dx,
        &mut grads[layer.input_norm.clone()],
    );
}
