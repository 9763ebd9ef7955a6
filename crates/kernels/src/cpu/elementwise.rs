//! Kernels of single rows and elements: embedding, gated activation, rotary positions.

use crate::cpu::element::Element;
use crate::cpu::element::Panels;
use crate::cpu::lanes::{LANES, Lanes, dispatch};
use crate::cpu::math::sigmoid;
use crate::cpu::panels::panel_index;
use crate::cpu::shared::{Shared, in_ranges};
use crate::cpu::team::Cpu;
use crate::operands::Turn;

/// `x[row] = table[tokens[row]]`.
///
/// Shapes: `table` `[vocab, width]` in panels, `x` `[m, width]`. Tokens are below `vocab`.
pub(crate) fn embed(cpu: &Cpu, table: Panels, tokens: &[u32], x: &mut [f32]) {
    match table {
        Panels::F32(table) => gather(cpu, table, tokens, x),
        Panels::Bf16(table) => gather(cpu, table, tokens, x),
    }
}

fn gather<E: Element>(cpu: &Cpu, table: &[E], tokens: &[u32], x: &mut [f32]) {
    let width = x.len() / tokens.len().max(1);
    let work = x.len();
    let x = Shared::new(x);
    in_ranges(cpu, tokens.len(), work, |rows| {
        for row in rows {
            // SAFETY: ranges are disjoint.
            let x = unsafe { x.part(row * width..(row + 1) * width) };
            let source = &table[panel_index(tokens[row] as usize, 0, width)..];
            x.iter_mut().zip(source.iter().step_by(LANES)).for_each(|(x, &v)| *x = v.to_f32());
        }
    });
}

/// `dtable[tokens[row]] += dx[row]`, rows in order.
pub(crate) fn embed_backward(cpu: &Cpu, tokens: &[u32], dx: &[f32], dtable: &mut [f32]) {
    let width = dx.len() / tokens.len().max(1);
    let dtable = Shared::new(dtable);
    in_ranges(cpu, width, dx.len(), |columns| {
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
pub(crate) fn swiglu(cpu: &Cpu, gate_up: &[f32], width: usize, y: &mut [f32]) {
    assert_eq!(gate_up.len(), 2 * y.len());
    let work = y.len();
    let y = Shared::new(y);
    in_ranges(cpu, work / width, work, |rows| {
        // SAFETY: ranges are disjoint.
        let y = unsafe { y.part(rows.start * width..rows.end * width) };
        swiglu_rows(cpu.isa(), &gate_up[2 * rows.start * width..2 * rows.end * width], width, y);
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
dispatch! { fn swiglu_rows(gate_up: &[f32], width: usize, y: &mut [f32]) = crate::cpu::elementwise::swiglu_rows_body }

/// Replaces `gate_up` by its gradient, given `dy`, the gradient of [`swiglu`]'s output; writes that output to `dy`
/// (the next product needs it, and it is cheaper to make again than to keep).
pub(crate) fn swiglu_backward(cpu: &Cpu, gate_up: &mut [f32], width: usize, dy: &mut [f32]) {
    assert_eq!(gate_up.len(), 2 * dy.len());
    let work = dy.len();
    let (gate_up, dy) = (Shared::new(gate_up), Shared::new(dy));
    in_ranges(cpu, work / width, work, |rows| {
        // SAFETY: ranges are disjoint.
        let (both, dy) = unsafe {
            (gate_up.part(2 * rows.start * width..2 * rows.end * width), dy.part(rows.start * width..rows.end * width))
        };
        swiglu_backward_rows(cpu.isa(), both, width, dy);
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
dispatch! { fn swiglu_backward_rows(gate_up: &mut [f32], width: usize, dy: &mut [f32]) = crate::cpu::elementwise::swiglu_backward_rows_body }

/// Cosines and sines, `[positions, half]` each.
pub(crate) struct Tables<'a> {
    pub(crate) half: usize,
    pub(crate) cos: &'a [f32],
    pub(crate) sin: &'a [f32],
}

/// Rotates the first `heads` heads of each row of `x` `[m, width]` by its position, in the "rotate half" convention
/// of Hugging Face checkpoints.
pub(crate) fn rotate(cpu: &Cpu, tables: &Tables, positions: &[u32], x: &mut [f32], heads: usize, turn: Turn) {
    let width = x.len() / positions.len().max(1);
    let half = tables.half;
    let work = x.len();
    let x = Shared::new(x);
    in_ranges(cpu, positions.len(), work, |rows| {
        for row in rows {
            // SAFETY: ranges are disjoint.
            let x = unsafe { x.part(row * width..row * width + heads * 2 * half) };
            let table = positions[row] as usize * half;
            let (cos, sin) = (&tables.cos[table..table + half], &tables.sin[table..table + half]);
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
