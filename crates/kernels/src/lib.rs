//! The numerical kernels of a decoder-only transformer.
//!
//! Kernels are whole operations over whole buffers: a model calls [`linear`], [`attention()`], [`rms_norm`] .. on a
//! [`Device`] and knows neither threads nor instruction sets. Three contracts hold for every kernel:
//!
//! 1. A row's result has the same bits whatever other rows it is computed with.
//! 2. It has the same bits on any number of threads.
//! 3. It has the same bits on any instruction set ([`Isa`]), the portable one included.
//!
//! They follow from how sums are ordered: each output is one chain of fused multiply-adds in an order that depends
//! on its own reduction alone (see `tile`), horizontal sums are over 16 fixed lanes, and threads own disjoint outputs.
//! Gradients of weights sum over rows, in blocks of 128, so they do depend (by rounding alone) on how a batch is split.
//!
//! Legend: `m` rows (tokens), `width` values per row, `[a, b]` a row-major array.
//!
//! This is the only crate with `unsafe` code: vector instructions, and tasks that write disjoint parts of one buffer.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

mod attention;
mod buffer;
mod decode;
mod device;
mod element;
mod elementwise;
mod head;
mod lanes;
mod math;
mod matrix;
mod norm;
mod optimizer;
mod peak;
mod shared;
mod tile;

pub use attention::{AttentionShape, Tree, attention, attention_backward};
pub use buffer::Buffer;
pub use decode::{KvCache, SampleCache, append, decode_attention, fill};
pub use device::Device;
pub use element::{Number, Panels, bf16, round_to_bf16};
pub use elementwise::{Rotary, Turn, copy_columns, embed, embed_backward, rotate, swiglu, swiglu_backward};
pub use head::{RowGradient, RowStats, logit_gradients, row_stats, scalar_head, scalar_head_backward, score_rows};
pub use lanes::{Isa, LANES};
pub use matrix::{
    Weight, Write, add_column_sums, fill_rows, linear, linear_dw, linear_dx, pack, panel_index, panels_len, unpack,
};
pub use norm::{rms_norm, rms_norm_backward};
pub use optimizer::{AdamWStep, adamw, sum_of_squares};
pub use peak::fma_peak_gflops;
