//! Kernels of single rows: embedding, rotary positions.

use crate::cpu::element::{Element, Panels};
use crate::cpu::lanes::LANES;
use crate::cpu::panels::panel_index;
use crate::cpu::shared::{Shared, in_ranges};
use crate::cpu::team::Cpu;
use crate::operands::Turn;

/// `x[row] = table[tokens[row]] * scale`.
///
/// Shapes: `table` `[vocab, width]` in panels, `x` `[m, width]`. Tokens are below `vocab`.
pub(crate) fn embed(cpu: &Cpu, table: Panels, tokens: &[u32], scale: f32, x: &mut [f32]) {
    match table {
        Panels::F32(table) => gather(cpu, table, tokens, scale, x),
        Panels::Bf16(table) => gather(cpu, table, tokens, scale, x),
    }
}

fn gather<E: Element>(cpu: &Cpu, table: &[E], tokens: &[u32], scale: f32, x: &mut [f32]) {
    let width = x.len() / tokens.len().max(1);
    let work = x.len();
    let x = Shared::new(x);
    in_ranges(cpu, tokens.len(), work, |rows| {
        for row in rows {
            // SAFETY: ranges are disjoint.
            let x = unsafe { x.part(row * width..(row + 1) * width) };
            let source = &table[panel_index(tokens[row] as usize, 0, width)..];
            x.iter_mut().zip(source.iter().step_by(LANES)).for_each(|(x, &v)| *x = v.to_f32() * scale);
        }
    });
}

/// `dtable[tokens[row]] += dx[row] * scale`, rows in order.
pub(crate) fn embed_backward(cpu: &Cpu, tokens: &[u32], dx: &[f32], scale: f32, dtable: &mut [f32]) {
    let width = dx.len() / tokens.len().max(1);
    let dtable = Shared::new(dtable);
    in_ranges(cpu, width, dx.len(), |columns| {
        for (row, &token) in tokens.iter().enumerate() {
            let start = panel_index(token as usize, columns.start, width);
            for (i, dx) in dx[row * width..][columns.clone()].iter().enumerate() {
                // SAFETY: each task owns its columns of every token's row.
                unsafe { *dtable.ptr().add(start + i * LANES) += dx * scale };
            }
        }
    });
}

/// Cosines and sines, `[positions, half]` each.
pub(crate) struct Tables<'a> {
    pub(crate) head_size: usize,
    pub(crate) half: usize,
    pub(crate) cos: &'a [f32],
    pub(crate) sin: &'a [f32],
}

/// Rotates the first `heads` heads of each row of `x` `[m, width]` by its position, in the "rotate half" convention
/// of Hugging Face checkpoints; of a head, its first `2 * half` values.
pub(crate) fn rotate(cpu: &Cpu, tables: &Tables, positions: &[u32], x: &mut [f32], heads: usize, turn: Turn) {
    let width = x.len() / positions.len().max(1);
    let (head_size, half) = (tables.head_size, tables.half);
    let work = x.len();
    let x = Shared::new(x);
    in_ranges(cpu, positions.len(), work, |rows| {
        for row in rows {
            // SAFETY: ranges are disjoint.
            let x = unsafe { x.part(row * width..row * width + heads * head_size) };
            let table = positions[row] as usize * half;
            let (cos, sin) = (&tables.cos[table..table + half], &tables.sin[table..table + half]);
            for head in x.chunks_exact_mut(head_size) {
                let (a, b) = head[..2 * half].split_at_mut(half);
                for ((a, b), (&cos, &sin)) in a.iter_mut().zip(b).zip(cos.iter().zip(sin)) {
                    let sin = if turn == Turn::Forward { sin } else { -sin };
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
        }
    });
}
