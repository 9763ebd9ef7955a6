//! The device that kernels run on.

use crate::cpu::attention;
use crate::cpu::lanes::Isa;
use crate::cpu::panels;
use crate::cpu::team::Cpu;
use crate::shape::AttentionShape;
use std::sync::Arc;

/// A device: where buffers lie and kernels run. Cloning gives another handle to the same device.
///
/// A closed enum: a new device is a new variant, and the compiler names every kernel that it still lacks.
#[derive(Clone)]
pub enum Device {
    /// The processor.
    Cpu(Arc<Cpu>),
}

impl Device {
    /// The processor with `threads` threads (at least 1, the caller's included) and its fastest instruction set.
    pub fn cpu(threads: usize) -> Device {
        Device::cpu_with_isa(threads, Isa::detect())
    }

    /// The same with a chosen instruction set, for comparing paths.
    ///
    /// # Panics
    /// If this machine cannot run `isa`.
    pub fn cpu_with_isa(threads: usize, isa: Isa) -> Device {
        Device::Cpu(Arc::new(Cpu::new(threads, isa)))
    }

    /// Number of host threads that it uses, the caller's included.
    pub fn threads(&self) -> usize {
        match self {
            Device::Cpu(cpu) => cpu.threads(),
        }
    }

    /// The instruction set of its kernels.
    pub fn isa(&self) -> Isa {
        match self {
            Device::Cpu(cpu) => cpu.isa(),
        }
    }

    /// Whether f32 results have the bits of the processor's, so that tests compare them for equality.
    pub fn is_exact(&self) -> bool {
        match self {
            Device::Cpu(_) => true,
        }
    }

    /// Number of values that a matrix `[outputs, inputs]` takes in a buffer, fill included.
    pub fn matrix_len(&self, outputs: usize, inputs: usize) -> usize {
        match self {
            Device::Cpu(_) => panels::panels_len(outputs, inputs),
        }
    }

    /// Number of values that a token's key, and its value, take in a cache, per key/value head.
    pub(crate) fn cache_widths(&self, shape: AttentionShape) -> [usize; 2] {
        match self {
            Device::Cpu(_) => [shape.head_size, attention::padded(shape)],
        }
    }

    /// Number of values that a vector takes in a buffer of several tensors, up to where the next one may start.
    pub fn vector_len(&self, len: usize) -> usize {
        match self {
            Device::Cpu(_) => panels::vector_len(len),
        }
    }
}

/// Every device of this machine, the reference first: each instruction set of the processor on one thread, and the
/// fastest on several. Tests of kernels and contracts run on all of them.
pub fn devices() -> Vec<Device> {
    let instruction_sets = Isa::available().into_iter().map(|isa| Device::cpu_with_isa(1, isa));
    let teams: &[usize] = if cfg!(miri) { &[3] } else { &[2, 5] };
    instruction_sets.chain(teams.iter().map(|&threads| Device::cpu(threads))).collect()
}
