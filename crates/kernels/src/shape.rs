//! How attention is shaped and which rows attend to each other.

/// Keys per block. Attention sums over keys in blocks counted from the sequence's start, so samples share their
/// prompt's cache in whole blocks.
pub(crate) const BLOCK: usize = 16;

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

    /// Values in a row of queries, and of attention's output.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_size
    }

    /// Values in a row of keys, and of values.
    pub fn key_width(&self) -> usize {
        self.kv_heads * self.head_size
    }

    /// Query heads per key/value head.
    pub(crate) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Attention to every earlier key, with scores divided by `sqrt(head_size)`: Vaswani et al. 2017, equation 1.
    pub fn full(self) -> Attention {
        Attention { shape: self, scale: 1.0 / (self.head_size as f32).sqrt(), window: None }
    }

    pub(crate) fn key_column(&self, kv_head: usize) -> usize {
        (self.heads + kv_head) * self.head_size
    }

    pub(crate) fn value_column(&self, kv_head: usize) -> usize {
        (self.heads + self.kv_heads + kv_head) * self.head_size
    }
}

/// How a layer attends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Head counts and size.
    pub shape: AttentionShape,
    /// What the products of queries and keys are multiplied by.
    pub scale: f32,
    /// The number of keys that a token sees at most, its own included; none for all earlier ones.
    pub window: Option<usize>,
}

impl Attention {
    /// Position of the first key that the token at `position` sees.
    pub(crate) fn first_key(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// Start of the block of keys that holds it; blocks before are not read.
    pub(crate) fn first_block(&self, position: usize) -> usize {
        self.first_key(position) / BLOCK * BLOCK
    }
}

/// Sequences that begin with the same tokens: the rows of the common prefix once, then each sequence's own rows, one
/// sequence after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// First row of `qkv`.
    pub first_row: usize,
    /// Rows of the common prefix; a single sequence is all prefix.
    pub prefix: usize,
    /// Own rows of each sequence.
    pub branches: Vec<usize>,
}

impl Tree {
    /// Rows of all sequences, the prefix counted once.
    pub(crate) fn rows(&self) -> usize {
        self.prefix + self.branches.iter().sum::<usize>()
    }

    /// Length of the longest sequence.
    pub(crate) fn longest(&self) -> usize {
        self.prefix + self.branches.iter().max().unwrap_or(&0)
    }
}
