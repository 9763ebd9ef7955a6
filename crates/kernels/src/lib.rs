//! The numerical kernels of a decoder-only transformer.
//!
//! Kernels are whole operations over whole [`Buffer`]s in a device's memory: a model calls [`linear`], [`attention()`],
//! [`rms_norm`] .. on a [`Device`] and knows neither threads nor instruction sets. `ops` lists them, each one `match`
//! over the devices; `cpu` implements them. Three contracts hold for every kernel:
//!
//! 1. A row's result has the same bits whatever other rows it is computed with.
//! 2. It has the same bits on any number of threads.
//! 3. It has the same bits on any instruction set ([`Isa`]), the portable one included.
//!
//! They follow from how sums are ordered: each output is one chain of fused multiply-adds in an order that depends
//! on its own reduction alone (see `cpu/tile.rs`), horizontal sums are over 16 fixed lanes, and threads own disjoint
//! outputs.
//! Gradients of weights sum over rows, in blocks of 128, so they do depend (by rounding alone) on how a batch is split.
//!
//! Legend: `m` rows (tokens), `width` values per row, `[a, b]` a row-major array.
//!
//! `unsafe` code is for vector instructions, and for tasks that write disjoint parts of one buffer.
#![allow(unsafe_code)]

mod buffer;
mod cache;
mod cpu;
mod device;
mod number;
mod operands;
mod ops;
mod random;
mod shape;

pub use buffer::{Buffer, View, ViewMut};
pub use cache::{KvCache, SampleCache};
pub use cpu::lanes::Isa;
pub use cpu::peak::fma_peak_gflops;
pub use cpu::team::Cpu;
pub use device::{Device, devices};
pub use number::{Number, bf16};
pub use operands::{
    Activation, AdamWStep, Columns, Drawn, Norm, Rotary, RowGradient, RowScore, SQUARES_BLOCK, SamplingParams, Turn,
    Values, Weight, Write,
};
pub use ops::*;
pub use random::Random;
pub use shape::{Attention, AttentionShape, Tree};
