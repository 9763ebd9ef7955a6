//! Zeroed memory aligned to a cache line, so that a panel's 16 columns never straddle two lines.

use crate::number::Number;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A fixed-length slice of numbers, aligned to 64 bytes. Fresh pages cost no memory until they are written.
pub(crate) struct Memory<T: Number = f32> {
    ptr: NonNull<T>,
    len: usize,
}

// SAFETY: it owns its memory, like a boxed slice.
unsafe impl<T: Number> Send for Memory<T> {}
// SAFETY: as above; shared access is read-only.
unsafe impl<T: Number> Sync for Memory<T> {}

impl<T: Number> Memory<T> {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        if len == 0 {
            return Memory { ptr: NonNull::dangling(), len };
        }
        let layout = Self::layout(len);
        // SAFETY: the layout has a size above zero.
        let raw = unsafe { alloc_zeroed(layout) };
        let ptr = NonNull::new(raw.cast::<T>()).unwrap_or_else(|| handle_alloc_error(layout));
        Memory { ptr, len }
    }

    /// Makes room for at least `len` values; the contents are then unspecified.
    pub(crate) fn reserve(&mut self, len: usize) -> &mut [T] {
        if self.len < len {
            *self = Memory::zeros(0); // frees first, so that the peak is the larger of the two
            *self = Memory::zeros(len);
        }
        &mut self[..len]
    }

    fn layout(len: usize) -> Layout {
        Layout::array::<T>(len).and_then(|l| l.align_to(64)).expect("a buffer smaller than the address space")
    }
}

impl<T: Number> Drop for Memory<T> {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: allocated in `zeros` with this layout.
            unsafe { dealloc(self.ptr.as_ptr().cast(), Self::layout(self.len)) }
        }
    }
}

impl<T: Number> Deref for Memory<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `len` initialized values, or a dangling pointer with length 0.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Number> DerefMut for Memory<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: Number> Clone for Memory<T> {
    fn clone(&self) -> Self {
        let mut copy = Memory::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }

    /// Keeps its memory where the length allows it: fresh pages cost more than the copy.
    fn clone_from(&mut self, from: &Self) {
        if self.len == from.len { self.copy_from_slice(from) } else { *self = from.clone() }
    }
}

impl<T: Number> Default for Memory<T> {
    fn default() -> Self {
        Memory::zeros(0)
    }
}
