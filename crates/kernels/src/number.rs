//! The numbers that buffers hold.

pub use half::bf16;

/// A number that a [`Buffer`](crate::Buffer) can hold.
///
/// # Safety
/// All-zero bytes are the number 0.
pub unsafe trait Number: Copy + Send + Sync + 'static {}

// SAFETY: the sign, exponent and fraction of 0 are zero bits.
unsafe impl Number for f32 {}
// SAFETY: as above.
unsafe impl Number for bf16 {}
