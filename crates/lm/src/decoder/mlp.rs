//! The gated layer (Shazeer 2020).

use super::Pass;
use crate::layout::Layer;
use crate::workspace::{GradientBuffers, LayerBuffers};
use vapo_kernels::*;

impl Pass<'_> {
    /// From `kept.middle` to `active`, without the last product.
    pub(super) fn mlp_forward(&self, layer: &Layer, kept: &mut LayerBuffers, normed: &mut Buffer, active: &mut Buffer) {
        let config = &self.model.config;
        let inner = config.intermediate_size;
        let LayerBuffers { middle, gate_up, .. } = kept;
        let x = self.enter(&layer.mlp, middle.view(), normed);
        self.products(x, &layer.gate_up, &layer.gate_up_bias, gate_up.view_mut());
        let active = active.slice_mut(..self.ids.len() * inner);
        gated(self.device, config.activation, gate_up.view(), inner, active);
    }

    /// `dx`: gradient by the layer's output on entry, by `kept.middle` on return.
    pub(super) fn mlp_backward(
        &self,
        index: usize,
        kept: &mut LayerBuffers,
        normed: &mut Buffer,
        gradient: &mut GradientBuffers,
        dx: &mut Buffer,
        grads: &mut Buffer,
    ) {
        let (device, p, config) = (self.device, &self.model.parameters, &self.model.config);
        let layer = &self.model.layout.layers[index];
        let LayerBuffers { middle, gate_up, outputs: [_, output], .. } = kept;
        let GradientBuffers { hidden: dhidden, active, output: doutput, .. } = gradient;

        let dresult = self.leave_backward(&layer.mlp, output, dx.view(), doutput, grads);
        linear_dx(device, dresult, &[p.matrix(&layer.mlp.output)], active.view_mut(), Write::Replace);
        gated_backward(device, config.activation, gate_up.view_mut(), config.intermediate_size, active.view_mut());
        self.output_gradients(&layer.mlp, active.view(), dresult, grads);
        let x = self.enter(&layer.mlp, middle.view(), normed);
        self.product_gradients(x, gate_up.view(), &layer.gate_up, &layer.gate_up_bias, grads);
        let weights = layer.gate_up.each_ref().map(|weight| p.matrix(weight));
        self.enter_backward(&layer.mlp, (middle.view(), gate_up.view(), &weights), dhidden, dx, grads);
    }
}
