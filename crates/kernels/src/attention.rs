//! Causal grouped-query attention over packed sequences, forward and backward.
//!
//! One task is one (tree of sequences, key/value head): sequences that begin with the same tokens share those rows,
//! which are computed once. Keys are walked in blocks of 16 counted from the sequence's start and
//! every sum runs over keys in order, so a token's output has the same bits here and in [`crate::decode`]. Scores
//! exist for a tile of queries at a time, never as a `T x T` matrix; the backward pass makes them again.

use crate::Device;
use crate::lanes::{LANES, Lanes, dispatch};
use crate::math::exp;
use crate::norm::dot;
use crate::shared::{Shared, with_scratch};
use crate::tile::{Left, Out, Right, Start, product};

/// Positions whose queries are handled together.
const TILE: usize = 16;

/// Head counts and size. A row of `qkv` holds `heads` queries, then `kv_heads` keys, then `kv_heads` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Query heads, a multiple of `kv_heads`.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Values per head, even.
    pub head_size: usize,
}

impl AttentionShape {
    /// Values in a row of `qkv`.
    pub fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_size
    }

    /// Query heads per key/value head.
    pub(crate) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Head size filled up to whole lanes.
    pub(crate) fn padded(&self) -> usize {
        self.head_size.next_multiple_of(LANES)
    }

    pub(crate) fn key_column(&self, kv_head: usize) -> usize {
        (self.heads + kv_head) * self.head_size
    }

    pub(crate) fn value_column(&self, kv_head: usize) -> usize {
        (self.heads + self.kv_heads + kv_head) * self.head_size
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_size as f32).sqrt()
    }

    /// Copies the queries of `kv_head`'s group in one row of `qkv`, scaled, to `[group][padded]`.
    #[inline(always)]
    pub(crate) fn copy_queries(&self, row: &[f32], kv_head: usize, to: &mut [f32]) {
        let first = kv_head * self.group() * self.head_size;
        self.copy_heads(&row[first..], self.scale(), to);
    }

    #[inline(always)]
    fn copy_heads(&self, from: &[f32], scale: f32, to: &mut [f32]) {
        for (from, to) in from.chunks_exact(self.head_size).zip(to.chunks_exact_mut(self.padded())) {
            to[self.head_size..].fill(0.0);
            to.iter_mut().zip(from).for_each(|(t, f)| *t = f * scale);
        }
    }
}

/// Sequences that begin with the same tokens: the common rows once, then each sequence's own, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// First row of `qkv`.
    pub first_row: usize,
    /// Rows of the common beginning; a sequence on its own is all trunk.
    pub trunk: usize,
    /// Own rows of each sequence.
    pub branches: Vec<usize>,
}

/// Rows of a tree that follow each other in their sequences.
#[derive(Clone, Copy)]
struct Segment {
    /// First row, counted from the tree's.
    row: usize,
    /// Position of that row in its sequence, and the position after the last.
    first: usize,
    end: usize,
}

impl Tree {
    fn rows(&self) -> usize {
        self.trunk + self.branches.iter().sum::<usize>()
    }

    /// Length of the longest sequence.
    fn longest(&self) -> usize {
        self.trunk + self.branches.iter().max().unwrap_or(&0)
    }

    /// The trunk, then the branches.
    fn segments(&self) -> impl Iterator<Item = Segment> {
        let mut row = self.trunk;
        let branches = self.branches.iter().map(move |&length| {
            row += length;
            Segment { row: row - length, first: self.trunk, end: self.trunk + length }
        });
        std::iter::once(Segment { row: 0, first: 0, end: self.trunk }).chain(branches)
    }
}

impl Segment {
    /// The segment's rows of an array with rows of `width` values.
    fn rows(self, all: &[f32], width: usize) -> &[f32] {
        &all[self.row * width..(self.row + self.end - self.first) * width]
    }

    /// Row of a position, counted from the tree's first.
    fn row_of(self, position: usize) -> usize {
        self.row + position - self.first
    }

    /// Positions in steps of [`TILE`], each with its segment.
    fn tiles(self) -> impl Iterator<Item = (Segment, usize, usize)> {
        (self.first..self.end).step_by(TILE).map(move |first| (self, first, (first + TILE).min(self.end)))
    }
}

/// Replaces `valid` scores by `exp(score - max)` and the rest of the row by zeros; returns one over their sum.
/// Adding the zeros changes nothing, so the result does not depend on how far the row reaches.
#[inline(always)]
pub(crate) fn softmax_row<L: Lanes>(row: &mut [f32], valid: usize) -> f32 {
    let mut max = L::splat(f32::NEG_INFINITY);
    for s in row[..valid].chunks(LANES) {
        max = max.max(L::load_part(s, f32::NEG_INFINITY));
    }
    let max = L::splat(max.max_lane());
    let mut sum = L::zero();
    for (block, s) in row.chunks_mut(LANES).enumerate() {
        let mut p = exp(L::load_part(s, 0.0).sub(max));
        let first_masked = valid.saturating_sub(block * LANES);
        if first_masked < LANES {
            let mut a = p.to_array();
            a[first_masked..].fill(0.0);
            p = L::from_array(&a);
        }
        sum = sum.add(p);
        p.store_part(s);
    }
    1.0 / sum.sum()
}

/// Writes keys (columns `column..` of rows of `stride` values) as positions `first..` of panels `[T / 16][head_size][16]`.
#[inline(always)]
fn pack_keys(rows: &[f32], stride: usize, column: usize, head_size: usize, first: usize, panels: &mut [f32]) {
    for (position, row) in (first..).zip(rows.chunks_exact(stride)) {
        let lanes = &mut panels[position / LANES * LANES * head_size + position % LANES..];
        for (to, from) in lanes.iter_mut().step_by(LANES).zip(&row[column..column + head_size]) {
            *to = *from;
        }
    }
}

/// Writes columns `column..` of rows of `stride` values as positions `first..` of `[T][padded]`.
#[inline(always)]
fn pad_rows(
    rows: &[f32],
    stride: usize,
    column: usize,
    head_size: usize,
    padded: usize,
    first: usize,
    out: &mut [f32],
) {
    for (row, out) in rows.chunks_exact(stride).zip(out[first * padded..].chunks_exact_mut(padded)) {
        out[..head_size].copy_from_slice(&row[column..column + head_size]);
        out[head_size..].fill(0.0);
    }
}

/// Panels of keys, as the right operand of `queries x keys`.
#[inline(always)]
pub(crate) fn key_panels(panels: *const f32, head_size: usize) -> Right {
    Right { ptr: panels, panel_stride: LANES * head_size, k_stride: LANES, prefetch: 0 }
}

/// Rows of `padded` values, as the right operand of a sum over those rows.
#[inline(always)]
pub(crate) fn row_panels(rows: *const f32, padded: usize) -> Right {
    Right { ptr: rows, panel_stride: LANES, k_stride: padded, prefetch: 0 }
}

#[inline(always)]
pub(crate) fn out_rows(ptr: *mut f32, row_stride: usize) -> Out {
    Out { ptr, panel_stride: LANES, row_stride }
}

/// `out[t] = softmax(q[t] K^T / sqrt(head_size)) V` over the keys of `t`'s sequence up to `t`, for each head.
///
/// Shapes: `qkv` `[m, shape.width()]`, all rows in `trees`; `out` `[m, heads * head_size]`.
pub fn attention(device: &Device, shape: AttentionShape, qkv: &[f32], trees: &[Tree], out: &mut [f32]) {
    let width = shape.width();
    let out = Shared::new(out);
    device.for_each(trees.len() * shape.kv_heads, &|task| {
        let (tree, kv_head) = (&trees[task / shape.kv_heads], task % shape.kv_heads);
        let rows = &qkv[tree.first_row * width..(tree.first_row + tree.rows()) * width];
        with_scratch(forward_scratch(shape, tree.longest()), |scratch| {
            forward(device.isa(), shape, kv_head, tree, rows, out, scratch);
        });
    });
}

/// Values of scratch memory that [`forward_body`] cuts up.
fn forward_scratch(shape: AttentionShape, tokens: usize) -> usize {
    let (size, padded) = (shape.head_size, shape.padded());
    let (keys, rows) = (tokens.next_multiple_of(LANES), TILE * shape.group());
    keys * (size + padded) + rows * (2 * padded + keys + 1) + 8 * LANES
}

/// Values of scratch memory that [`backward_body`] cuts up.
fn backward_scratch(shape: AttentionShape, tokens: usize) -> usize {
    let (size, padded) = (shape.head_size, shape.padded());
    let (keys, rows) = (tokens.next_multiple_of(LANES), TILE * shape.group());
    keys * (2 * size + 3 * padded) + rows * (3 * padded + 2 * keys) + 16 * LANES
}

/// Parts of one scratch buffer, cut off one after the other; each starts on a cache line.
struct Cut<'a>(&'a mut [f32]);

impl<'a> Cut<'a> {
    fn take(&mut self, len: usize) -> &'a mut [f32] {
        let (part, rest) = std::mem::take(&mut self.0).split_at_mut(len.next_multiple_of(LANES));
        self.0 = rest;
        &mut part[..len]
    }
}

#[inline(always)]
fn forward_body<L: Lanes>(
    shape: AttentionShape,
    kv_head: usize,
    tree: &Tree,
    qkv: &[f32],
    out: Shared<f32>,
    scratch: &mut [f32],
) {
    let (size, padded, group) = (shape.head_size, shape.padded(), shape.group());
    let keys_len = tree.longest().next_multiple_of(LANES);
    let rows_max = TILE * group;
    let mut cut = Cut(scratch);
    let keys = cut.take(keys_len * size);
    let values = cut.take(keys_len * padded);
    let queries = cut.take(rows_max * padded);
    let scores = cut.take(rows_max * keys_len);
    let sums = cut.take(rows_max * padded);
    let inverses = cut.take(rows_max);
    keys.fill(0.0);
    for (segment, first, last) in tree.segments().flat_map(Segment::tiles) {
        if first == segment.first {
            let own = segment.rows(qkv, shape.width());
            pack_keys(own, shape.width(), shape.key_column(kv_head), size, first, keys);
            pad_rows(own, shape.width(), shape.value_column(kv_head), size, padded, first, values);
        }
        let rows = (last - first) * group;
        for (t, q) in (first..last).zip(queries.chunks_exact_mut(group * padded)) {
            shape.copy_queries(&qkv[segment.row_of(t) * shape.width()..][..shape.width()], kv_head, q);
        }
        let columns = last.next_multiple_of(LANES);
        // SAFETY: all operands lie in scratch of the sizes given; tasks write disjoint heads of `out`.
        unsafe {
            let q = Left { ptr: queries.as_ptr(), row_stride: padded, k_stride: 1 };
            product::<L, _>(
                rows,
                columns,
                size,
                q,
                key_panels(keys.as_ptr(), size),
                out_rows(scores.as_mut_ptr(), columns),
                Start::Zero,
            );
            for (r, inverse) in inverses[..rows].iter_mut().enumerate() {
                let row = &mut scores[r * columns..(r + 1) * columns];
                *inverse = softmax_row::<L>(row, first + r / group + 1);
            }
            let p = Left { ptr: scores.as_ptr(), row_stride: columns, k_stride: 1 };
            product::<L, _>(
                rows,
                size,
                last,
                p,
                row_panels(values.as_ptr(), padded),
                out_rows(sums.as_mut_ptr(), padded),
                Start::Zero,
            );
            for (r, inverse) in inverses[..rows].iter().enumerate() {
                let row = tree.first_row + segment.row_of(first + r / group);
                let at = (row * shape.heads + kv_head * group + r % group) * size;
                let sums = &sums[r * padded..r * padded + size];
                out.part(at..at + size).iter_mut().zip(sums).for_each(|(o, s)| *o = s * inverse);
            }
        }
    }
}
dispatch! { fn forward(shape: AttentionShape, kv_head: usize, tree: &Tree, qkv: &[f32], out: Shared<'_, f32>, scratch: &mut [f32]) = crate::attention::forward_body }

/// The gradient of [`attention`]: `dqkv` becomes the gradient by queries, keys and values.
///
/// Shapes: `qkv`, `dqkv` `[m, shape.width()]`, `out`, `dout` `[m, heads * head_size]`.
pub fn attention_backward(
    device: &Device,
    shape: AttentionShape,
    qkv: &[f32],
    trees: &[Tree],
    out: &[f32],
    dout: &[f32],
    dqkv: &mut [f32],
) {
    let dqkv = Shared::new(dqkv);
    device.for_each(trees.len() * shape.kv_heads, &|task| {
        let (tree, kv_head) = (&trees[task / shape.kv_heads], task % shape.kv_heads);
        let (first, last) = (tree.first_row, tree.first_row + tree.rows());
        let (width, heads) = (shape.width(), shape.heads * shape.head_size);
        let forward = Forward { qkv: &qkv[first * width..last * width], out: &out[first * heads..last * heads] };
        let dout = &dout[first * heads..last * heads];
        with_scratch(backward_scratch(shape, tree.longest()), |scratch| {
            backward(device.isa(), shape, kv_head, tree, &forward, dout, dqkv, scratch);
        });
    });
}

/// Input and output of the forward pass, a tree's rows.
struct Forward<'a> {
    qkv: &'a [f32],
    out: &'a [f32],
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn backward_body<L: Lanes>(
    shape: AttentionShape,
    kv_head: usize,
    tree: &Tree,
    forward: &Forward,
    dout: &[f32],
    dqkv: Shared<f32>,
    scratch: &mut [f32],
) {
    let (width, size, padded, group) = (shape.width(), shape.head_size, shape.padded(), shape.group());
    let Forward { qkv, out } = *forward;
    let (key_column, value_column) = (shape.key_column(kv_head), shape.value_column(kv_head));
    let keys_len = tree.longest().next_multiple_of(LANES);
    let rows_max = TILE * group;
    let heads_width = shape.heads * size;
    let first_head = kv_head * group * size;
    let mut cut = Cut(scratch);
    let (keys, values) = (cut.take(keys_len * size), cut.take(keys_len * size));
    let key_rows = cut.take(keys_len * padded);
    let (dkeys, dvalues) = (cut.take(keys_len * padded), cut.take(keys_len * padded));
    let (queries, douts, dqueries) =
        (cut.take(rows_max * padded), cut.take(rows_max * padded), cut.take(rows_max * padded));
    let (p, dp) = (cut.take(rows_max * keys_len), cut.take(rows_max * keys_len));
    // Gradients by the trunk's keys and values gather over all branches, those by a branch's own begin anew.
    let write = |segment: Segment, dkeys: &[f32], dvalues: &[f32]| {
        for t in segment.first..segment.end {
            for (column, from) in [(key_column, dkeys), (value_column, dvalues)] {
                let at = (tree.first_row + segment.row_of(t)) * width + column;
                // SAFETY: tasks write disjoint heads.
                unsafe { dqkv.part(at..at + size) }.copy_from_slice(&from[t * padded..t * padded + size]);
            }
        }
    };
    keys.fill(0.0);
    values.fill(0.0);
    for (segment, first, last) in tree.segments().flat_map(Segment::tiles) {
        if first == segment.first {
            let own = segment.rows(qkv, width);
            pack_keys(own, width, key_column, size, first, keys);
            pack_keys(own, width, value_column, size, first, values);
            pad_rows(own, width, key_column, size, padded, first, key_rows);
            dkeys[first * padded..].fill(0.0);
            dvalues[first * padded..].fill(0.0);
        }
        let rows = (last - first) * group;
        for (i, t) in (first..last).enumerate() {
            let (here, row) = (i * group * padded..(i + 1) * group * padded, segment.row_of(t));
            shape.copy_queries(&qkv[row * width..(row + 1) * width], kv_head, &mut queries[here.clone()]);
            shape.copy_heads(&dout[row * heads_width + first_head..][..group * size], 1.0, &mut douts[here]);
        }
        let columns = last.next_multiple_of(LANES);
        let left = |m: &[f32], row_stride: usize, k_stride: usize| Left { ptr: m.as_ptr(), row_stride, k_stride };
        // SAFETY: all operands lie in scratch of the sizes given.
        unsafe {
            product::<L, _>(
                rows,
                columns,
                size,
                left(queries, padded, 1),
                key_panels(keys.as_ptr(), size),
                out_rows(p.as_mut_ptr(), columns),
                Start::Zero,
            );
            product::<L, _>(
                rows,
                columns,
                size,
                left(douts, padded, 1),
                key_panels(values.as_ptr(), size),
                out_rows(dp.as_mut_ptr(), columns),
                Start::Zero,
            );
            for r in 0..rows {
                let (t, head) = (first + r / group, r % group);
                let at = segment.row_of(t) * heads_width + first_head + head * size;
                let along = dot::<L>(&out[at..at + size], &dout[at..at + size]);
                let (p, dp) = (&mut p[r * columns..(r + 1) * columns], &mut dp[r * columns..(r + 1) * columns]);
                let inverse = softmax_row::<L>(p, t + 1);
                score_gradient::<L>(p, dp, inverse, along);
            }
            // dV += P^T dO, dK += dS^T Q (queries are scaled already), dQ = dS K
            product::<L, _>(
                last,
                size,
                rows,
                left(p, 1, columns),
                row_panels(douts.as_ptr(), padded),
                out_rows(dvalues.as_mut_ptr(), padded),
                Start::Add,
            );
            product::<L, _>(
                last,
                size,
                rows,
                left(dp, 1, columns),
                row_panels(queries.as_ptr(), padded),
                out_rows(dkeys.as_mut_ptr(), padded),
                Start::Add,
            );
            product::<L, _>(
                rows,
                size,
                last,
                left(dp, columns, 1),
                row_panels(key_rows.as_ptr(), padded),
                out_rows(dqueries.as_mut_ptr(), padded),
                Start::Zero,
            );
        }
        for (r, dq) in dqueries.chunks_exact(padded).take(rows).enumerate() {
            let row = tree.first_row + segment.row_of(first + r / group);
            let at = row * width + first_head + r % group * size;
            // SAFETY: tasks write disjoint heads.
            let to = unsafe { dqkv.part(at..at + size) };
            to.iter_mut().zip(dq).for_each(|(t, d)| *t = d * shape.scale());
        }
        if last == segment.end && segment.row > 0 {
            write(segment, dkeys, dvalues);
        }
    }
    write(Segment { row: 0, first: 0, end: tree.trunk }, dkeys, dvalues);
}
dispatch! { fn backward(shape: AttentionShape, kv_head: usize, tree: &Tree, forward: &Forward<'_>, dout: &[f32], dqkv: Shared<'_, f32>, scratch: &mut [f32]) = crate::attention::backward_body }

/// Normalises `p` by `inverse` and turns `dp` into the gradient by the scores: `p * (dp - along)`.
#[inline(always)]
fn score_gradient<L: Lanes>(p: &mut [f32], dp: &mut [f32], inverse: f32, along: f32) {
    let (inverse, along) = (L::splat(inverse), L::splat(along));
    for (p, dp) in p.chunks_mut(LANES).zip(dp.chunks_mut(LANES)) {
        let normed = L::load_part(p, 0.0).mul(inverse);
        normed.mul(L::load_part(dp, 0.0).sub(along)).store_part(dp);
        normed.store_part(p);
    }
}
