//! The processor as a device: an instruction set and a team of threads.

use crate::cpu::lanes::Isa;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// How often an idle worker looks for work before it sleeps: about 50 microseconds, longer than the serial
/// stretches between two kernels, shorter than anything a person would call waiting.
const SPINS: u32 = if cfg!(miri) { 10 } else { 4_000 };

/// An instruction set and a team of threads that share out the disjoint outputs of a kernel.
///
/// Which thread computes which output never changes a result: `for_each` only hands out independent tasks.
pub struct Cpu {
    isa: Isa,
    shared: Arc<Team>,
    /// Held while the team works: a second caller meanwhile works alone.
    at_work: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
}

type Job = *const (dyn Fn(usize) + Sync);

struct Team {
    /// Number of jobs published so far; a worker that sees it grow runs the job.
    generation: AtomicUsize,
    job: UnsafeCell<Option<(Job, usize)>>,
    next_task: AtomicUsize,
    /// Workers that have not yet finished the present job.
    busy: AtomicUsize,
    sleepers: Mutex<usize>,
    wake: Condvar,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn std::any::Any + Send>>>,
}

// SAFETY: `job` is written only while no worker is busy and before the generation grows.
unsafe impl Sync for Team {}
// SAFETY: the job pointer is only followed while its owner waits in `for_each`.
unsafe impl Send for Team {}

impl Cpu {
    /// A team of `threads` threads (at least 1, the caller's included) that use an instruction set.
    ///
    /// # Panics
    /// If this machine cannot run `isa`.
    pub(crate) fn new(threads: usize, isa: Isa) -> Cpu {
        assert!(Isa::available().contains(&isa), "this machine cannot run {}", isa.name());
        let shared = Arc::new(Team {
            generation: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            next_task: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            sleepers: Mutex::new(0),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let workers = (1..threads.max(1))
            .map(|_| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.work())
            })
            .collect();
        Cpu { isa, shared, at_work: Mutex::new(()), workers }
    }

    /// The instruction set in use.
    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// Number of threads, the caller's included.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(0)` .. `task(num_tasks - 1)`, each once, on any thread and in any order; returns when all are done.
    /// A panic in a task is passed on.
    pub(crate) fn for_each(&self, num_tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() || num_tasks <= 1 {
            (0..num_tasks).for_each(task);
            return;
        }
        let Ok(at_work) = self.at_work.try_lock() else {
            (0..num_tasks).for_each(task);
            return;
        };
        let shared = &*self.shared;
        // SAFETY: only lengthens the borrow; no worker touches the job after `busy` has come back to 0 below.
        let job: Job = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Job>(task) };
        // SAFETY: no worker is busy between two jobs.
        unsafe { *shared.job.get() = Some((job, num_tasks)) };
        shared.next_task.store(0, Ordering::Relaxed);
        shared.busy.store(self.workers.len(), Ordering::Relaxed);
        shared.generation.fetch_add(1, Ordering::SeqCst);
        if *shared.sleepers.lock().unwrap() > 0 {
            shared.wake.notify_all();
        }
        shared.run_tasks(job, num_tasks);
        let mut spins = 0;
        while shared.busy.load(Ordering::Acquire) > 0 {
            relax(&mut spins);
        }
        let panic = shared.panic.lock().unwrap().take();
        drop(at_work);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(self.shared.sleepers.lock().unwrap());
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Team {
    fn work(&self) {
        let mut seen = 0;
        while self.wait_for_job(seen) {
            seen += 1;
            // SAFETY: the job was written before the generation grew, and stays until `busy` is 0.
            if let Some((job, num_tasks)) = unsafe { *self.job.get() } {
                self.run_tasks(job, num_tasks);
            }
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }

    /// True when generation `seen + 1` is there, false when the device is dropped.
    fn wait_for_job(&self, seen: usize) -> bool {
        for _ in 0..SPINS {
            if self.generation.load(Ordering::Acquire) != seen {
                return true;
            }
            std::hint::spin_loop();
        }
        let mut sleepers = self.sleepers.lock().unwrap();
        *sleepers += 1;
        while self.generation.load(Ordering::SeqCst) == seen && !self.stop.load(Ordering::SeqCst) {
            sleepers = self.wake.wait(sleepers).unwrap();
        }
        *sleepers -= 1;
        self.generation.load(Ordering::SeqCst) != seen
    }

    fn run_tasks(&self, job: Job, num_tasks: usize) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let task = self.next_task.fetch_add(1, Ordering::Relaxed);
                if task >= num_tasks {
                    break;
                }
                // SAFETY: the caller of `for_each` keeps the closure alive until every worker is done.
                unsafe { (*job)(task) };
            }
        }));
        if let Err(payload) = outcome {
            *self.panic.lock().unwrap() = Some(payload);
        }
    }
}

/// Waits a moment; gives the core away when the wait gets long (more threads than cores).
fn relax(spins: &mut u32) {
    *spins += 1;
    if *spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 5] {
            let cpu = Cpu::new(threads, Isa::detect());
            for num_tasks in [0, 1, 2, 7, if cfg!(miri) { 20 } else { 100 }] {
                let counts: Vec<AtomicUsize> = (0..num_tasks).map(|_| AtomicUsize::new(0)).collect();
                for round in 1..if cfg!(miri) { 4 } else { 50 } {
                    cpu.for_each(num_tasks, &|t| {
                        counts[t].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == round));
                }
                std::thread::sleep(std::time::Duration::from_millis(2)); // the next job finds workers asleep
            }
        }
    }

    #[test]
    fn a_call_within_a_task_is_done_by_its_caller() {
        let cpu = Cpu::new(3, Isa::detect());
        let sum = AtomicUsize::new(0);
        cpu.for_each(4, &|i| {
            cpu.for_each(5, &|j| {
                sum.fetch_add(10 * i + j, Ordering::Relaxed);
            });
        });
        assert_eq!(sum.into_inner(), 10 * 6 * 5 + 4 * 10);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_device_lives_on() {
        let cpu = Cpu::new(3, Isa::detect());
        let caught = catch_unwind(AssertUnwindSafe(|| cpu.for_each(8, &|t| assert!(t != 5, "task five"))));
        assert!(caught.is_err());
        let sum = AtomicUsize::new(0);
        cpu.for_each(10, &|t| {
            sum.fetch_add(t, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
    }
}
