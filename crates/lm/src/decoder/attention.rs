//! Attention: queries, keys and values, their norms and rotation.

use super::Pass;
use crate::workspace::{GradientBuffers, LayerBuffers};
use vapo_kernels::*;

impl Pass<'_> {
    /// From `kept.input` to `kept.attended`, without the last product.
    pub(super) fn attention_forward(
        &self,
        index: usize,
        kept: &mut LayerBuffers,
        normed: &mut Buffer,
        scratch: &mut Buffer,
        attend: &mut dyn FnMut(View, ViewMut),
    ) {
        let (device, layer) = (self.device, &self.model.layout.layers[index]);
        let shape = self.model.config.attention;
        let LayerBuffers { input, raw, qkv, attended, .. } = kept;
        let x = self.enter(&layer.attention, input.view(), normed);
        self.products(x, &layer.qkv, &layer.qkv_bias, qkv.view_mut());
        if let Some(norms) = &layer.qk_norm {
            for ((norm, part), raw) in norms.iter().zip(query_key_columns(shape)).zip(raw) {
                let own = Columns::all(part.len);
                let mut scaled = scratch.slice_mut(..raw.len());
                copy_columns(device, (qkv.view(), part), (raw.view_mut(), own));
                rms_norm(device, raw.view(), self.model.norm(norm), scaled.reborrow());
                copy_columns(device, (scaled.view(), own), (qkv.view_mut(), part));
            }
        }
        self.rotate(index, qkv, Turn::Forward);
        attend(qkv.view(), attended.view_mut());
    }

    /// Rotates queries and keys, if the layer has positions.
    fn rotate(&self, index: usize, qkv: &mut Buffer, turn: Turn) {
        let config = &self.model.config;
        let heads = config.attention.heads + config.attention.kv_heads;
        if let Some(rope) = config.layers[index].rope {
            rotate(self.device, &self.model.rotary[rope], self.positions, qkv.view_mut(), heads, turn);
        }
    }

    /// `dx`: gradient by `kept.middle` on entry, by `kept.input` on return.
    pub(super) fn attention_backward(
        &self,
        index: usize,
        trees: &[Tree],
        (kept, normed, gradient): (&mut LayerBuffers, &mut Buffer, &mut GradientBuffers),
        dx: &mut Buffer,
        grads: &mut Buffer,
    ) {
        let (device, p) = (self.device, &self.model.parameters);
        let (layer, shape) = (&self.model.layout.layers[index], self.model.config.attention);
        let LayerBuffers { input, raw, qkv, attended, outputs: [output, _], .. } = kept;
        let GradientBuffers { hidden: dhidden, attended: dattended, qkv: dqkv, raw: draw, output: doutput, .. } =
            gradient;

        let dresult = self.leave_backward(&layer.attention, output, dx.view(), doutput, grads);
        linear_dx(device, dresult, &[p.matrix(&layer.attention.output)], dattended.view_mut(), Write::Replace);
        self.output_gradients(&layer.attention, attended.view(), dresult, grads);
        let kind = self.model.config.layer_attention(index);
        attention_backward(device, kind, qkv.view(), trees, attended.view(), dattended.view(), dqkv.view_mut());
        self.rotate(index, dqkv, Turn::Back);
        if let Some(norms) = &layer.qk_norm {
            let [dscaled, draw] = draw;
            for ((norm, part), raw) in norms.iter().zip(query_key_columns(shape)).zip(raw) {
                let own = Columns::all(part.len);
                let mut dscaled = dscaled.slice_mut(..raw.len());
                let mut draw = draw.slice_mut(..raw.len());
                copy_columns(device, (dqkv.view(), part), (dscaled.reborrow(), own));
                zero(device, draw.reborrow());
                let dweight = grads.slice_mut(norm.clone());
                rms_norm_backward(device, raw.view(), self.model.norm(norm), dscaled.view(), draw.reborrow(), dweight);
                copy_columns(device, (draw.view(), own), (dqkv.view_mut(), part));
            }
        }
        let x = self.enter(&layer.attention, input.view(), normed);
        self.product_gradients(x, dqkv.view(), &layer.qkv, &layer.qkv_bias, grads);
        let weights = layer.qkv.each_ref().map(|weight| p.matrix(weight));
        self.enter_backward(&layer.attention, (input.view(), dqkv.view(), &weights), dhidden, dx, grads);
    }
}

/// Where queries and keys lie in a row of `qkv`.
fn query_key_columns(shape: AttentionShape) -> [Columns; 2] {
    let (width, queries) = (shape.width(), shape.query_width());
    [Columns { width, first: 0, len: queries }, Columns { width, first: queries, len: shape.key_width() }]
}
