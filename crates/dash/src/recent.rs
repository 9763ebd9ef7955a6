//! What was opened last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::answer::Failure;

/// At most a number of opened things by the ids of their runs; when there are more, the one that was not used for longest is closed.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    most: usize,
    /// The last one used is the last.
    open: Mutex<Vec<(String, Arc<Mutex<T>>)>>,
}

impl<T> Recent<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, open: Mutex::default() }
    }

    /// Uses what belongs to a run, after `open` has opened it, if it is not open. What failed to be used is opened anew the
    /// next time: it may be of a run that was deleted, or half changed by a panic.
    pub(crate) fn with<R>(
        &self,
        id: &str,
        open: impl FnOnce() -> Result<T, Failure>,
        using: impl FnOnce(&mut T) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let shared = self.get(id, open)?;
        let mut guard = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let result = using(&mut guard);
        if result.is_err() {
            self.list().retain(|(_, other)| !Arc::ptr_eq(other, &shared));
        }
        result
    }

    /// Opening holds the list, so that a page whose requests come together opens a run once.
    fn get(&self, id: &str, open: impl FnOnce() -> Result<T, Failure>) -> Result<Arc<Mutex<T>>, Failure> {
        let mut list = self.list();
        let place = list.iter().position(|(own, shared)| own == id && !shared.is_poisoned());
        let entry = match place {
            Some(place) => list.remove(place),
            None => {
                list.retain(|(own, _)| own != id);
                // The memory of the one that goes is free before the new one needs it.
                let excess = (list.len() + 1).saturating_sub(self.most);
                list.drain(..excess);
                (id.to_owned(), Arc::new(Mutex::new(open()?)))
            }
        };
        let shared = Arc::clone(&entry.1);
        list.push(entry);
        Ok(shared)
    }

    fn list(&self) -> MutexGuard<'_, Vec<(String, Arc<Mutex<T>>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Uses a run's number and returns how often something was opened.
    fn use_run(recent: &Recent<usize>, opened: &AtomicUsize, id: &str) -> usize {
        let open = || Ok(opened.fetch_add(1, Ordering::Relaxed));
        recent.with(id, open, |number| Ok(*number)).unwrap();
        opened.load(Ordering::Relaxed)
    }

    #[test]
    fn the_last_ones_used_stay_open() {
        let (recent, opened) = (Recent::new(2), AtomicUsize::new(0));
        let count = |id| use_run(&recent, &opened, id);
        assert_eq!(["a", "b", "a", "c", "a", "b", "c"].map(count), [1, 2, 2, 3, 3, 4, 5]);
    }

    #[test]
    fn what_failed_is_opened_anew() {
        let (recent, opened) = (Recent::new(2), AtomicUsize::new(0));
        assert_eq!(use_run(&recent, &opened, "a"), 1);
        let gone = |_: &mut usize| Err::<(), _>(Failure::not_found("gone"));
        assert!(recent.with("a", || Ok(0), gone).is_err());
        assert_eq!(use_run(&recent, &opened, "a"), 2);
        let panics = |_: &mut usize| -> Result<(), Failure> { panic!("on purpose") };
        assert!(catch_unwind(AssertUnwindSafe(|| recent.with("a", || Ok(0), panics))).is_err());
        assert_eq!([use_run(&recent, &opened, "a"), use_run(&recent, &opened, "a")], [3, 3]);
        assert!(recent.with("b", || Err(Failure::not_found("unknown")), |_| Ok(())).is_err());
        assert_eq!(use_run(&recent, &opened, "b"), 4);
    }
}
