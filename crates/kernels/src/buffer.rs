//! Memory of a device. [`Buffer::read`] and [`Buffer::write`] are the only ways between it and the host.

use crate::cpu::memory::Memory;
use crate::device::Device;
use crate::number::Number;
use std::ops::{Bound, Range, RangeBounds};

/// A fixed-length array of numbers in a device's memory.
///
/// It does not dereference to a slice, so that code outside this crate cannot depend on where it lies:
///
/// ```compile_fail
/// let device = vapo_kernels::Device::cpu(1);
/// let buffer = vapo_kernels::Buffer::<f32>::zeros(&device, 4);
/// let first = buffer[0];
/// ```
///
/// ```
/// let device = vapo_kernels::Device::cpu(1);
/// let mut buffer = vapo_kernels::Buffer::zeros(&device, 4);
/// buffer.slice_mut(1..3).write(&device, &[5.0, 6.0]);
/// assert_eq!(buffer.view().to_vec(&device), [0.0, 5.0, 6.0, 0.0]);
/// ```
pub struct Buffer<T: Number = f32> {
    storage: Storage<T>,
    /// Values in use; the storage may hold more.
    len: usize,
}

enum Storage<T: Number> {
    Cpu(Memory<T>),
}

/// Values of a [`Buffer`] that kernels read.
#[derive(Clone, Copy)]
pub struct View<'a, T: Number = f32>(Slice<'a, T>);

#[derive(Clone, Copy)]
enum Slice<'a, T> {
    Cpu(&'a [T]),
}

/// Values of a [`Buffer`] that kernels write.
pub struct ViewMut<'a, T: Number = f32>(SliceMut<'a, T>);

enum SliceMut<'a, T> {
    Cpu(&'a mut [T]),
}

impl<T: Number> Buffer<T> {
    /// `len` zeros.
    pub fn zeros(device: &Device, len: usize) -> Self {
        let storage = match device {
            Device::Cpu(_) => Storage::Cpu(Memory::zeros(len)),
        };
        Buffer { storage, len }
    }

    /// A copy of host memory.
    pub fn from_slice(device: &Device, values: &[T]) -> Self {
        let mut buffer = Buffer::zeros(device, values.len());
        buffer.write(device, values);
        buffer
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes the buffer `len` values long, contents unspecified; its memory only grows.
    pub fn resize(&mut self, device: &Device, len: usize) -> ViewMut<'_, T> {
        match (&mut self.storage, device) {
            (Storage::Cpu(memory), Device::Cpu(_)) => memory.reserve(len),
        };
        self.len = len;
        self.view_mut()
    }

    /// All values, to be read.
    pub fn view(&self) -> View<'_, T> {
        match &self.storage {
            Storage::Cpu(memory) => View(Slice::Cpu(&memory[..self.len])),
        }
    }

    /// All values, to be written.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        match &mut self.storage {
            Storage::Cpu(memory) => ViewMut(SliceMut::Cpu(&mut memory[..self.len])),
        }
    }

    /// Some of the values, to be read.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> View<'_, T> {
        self.view().slice(range)
    }

    /// Some of the values, to be written.
    pub fn slice_mut(&mut self, range: impl RangeBounds<usize>) -> ViewMut<'_, T> {
        self.view_mut().slice(range)
    }

    /// Copies all values to host memory of the same length.
    pub fn read(&self, device: &Device, to: &mut [T]) {
        self.view().read(device, to);
    }

    /// Copies host memory of the same length into the buffer.
    pub fn write(&mut self, device: &Device, from: &[T]) {
        self.view_mut().write(device, from);
    }

    /// Lets the host change values: in place where the device's memory is the host's.
    pub fn edit<R>(&mut self, device: &Device, change: impl FnOnce(&mut [T]) -> R) -> R {
        match device {
            Device::Cpu(_) => change(self.view_mut().cpu()),
        }
    }
}

impl<T: Number> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let storage = match &self.storage {
            Storage::Cpu(memory) => Storage::Cpu(memory.clone()),
        };
        Buffer { storage, len: self.len }
    }

    /// Copies into the memory that the buffer has, if it is of the same size.
    fn clone_from(&mut self, from: &Self) {
        match (&mut self.storage, &from.storage) {
            (Storage::Cpu(to), Storage::Cpu(from)) => to.clone_from(from),
        }
        self.len = from.len;
    }
}

/// An empty buffer, to be resized.
impl<T: Number> Default for Buffer<T> {
    fn default() -> Self {
        Buffer { storage: Storage::Cpu(Memory::default()), len: 0 }
    }
}

impl<'a, T: Number> View<'a, T> {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.cpu().len()
    }

    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of the values.
    pub fn slice(self, range: impl RangeBounds<usize>) -> View<'a, T> {
        let range = bounds(range, self.len());
        match self.0 {
            Slice::Cpu(values) => View(Slice::Cpu(&values[range])),
        }
    }

    /// Copies the values to host memory of the same length.
    pub fn read(self, device: &Device, to: &mut [T]) {
        match (self.0, device) {
            (Slice::Cpu(values), Device::Cpu(_)) => to.copy_from_slice(values),
        }
    }

    pub(crate) fn cpu(self) -> &'a [T] {
        match self.0 {
            Slice::Cpu(values) => values,
        }
    }
}

impl View<'_, f32> {
    /// A copy of the values in host memory.
    pub fn to_vec(self, device: &Device) -> Vec<f32> {
        let mut values = vec![0.0; self.len()];
        self.read(device, &mut values);
        values
    }
}

impl<'a, T: Number> ViewMut<'a, T> {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of the values.
    pub fn slice(self, range: impl RangeBounds<usize>) -> ViewMut<'a, T> {
        let range = bounds(range, self.len());
        match self.0 {
            SliceMut::Cpu(values) => ViewMut(SliceMut::Cpu(&mut values[range])),
        }
    }

    /// The values before `at`, and those from there on.
    pub fn split_at(self, at: usize) -> (ViewMut<'a, T>, ViewMut<'a, T>) {
        match self.0 {
            SliceMut::Cpu(values) => {
                let (before, after) = values.split_at_mut(at);
                (ViewMut(SliceMut::Cpu(before)), ViewMut(SliceMut::Cpu(after)))
            }
        }
    }

    /// The same values for a shorter time, so that this view can be used again.
    pub fn reborrow(&mut self) -> ViewMut<'_, T> {
        match &mut self.0 {
            SliceMut::Cpu(values) => ViewMut(SliceMut::Cpu(values)),
        }
    }

    /// The same values, to be read.
    pub fn view(&self) -> View<'_, T> {
        match &self.0 {
            SliceMut::Cpu(values) => View(Slice::Cpu(values)),
        }
    }

    /// Copies host memory of the same length over the values.
    pub fn write(self, device: &Device, from: &[T]) {
        match (self.0, device) {
            (SliceMut::Cpu(values), Device::Cpu(_)) => values.copy_from_slice(from),
        }
    }

    pub(crate) fn cpu(self) -> &'a mut [T] {
        match self.0 {
            SliceMut::Cpu(values) => values,
        }
    }
}

fn bounds(range: impl RangeBounds<usize>, len: usize) -> Range<usize> {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&start) => start + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&end) => end + 1,
        Bound::Excluded(&end) => end,
        Bound::Unbounded => len,
    };
    start..end
}
