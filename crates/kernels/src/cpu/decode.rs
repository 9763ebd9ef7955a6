//! Attention of newly sampled tokens over cached keys and values.
//!
//! Samples of one prompt share the prompt's cache in whole blocks of 16 keys; the rest of the prompt and what is
//! sampled lies in each sample's own cache. Sums run over the same keys in the same order as in
//! [`crate::cpu::attention()`], so both give the same bits.

use crate::cache::{KvCache, SampleCache};
use crate::cpu::attention::{copy_queries, key_panels, out_rows, padded, row_panels, softmax_row};
use crate::cpu::lanes::{LANES, Lanes, dispatch};
use crate::cpu::shared::{Shared, in_ranges, with_scratch};
use crate::cpu::team::Cpu;
use crate::cpu::tile::{Left, Right, Start, product};
use crate::shape::{Attention, AttentionShape};
use std::ops::Range;
use std::sync::Arc;

/// Rows of a prefix product that one task handles, in samples.
const RUN: usize = 16;

/// The part of the keys `[layer][kv_head][capacity / 16][head_size][16]` where a layer's head begins.
fn key_start(cache: &KvCache, layer: usize, kv_head: usize) -> usize {
    (layer * cache.shape.kv_heads + kv_head) * cache.capacity * cache.shape.head_size
}

/// The part of the values `[layer][kv_head][capacity][padded]` where a layer's head begins.
fn value_start(cache: &KvCache, layer: usize, kv_head: usize) -> usize {
    (layer * cache.shape.kv_heads + kv_head) * cache.capacity * padded(cache.shape)
}

/// The keys of a layer's head.
fn keys_of(cache: &KvCache, layer: usize, kv_head: usize) -> *const f32 {
    cache.keys.view().cpu().as_ptr().wrapping_add(key_start(cache, layer, kv_head))
}

/// The values of a layer's head.
fn values_of(cache: &KvCache, layer: usize, kv_head: usize) -> *const f32 {
    cache.values.view().cpu().as_ptr().wrapping_add(value_start(cache, layer, kv_head))
}

/// Stores the keys and values in one row of `qkv` (after rotation) as token `index`.
fn put(cache: &mut KvCache, layer: usize, index: usize, qkv_row: &[f32]) {
    assert!(index < cache.capacity, "token {index} of a cache for {}", cache.capacity);
    let (shape, size, padded) = (cache.shape, cache.shape.head_size, padded(cache.shape));
    for kv_head in 0..shape.kv_heads {
        let key = &qkv_row[shape.key_column(kv_head)..][..size];
        let start = key_start(cache, layer, kv_head) + index / LANES * LANES * size + index % LANES;
        for (to, from) in cache.keys.view_mut().cpu()[start..].iter_mut().step_by(LANES).zip(key) {
            *to = *from;
        }
        let value = &qkv_row[shape.value_column(kv_head)..][..size];
        let start = value_start(cache, layer, kv_head) + index * padded;
        cache.values.view_mut().cpu()[start..start + size].copy_from_slice(value);
    }
}

/// Copies tokens `range` of `from` (it starts a block) to the beginning of `to`.
pub(crate) fn copy_tokens(from: &KvCache, range: Range<usize>, to: &mut KvCache) {
    let (size, padded, blocks) = (from.shape.head_size, padded(from.shape), range.len().next_multiple_of(LANES));
    for layer in 0..from.layers {
        for kv_head in 0..from.shape.kv_heads {
            let at = key_start(from, layer, kv_head) + range.start * size;
            let keys = &from.keys.view().cpu()[at..at + blocks * size];
            let start = key_start(to, layer, kv_head);
            to.keys.view_mut().cpu()[start..start + keys.len()].copy_from_slice(keys);
            let at = value_start(from, layer, kv_head) + range.start * padded;
            let values = &from.values.view().cpu()[at..at + range.len() * padded];
            let start = value_start(to, layer, kv_head);
            to.values.view_mut().cpu()[start..start + values.len()].copy_from_slice(values);
        }
    }
}

/// Stores the keys and values of whole prompts for one layer: cache `i` gets rows `offsets[i]..offsets[i + 1]`.
///
/// Shapes: `qkv` `[m, shape.width()]`.
pub(crate) fn fill(cpu: &Cpu, layer: usize, qkv: &[f32], offsets: &[usize], caches: &mut [KvCache]) {
    let count = caches.len();
    let caches = Shared::new(caches);
    in_ranges(cpu, count, qkv.len(), |range| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { caches.part(range.clone()) };
        for (cache, rows) in part.iter_mut().zip(offsets[range.start..].windows(2)) {
            let width = cache.shape.width();
            for (index, row) in qkv[rows[0] * width..rows[1] * width].chunks_exact(width).enumerate() {
                put(cache, layer, index, row);
            }
        }
    });
}

/// Stores the keys and values of each sample's next token for one layer; after the last layer the token is counted
/// by `SampleCache::advance`.
///
/// Shapes: `qkv` `[samples, shape.width()]`.
pub(crate) fn append(cpu: &Cpu, layer: usize, qkv: &[f32], samples: &mut [SampleCache]) {
    let width = qkv.len() / samples.len().max(1);
    let count = samples.len();
    let samples = Shared::new(samples);
    in_ranges(cpu, count, qkv.len(), |range| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { samples.part(range.clone()) };
        for (sample, row) in part.iter_mut().zip(qkv[range.start * width..].chunks_exact(width)) {
            put(&mut sample.own, layer, sample.len - sample.shared, row);
        }
    });
}

/// Attention of one new token per sample, its keys and values already appended for this layer.
///
/// Shapes: `qkv` `[samples, shape.width()]`, `out` `[samples, heads * head_size]`.
pub(crate) fn decode_attention(
    cpu: &Cpu,
    attention: Attention,
    layer: usize,
    qkv: &[f32],
    samples: &[SampleCache],
    out: &mut [f32],
) {
    let shape = attention.shape;
    let out = Shared::new(out);
    // Neighbors that share a prompt read its keys together.
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (i, sample) in samples.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.len() < RUN && Arc::ptr_eq(&samples[run.start].prompt, &sample.prompt) => run.end = i + 1,
            _ => runs.push(i..i + 1),
        }
    }
    let tasks = runs.len() * shape.kv_heads;
    cpu.for_each(tasks, &|task| {
        let run = runs[task / shape.kv_heads].clone();
        let rows = &qkv[run.start * shape.width()..run.end * shape.width()];
        // What this thread will probably do next.
        let next = (task + cpu.threads()).min(tasks - 1);
        let place = Place {
            layer,
            kv_head: task % shape.kv_heads,
            first: run.start,
            next: (&samples[runs[next / shape.kv_heads].start], next % shape.kv_heads),
        };
        let samples = &samples[run];
        let (rows_of_run, columns) = run_size(shape, samples);
        with_scratch(rows_of_run * (2 * padded(shape) + columns + 1), |scratch| {
            decode_run(cpu.isa(), attention, &place, rows, samples, out, scratch);
        });
    });
}

/// Which part of the attention a task computes.
struct Place<'a> {
    layer: usize,
    kv_head: usize,
    /// Row of the run's first sample.
    first: usize,
    /// Sample and head whose caches are wanted next.
    next: (&'a SampleCache, usize),
}

/// Reads `here` and meanwhile asks for `there`, a region of the same size. Caches are read once a step, from memory:
/// while scores are computed the values arrive, and while values are summed the next keys.
fn fetching(here: Right, there: *const f32) -> Right {
    let bytes = (there as isize).wrapping_sub(here.ptr as isize);
    Right { prefetch: bytes / size_of::<f32>() as isize, ..here }
}

/// Queries of a run, and scores per query.
fn run_size(shape: AttentionShape, samples: &[SampleCache]) -> (usize, usize) {
    let longest = samples.iter().map(|s| s.len + 1).max().unwrap_or(1);
    (samples.len() * shape.group(), longest.next_multiple_of(LANES))
}

#[inline(always)]
fn decode_run_body<L: Lanes>(
    attention: Attention,
    place: &Place,
    qkv: &[f32],
    samples: &[SampleCache],
    out: Shared<f32>,
    scratch: &mut [f32],
) {
    let shape = attention.shape;
    let (width, size, padded, group) = (shape.width(), shape.head_size, padded(shape), shape.group());
    let (rows, columns) = run_size(shape, samples);
    let Place { layer, kv_head, first, next: (next, next_head) } = *place;
    let (prompt, shared) = (&samples[0].prompt, samples[0].shared);
    // Keys that no sample of the run sees any more, and those of its own that a sample does not see.
    let unseen = samples.iter().map(|s| attention.first_block(s.len)).min().unwrap_or(0).min(shared);
    let own_unseen = |sample: &SampleCache| attention.first_block(sample.len).saturating_sub(shared);
    let (queries, rest) = scratch.split_at_mut(rows * padded);
    let (sums, rest) = rest.split_at_mut(rows * padded);
    let (scores, inverses) = rest.split_at_mut(rows * columns);
    for (row, q) in qkv.chunks_exact(width).zip(queries.chunks_exact_mut(group * padded)) {
        copy_queries(attention, row, kv_head, q);
    }
    // SAFETY: operands lie in scratch and caches of the sizes given; tasks write disjoint heads of `out`.
    unsafe {
        let q = Left { ptr: queries.as_ptr(), row_stride: padded, k_stride: 1 };
        let s = scores.as_mut_ptr();
        let (keys, values) = (
            keys_of(prompt, layer, kv_head).wrapping_add(unseen * size),
            values_of(prompt, layer, kv_head).wrapping_add(unseen * padded),
        );
        let to = out_rows(s.add(unseen), columns);
        product::<L, _>(rows, shared - unseen, size, q, fetching(key_panels(keys, size), values), to, Start::Zero);
        for (i, sample) in samples.iter().enumerate() {
            let start = own_unseen(sample);
            let own = (sample.len + 1 - shared).next_multiple_of(LANES) - start;
            let keys = keys_of(&sample.own, layer, kv_head).wrapping_add(start * size);
            let values = values_of(&sample.own, layer, kv_head).wrapping_add(start * padded);
            let keys = fetching(key_panels(keys, size), values);
            let to = out_rows(s.add(i * group * columns + shared + start), columns);
            product::<L, _>(group, own, size, q.down(i * group), keys, to, Start::Zero);
        }
        let p = Left { ptr: s.add(unseen), row_stride: columns, k_stride: 1 };
        let to = out_rows(sums.as_mut_ptr(), padded);
        for (r, inverse) in inverses.iter_mut().enumerate() {
            let (row, t) =
                (std::slice::from_raw_parts_mut(s.add(r * columns + unseen), columns - unseen), samples[r / group].len);
            *inverse = softmax_row::<L>(row, attention.first_key(t) - unseen..t + 1 - unseen);
        }
        let values = fetching(row_panels(values, padded), keys_of(&next.prompt, layer, next_head));
        product::<L, _>(rows, size, shared - unseen, p, values, to, Start::Zero);
        for (i, sample) in samples.iter().enumerate() {
            let after =
                samples.get(i + 1).map_or(keys_of(&next.own, layer, next_head), |s| keys_of(&s.own, layer, kv_head));
            let start = own_unseen(sample);
            let values = values_of(&sample.own, layer, kv_head).wrapping_add(start * padded);
            let values = fetching(row_panels(values, padded), after);
            let p = Left { ptr: s.add(i * group * columns + shared + start), ..p };
            let to = out_rows(sums.as_mut_ptr().add(i * group * padded), padded);
            product::<L, _>(group, size, sample.len + 1 - shared - start, p, values, to, Start::Chain);
        }
        for (r, inverse) in inverses.iter().enumerate() {
            let at = ((first + r / group) * shape.heads + kv_head * group + r % group) * size;
            let sums = &sums[r * padded..r * padded + size];
            out.part(at..at + size).iter_mut().zip(sums).for_each(|(o, s)| *o = s * inverse);
        }
    }
}
dispatch! { fn decode_run(attention: Attention, place: &Place<'_>, qkv: &[f32], samples: &[SampleCache], out: Shared<'_, f32>, scratch: &mut [f32]) = crate::cpu::decode::decode_run_body }
