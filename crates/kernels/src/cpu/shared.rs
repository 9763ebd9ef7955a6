//! Handing disjoint parts of one output to the tasks of a kernel.

use crate::cpu::team::Cpu;
use std::marker::PhantomData;
use std::ops::Range;

/// A mutable slice whose parts are written by several tasks; the caller sees to it that parts are disjoint.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T> {
    ptr: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: parts handed out are disjoint (contract of `part`).
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Shared { ptr: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }

    /// # Safety
    /// No two live parts overlap.
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds, and disjoint by contract.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(range.start), range.len()) }
    }

    pub(crate) fn ptr(&self) -> *mut T {
        self.ptr
    }
}

/// Calls `f` on ranges that together cover `0..count`, in parallel where `work` (elements touched) is worth it.
pub(crate) fn in_ranges(cpu: &Cpu, count: usize, work: usize, f: impl Fn(Range<usize>) + Sync) {
    // Under Miri, which takes small tests only, threads must still meet.
    const WORTH_A_THREAD: usize = if cfg!(miri) { 16 } else { 4096 };
    let tasks = if cpu.threads() == 1 { 1 } else { (4 * cpu.threads()).min(work / WORTH_A_THREAD) };
    let tasks = tasks.clamp(1, count.max(1));
    let size = count.div_ceil(tasks);
    cpu.for_each(tasks, &|t| {
        let range = (t * size).min(count)..((t + 1) * size).min(count);
        if !range.is_empty() {
            f(range);
        }
    });
}

thread_local! {
    static SCRATCH: std::cell::RefCell<crate::cpu::memory::Memory> = std::cell::RefCell::new(crate::cpu::memory::Memory::default());
}

/// Lends this thread's scratch memory, contents unspecified. Not to be nested.
pub(crate) fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| f(scratch.reserve(len)))
}
