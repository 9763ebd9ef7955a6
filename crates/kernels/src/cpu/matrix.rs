//! Products with weight matrices in panels: forward, by the input, by the weight.

use crate::cpu::element::Element;
use crate::cpu::element::Panels;
use crate::cpu::lanes::{LANES, Lanes, dispatch};
use crate::cpu::panels::{panel_index, panels_len};
use crate::cpu::shared::{Shared, in_ranges, with_scratch};
use crate::cpu::team::Cpu;
use crate::cpu::tile::{Left, Out, Right, Start, product};
use crate::number::bf16;
use crate::operands::{Columns, Write};
use std::ops::Range;

/// A weight `[outputs, inputs]` in panels.
#[derive(Clone, Copy)]
pub(crate) struct Weight<'a> {
    /// `panels_len(outputs, inputs)` values.
    pub(crate) panels: Panels<'a>,
    /// Rows of the matrix: length of the result.
    pub(crate) outputs: usize,
    /// Columns of the matrix: length of the argument.
    pub(crate) inputs: usize,
}

impl From<Write> for Start {
    fn from(write: Write) -> Start {
        match write {
            Write::Replace => Start::Zero,
            Write::Accumulate => Start::Add,
        }
    }
}

/// Rows whose left operand stays in the second-level cache while all panels pass by.
fn block_rows(inputs: usize) -> usize {
    (96 * 1024 / inputs.max(1)).clamp(24, 384) / 12 * 12
}

/// Splits `rows x panels` among threads: (rows per block, panels per chunk, an even number).
fn grid(cpu: &Cpu, rows: usize, block: usize, panels: usize) -> (usize, usize) {
    let threads = cpu.threads();
    if threads == 1 {
        return (block, panels.max(1));
    }
    let wanted = 4 * threads;
    let blocks = rows.div_ceil(block);
    let chunks = wanted.div_ceil(blocks).clamp(1, panels.div_ceil(2).max(1));
    (block, panels.div_ceil(chunks).next_multiple_of(2))
}

/// `y[m][..] = x[m] * W^T` for several weights that share the input; their outputs lie side by side in `y`.
///
/// Shapes: `x` `[m, inputs]`, `y` `[m, sum of outputs]`. Every element is one chain of fused multiply-adds over the
/// inputs in order, whatever `m`, the blocking and the threads.
pub(crate) fn linear(cpu: &Cpu, x: &[f32], weights: &[Weight], y: &mut [f32], write: Write) {
    let inputs = weights[0].inputs;
    let width: usize = weights.iter().map(|w| w.outputs).sum();
    let rows = y.len() / width;
    assert_eq!(y.len(), rows * width);
    assert_eq!(x.len(), rows * inputs);
    let y = Shared::new(y);
    let mut offset = 0;
    let mut parts = Vec::with_capacity(weights.len());
    for w in weights {
        assert_eq!(w.inputs, inputs);
        assert_eq!(w.panels.len(), panels_len(w.outputs, inputs));
        parts.push((offset, *w));
        offset += w.outputs;
    }
    let panels: usize = weights.iter().map(|w| w.outputs.div_ceil(LANES)).sum();
    let (block, chunk) = grid(cpu, rows, block_rows(inputs), panels);
    // Chunks of columns, none across two weights.
    let mut pieces: Vec<(usize, Weight, Range<usize>)> = Vec::new();
    for (offset, w) in parts {
        for start in (0..w.outputs).step_by(chunk * LANES) {
            pieces.push((offset, w, start..(start + chunk * LANES).min(w.outputs)));
        }
    }
    let blocks = rows.div_ceil(block);
    cpu.for_each(blocks * pieces.len(), &|task| {
        let first = task / pieces.len() * block;
        let (offset, w, columns) = &pieces[task % pieces.len()];
        let block = block.min(rows - first);
        forward(
            cpu.isa(),
            &x[first * inputs..(first + block) * inputs],
            *w,
            columns.clone(),
            y,
            first,
            width,
            *offset,
            write,
        );
    });
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn forward_body<L: Lanes>(
    x: &[f32],
    w: Weight,
    columns: Range<usize>,
    y: Shared<f32>,
    row: usize,
    width: usize,
    offset: usize,
    write: Write,
) {
    let k = w.inputs;
    let a = Left { ptr: x.as_ptr(), row_stride: k, k_stride: 1 };
    let rows = x.len() / k;
    // SAFETY: the columns are whole panels of `w` (but for a narrow last one); tasks write disjoint blocks of `y`.
    unsafe {
        let c = Out { ptr: y.ptr().add(row * width + offset + columns.start), panel_stride: LANES, row_stride: width };
        match w.panels {
            Panels::F32(panels) => {
                product::<L, f32>(rows, columns.len(), k, a, right::<L, f32>(panels, k, columns.start), c, write.into())
            }
            Panels::Bf16(panels) => {
                let b = right::<L, bf16>(panels, k, columns.start);
                product::<L, bf16>(rows, columns.len(), k, a, b, c, write.into())
            }
        }
    }
}

/// A weight's panels from that of `column` on.
#[inline(always)]
fn right<L: Lanes, E: Element>(panels: &[E], k: usize, column: usize) -> Right<E> {
    let panel = LANES * k;
    Right {
        ptr: panels[column / LANES * panel..].as_ptr(),
        panel_stride: panel,
        k_stride: LANES,
        prefetch: (L::TILE_PANELS * panel) as isize,
    }
}
dispatch! {
    fn forward(x: &[f32], w: Weight<'_>, columns: Range<usize>, y: Shared<'_, f32>, row: usize, width: usize, offset: usize, write: Write) = crate::cpu::matrix::forward_body
}

/// Outputs that are transposed at a time in [`linear_dx`]: two panels of them fit the first-level cache.
const DX_BLOCK: usize = 128;
/// Rows that share a transposed block.
const DX_ROWS: usize = 384;

/// `dx[m] = sum over weights of dy[m] * W`: the gradient of [`linear`] by its input.
///
/// Shapes: `dy` `[m, sum of outputs]`, `dx` `[m, inputs]`.
pub(crate) fn linear_dx(cpu: &Cpu, dy: &[f32], weights: &[Weight], dx: &mut [f32], write: Write) {
    let inputs = weights[0].inputs;
    let width: usize = weights.iter().map(|w| w.outputs).sum();
    let rows = dy.len() / width;
    assert_eq!(dy.len(), rows * width);
    assert_eq!(dx.len(), rows * inputs);
    let dx = Shared::new(dx);
    let (block, chunk) = grid(cpu, rows, DX_ROWS, inputs.div_ceil(LANES));
    let chunks = inputs.div_ceil(chunk * LANES);
    cpu.for_each(rows.div_ceil(block) * chunks, &|task| {
        let first = task / chunks * block;
        let block = block.min(rows - first);
        let columns = task % chunks * chunk * LANES..((task % chunks + 1) * chunk * LANES).min(inputs);
        let dy = &dy[first * width..(first + block) * width];
        with_scratch(DX_BLOCK * (2 * LANES + DX_ROWS), |scratch| {
            by_input(cpu.isa(), dy, width, weights, columns, dx, first, write, scratch);
        });
    });
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn by_input_body<L: Lanes>(
    dy: &[f32],
    width: usize,
    weights: &[Weight],
    columns: Range<usize>,
    dx: Shared<f32>,
    row: usize,
    write: Write,
    scratch: &mut [f32],
) {
    let inputs = weights[0].inputs;
    let rows = dy.len() / width;
    let (transposed, gathered) = scratch.split_at_mut(2 * DX_BLOCK * LANES);
    let mut start: Start = write.into();
    let mut offset = 0;
    for w in weights {
        for first in (0..w.outputs).step_by(DX_BLOCK) {
            let outputs = DX_BLOCK.min(w.outputs - first);
            copy_strip::<L>(dy, width, offset + first..offset + first + outputs, DX_BLOCK, gathered);
            for column in columns.clone().step_by(2 * LANES) {
                let n = (columns.end - column).min(2 * LANES);
                for p in 0..n.div_ceil(LANES) {
                    let panel = &mut transposed[p * DX_BLOCK * LANES..(p + 1) * DX_BLOCK * LANES];
                    let (outputs, column) = (first..first + outputs, column + p * LANES);
                    match w.panels {
                        Panels::F32(panels) => transpose_panel::<L, f32>(panels, inputs, outputs, column, panel),
                        Panels::Bf16(panels) => transpose_panel::<L, bf16>(panels, inputs, outputs, column, panel),
                    }
                }
                // SAFETY: scratch holds the rows and panels just copied; tasks write disjoint blocks of `dx`.
                unsafe {
                    let a = Left { ptr: gathered.as_ptr(), row_stride: DX_BLOCK, k_stride: 1 };
                    let b = Right {
                        ptr: transposed.as_ptr(),
                        panel_stride: DX_BLOCK * LANES,
                        k_stride: LANES,
                        prefetch: 0,
                    };
                    let c = Out { ptr: dx.ptr().add(row * inputs + column), panel_stride: LANES, row_stride: inputs };
                    product::<L, _>(rows, n, outputs, a, b, c, start);
                }
            }
            start = Start::Chain;
        }
        offset += w.outputs;
    }
}
dispatch! {
    fn by_input(dy: &[f32], width: usize, weights: &[Weight<'_>], columns: Range<usize>, dx: Shared<'_, f32>, row: usize, write: Write, scratch: &mut [f32]) = crate::cpu::matrix::by_input_body
}

/// Copies some columns of every row of `from` (rows of `width` values) to rows of `stride` values. Rows that lie a
/// multiple of the page size apart would fight for the same few lines of a cache.
#[inline(always)]
fn copy_strip<L: Lanes>(from: &[f32], width: usize, columns: Range<usize>, stride: usize, to: &mut [f32]) {
    for (row, to) in from.chunks_exact(width).zip(to.chunks_exact_mut(stride)) {
        let row = &row[columns.clone()];
        // Not `copy_from_slice`: a call of memcpy costs more than a strip.
        for (to, from) in to[..row.len()].chunks_mut(LANES).zip(row.chunks(LANES)) {
            L::load_part(from, 0.0).store_part(to);
        }
    }
}

/// `panel[i][lane] = W[outputs.start + i][column + lane]`, zero beyond the inputs; `outputs.start` begins a panel.
#[inline(always)]
fn transpose_panel<L: Lanes, E: Element>(
    weight: &[E],
    inputs: usize,
    outputs: Range<usize>,
    column: usize,
    panel: &mut [f32],
) {
    let valid = LANES.min(inputs - column);
    let mut wide = [0.0; LANES * LANES];
    for (block, output) in panel.chunks_exact_mut(LANES * LANES).zip(outputs.step_by(LANES)) {
        let source = &weight[panel_index(output, column, inputs)..][..valid * LANES];
        for (from, to) in source.chunks_exact(LANES).zip(wide.chunks_exact_mut(LANES)) {
            // SAFETY: both hold 16 values.
            unsafe { E::load::<L>(from.as_ptr()).store(to.as_mut_ptr()) };
        }
        // SAFETY: both hold 16 x 16 values.
        unsafe { L::transpose(wide.as_ptr(), block.as_mut_ptr()) };
    }
}

/// Rows summed in registers before they are added to a gradient: long sums then lose little to rounding.
const DW_BLOCK: usize = 128;
/// Panels copied at a time: half a kilobyte of every row, worth its cache misses.
const DW_PANELS: usize = 8;

/// `dw += dy^T * x`: the gradient of [`linear`] by one weight, in panels.
///
/// Shapes: `x` `[m, inputs]`; `dy` `[m, width]`, of which `columns` belong to this weight.
pub(crate) fn linear_dw(cpu: &Cpu, x: &[f32], dy: &[f32], columns: Columns, dw: &mut [f32]) {
    let Columns { width, first: offset, len: outputs } = columns;
    let rows = dy.len() / width;
    let inputs = x.len() / rows.max(1);
    assert_eq!(dy.len(), rows * width);
    assert_eq!(x.len(), rows * inputs);
    assert_eq!(dw.len(), panels_len(outputs, inputs));
    let dw = Shared::new(dw);
    let panels = outputs.div_ceil(LANES);
    // Threads share panels; where there are too few, also the inputs.
    let tasks = if cpu.threads() == 1 { 1 } else { 2 * cpu.threads() };
    let chunk = panels.div_ceil(tasks).next_multiple_of(2);
    let chunks = panels.div_ceil(chunk);
    let slice = inputs.div_ceil(tasks.div_ceil(chunks)).max(4 * LANES);
    let slices = inputs.div_ceil(slice);
    cpu.for_each(chunks * slices, &|task| {
        let part = DwPart {
            width,
            columns: offset + task / slices * chunk * LANES..offset + outputs.min((task / slices + 1) * chunk * LANES),
            panel: task / slices * chunk,
            inputs,
            here: task % slices * slice..inputs.min((task % slices + 1) * slice),
        };
        with_scratch(DW_BLOCK * (DW_PANELS * LANES + part.stride()), |scratch| {
            by_weight(cpu.isa(), x, dy, &part, dw, scratch);
        });
    });
}

/// The part of a weight's gradient that one task computes.
struct DwPart {
    /// Values in a row of `dy`, and those that belong to this part.
    width: usize,
    columns: Range<usize>,
    /// The panel where `columns` begin.
    panel: usize,
    /// Values in a row of `x`, and those that belong to this part.
    inputs: usize,
    here: Range<usize>,
}

impl DwPart {
    /// Row length of the copied inputs: an odd number of cache lines, so that rows spread over all of a cache.
    fn stride(&self) -> usize {
        (self.here.len().div_ceil(LANES) | 1) * LANES
    }
}

#[inline(always)]
fn by_weight_body<L: Lanes>(x: &[f32], dy: &[f32], part: &DwPart, dw: Shared<f32>, scratch: &mut [f32]) {
    let DwPart { width, inputs, .. } = *part;
    let (strips, gathered) = scratch.split_at_mut(DW_PANELS * DW_BLOCK * LANES);
    for (x, dy) in x.chunks(DW_BLOCK * inputs).zip(dy.chunks(DW_BLOCK * width)) {
        let rows = dy.len() / width;
        copy_strip::<L>(x, inputs, part.here.clone(), part.stride(), gathered);
        for (group, first) in part.columns.clone().step_by(DW_PANELS * LANES).enumerate() {
            let count = (part.columns.end - first).min(DW_PANELS * LANES);
            for (p, strip) in strips.chunks_exact_mut(DW_BLOCK * LANES).enumerate().take(count.div_ceil(LANES)) {
                let start = first + p * LANES;
                let end = (start + LANES).min(part.columns.end);
                if end - start < LANES {
                    strip.fill(0.0);
                }
                copy_strip::<L>(dy, width, start..end, LANES, strip);
            }
            // SAFETY: scratch holds `rows` rows of both; the panels of `dw` are whole, and tasks write disjoint ones.
            unsafe {
                let a = Left { ptr: gathered.as_ptr(), row_stride: 1, k_stride: part.stride() };
                let b = Right { ptr: strips.as_ptr(), panel_stride: DW_BLOCK * LANES, k_stride: LANES, prefetch: 0 };
                let c = Out {
                    ptr: dw.ptr().add(((part.panel + DW_PANELS * group) * inputs + part.here.start) * LANES),
                    panel_stride: LANES * inputs,
                    row_stride: LANES,
                };
                product::<L, _>(part.here.len(), count.next_multiple_of(LANES), rows, a, b, c, Start::Add);
            }
        }
    }
}
dispatch! {
    fn by_weight(x: &[f32], dy: &[f32], part: &DwPart, dw: Shared<'_, f32>, scratch: &mut [f32]) = crate::cpu::matrix::by_weight_body
}

/// Sets every row of `y` `[m, width]` to the biases side by side: where [`linear`] then accumulates.
pub(crate) fn fill_rows(cpu: &Cpu, biases: &[Panels], y: &mut [f32]) {
    let bias = biases.iter().map(|bias| bias.widened()).collect::<Vec<_>>().concat();
    let (width, work) = (bias.len(), y.len());
    let y = Shared::new(y);
    in_ranges(cpu, work / width, work, |rows| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { y.part(rows.start * width..rows.end * width) };
        part.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(&bias));
    });
}

/// `sums[c] += sum over rows of y[row][offset + c]`, the gradient of a bias, in blocks as [`linear_dw`] does.
///
/// Shapes: `y` `[m, columns.width]`, `sums` `[columns.len]`.
pub(crate) fn add_column_sums(cpu: &Cpu, y: &[f32], columns: Columns, sums: &mut [f32]) {
    let Columns { width, first: offset, len: count } = columns;
    assert_eq!(sums.len(), count);
    let sums = Shared::new(sums);
    in_ranges(cpu, count, y.len(), |columns| {
        // SAFETY: ranges are disjoint.
        let sums = unsafe { sums.part(columns.clone()) };
        let columns = offset + columns.start..offset + columns.end;
        let mut partial = vec![0.0; sums.len()];
        for block in y.chunks(DW_BLOCK * width) {
            partial.fill(0.0);
            for row in block.chunks_exact(width) {
                for (s, x) in partial.iter_mut().zip(&row[columns.clone()]) {
                    *s += x;
                }
            }
            for (s, p) in sums.iter_mut().zip(&partial) {
                *s += p;
            }
        }
    });
}
