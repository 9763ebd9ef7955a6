//! Caches of keys and values: one per prompt, shared by its samples, and one of its own for each sample.

use crate::buffer::Buffer;
use crate::device::Device;
use crate::shape::{AttentionShape, BLOCK};
use std::sync::Arc;

/// Keys and values of consecutive tokens, for all layers.
pub struct KvCache {
    pub(crate) shape: AttentionShape,
    pub(crate) layers: usize,
    /// Tokens that fit.
    pub(crate) capacity: usize,
    pub(crate) keys: Buffer,
    pub(crate) values: Buffer,
}

impl KvCache {
    /// An empty cache for at least `tokens` tokens.
    pub fn new(device: &Device, shape: AttentionShape, layers: usize, tokens: usize) -> KvCache {
        let [keys, values] = lengths(device, shape, layers, tokens).map(|len| Buffer::zeros(device, len));
        KvCache { shape, layers, capacity: tokens.next_multiple_of(BLOCK), keys, values }
    }

    /// Bytes that [`KvCache::new`] allocates.
    pub fn bytes(device: &Device, shape: AttentionShape, layers: usize, tokens: usize) -> usize {
        size_of::<f32>() * lengths(device, shape, layers, tokens).iter().sum::<usize>()
    }
}

/// Lengths of the keys and of the values.
fn lengths(device: &Device, shape: AttentionShape, layers: usize, tokens: usize) -> [usize; 2] {
    let heads = layers * shape.kv_heads * tokens.next_multiple_of(BLOCK);
    device.cache_widths(shape).map(|width| heads * width)
}

/// The cache of one sample: whole blocks of its prompt's cache, shared, and its own.
pub struct SampleCache {
    pub(crate) prompt: Arc<KvCache>,
    /// Tokens read from `prompt`, a multiple of [`BLOCK`].
    pub(crate) shared: usize,
    pub(crate) own: KvCache,
    /// Tokens stored so far, shared ones included.
    pub(crate) len: usize,
}

impl SampleCache {
    /// Tokens that a sample's own cache must hold after any prompt, for `max_new_tokens`.
    pub fn own_tokens(max_new_tokens: usize) -> usize {
        BLOCK - 1 + max_new_tokens
    }

    /// Returns the sample's own memory, for the next sample.
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

    /// Counts the token that every layer has [appended](crate::append).
    pub fn advance(&mut self) {
        self.len += 1;
    }
}
