//! Root-mean-square normalization (Zhang & Sennrich 2019): `y = x / sqrt(mean(x^2) + eps) * weight`.
//!
//! A row is `width` values; the same kernels normalize hidden states and, with `width` the head size, the queries
//! and keys of Qwen3. Rows may lie inside wider ones: `Rows` says where.

use crate::cpu::lanes::{LANES, Lanes, dispatch};
use crate::cpu::shared::{Shared, in_ranges};
use crate::cpu::team::Cpu;
use std::ops::Range;

/// Rows summed before they are added to the weight's gradient.
const BLOCK: usize = 128;

/// Sum of `a[i] * b[i]` in the fixed lane order.
#[inline(always)]
pub(crate) fn dot<L: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    let mut sum = L::zero();
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        sum = L::load_part(a, 0.0).mul_add(L::load_part(b, 0.0), sum);
    }
    sum.sum()
}

#[inline(always)]
fn inverse_rms<L: Lanes>(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot::<L>(x, x) / x.len() as f32 + eps).sqrt()
}

/// `y[row] = x[row] * inverse_rms(x[row]) * weight`.
///
/// Shapes: `x`, `y` `[m, width]`, `weight` `[width]`.
pub(crate) fn rms_norm(cpu: &Cpu, x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let width = weight.len();
    assert_eq!(x.len(), y.len());
    assert_eq!(x.len() % width, 0);
    let y = Shared::new(y);
    in_ranges(cpu, x.len() / width, x.len(), |rows| {
        let range = rows.start * width..rows.end * width;
        // SAFETY: ranges are disjoint.
        let y = unsafe { y.part(range.clone()) };
        norm_rows(cpu.isa(), &x[range], weight, eps, y);
    });
}

#[inline(always)]
fn norm_rows_body<L: Lanes>(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let width = weight.len();
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        normalize::<L>(x, weight, inverse_rms::<L>(x, eps), y);
    }
}
dispatch! { fn norm_rows(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) = crate::cpu::norm::norm_rows_body }

#[inline(always)]
fn normalize<L: Lanes>(x: &[f32], weight: &[f32], inverse: f32, y: &mut [f32]) {
    let inverse = L::splat(inverse);
    for ((x, w), y) in x.chunks(LANES).zip(weight.chunks(LANES)).zip(y.chunks_mut(LANES)) {
        L::load_part(x, 0.0).mul(inverse).mul(L::load_part(w, 0.0)).store_part(y);
    }
}

/// `dx[row] += gradient of rms_norm by x[row]`, `dweight += its gradient by the weight`.
///
/// Shapes: `x`, `dy`, `dx` `[m, width]`, `weight`, `dweight` `[width]`.
pub(crate) fn rms_norm_backward(
    cpu: &Cpu,
    x: &[f32],
    weight: &[f32],
    eps: f32,
    dy: &[f32],
    dx: &mut [f32],
    dweight: &mut [f32],
) {
    let width = weight.len();
    let rows = x.len() / width;
    assert!(x.len() == rows * width && dy.len() == x.len() && dx.len() == x.len() && dweight.len() == width);
    let mut inverse = vec![0.0; rows];
    let (dx, inverse_out) = (Shared::new(dx), Shared::new(&mut inverse));
    in_ranges(cpu, rows, x.len(), |rows| {
        let range = rows.start * width..rows.end * width;
        // SAFETY: ranges are disjoint.
        let (dx, inverse) = unsafe { (dx.part(range.clone()), inverse_out.part(rows)) };
        backward_rows(cpu.isa(), &x[range.clone()], weight, eps, &dy[range], dx, inverse);
    });
    let dweight = Shared::new(dweight);
    let lines = width.div_ceil(LANES);
    in_ranges(cpu, lines, x.len(), |lines| {
        let columns = lines.start * LANES..(lines.end * LANES).min(width);
        // SAFETY: ranges are disjoint.
        let dweight = unsafe { dweight.part(columns.clone()) };
        weight_columns(cpu.isa(), x, dy, &inverse, width, columns, dweight);
    });
}

#[inline(always)]
fn backward_rows_body<L: Lanes>(x: &[f32], weight: &[f32], eps: f32, dy: &[f32], dx: &mut [f32], inverse: &mut [f32]) {
    let width = weight.len();
    let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
    for (((x, dy), dx), inverse) in rows.zip(inverse) {
        *inverse = inverse_rms::<L>(x, eps);
        let mut along = L::zero();
        for ((x, dy), w) in x.chunks(LANES).zip(dy.chunks(LANES)).zip(weight.chunks(LANES)) {
            let g = L::load_part(dy, 0.0).mul(L::load_part(w, 0.0));
            along = g.mul_add(L::load_part(x, 0.0), along);
        }
        // d/dx: (dy * w - x * sum(dy * w * x) / (width * rms^2)) / rms
        let shrink = L::splat(-along.sum() * *inverse * *inverse / width as f32);
        let inverse = L::splat(*inverse);
        let parts = x.chunks(LANES).zip(dy.chunks(LANES)).zip(weight.chunks(LANES)).zip(dx.chunks_mut(LANES));
        for (((x, dy), w), dx) in parts {
            let g = L::load_part(dy, 0.0).mul(L::load_part(w, 0.0));
            let g = L::load_part(x, 0.0).mul_add(shrink, g);
            g.mul_add(inverse, L::load_part(dx, 0.0)).store_part(dx);
        }
    }
}
dispatch! { fn backward_rows(x: &[f32], weight: &[f32], eps: f32, dy: &[f32], dx: &mut [f32], inverse: &mut [f32]) = crate::cpu::norm::backward_rows_body }

#[inline(always)]
fn weight_columns_body<L: Lanes>(
    x: &[f32],
    dy: &[f32],
    inverse: &[f32],
    width: usize,
    columns: Range<usize>,
    dweight: &mut [f32],
) {
    for (line, out) in dweight.chunks_mut(LANES).enumerate() {
        let here = columns.start + line * LANES..columns.start + line * LANES + out.len();
        for ((x, dy), inverse) in x.chunks(BLOCK * width).zip(dy.chunks(BLOCK * width)).zip(inverse.chunks(BLOCK)) {
            let mut sum = L::zero();
            for ((x, dy), &inverse) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(inverse) {
                let normed = L::load_part(&x[here.clone()], 0.0).mul(L::splat(inverse));
                sum = normed.mul_add(L::load_part(&dy[here.clone()], 0.0), sum);
            }
            L::load_part(out, 0.0).add(sum).store_part(out);
        }
    }
}
dispatch! { fn weight_columns(x: &[f32], dy: &[f32], inverse: &[f32], width: usize, columns: Range<usize>, dweight: &mut [f32]) = crate::cpu::norm::weight_columns_body }
