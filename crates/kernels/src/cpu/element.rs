//! The formats of weights: f32, or bf16 that is widened where it is read.
//!
//! Widening is exact (bf16 is the upper half of an f32), so a kernel over bf16 weights has the bits of the same kernel
//! over those weights in f32. Everything but weights (activations, gradients, sums) is f32 in both.

use crate::cpu::lanes::Lanes;
use crate::cpu::shared::{Shared, in_ranges};
use crate::cpu::team::Cpu;
use crate::number::{Number, bf16};
use std::borrow::Cow;

/// Weights in panels, in one of the formats that kernels read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Panels<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// Widened when they are read: half the memory traffic.
    Bf16(&'a [bf16]),
}

impl<'a> Panels<'a> {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        match self {
            Panels::F32(panels) => panels.len(),
            Panels::Bf16(panels) => panels.len(),
        }
    }

    /// All values in f32: for norms and biases, which are too small to matter to memory or speed.
    pub(crate) fn widened(self) -> Cow<'a, [f32]> {
        match self {
            Panels::F32(values) => Cow::Borrowed(values),
            Panels::Bf16(values) => values.iter().map(|x| x.to_f32()).collect(),
        }
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
        // SAFETY: the caller's promise.
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
        // SAFETY: the caller's promise.
        unsafe { L::load_bf16(p) }
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        bf16::to_f32(self)
    }
}

/// `to = from`, rounded to the nearest bf16, ties to even.
pub(crate) fn round_to_bf16(cpu: &Cpu, from: &[f32], to: &mut [bf16]) {
    assert_eq!(from.len(), to.len());
    let to = Shared::new(to);
    in_ranges(cpu, from.len(), from.len(), |range| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { to.part(range.clone()) };
        part.iter_mut().zip(&from[range]).for_each(|(to, &from)| *to = bf16::from_f32(from));
    });
}

/// `to = from`, exactly.
pub(crate) fn widen(cpu: &Cpu, from: &[bf16], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    let to = Shared::new(to);
    in_ranges(cpu, from.len(), from.len(), |range| {
        // SAFETY: ranges are disjoint.
        let part = unsafe { to.part(range.clone()) };
        part.iter_mut().zip(&from[range]).for_each(|(to, from)| *to = from.to_f32());
    });
}
