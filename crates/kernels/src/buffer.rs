//! A zeroed f32 buffer aligned to a cache line, so that a panel's 16 columns never straddle two lines.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A fixed-length `[f32]`, aligned to 64 bytes. Fresh pages cost no memory until they are written.
pub struct Buffer {
    ptr: NonNull<f32>,
    len: usize,
}

// SAFETY: a buffer owns its memory, like a boxed slice.
unsafe impl Send for Buffer {}
// SAFETY: as above; shared access is read-only.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Buffer {
        if len == 0 {
            return Buffer { ptr: NonNull::dangling(), len };
        }
        let layout = Buffer::layout(len);
        // SAFETY: the layout has a size above zero.
        let raw = unsafe { alloc_zeroed(layout) };
        let ptr = NonNull::new(raw.cast::<f32>()).unwrap_or_else(|| handle_alloc_error(layout));
        Buffer { ptr, len }
    }

    /// Makes room for at least `len` values; the contents are then unspecified.
    pub fn reserve(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            *self = Buffer::zeros(0); // frees first, so that the peak is the larger of the two
            *self = Buffer::zeros(len);
        }
        &mut self[..len]
    }

    fn layout(len: usize) -> Layout {
        Layout::array::<f32>(len).and_then(|l| l.align_to(64)).expect("a buffer smaller than the address space")
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: allocated in `zeros` with this layout.
            unsafe { dealloc(self.ptr.as_ptr().cast(), Buffer::layout(self.len)) }
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `len` initialised values, or a dangling pointer with length 0.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        let mut copy = Buffer::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer::zeros(0)
    }
}
