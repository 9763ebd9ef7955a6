//! Attention of newly sampled tokens over cached keys and values.
//!
//! Samples of one prompt share the prompt's cache in whole blocks of 16 keys; the rest of the prompt and what is
//! sampled lies in each sample's own cache. Sums run over the same keys in the same order as in
//! [`crate::attention()`], so both give the same bits.

use crate::attention::{AttentionShape, key_panels, out_rows, row_panels, softmax_row};
use crate::lanes::{LANES, Lanes, dispatch};
use crate::shared::{Shared, in_ranges, with_scratch};
use crate::tile::{Left, Right, Start, product};
use crate::{Buffer, Device};
use std::ops::Range;
use std::sync::Arc;

/// Rows of a prefix product that one task handles, in samples.
const RUN: usize = 16;

/// Keys and values of consecutive tokens, for all layers.
///
/// Keys lie in panels `[layer][kv_head][capacity / 16][head_size][16]`, values as `[layer][kv_head][capacity][padded]`.
pub struct KvCache {
    shape: AttentionShape,
    capacity: usize,
    keys: Buffer,
    values: Buffer,
}

impl KvCache {
    /// An empty cache for at least `tokens` tokens.
    pub fn new(shape: AttentionShape, layers: usize, tokens: usize) -> KvCache {
        let capacity = tokens.next_multiple_of(LANES);
        let heads = layers * shape.kv_heads * capacity;
        KvCache {
            shape,
            capacity,
            keys: Buffer::zeros(heads * shape.head_size),
            values: Buffer::zeros(heads * shape.padded()),
        }
    }

    /// Number of f32 values that [`KvCache::new`] allocates.
    pub fn num_values(shape: AttentionShape, layers: usize, tokens: usize) -> usize {
        layers * shape.kv_heads * tokens.next_multiple_of(LANES) * (shape.head_size + shape.padded())
    }

    /// Tokens that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The keys of a layer's head.
    fn keys(&self, layer: usize, kv_head: usize) -> *const f32 {
        self.keys.as_ptr().wrapping_add(self.key_start(layer, kv_head))
    }

    /// The values of a layer's head.
    fn values(&self, layer: usize, kv_head: usize) -> *const f32 {
        self.values.as_ptr().wrapping_add(self.value_start(layer, kv_head))
    }

    fn key_start(&self, layer: usize, kv_head: usize) -> usize {
        (layer * self.shape.kv_heads + kv_head) * self.capacity * self.shape.head_size
    }

    fn value_start(&self, layer: usize, kv_head: usize) -> usize {
        (layer * self.shape.kv_heads + kv_head) * self.capacity * self.shape.padded()
    }

    /// Stores the keys and values in one row of `qkv` (after rotation) as token `index`.
    pub fn put(&mut self, layer: usize, index: usize, qkv_row: &[f32]) {
        assert!(index < self.capacity, "token {index} of a cache for {}", self.capacity);
        let size = self.shape.head_size;
        for kv_head in 0..self.shape.kv_heads {
            let key = &qkv_row[self.shape.key_column(kv_head)..][..size];
            let start = self.key_start(layer, kv_head) + index / LANES * LANES * size + index % LANES;
            for (to, from) in self.keys[start..].iter_mut().step_by(LANES).zip(key) {
                *to = *from;
            }
            let value = &qkv_row[self.shape.value_column(kv_head)..][..size];
            let start = self.value_start(layer, kv_head) + index * self.shape.padded();
            self.values[start..start + size].copy_from_slice(value);
        }
    }

    /// Copies tokens `range` of `from` (it starts a block) to this cache's beginning.
    fn copy_from(&mut self, from: &KvCache, range: Range<usize>) {
        let layers = self.keys.len() / (self.shape.kv_heads * self.capacity * self.shape.head_size).max(1);
        let blocks = range.len().next_multiple_of(LANES);
        for layer in 0..layers {
            for kv_head in 0..self.shape.kv_heads {
                let size = self.shape.head_size;
                let (to, at) = (self.key_start(layer, kv_head), from.key_start(layer, kv_head) + range.start * size);
                self.keys[to..to + blocks * size].copy_from_slice(&from.keys[at..at + blocks * size]);
                let padded = self.shape.padded();
                let (to, at) =
                    (self.value_start(layer, kv_head), from.value_start(layer, kv_head) + range.start * padded);
                self.values[to..to + range.len() * padded].copy_from_slice(&from.values[at..at + range.len() * padded]);
            }
        }
    }
}

/// The cache of one sample: whole blocks of its prompt's cache, shared, and its own.
pub struct SampleCache {
    prompt: Arc<KvCache>,
    /// Tokens read from `prompt`, a multiple of 16.
    shared: usize,
    own: KvCache,
    /// Tokens stored so far, shared ones included.
    len: usize,
}

impl SampleCache {
    /// Tokens that a sample's own cache must hold for `prompt_tokens` and `max_new_tokens`.
    pub fn own_tokens(prompt_tokens: usize, max_new_tokens: usize) -> usize {
        prompt_tokens % LANES + max_new_tokens
    }

    /// A sample that continues `prompt` (of `prompt_tokens` tokens), with `own` as its memory.
    pub fn new(prompt: Arc<KvCache>, prompt_tokens: usize, mut own: KvCache) -> SampleCache {
        let shared = prompt_tokens / LANES * LANES;
        own.copy_from(&prompt, shared..prompt_tokens);
        SampleCache { prompt, shared, own, len: prompt_tokens }
    }

    /// Gives the sample's own memory back, for the next sample.
    pub fn into_own(self) -> KvCache {
        self.own
    }

    /// Tokens stored so far: the position of the next one.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True before any token is stored.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn put(&mut self, layer: usize, qkv_row: &[f32]) {
        self.own.put(layer, self.len - self.shared, qkv_row);
    }

    /// Counts the token that every layer has [appended](append).
    pub fn advance(&mut self) {
        self.len += 1;
    }
}

/// Stores the keys and values of whole prompts for one layer: cache `i` gets rows `offsets[i]..offsets[i + 1]`.
///
/// Shapes: `qkv` `[m, shape.width()]`.
pub fn fill(device: &Device, layer: usize, qkv: &[f32], offsets: &[usize], caches: &mut [KvCache]) {
    let count = caches.len();
    let caches = Shared::new(caches);
    in_ranges(device, count, qkv.len(), |range| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { caches.part(range.clone()) };
        for (cache, rows) in part.iter_mut().zip(offsets[range.start..].windows(2)) {
            let width = cache.shape.width();
            for (index, row) in qkv[rows[0] * width..rows[1] * width].chunks_exact(width).enumerate() {
                cache.put(layer, index, row);
            }
        }
    });
}

/// Stores the keys and values of each sample's next token for one layer; after the last layer the token is counted
/// by [`SampleCache::advance`].
///
/// Shapes: `qkv` `[samples, shape.width()]`.
pub fn append(device: &Device, layer: usize, qkv: &[f32], samples: &mut [SampleCache]) {
    let width = qkv.len() / samples.len().max(1);
    let count = samples.len();
    let samples = Shared::new(samples);
    in_ranges(device, count, qkv.len(), |range| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { samples.part(range.clone()) };
        for (sample, row) in part.iter_mut().zip(qkv[range.start * width..].chunks_exact(width)) {
            sample.put(layer, row);
        }
    });
}

/// Attention of one new token per sample, its keys and values already [appended](append) for this layer.
///
/// Shapes: `qkv` `[samples, shape.width()]`, `out` `[samples, heads * head_size]`.
pub fn decode_attention(
    device: &Device,
    shape: AttentionShape,
    layer: usize,
    qkv: &[f32],
    samples: &[SampleCache],
    out: &mut [f32],
) {
    let out = Shared::new(out);
    // Neighbours that share a prompt read its keys together.
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (i, sample) in samples.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.len() < RUN && Arc::ptr_eq(&samples[run.start].prompt, &sample.prompt) => run.end = i + 1,
            _ => runs.push(i..i + 1),
        }
    }
    let tasks = runs.len() * shape.kv_heads;
    device.for_each(tasks, &|task| {
        let run = runs[task / shape.kv_heads].clone();
        let rows = &qkv[run.start * shape.width()..run.end * shape.width()];
        // What this thread will probably do next.
        let next = (task + device.threads()).min(tasks - 1);
        let place = Place {
            layer,
            kv_head: task % shape.kv_heads,
            first: run.start,
            next: (&samples[runs[next / shape.kv_heads].start], next % shape.kv_heads),
        };
        let samples = &samples[run];
        let (rows_of_run, columns) = run_size(shape, samples);
        with_scratch(rows_of_run * (2 * shape.padded() + columns + 1), |scratch| {
            decode_run(device.isa(), shape, &place, rows, samples, out, scratch);
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
    shape: AttentionShape,
    place: &Place,
    qkv: &[f32],
    samples: &[SampleCache],
    out: Shared<f32>,
    scratch: &mut [f32],
) {
    let (width, size, padded, group) = (shape.width(), shape.head_size, shape.padded(), shape.group());
    let (rows, columns) = run_size(shape, samples);
    let Place { layer, kv_head, first, next: (next, next_head) } = *place;
    let (prompt, shared) = (&samples[0].prompt, samples[0].shared);
    let (queries, rest) = scratch.split_at_mut(rows * padded);
    let (sums, rest) = rest.split_at_mut(rows * padded);
    let (scores, inverses) = rest.split_at_mut(rows * columns);
    for (row, q) in qkv.chunks_exact(width).zip(queries.chunks_exact_mut(group * padded)) {
        shape.copy_queries(row, kv_head, q);
    }
    // SAFETY: operands lie in scratch and caches of the sizes given; tasks write disjoint heads of `out`.
    unsafe {
        let q = Left { ptr: queries.as_ptr(), row_stride: padded, k_stride: 1 };
        let s = scores.as_mut_ptr();
        let keys = fetching(key_panels(prompt.keys(layer, kv_head), size), prompt.values(layer, kv_head));
        product::<L, _>(rows, shared, size, q, keys, out_rows(s, columns), Start::Zero);
        for (i, sample) in samples.iter().enumerate() {
            let own = (sample.len + 1 - shared).next_multiple_of(LANES);
            let keys = fetching(key_panels(sample.own.keys(layer, kv_head), size), sample.own.values(layer, kv_head));
            let to = out_rows(s.add(i * group * columns + shared), columns);
            product::<L, _>(group, own, size, q.down(i * group), keys, to, Start::Zero);
        }
        let p = Left { ptr: s, row_stride: columns, k_stride: 1 };
        let to = out_rows(sums.as_mut_ptr(), padded);
        for (r, inverse) in inverses.iter_mut().enumerate() {
            let row = std::slice::from_raw_parts_mut(s.add(r * columns), columns);
            *inverse = softmax_row::<L>(row, samples[r / group].len + 1);
        }
        let values = row_panels(prompt.values(layer, kv_head), padded);
        let values = fetching(values, next.prompt.keys(layer, next_head));
        product::<L, _>(rows, size, shared, p, values, to, Start::Zero);
        for (i, sample) in samples.iter().enumerate() {
            let after = samples.get(i + 1).map_or(next.own.keys(layer, next_head), |s| s.own.keys(layer, kv_head));
            let values = fetching(row_panels(sample.own.values(layer, kv_head), padded), after);
            let p = Left { ptr: s.add(i * group * columns + shared), ..p };
            let to = out_rows(sums.as_mut_ptr().add(i * group * padded), padded);
            product::<L, _>(group, size, sample.len + 1 - shared, p, values, to, Start::Chain);
        }
        for (r, inverse) in inverses.iter().enumerate() {
            let at = ((first + r / group) * shape.heads + kv_head * group + r % group) * size;
            let sums = &sums[r * padded..r * padded + size];
            out.part(at..at + size).iter_mut().zip(sums).for_each(|(o, s)| *o = s * inverse);
        }
    }
}
dispatch! { fn decode_run(shape: AttentionShape, place: &Place<'_>, qkv: &[f32], samples: &[SampleCache], out: Shared<'_, f32>, scratch: &mut [f32]) = crate::decode::decode_run_body }
