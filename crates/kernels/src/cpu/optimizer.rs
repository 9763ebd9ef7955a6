//! Kernels over flat parameter buffers.

use crate::cpu::lanes::{LANES, Lanes, dispatch};
use crate::cpu::shared::{Shared, in_ranges};
use crate::cpu::team::Cpu;
use crate::operands::{AdamWStep, SQUARES_BLOCK as BLOCK};

/// Sums of squares of blocks, in f64, the same for any number of threads.
pub(crate) fn block_squares(cpu: &Cpu, x: &[f32]) -> Vec<f64> {
    let mut partial = vec![0.0f64; x.len().div_ceil(BLOCK)];
    let out = Shared::new(&mut partial);
    in_ranges(cpu, x.len().div_ceil(BLOCK), x.len(), |blocks| {
        for block in blocks {
            let x = &x[block * BLOCK..((block + 1) * BLOCK).min(x.len())];
            let mut lanes = [0.0f64; LANES];
            for chunk in x.chunks(LANES) {
                lanes.iter_mut().zip(chunk).for_each(|(l, &x)| *l += f64::from(x) * f64::from(x));
            }
            // SAFETY: one task per block.
            let to = unsafe { out.part(block..block + 1) };
            to[0] = lanes.iter().sum();
        }
    });
    partial
}

/// One AdamW step over flat buffers of one length; `gradient` is zeroed on the way.
pub(crate) fn adamw(
    cpu: &Cpu,
    step: &AdamWStep,
    parameters: &mut [f32],
    gradient: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let n = parameters.len();
    assert!(gradient.len() == n && first.len() == n && second.len() == n);
    let buffers = [parameters, gradient, first, second].map(Shared::new);
    in_ranges(cpu, n.div_ceil(BLOCK), n, |blocks| {
        let range = blocks.start * BLOCK..(blocks.end * BLOCK).min(n);
        // SAFETY: ranges are disjoint.
        let [p, g, m, v] = buffers.each_ref().map(|b| unsafe { b.part(range.clone()) });
        adamw_range(cpu.isa(), step, p, g, m, v);
    });
}

#[inline(always)]
fn adamw_range_body<L: Lanes>(step: &AdamWStep, p: &mut [f32], g: &mut [f32], m: &mut [f32], v: &mut [f32]) {
    let keep = L::splat(1.0 - step.learning_rate * step.weight_decay);
    let (beta1, beta2) = (L::splat(step.beta1), L::splat(step.beta2));
    let (new1, new2) = (L::splat(1.0 - step.beta1), L::splat(1.0 - step.beta2));
    let (scale, eps) = (L::splat(step.gradient_scale), L::splat(step.eps));
    let size = L::splat(-step.learning_rate / step.correction1);
    let root = L::splat(1.0 / step.correction2.sqrt());
    let lines = p.chunks_mut(LANES).zip(g.chunks_mut(LANES)).zip(m.chunks_mut(LANES).zip(v.chunks_mut(LANES)));
    for ((p, g), (m, v)) in lines {
        let gradient = L::load_part(g, 0.0).mul(scale);
        let first = L::load_part(m, 0.0).mul_add(beta1, gradient.mul(new1));
        let second = L::load_part(v, 0.0).mul_add(beta2, gradient.mul(gradient).mul(new2));
        let denominator = second.sqrt().mul_add(root, eps);
        let decayed = L::load_part(p, 0.0).mul(keep);
        first.div(denominator).mul_add(size, decayed).store_part(p);
        first.store_part(m);
        second.store_part(v);
        L::zero().store_part(g);
    }
}
dispatch! { fn adamw_range(step: &AdamWStep, p: &mut [f32], g: &mut [f32], m: &mut [f32], v: &mut [f32]) = crate::cpu::optimizer::adamw_range_body }
