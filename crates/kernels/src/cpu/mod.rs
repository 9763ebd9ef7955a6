//! The processor: kernels over slices, in lanes of 16, on a team of threads.

pub(crate) mod attention;
pub(crate) mod decode;
pub(crate) mod element;
pub(crate) mod elementwise;
pub(crate) mod gated;
pub(crate) mod head;
pub(crate) mod lanes;
mod math;
pub(crate) mod matrix;
pub(crate) mod memory;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod panels;
pub(crate) mod peak;
pub(crate) mod rows;
pub(crate) mod sampling;
mod shared;
pub(crate) mod team;
mod tile;
