//! The user's own program, with one JSON object per line in and out.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    Grader, Reading,
    protocol::{parse_reply, request},
    worker::{Broken, Launch, Worker},
};
use crate::{Error, Problem, Response, Verdict};

/// After this many workers in a row have broken down without a single reply, no more are started.
const MAX_BROKEN_IN_A_ROW: usize = 16;

/// How a program is run.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) launch: Launch,
    /// Number of processes.
    pub(super) workers: usize,
    /// Time allowed for a reply.
    pub(super) timeout: Duration,
    /// Additional time for the first reply of a process.
    pub(super) startup: Duration,
    pub(super) range: [f64; 2],
}

/// A pool of processes; each is started when it is first needed.
#[derive(Debug)]
pub(super) struct CommandVerifier {
    settings: Settings,
    pool: Mutex<Pool>,
    freed: Condvar,
    next_id: AtomicU64,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Worker>,
    /// Workers in use.
    busy: usize,
    broken_in_a_row: usize,
    last_break: String,
}

/// Checks the names of environment variables.
pub(super) fn check_environment(names: &[String]) -> Result<(), Error> {
    match names.iter().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        Some(name) => {
            let expected = "names of variables, without their values".to_owned();
            Err(Error::Setting { setting: "environment", expected, found: format!("{name:?}") })
        }
        None => Ok(()),
    }
}

impl CommandVerifier {
    pub(super) fn new(settings: Settings) -> CommandVerifier {
        CommandVerifier { settings, pool: Mutex::default(), freed: Condvar::new(), next_id: AtomicU64::new(0) }
    }

    /// Takes an idle worker, or starts one. Waits while all are in use; each of them has its own deadline.
    fn take(&self) -> Result<Worker, String> {
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let all_busy = |pool: &mut Pool| pool.idle.is_empty() && pool.busy >= self.settings.workers;
        let mut pool = self.freed.wait_while(pool, all_busy).unwrap_or_else(PoisonError::into_inner);
        if pool.broken_in_a_row >= MAX_BROKEN_IN_A_ROW {
            return Err(format!(
                "gave up after {MAX_BROKEN_IN_A_ROW} processes in a row broke down, the last because {}",
                pool.last_break
            ));
        }
        let worker = match pool.idle.pop() {
            Some(worker) => worker,
            None => Worker::start(&self.settings.launch)
                .map_err(|error| format!("cannot start `{}`: {error}", self.settings.launch.command.join(" ")))?,
        };
        pool.busy += 1;
        Ok(worker)
    }

    /// Returns a worker that has answered.
    fn put_back(&self, worker: Worker) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.busy -= 1;
        pool.broken_in_a_row = 0;
        pool.idle.push(worker);
        drop(pool);
        self.freed.notify_one();
    }

    /// Kills a worker that cannot be used again.
    fn discard(&self, worker: Worker, reason: &str) {
        drop(worker);
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.busy -= 1;
        pool.broken_in_a_row += 1;
        reason.clone_into(&mut pool.last_break);
        drop(pool);
        self.freed.notify_one();
    }

    /// Asks one worker.
    fn ask_once(&self, problem: &Problem, response: Response<'_>) -> Result<Reading, Broken> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut worker = self.take().map_err(Broken::Misbehaved)?;
        let startup = if worker.is_proven { Duration::ZERO } else { self.settings.startup };
        let deadline = Instant::now() + self.settings.timeout + startup;
        let answered = worker.ask(request(id, problem, response), deadline).and_then(|line| {
            // A worker that wrote something else may do so again: its next line could be mistaken for another reply.
            parse_reply(&line, id, self.settings.range).map_err(Broken::Misbehaved)
        });
        match &answered {
            Ok(_) => self.put_back(worker),
            Err(Broken::Ended(reason) | Broken::Misbehaved(reason)) => self.discard(worker, reason),
        }
        answered
    }
}

impl Grader for CommandVerifier {
    fn grade(&self, problem: &Problem, response: Response<'_>) -> Reading {
        // A process may exit for an unrelated reason, such as a lack of memory, so the request is retried once with a new process.
        let answered = match self.ask_once(problem, response) {
            Err(Broken::Ended(_)) => self.ask_once(problem, response),
            answered => answered,
        };
        match answered {
            Ok(reading) => reading,
            Err(Broken::Ended(reason)) => Verdict::failed(format!("{reason}, and again with a new process")).into(),
            Err(Broken::Misbehaved(reason)) => Verdict::failed(reason).into(),
        }
    }

    fn at_once(&self) -> usize {
        self.settings.workers
    }

    fn is_external(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
