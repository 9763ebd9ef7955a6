//! The decoder: embedding and layers, forward and backward, written out as the list of its operations.
//!
//! `m` tokens of any number of sequences pass together; only attention knows which belong to one sequence.
//! The backward pass recomputes cheap things (norms, activations) instead of keeping them.

use crate::Model;
use crate::layout::Layer;
use crate::workspace::{GradientBuffers, LayerBuffers, Workspace};
use vapo_kernels::*;

/// The tokens of one pass through a network, and each one's position in its sequence.
pub(crate) struct Pass<'a> {
    pub(crate) device: &'a Device,
    pub(crate) model: &'a Model,
    pub(crate) ids: &'a [u32],
    pub(crate) positions: &'a [u32],
}

/// How a pass attends: over packed sequences, or over caches. Gets the layer, `qkv` and the output.
pub(crate) type Attend<'a> = &'a mut dyn FnMut(usize, View, ViewMut);

impl Pass<'_> {
    /// Runs the decoder; the result is `work.hidden`. With `keep`, what [`Pass::backward`] needs is kept per layer.
    pub(crate) fn forward(&self, keep: bool, work: &mut Workspace, attend: Attend) {
        let (device, model) = (self.device, self.model);
        work.reserve(device, &model.config, self.ids.len(), keep);
        let Workspace { layers, hidden, normed, active, .. } = work;
        embed(device, model.parameters.values(model.layout.embedding.range()), self.ids, hidden.view_mut());
        for (i, layer) in model.layout.layers.iter().enumerate() {
            let kept = &mut layers[if keep { i } else { 0 }];
            copy(device, hidden.view(), kept.input.view_mut());
            self.attention_forward(layer, kept, normed, active, &mut |qkv, out| attend(i, qkv, out));
            self.mlp_forward(layer, kept, normed, active);
            copy(device, kept.middle.view(), hidden.view_mut());
            let active = active.slice(..self.ids.len() * model.config.intermediate_size);
            linear(device, active, &[model.parameters.matrix(&layer.down)], hidden.view_mut(), Write::Accumulate);
        }
    }

    /// From `kept.input` to `kept.middle`: the residual stream after attention.
    fn attention_forward(
        &self,
        layer: &Layer,
        kept: &mut LayerBuffers,
        normed: &mut Buffer,
        scratch: &mut Buffer,
        attend: &mut dyn FnMut(View, ViewMut),
    ) {
        let (device, p, config) = (self.device, &self.model.parameters, &self.model.config);
        let (shape, eps) = (config.attention, config.rms_norm_eps);
        let LayerBuffers { input, raw, qkv, attended, middle, .. } = kept;
        rms_norm(device, input.view(), p.values(layer.input_norm.clone()), eps, normed.view_mut());
        let weights = layer.qkv.each_ref().map(|w| p.matrix(w));
        match &layer.qkv_bias {
            None => linear(device, normed.view(), &weights, qkv.view_mut(), Write::Replace),
            Some(biases) => {
                fill_rows(device, &biases.each_ref().map(|b| p.values(b.clone())), qkv.view_mut());
                linear(device, normed.view(), &weights, qkv.view_mut(), Write::Accumulate);
            }
        }
        if let Some(norms) = &layer.qk_norm {
            for ((weight, part), raw) in norms.iter().zip(query_key_columns(shape)).zip(raw) {
                let own = Columns::all(part.len);
                let mut scaled = scratch.slice_mut(..raw.len());
                copy_columns(device, (qkv.view(), part), (raw.view_mut(), own));
                rms_norm(device, raw.view(), p.values(weight.clone()), eps, scaled.reborrow());
                copy_columns(device, (scaled.view(), own), (qkv.view_mut(), part));
            }
        }
        let heads = shape.heads + shape.kv_heads;
        rotate(device, &self.model.rotary, self.positions, qkv.view_mut(), heads, Turn::Forward);
        attend(qkv.view(), attended.view_mut());
        copy(device, input.view(), middle.view_mut());
        linear(device, attended.view(), &[p.matrix(&layer.output)], middle.view_mut(), Write::Accumulate);
    }

    /// From `kept.middle` to `active`: the gated layer without its last product, which goes into the residual stream.
    fn mlp_forward(&self, layer: &Layer, kept: &mut LayerBuffers, normed: &mut Buffer, active: &mut Buffer) {
        let (device, p, config) = (self.device, &self.model.parameters, &self.model.config);
        let inner = config.intermediate_size;
        let LayerBuffers { middle, gate_up, .. } = kept;
        rms_norm(device, middle.view(), p.values(layer.post_norm.clone()), config.rms_norm_eps, normed.view_mut());
        let weights = layer.gate_up.each_ref().map(|w| p.matrix(w));
        linear(device, normed.view(), &weights, gate_up.view_mut(), Write::Replace);
        swiglu(device, gate_up.view(), inner, active.slice_mut(..self.ids.len() * inner));
    }

    /// The gradient of [`Pass::forward`] over packed sequences, run just before with `keep`.
    ///
    /// `dx` `[m, hidden]`: gradient by the decoder's output, overwritten; gradients by weights are added to `grads`.
    pub(crate) fn backward(&self, trees: &[Tree], work: &mut Workspace, dx: &mut Buffer, grads: &mut Buffer) {
        work.reserve_gradients(self.device, &self.model.config, self.ids.len());
        let Workspace { layers, normed, gradient, .. } = work;
        for (layer, kept) in self.model.layout.layers.iter().zip(layers).rev() {
            self.mlp_backward(layer, kept, normed, gradient, dx, grads);
            self.attention_backward(layer, trees, (kept, normed, gradient), dx, grads);
        }
        let embedding = grads.slice_mut(self.model.layout.embedding.range());
        embed_backward(self.device, self.ids, dx.view(), embedding);
    }

    /// `dx`: gradient by the layer's output on entry, by `kept.middle` on return.
    fn mlp_backward(
        &self,
        layer: &Layer,
        kept: &mut LayerBuffers,
        normed: &mut Buffer,
        gradient: &mut GradientBuffers,
        dx: &mut Buffer,
        grads: &mut Buffer,
    ) {
        let (device, p, config) = (self.device, &self.model.parameters, &self.model.config);
        let (inner, eps) = (config.intermediate_size, config.rms_norm_eps);
        let post_norm = p.values(layer.post_norm.clone());
        let LayerBuffers { middle, gate_up, .. } = kept;
        let GradientBuffers { hidden: dhidden, active, .. } = gradient;

        linear_dx(device, dx.view(), &[p.matrix(&layer.down)], active.view_mut(), Write::Replace);
        swiglu_backward(device, gate_up.view_mut(), inner, active.view_mut());
        linear_dw(
            device,
            active.view(),
            dx.view(),
            Columns::all(config.hidden_size),
            grads.slice_mut(layer.down.range()),
        );
        rms_norm(device, middle.view(), post_norm, eps, normed.view_mut());
        for (i, w) in layer.gate_up.iter().enumerate() {
            let columns = Columns { width: 2 * inner, first: i * inner, len: inner };
            linear_dw(device, normed.view(), gate_up.view(), columns, grads.slice_mut(w.range()));
        }
        let weights = layer.gate_up.each_ref().map(|w| p.matrix(w));
        linear_dx(device, gate_up.view(), &weights, dhidden.view_mut(), Write::Replace);
        let dweight = grads.slice_mut(layer.post_norm.clone());
        rms_norm_backward(device, middle.view(), post_norm, eps, dhidden.view(), dx.view_mut(), dweight);
    }

    /// `dx`: gradient by `kept.middle` on entry, by `kept.input` on return.
    fn attention_backward(
        &self,
        layer: &Layer,
        trees: &[Tree],
        (kept, normed, gradient): (&mut LayerBuffers, &mut Buffer, &mut GradientBuffers),
        dx: &mut Buffer,
        grads: &mut Buffer,
    ) {
        let (device, p, config) = (self.device, &self.model.parameters, &self.model.config);
        let (shape, eps) = (config.attention, config.rms_norm_eps);
        let input_norm = p.values(layer.input_norm.clone());
        let LayerBuffers { input, raw, qkv, attended, .. } = kept;
        let GradientBuffers { hidden: dhidden, attended: dattended, qkv: dqkv, raw: draw, .. } = gradient;

        linear_dx(device, dx.view(), &[p.matrix(&layer.output)], dattended.view_mut(), Write::Replace);
        linear_dw(
            device,
            attended.view(),
            dx.view(),
            Columns::all(config.hidden_size),
            grads.slice_mut(layer.output.range()),
        );
        attention_backward(device, shape, qkv.view(), trees, attended.view(), dattended.view(), dqkv.view_mut());
        let heads = shape.heads + shape.kv_heads;
        rotate(device, &self.model.rotary, self.positions, dqkv.view_mut(), heads, Turn::Back);
        if let Some(norms) = &layer.qk_norm {
            let [dscaled, draw] = draw;
            for ((weight, part), raw) in norms.iter().zip(query_key_columns(shape)).zip(raw) {
                let own = Columns::all(part.len);
                let mut dscaled = dscaled.slice_mut(..raw.len());
                let mut draw = draw.slice_mut(..raw.len());
                copy_columns(device, (dqkv.view(), part), (dscaled.reborrow(), own));
                zero(device, draw.reborrow());
                let (dweight, weight) = (grads.slice_mut(weight.clone()), p.values(weight.clone()));
                rms_norm_backward(device, raw.view(), weight, eps, dscaled.view(), draw.reborrow(), dweight);
                copy_columns(device, (draw.view(), own), (dqkv.view_mut(), part));
            }
        }
        rms_norm(device, input.view(), input_norm, eps, normed.view_mut());
        let mut first = 0;
        for (i, w) in layer.qkv.iter().enumerate() {
            let columns = Columns { width: shape.width(), first, len: w.outputs };
            linear_dw(device, normed.view(), dqkv.view(), columns, grads.slice_mut(w.range()));
            if let Some(biases) = &layer.qkv_bias {
                add_column_sums(device, dqkv.view(), columns, grads.slice_mut(biases[i].clone()));
            }
            first += w.outputs;
        }
        let weights = layer.qkv.each_ref().map(|w| p.matrix(w));
        linear_dx(device, dqkv.view(), &weights, dhidden.view_mut(), Write::Replace);
        let dweight = grads.slice_mut(layer.input_norm.clone());
        rms_norm_backward(device, input.view(), input_norm, eps, dhidden.view(), dx.view_mut(), dweight);
    }
}

/// Where queries and keys lie in a row of `qkv`.
fn query_key_columns(shape: AttentionShape) -> [Columns; 2] {
    let (width, queries) = (shape.width(), shape.query_width());
    [Columns { width, first: 0, len: queries }, Columns { width, first: queries, len: shape.key_width() }]
}
