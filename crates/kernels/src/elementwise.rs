//! Kernels of single rows and elements: embedding, gated activation, rotary positions.

use crate::element::Element;
use crate::lanes::{LANES, Lanes, dispatch};
use crate::math::sigmoid;
use crate::matrix::panel_index;
use crate::shared::{Shared, in_ranges};
use crate::{Device, Panels};

/// `x[row] = table[tokens[row]]`.
///
/// Shapes: `table` `[vocab, width]` in panels, `x` `[m, width]`. Tokens are below `vocab`.
pub fn embed(device: &Device, table: Panels, tokens: &[u32], x: &mut [f32]) {
    match table {
        Panels::F32(table) => gather(device, table, tokens, x),
        Panels::Bf16(table) => gather(device, table, tokens, x),
    }
}

fn gather<E: Element>(device: &Device, table: &[E], tokens: &[u32], x: &mut [f32]) {
    let width = x.len() / tokens.len().max(1);
    let work = x.len();
    let x = Shared::new(x);
    in_ranges(device, tokens.len(), work, |rows| {
        for row in rows {
            // SAFETY: ranges are disjoint.
            let x = unsafe { x.part(row * width..(row + 1) * width) };
            let source = &table[panel_index(tokens[row] as usize, 0, width)..];
            x.iter_mut().zip(source.iter().step_by(LANES)).for_each(|(x, &v)| *x = v.to_f32());
        }
    });
}

/// `dtable[tokens[row]] += dx[row]`, rows in order.
pub fn embed_backward(device: &Device, tokens: &[u32], dx: &[f32], dtable: &mut [f32]) {
    let width = dx.len() / tokens.len().max(1);
    let dtable = Shared::new(dtable);
    in_ranges(device, width, dx.len(), |columns| {
        for (row, &token) in tokens.iter().enumerate() {
            let start = panel_index(token as usize, columns.start, width);
            for (i, dx) in dx[row * width..][columns.clone()].iter().enumerate() {
                // SAFETY: each task owns its columns of every token's row.
                unsafe { *dtable.ptr().add(start + i * LANES) += dx };
            }
        }
    });
}

/// `y = silu(gate) * up` where `gate_up` `[m, 2 * width]` holds both halves; `y` `[m, width]`.
pub fn swiglu(device: &Device, gate_up: &[f32], width: usize, y: &mut [f32]) {
    assert_eq!(gate_up.len(), 2 * y.len());
    let work = y.len();
    let y = Shared::new(y);
    in_ranges(device, work / width, work, |rows| {
        // SAFETY: ranges are disjoint.
        let y = unsafe { y.part(rows.start * width..rows.end * width) };
        swiglu_rows(device.isa(), &gate_up[2 * rows.start * width..2 * rows.end * width], width, y);
    });
}

#[inline(always)]
fn swiglu_rows_body<L: Lanes>(gate_up: &[f32], width: usize, y: &mut [f32]) {
    for (both, y) in gate_up.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
        let (gate, up) = both.split_at(width);
        for ((g, u), y) in gate.chunks(LANES).zip(up.chunks(LANES)).zip(y.chunks_mut(LANES)) {
            let g = L::load_part(g, 0.0);
            g.mul(sigmoid(g)).mul(L::load_part(u, 0.0)).store_part(y);
        }
    }
}
dispatch! { fn swiglu_rows(gate_up: &[f32], width: usize, y: &mut [f32]) = crate::elementwise::swiglu_rows_body }

/// Replaces `gate_up` by its gradient, given `dy`, the gradient of [`swiglu`]'s output; writes that output to `dy`
/// (the next product needs it, and it is cheaper to make again than to keep).
pub fn swiglu_backward(device: &Device, gate_up: &mut [f32], width: usize, dy: &mut [f32]) {
    assert_eq!(gate_up.len(), 2 * dy.len());
    let work = dy.len();
    let (gate_up, dy) = (Shared::new(gate_up), Shared::new(dy));
    in_ranges(device, work / width, work, |rows| {
        // SAFETY: ranges are disjoint.
        let (both, dy) = unsafe {
            (gate_up.part(2 * rows.start * width..2 * rows.end * width), dy.part(rows.start * width..rows.end * width))
        };
        swiglu_backward_rows(device.isa(), both, width, dy);
    });
}

#[inline(always)]
fn swiglu_backward_rows_body<L: Lanes>(gate_up: &mut [f32], width: usize, dy: &mut [f32]) {
    let one = L::splat(1.0);
    for (both, dy) in gate_up.chunks_exact_mut(2 * width).zip(dy.chunks_exact_mut(width)) {
        let (gate, up) = both.split_at_mut(width);
        for ((gate, up), dy) in gate.chunks_mut(LANES).zip(up.chunks_mut(LANES)).zip(dy.chunks_mut(LANES)) {
            let (g, u, d) = (L::load_part(gate, 0.0), L::load_part(up, 0.0), L::load_part(dy, 0.0));
            let s = sigmoid(g);
            let silu = g.mul(s);
            // silu' = s + g * s * (1 - s)
            let slope = silu.mul_add(one.sub(s), s);
            d.mul(u).mul(slope).store_part(gate);
            d.mul(silu).store_part(up);
            silu.mul(u).store_part(dy);
        }
    }
}
dispatch! { fn swiglu_backward_rows(gate_up: &mut [f32], width: usize, dy: &mut [f32]) = crate::elementwise::swiglu_backward_rows_body }

/// Copies `columns` columns of every row: from `(source, width, first column)` to the same of the target.
pub fn copy_columns(device: &Device, from: (&[f32], usize, usize), to: (&mut [f32], usize, usize), columns: usize) {
    let ((source, from_width, from_column), (target, to_width, to_column)) = (from, to);
    let rows = source.len() / from_width;
    assert_eq!(target.len(), rows * to_width);
    let target = Shared::new(target);
    in_ranges(device, rows, rows * columns, |range| {
        for row in range {
            let at = row * to_width + to_column;
            // SAFETY: ranges are disjoint.
            let to = unsafe { target.part(at..at + columns) };
            to.copy_from_slice(&source[row * from_width + from_column..][..columns]);
        }
    });
}

/// Cosines and sines of rotary positions (Su et al. 2021): `[positions, head_size / 2]` each.
pub struct Rotary {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotary {
    /// Tables for positions `0..positions`, given the `head_size / 2` inverse frequencies (radians per token).
    pub fn new(inverse_frequencies: &[f64], positions: usize) -> Rotary {
        let half = inverse_frequencies.len();
        let angles = (0..positions).flat_map(|p| inverse_frequencies.iter().map(move |f| p as f64 * f));
        let (cos, sin) = angles.map(|a| (libm::cos(a) as f32, libm::sin(a) as f32)).unzip();
        Rotary { half, cos, sin }
    }

    /// Number of positions that the tables cover.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }
}

/// Which way [`rotate`] turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// To a token's position (forward pass).
    Forward,
    /// Back (the gradient of the forward turn).
    Back,
}

/// Rotates the first `heads` heads of each row of `x` `[m, width]` by its position, in the "rotate half" convention
/// of Hugging Face checkpoints.
pub fn rotate(device: &Device, rotary: &Rotary, positions: &[u32], x: &mut [f32], heads: usize, turn: Turn) {
    let width = x.len() / positions.len().max(1);
    let half = rotary.half;
    let work = x.len();
    let x = Shared::new(x);
    in_ranges(device, positions.len(), work, |rows| {
        for row in rows {
            // SAFETY: ranges are disjoint.
            let x = unsafe { x.part(row * width..row * width + heads * 2 * half) };
            let table = positions[row] as usize * half;
            let (cos, sin) = (&rotary.cos[table..table + half], &rotary.sin[table..table + half]);
            for head in x.chunks_exact_mut(2 * half) {
                let (a, b) = head.split_at_mut(half);
                for ((a, b), (&cos, &sin)) in a.iter_mut().zip(b).zip(cos.iter().zip(sin)) {
                    let sin = if turn == Turn::Forward { sin } else { -sin };
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
        }
    });
}
