//! What weights are made of: f32, or bf16 that is widened where it is read.
//!
//! Widening is exact (bf16 is the upper half of an f32), so a kernel over bf16 weights has the bits of the same kernel
//! over those weights in f32. Everything but weights (activations, gradients, sums) is f32 in both.

use crate::Device;
use crate::lanes::Lanes;
use crate::shared::{Shared, in_ranges};
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

/// Weights in panels, in one of the formats that kernels read.
#[derive(Clone, Copy, Debug)]
pub enum Panels<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// Widened when they are read: half the memory traffic.
    Bf16(&'a [bf16]),
}

impl Panels<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Panels::F32(panels) => panels.len(),
            Panels::Bf16(panels) => panels.len(),
        }
    }

    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A weight's format, as the register tile reads it.
pub(crate) trait Element: Number {
    /// Sixteen values as f32.
    /// # Safety
    /// `p` must be readable for 16 values.
    unsafe fn load<L: Lanes>(p: *const Self) -> L;

    fn to_f32(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(p: *const f32) -> L {
        unsafe { L::load(p) }
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

impl Element for bf16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(p: *const bf16) -> L {
        unsafe { L::load_bf16(p) }
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        bf16::to_f32(self)
    }
}

/// `to = from`, rounded to the nearest bf16, ties to even.
pub fn round_to_bf16(device: &Device, from: &[f32], to: &mut [bf16]) {
    assert_eq!(from.len(), to.len());
    let to = Shared::new(to);
    in_ranges(device, from.len(), from.len(), |range| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { to.part(range.clone()) };
        part.iter_mut().zip(&from[range]).for_each(|(to, &from)| *to = bf16::from_f32(from));
    });
}
