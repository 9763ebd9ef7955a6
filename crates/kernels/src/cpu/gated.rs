//! The gated layer's activation: both functions of the gate are `x * sigmoid(z(x))`.

use crate::cpu::lanes::{LANES, Lanes, dispatch};
use crate::cpu::math::sigmoid;
use crate::cpu::shared::{Shared, in_ranges};
use crate::cpu::team::Cpu;
use crate::operands::Activation;

/// `z(x)` and its derivative. With `tanh(u) = 2 sigmoid(2u) - 1`, GELU's `x / 2 * (1 + tanh(u))` is `x * sigmoid(2u)`, where
/// `u = sqrt(2 / pi) * (x + 0.044715 x^3)`.
#[inline(always)]
fn argument<L: Lanes>(activation: Activation, x: L) -> [L; 2] {
    const SLOPE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2; // 2 sqrt(2 / pi)
    const CUBIC: f32 = 0.044_715;
    match activation {
        Activation::Silu => [x, L::splat(1.0)],
        Activation::GeluTanh => {
            let square = x.mul(x);
            let value = x.mul(square.mul_add(L::splat(SLOPE * CUBIC), L::splat(SLOPE)));
            [value, square.mul_add(L::splat(3.0 * SLOPE * CUBIC), L::splat(SLOPE))]
        }
    }
}

/// `y = activation(gate) * up` where `gate_up` `[m, 2 * width]` holds both halves; `y` `[m, width]`.
pub(crate) fn gated(cpu: &Cpu, activation: Activation, gate_up: &[f32], width: usize, y: &mut [f32]) {
    assert_eq!(gate_up.len(), 2 * y.len());
    let work = y.len();
    let y = Shared::new(y);
    in_ranges(cpu, work / width, work, |rows| {
        // SAFETY: ranges are disjoint.
        let y = unsafe { y.part(rows.start * width..rows.end * width) };
        gated_rows(cpu.isa(), activation, &gate_up[2 * rows.start * width..2 * rows.end * width], width, y);
    });
}

#[inline(always)]
fn gated_rows_body<L: Lanes>(activation: Activation, gate_up: &[f32], width: usize, y: &mut [f32]) {
    for (both, y) in gate_up.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
        let (gate, up) = both.split_at(width);
        for ((g, u), y) in gate.chunks(LANES).zip(up.chunks(LANES)).zip(y.chunks_mut(LANES)) {
            let g = L::load_part(g, 0.0);
            g.mul(sigmoid(argument(activation, g)[0])).mul(L::load_part(u, 0.0)).store_part(y);
        }
    }
}
dispatch! { fn gated_rows(activation: Activation, gate_up: &[f32], width: usize, y: &mut [f32]) = crate::cpu::gated::gated_rows_body }

/// Replaces `gate_up` by its gradient, given `dy`, the gradient of [`gated`]'s output; writes that output to `dy`
/// (the next product needs it, and it is cheaper to make again than to keep).
pub(crate) fn gated_backward(cpu: &Cpu, activation: Activation, gate_up: &mut [f32], width: usize, dy: &mut [f32]) {
    assert_eq!(gate_up.len(), 2 * dy.len());
    let work = dy.len();
    let (gate_up, dy) = (Shared::new(gate_up), Shared::new(dy));
    in_ranges(cpu, work / width, work, |rows| {
        // SAFETY: ranges are disjoint.
        let (both, dy) = unsafe {
            (gate_up.part(2 * rows.start * width..2 * rows.end * width), dy.part(rows.start * width..rows.end * width))
        };
        gated_backward_rows(cpu.isa(), activation, both, width, dy);
    });
}

#[inline(always)]
fn gated_backward_rows_body<L: Lanes>(activation: Activation, gate_up: &mut [f32], width: usize, dy: &mut [f32]) {
    let one = L::splat(1.0);
    for (both, dy) in gate_up.chunks_exact_mut(2 * width).zip(dy.chunks_exact_mut(width)) {
        let (gate, up) = both.split_at_mut(width);
        for ((gate, up), dy) in gate.chunks_mut(LANES).zip(up.chunks_mut(LANES)).zip(dy.chunks_mut(LANES)) {
            let (g, u, d) = (L::load_part(gate, 0.0), L::load_part(up, 0.0), L::load_part(dy, 0.0));
            let [z, dz] = argument(activation, g);
            let s = sigmoid(z);
            let active = g.mul(s);
            // (x s)' = s + x s (1 - s) z'
            let slope = active.mul_add(one.sub(s).mul(dz), s);
            d.mul(u).mul(slope).store_part(gate);
            d.mul(active).store_part(up);
            active.mul(u).store_part(dy);
        }
    }
}
dispatch! { fn gated_backward_rows(activation: Activation, gate_up: &mut [f32], width: usize, dy: &mut [f32]) = crate::cpu::gated::gated_backward_rows_body }
