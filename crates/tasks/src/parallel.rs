//! Grading on several threads.

use std::{
    ops::ControlFlow,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// Does `work` for each of `0..count` on `threads` threads and returns the results in order. `progress` is called on
/// the calling thread with the number done so far; if it breaks, no more are started, those in progress are waited
/// for, and there is no result.
pub fn parallel_map<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> T + Sync,
    mut progress: impl FnMut(usize) -> ControlFlow<()>,
) -> Option<Vec<T>> {
    let next = AtomicUsize::new(0);
    let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..threads.clamp(1, count.max(1)) {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || send.send((index, work(index))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (done, (index, result)) in receive.iter().enumerate() {
            results[index] = Some(result);
            if progress(done + 1).is_break() {
                next.store(count, Ordering::Relaxed);
                break;
            }
        }
    });
    results.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_on_any_number_of_threads() {
        let expected: Vec<usize> = (0..100).map(|n| n * n).collect();
        for threads in [0, 1, 3, 200] {
            let mut reported = Vec::new();
            let progress = |done| {
                reported.push(done);
                ControlFlow::Continue(())
            };
            assert_eq!(parallel_map(100, threads, |n| n * n, progress), Some(expected.clone()));
            assert_eq!(reported, (1..=100).collect::<Vec<_>>());
        }
        assert_eq!(parallel_map(0, 4, |n| n, |_| ControlFlow::Continue(())), Some(Vec::new()));
    }

    #[test]
    fn a_break_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let work = |_| {
            thread::sleep(std::time::Duration::from_millis(1));
            begun.fetch_add(1, Ordering::Relaxed)
        };
        let stop_at_five = |done| if done == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        assert_eq!(parallel_map(100_000, 2, work, stop_at_five), None);
        assert!(begun.into_inner() < 1000);
    }
}
