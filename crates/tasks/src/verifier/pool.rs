//! The processes of a verifier, each started when it is first needed.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::worker::{Launch, Worker};

/// After this many workers in a row have broken down without a single reply, no more are started.
pub(super) const MAX_BROKEN_IN_A_ROW: usize = 16;

#[derive(Debug)]
pub(super) struct Pool {
    launch: Launch,
    /// Number of processes.
    size: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Worker>,
    /// Workers in use.
    busy: usize,
    broken_in_a_row: usize,
    last_break: String,
}

impl Pool {
    pub(super) fn new(launch: Launch, size: usize) -> Pool {
        Pool { launch, size, state: Mutex::default(), freed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of processes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Takes an idle worker, or starts one. Waits while all are in use, at most until `deadline`; each of them has its own.
    ///
    /// # Errors
    /// No worker is free or can be started, or too many have broken down.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Result<Worker, String> {
        let all_busy = |state: &mut State| state.idle.is_empty() && state.busy >= self.size;
        let mut state = match deadline {
            None => self.freed.wait_while(self.state(), all_busy).unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let wait = deadline.saturating_duration_since(Instant::now());
                let waited = self.freed.wait_timeout_while(self.state(), wait, all_busy);
                let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if all_busy(&mut state) {
                    return Err("all processes were busy until the deadline".to_owned());
                }
                state
            }
        };
        if state.broken_in_a_row >= MAX_BROKEN_IN_A_ROW {
            return Err(format!(
                "gave up after {MAX_BROKEN_IN_A_ROW} processes in a row broke down, the last because {}",
                state.last_break
            ));
        }
        let worker = match state.idle.pop() {
            Some(worker) => worker,
            None => {
                Worker::start(&self.launch).map_err(|error| format!("cannot start `{}`: {error}", self.launch.title))?
            }
        };
        state.busy += 1;
        Ok(worker)
    }

    /// Returns a worker that has answered.
    pub(super) fn put_back(&self, worker: Worker) {
        let mut state = self.state();
        state.busy -= 1;
        state.broken_in_a_row = 0;
        state.idle.push(worker);
        drop(state);
        self.freed.notify_one();
    }

    /// Kills a worker that cannot be used again.
    pub(super) fn discard(&self, worker: Worker, reason: &str) {
        drop(worker);
        let mut state = self.state();
        state.busy -= 1;
        state.broken_in_a_row += 1;
        reason.clone_into(&mut state.last_break);
        drop(state);
        self.freed.notify_one();
    }

    /// Number of workers that wait for work.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.state().idle.len()
    }
}
