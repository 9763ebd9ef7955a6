//! The decoder: embedding and layers, forward and backward, written out as the list of its operations.
//!
//! `m` tokens of any number of sequences pass together; only attention knows which belong to one sequence.
//! The backward pass recomputes cheap things (norms, activations) instead of keeping them.
//!
//! A layer is two sublayers, attention and the gated layer, each of the form `x + after(output(inner(before(x))))`; either norm
//! may be absent. This file has that frame, `attention` and `mlp` what is within.

mod attention;
mod mlp;

use crate::Model;
use crate::layout::{Matrix, Sublayer};
use crate::workspace::Workspace;
use std::ops::Range;
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
        let embedding = model.parameters.values(model.layout.embedding.range());
        embed(device, embedding, self.ids, model.config.embedding_scale(), hidden.view_mut());
        for (i, layer) in model.layout.layers.iter().enumerate() {
            let kept = &mut layers[if keep { i } else { 0 }];
            copy(device, hidden.view(), kept.input.view_mut());
            self.attention_forward(i, kept, normed, active, &mut |qkv, out| attend(i, qkv, out));
            copy(device, kept.input.view(), kept.middle.view_mut());
            let [output, _] = &mut kept.outputs;
            self.leave(&layer.attention, kept.attended.view(), output, normed, kept.middle.view_mut());
            self.mlp_forward(layer, kept, normed, active);
            copy(device, kept.middle.view(), hidden.view_mut());
            let active = active.slice(..self.ids.len() * model.config.intermediate_size);
            let [_, output] = &mut kept.outputs;
            self.leave(&layer.mlp, active, output, normed, hidden.view_mut());
        }
    }

    /// The input of a sublayer's first products: `x`, normalized if it has a norm there.
    fn enter<'a>(&self, sublayer: &Sublayer, x: View<'a>, normed: &'a mut Buffer) -> View<'a> {
        let Some(norm) = &sublayer.before else { return x };
        rms_norm(self.device, x, self.model.norm(norm), normed.view_mut());
        normed.view()
    }

    /// Adds a sublayer's result to the residual stream. `inner` `[m, inputs of its last product]`; `output` keeps the
    /// result before its norm.
    fn leave(&self, sublayer: &Sublayer, inner: View, output: &mut Buffer, normed: &mut Buffer, mut residual: ViewMut) {
        let (device, p) = (self.device, &self.model.parameters);
        let weight = [p.matrix(&sublayer.output)];
        let bias = sublayer.output_bias.as_ref().map(|bias| p.values(bias.clone()));
        let Some(norm) = &sublayer.after else {
            if let Some(bias) = bias {
                add_to_rows(device, bias, residual.reborrow());
            }
            return linear(device, inner, &weight, residual, Write::Accumulate);
        };
        linear(device, inner, &weight, output.view_mut(), Write::Replace);
        if let Some(bias) = bias {
            add_to_rows(device, bias, output.view_mut());
        }
        rms_norm(device, output.view(), self.model.norm(norm), normed.view_mut());
        add(device, normed.view(), residual);
    }

    /// The gradient of [`Pass::forward`] over packed sequences, run just before with `keep`.
    ///
    /// `dx` `[m, hidden]`: gradient by the decoder's output, overwritten; gradients by weights are added to `grads`.
    pub(crate) fn backward(&self, trees: &[Tree], work: &mut Workspace, dx: &mut Buffer, grads: &mut Buffer) {
        let (device, model) = (self.device, self.model);
        work.reserve_gradients(device, &model.config, self.ids.len());
        let Workspace { layers, normed, gradient, .. } = work;
        for (i, kept) in layers.iter_mut().enumerate().rev() {
            self.mlp_backward(i, kept, normed, gradient, dx, grads);
            self.attention_backward(i, trees, (kept, normed, gradient), dx, grads);
        }
        let embedding = grads.slice_mut(model.layout.embedding.range());
        embed_backward(device, self.ids, dx.view(), model.config.embedding_scale(), embedding);
    }

    /// The gradient by a sublayer's result, given `dx`, that by the residual stream after it: `dx` itself, or made in `doutput`
    /// where a norm of `output` lies between.
    fn leave_backward<'a>(
        &self,
        sublayer: &Sublayer,
        output: &Buffer,
        dx: View<'a>,
        doutput: &'a mut Buffer,
        grads: &mut Buffer,
    ) -> View<'a> {
        let Some(norm) = &sublayer.after else { return dx };
        zero(self.device, doutput.view_mut());
        let (weight, dweight) = (self.model.norm(norm), grads.slice_mut(norm.clone()));
        rms_norm_backward(self.device, output.view(), weight, dx, doutput.view_mut(), dweight);
        doutput.view()
    }

    /// Adds the gradients by the weights of a sublayer's last product, given `dresult`, the gradient by the sublayer's result.
    fn output_gradients(&self, sublayer: &Sublayer, inner: View, dresult: View, grads: &mut Buffer) {
        let columns = Columns::all(self.model.config.hidden_size);
        linear_dw(self.device, inner, dresult, columns, grads.slice_mut(sublayer.output.range()));
        if let Some(bias) = &sublayer.output_bias {
            add_column_sums(self.device, dresult, columns, grads.slice_mut(bias.clone()));
        }
    }

    /// Adds to `dx` the gradient by a sublayer's input `x`, given `dproducts`, that by its first products, whose input
    /// was [entered](Pass::enter).
    fn enter_backward(
        &self,
        sublayer: &Sublayer,
        (x, dproducts, weights): (View, View, &[Weight]),
        dhidden: &mut Buffer,
        dx: &mut Buffer,
        grads: &mut Buffer,
    ) {
        let device = self.device;
        let Some(norm) = &sublayer.before else {
            return linear_dx(device, dproducts, weights, dx.view_mut(), Write::Accumulate);
        };
        linear_dx(device, dproducts, weights, dhidden.view_mut(), Write::Replace);
        let dweight = grads.slice_mut(norm.clone());
        rms_norm_backward(device, x, self.model.norm(norm), dhidden.view(), dx.view_mut(), dweight);
    }

    /// Products of one input, each with a bias or none of them.
    fn products<const N: usize>(
        &self,
        x: View,
        weights: &[Matrix; N],
        biases: &Option<[Range<usize>; N]>,
        mut y: ViewMut,
    ) {
        let (device, p) = (self.device, &self.model.parameters);
        let weights = weights.each_ref().map(|weight| p.matrix(weight));
        match biases {
            None => linear(device, x, &weights, y, Write::Replace),
            Some(biases) => {
                fill_rows(device, &biases.each_ref().map(|bias| p.values(bias.clone())), y.reborrow());
                linear(device, x, &weights, y, Write::Accumulate);
            }
        }
    }

    /// Adds the gradients by the weights and biases of [`Pass::products`], given `dy`, the gradient by all of them side by side.
    fn product_gradients<const N: usize>(
        &self,
        x: View,
        dy: View,
        weights: &[Matrix; N],
        biases: &Option<[Range<usize>; N]>,
        grads: &mut Buffer,
    ) {
        let width = weights.iter().map(|weight| weight.outputs).sum();
        let mut first = 0;
        for (i, weight) in weights.iter().enumerate() {
            let columns = Columns { width, first, len: weight.outputs };
            linear_dw(self.device, x, dy, columns, grads.slice_mut(weight.range()));
            if let Some(biases) = biases {
                add_column_sums(self.device, dy, columns, grads.slice_mut(biases[i].clone()));
            }
            first += weight.outputs;
        }
    }
}
