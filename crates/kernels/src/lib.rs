//! vapo-kernels
