//! Causal grouped-query attention over packed sequences, forward and backward.
//!
//! One task is one (tree of sequences, key/value head): sequences that begin with the same tokens share those rows,
//! which are computed once. Keys are walked in blocks of 16 counted from the sequence's start and
//! every sum runs over keys in order, so a token's output has the same bits here and in [`crate::cpu::decode`]. Scores
//! exist for a tile of queries at a time, never as a `T x T` matrix; the backward pass makes them again.

use crate::cpu::lanes::{LANES, Lanes, dispatch};
use crate::cpu::math::exp;
use crate::cpu::norm::dot;
use crate::cpu::shared::{Shared, with_scratch};
use crate::cpu::team::Cpu;
use crate::cpu::tile::{Left, Out, Right, Start, product};
use crate::shape::{Attention, AttentionShape, Tree};
use std::ops::Range;

/// Positions whose queries are handled together.
const TILE: usize = 16;

/// Head size filled up to whole lanes.
pub(crate) fn padded(shape: AttentionShape) -> usize {
    shape.head_size.next_multiple_of(LANES)
}

/// Copies the queries of `kv_head`'s group in one row of `qkv`, scaled, to `[group][padded]`.
#[inline(always)]
pub(crate) fn copy_queries(attention: Attention, row: &[f32], kv_head: usize, to: &mut [f32]) {
    let shape = attention.shape;
    let first = kv_head * shape.group() * shape.head_size;
    copy_heads(shape, &row[first..], attention.scale, to);
}

#[inline(always)]
fn copy_heads(shape: AttentionShape, from: &[f32], scale: f32, to: &mut [f32]) {
    for (from, to) in from.chunks_exact(shape.head_size).zip(to.chunks_exact_mut(padded(shape))) {
        to[shape.head_size..].fill(0.0);
        to.iter_mut().zip(from).for_each(|(t, f)| *t = f * scale);
    }
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

/// The prefix, then the branches.
fn segments(tree: &Tree) -> impl Iterator<Item = Segment> {
    let mut row = tree.prefix;
    let branches = tree.branches.iter().map(move |&length| {
        row += length;
        Segment { row: row - length, first: tree.prefix, end: tree.prefix + length }
    });
    std::iter::once(Segment { row: 0, first: 0, end: tree.prefix }).chain(branches)
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
/// Adding the zeros changes nothing, so the result does not depend on where the row begins or ends, if it begins with
/// a whole block of keys.
#[inline(always)]
pub(crate) fn softmax_row<L: Lanes>(row: &mut [f32], valid: Range<usize>) -> f32 {
    let (unseen, row) = row.split_at_mut(valid.start / LANES * LANES);
    unseen.fill(0.0);
    let (start, end) = (valid.start - unseen.len(), valid.end - unseen.len());
    row[..start].fill(f32::NEG_INFINITY);
    let mut max = L::splat(f32::NEG_INFINITY);
    for s in row[..end].chunks(LANES) {
        max = max.max(L::load_part(s, f32::NEG_INFINITY));
    }
    let max = L::splat(max.max_lane());
    let mut sum = L::zero();
    for (block, s) in row.chunks_mut(LANES).enumerate() {
        let mut p = exp(L::load_part(s, 0.0).sub(max));
        let seen = [start, end].map(|position| position.saturating_sub(block * LANES).min(LANES));
        if seen != [0, LANES] {
            let mut a = p.to_array();
            a[..seen[0]].fill(0.0);
            a[seen[1]..].fill(0.0);
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

/// `out[t] = softmax(q[t] K^T * scale) V` over the keys that `t` sees of its sequence, for each head.
///
/// Shapes: `qkv` `[m, shape.width()]`, all rows in `trees`; `out` `[m, heads * head_size]`.
pub(crate) fn attention(cpu: &Cpu, attention: Attention, qkv: &[f32], trees: &[Tree], out: &mut [f32]) {
    let shape = attention.shape;
    let width = shape.width();
    let out = Shared::new(out);
    cpu.for_each(trees.len() * shape.kv_heads, &|task| {
        let (tree, kv_head) = (&trees[task / shape.kv_heads], task % shape.kv_heads);
        let rows = &qkv[tree.first_row * width..(tree.first_row + tree.rows()) * width];
        with_scratch(forward_scratch(shape, tree.longest()), |scratch| {
            forward(cpu.isa(), attention, kv_head, tree, rows, out, scratch);
        });
    });
}

/// Values of scratch memory that [`forward_body`] cuts up.
fn forward_scratch(shape: AttentionShape, tokens: usize) -> usize {
    let (size, padded) = (shape.head_size, padded(shape));
    let (keys, rows) = (tokens.next_multiple_of(LANES), TILE * shape.group());
    keys * (size + padded) + rows * (2 * padded + keys + 1) + 8 * LANES
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
    attention: Attention,
    kv_head: usize,
    tree: &Tree,
    qkv: &[f32],
    out: Shared<f32>,
    scratch: &mut [f32],
) {
    let shape = attention.shape;
    let (size, padded, group) = (shape.head_size, padded(shape), shape.group());
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
    for (segment, first, last) in segments(tree).flat_map(Segment::tiles) {
        if first == segment.first {
            let own = segment.rows(qkv, shape.width());
            pack_keys(own, shape.width(), shape.key_column(kv_head), size, first, keys);
            pad_rows(own, shape.width(), shape.value_column(kv_head), size, padded, first, values);
        }
        let rows = (last - first) * group;
        for (t, q) in (first..last).zip(queries.chunks_exact_mut(group * padded)) {
            copy_queries(attention, &qkv[segment.row_of(t) * shape.width()..][..shape.width()], kv_head, q);
        }
        let unseen = attention.first_block(first);
        let columns = last.next_multiple_of(LANES) - unseen;
        // SAFETY: all operands lie in scratch of the sizes given; tasks write disjoint heads of `out`.
        unsafe {
            let q = Left { ptr: queries.as_ptr(), row_stride: padded, k_stride: 1 };
            product::<L, _>(
                rows,
                columns,
                size,
                q,
                key_panels(keys.as_ptr().add(unseen * size), size),
                out_rows(scores.as_mut_ptr(), columns),
                Start::Zero,
            );
            for (r, inverse) in inverses[..rows].iter_mut().enumerate() {
                let row = &mut scores[r * columns..(r + 1) * columns];
                let t = first + r / group;
                *inverse = softmax_row::<L>(row, attention.first_key(t) - unseen..t + 1 - unseen);
            }
            let p = Left { ptr: scores.as_ptr(), row_stride: columns, k_stride: 1 };
            product::<L, _>(
                rows,
                size,
                last - unseen,
                p,
                row_panels(values.as_ptr().add(unseen * padded), padded),
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
dispatch! { fn forward(attention: Attention, kv_head: usize, tree: &Tree, qkv: &[f32], out: Shared<'_, f32>, scratch: &mut [f32]) = crate::cpu::attention::forward_body }

/// The gradient of [`attention`]: `dqkv` becomes the gradient by queries, keys and values.
///
/// Shapes: `qkv`, `dqkv` `[m, shape.width()]`, `out`, `dout` `[m, heads * head_size]`.
pub(crate) fn attention_backward(
    cpu: &Cpu,
    attention: Attention,
    qkv: &[f32],
    trees: &[Tree],
    out: &[f32],
    dout: &[f32],
    dqkv: &mut [f32],
) {
    let shape = attention.shape;
    let dqkv = Shared::new(dqkv);
    cpu.for_each(trees.len() * shape.kv_heads, &|task| {
        let (tree, kv_head) = (&trees[task / shape.kv_heads], task % shape.kv_heads);
        let (first, last) = (tree.first_row, tree.first_row + tree.rows());
        let (width, heads) = (shape.width(), shape.query_width());
        let part = BackwardPart {
            attention,
            shape,
            kv_head,
            tree,
            qkv: &qkv[first * width..last * width],
            out: &out[first * heads..last * heads],
            dout: &dout[first * heads..last * heads],
        };
        with_scratch(backward_scratch(shape, tree.longest()), |scratch| {
            backward(cpu.isa(), &part, dqkv, scratch);
        });
    });
}

/// A task of the backward pass: the rows of one tree, one key/value head and its queries.
struct BackwardPart<'a> {
    attention: Attention,
    shape: AttentionShape,
    kv_head: usize,
    tree: &'a Tree,
    qkv: &'a [f32],
    /// Output of the forward pass, and the gradient by it.
    out: &'a [f32],
    dout: &'a [f32],
}

/// Working memory of a task, for all keys of the longest sequence and for the queries of one tile.
struct BackwardScratch<'a> {
    /// Keys and values in panels, keys also in rows; the gradients by both in rows.
    keys: &'a mut [f32],
    values: &'a mut [f32],
    key_rows: &'a mut [f32],
    dkeys: &'a mut [f32],
    dvalues: &'a mut [f32],
    /// A tile's queries, gradients by its output and by its queries.
    queries: &'a mut [f32],
    douts: &'a mut [f32],
    dqueries: &'a mut [f32],
    /// A tile's probabilities, and the gradient by them, then by the scores.
    p: &'a mut [f32],
    dp: &'a mut [f32],
}

/// Values of scratch memory that [`BackwardScratch::new`] cuts up.
fn backward_scratch(shape: AttentionShape, tokens: usize) -> usize {
    let (size, padded) = (shape.head_size, padded(shape));
    let (keys, rows) = (tokens.next_multiple_of(LANES), TILE * shape.group());
    keys * (2 * size + 3 * padded) + rows * (3 * padded + 2 * keys) + 16 * LANES
}

impl<'a> BackwardScratch<'a> {
    fn new(part: &BackwardPart, scratch: &'a mut [f32]) -> Self {
        let (size, padded) = (part.shape.head_size, padded(part.shape));
        let (keys, rows) = (part.tree.longest().next_multiple_of(LANES), TILE * part.shape.group());
        let mut cut = Cut(scratch);
        BackwardScratch {
            keys: cut.take(keys * size),
            values: cut.take(keys * size),
            key_rows: cut.take(keys * padded),
            dkeys: cut.take(keys * padded),
            dvalues: cut.take(keys * padded),
            queries: cut.take(rows * padded),
            douts: cut.take(rows * padded),
            dqueries: cut.take(rows * padded),
            p: cut.take(rows * keys),
            dp: cut.take(rows * keys),
        }
    }
}

#[inline(always)]
fn backward_body<L: Lanes>(part: &BackwardPart, dqkv: Shared<f32>, scratch: &mut [f32]) {
    let mut s = BackwardScratch::new(part, scratch);
    s.keys.fill(0.0);
    s.values.fill(0.0);
    for (segment, first, last) in segments(part.tree).flat_map(Segment::tiles) {
        if first == segment.first {
            part.load_segment(segment, &mut s);
        }
        part.load_tile(segment, first..last, &mut s);
        part.tile::<L>(segment, first, last, &mut s);
        part.store_queries(segment, first..last, &s, dqkv);
        // Gradients by the prefix's keys and values gather over all branches, those by a branch's own begin anew.
        if last == segment.end && segment.row > 0 {
            part.store_keys(segment, &s, dqkv);
        }
    }
    part.store_keys(Segment { row: 0, first: 0, end: part.tree.prefix }, &s, dqkv);
}
dispatch! { fn backward(part: &BackwardPart<'_>, dqkv: Shared<'_, f32>, scratch: &mut [f32]) = crate::cpu::attention::backward_body }

impl BackwardPart<'_> {
    /// First column of this head's queries in `qkv`, and of its output.
    fn query_column(&self) -> usize {
        self.kv_head * self.shape.group() * self.shape.head_size
    }

    /// Copies a segment's keys and values; the gradients by them begin at zero.
    #[inline(always)]
    fn load_segment(&self, segment: Segment, s: &mut BackwardScratch) {
        let (shape, width, first) = (self.shape, self.shape.width(), segment.first);
        let (size, padded) = (shape.head_size, padded(shape));
        let own = segment.rows(self.qkv, width);
        pack_keys(own, width, shape.key_column(self.kv_head), size, first, s.keys);
        pack_keys(own, width, shape.value_column(self.kv_head), size, first, s.values);
        pad_rows(own, width, shape.key_column(self.kv_head), size, padded, first, s.key_rows);
        s.dkeys[first * padded..].fill(0.0);
        s.dvalues[first * padded..].fill(0.0);
    }

    /// Copies the queries of a tile and the gradients by its output.
    #[inline(always)]
    fn load_tile(&self, segment: Segment, positions: Range<usize>, s: &mut BackwardScratch) {
        let (shape, width, heads) = (self.shape, self.shape.width(), self.shape.query_width());
        let (group, row_len) = (shape.group(), shape.group() * padded(shape));
        for (i, t) in positions.enumerate() {
            let (here, row) = (i * row_len..(i + 1) * row_len, segment.row_of(t));
            copy_queries(
                self.attention,
                &self.qkv[row * width..(row + 1) * width],
                self.kv_head,
                &mut s.queries[here.clone()],
            );
            let dout = &self.dout[row * heads + self.query_column()..][..group * shape.head_size];
            copy_heads(shape, dout, 1.0, &mut s.douts[here]);
        }
    }

    /// Probabilities of a tile made again, and the gradients by scores, queries, keys and values.
    #[inline(always)]
    fn tile<L: Lanes>(&self, segment: Segment, first: usize, last: usize, s: &mut BackwardScratch) {
        let (shape, size, padded) = (self.shape, self.shape.head_size, padded(self.shape));
        let (group, heads) = (shape.group(), shape.query_width());
        let unseen = self.attention.first_block(first);
        let (rows, seen, columns) = ((last - first) * group, last - unseen, last.next_multiple_of(LANES) - unseen);
        let left = |m: &[f32], row_stride: usize, k_stride: usize| Left { ptr: m.as_ptr(), row_stride, k_stride };
        let right_keys = |m: &[f32]| key_panels(m[unseen * size..].as_ptr(), size);
        let right_rows = |m: &[f32]| row_panels(m.as_ptr(), padded);
        // SAFETY: all operands lie in scratch of the sizes given.
        unsafe {
            let p = out_rows(s.p.as_mut_ptr(), columns);
            product::<L, _>(rows, columns, size, left(s.queries, padded, 1), right_keys(s.keys), p, Start::Zero);
            let dp = out_rows(s.dp.as_mut_ptr(), columns);
            product::<L, _>(rows, columns, size, left(s.douts, padded, 1), right_keys(s.values), dp, Start::Zero);
        }
        for r in 0..rows {
            let (t, head) = (first + r / group, r % group);
            let at = segment.row_of(t) * heads + self.query_column() + head * size;
            let along = dot::<L>(&self.out[at..at + size], &self.dout[at..at + size]);
            let (p, dp) = (&mut s.p[r * columns..(r + 1) * columns], &mut s.dp[r * columns..(r + 1) * columns]);
            let inverse = softmax_row::<L>(p, self.attention.first_key(t) - unseen..t + 1 - unseen);
            score_gradient::<L>(p, dp, inverse, along);
        }
        // dV += P^T dO, dK += dS^T Q (queries are scaled already), dQ = dS K
        // SAFETY: as above.
        unsafe {
            let dvalues = out_rows(s.dvalues[unseen * padded..].as_mut_ptr(), padded);
            product::<L, _>(seen, size, rows, left(s.p, 1, columns), right_rows(s.douts), dvalues, Start::Add);
            let dkeys = out_rows(s.dkeys[unseen * padded..].as_mut_ptr(), padded);
            product::<L, _>(seen, size, rows, left(s.dp, 1, columns), right_rows(s.queries), dkeys, Start::Add);
            let dqueries = out_rows(s.dqueries.as_mut_ptr(), padded);
            product::<L, _>(
                rows,
                size,
                seen,
                left(s.dp, columns, 1),
                right_rows(&s.key_rows[unseen * padded..]),
                dqueries,
                Start::Zero,
            );
        }
    }

    /// Writes the gradients by a tile's queries.
    #[inline(always)]
    fn store_queries(&self, segment: Segment, positions: Range<usize>, s: &BackwardScratch, dqkv: Shared<f32>) {
        let (shape, size, group) = (self.shape, self.shape.head_size, self.shape.group());
        let rows = positions.len() * group;
        for (r, dq) in s.dqueries.chunks_exact(padded(shape)).take(rows).enumerate() {
            let row = self.tree.first_row + segment.row_of(positions.start + r / group);
            let at = row * shape.width() + self.query_column() + r % group * size;
            // SAFETY: tasks write disjoint heads.
            let to = unsafe { dqkv.part(at..at + size) };
            to.iter_mut().zip(dq).for_each(|(t, d)| *t = d * self.attention.scale);
        }
    }

    /// Writes the gradients by a segment's keys and values.
    #[inline(always)]
    fn store_keys(&self, segment: Segment, s: &BackwardScratch, dqkv: Shared<f32>) {
        let (shape, size, padded) = (self.shape, self.shape.head_size, padded(self.shape));
        let columns = [(shape.key_column(self.kv_head), &*s.dkeys), (shape.value_column(self.kv_head), &*s.dvalues)];
        for t in segment.first..segment.end {
            for (column, from) in columns {
                let at = (self.tree.first_row + segment.row_of(t)) * shape.width() + column;
                // SAFETY: tasks write disjoint heads.
                unsafe { dqkv.part(at..at + size) }.copy_from_slice(&from[t * padded..t * padded + size]);
            }
        }
    }
}

/// Normalizes `p` by `inverse` and turns `dp` into the gradient by the scores: `p * (dp - along)`.
#[inline(always)]
fn score_gradient<L: Lanes>(p: &mut [f32], dp: &mut [f32], inverse: f32, along: f32) {
    let (inverse, along) = (L::splat(inverse), L::splat(along));
    for (p, dp) in p.chunks_mut(LANES).zip(dp.chunks_mut(LANES)) {
        let normed = L::load_part(p, 0.0).mul(inverse);
        normed.mul(L::load_part(dp, 0.0).sub(along)).store_part(dp);
        normed.store_part(p);
    }
}
