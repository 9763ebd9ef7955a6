//! The user's own program, with one JSON object per line in and out.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::{
    Grader, Reading,
    pool::Pool,
    protocol::{parse_reply, request},
    worker::{Broken, Launch},
};
use crate::{Error, Problem, Response, Verdict};

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

#[derive(Debug)]
pub(super) struct CommandVerifier {
    pool: Pool,
    timeout: Duration,
    startup: Duration,
    range: [f64; 2],
    next_id: AtomicU64,
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
        let Settings { launch, workers, timeout, startup, range } = settings;
        CommandVerifier { pool: Pool::new(launch, workers), timeout, startup, range, next_id: AtomicU64::new(0) }
    }

    /// Asks one worker.
    fn ask_once(&self, problem: &Problem, response: Response<'_>) -> Result<Reading, Broken> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut worker = self.pool.take(None).map_err(Broken::Misbehaved)?;
        let startup = if worker.is_proven { Duration::ZERO } else { self.startup };
        let deadline = Instant::now() + self.timeout + startup;
        let answered = worker.ask(request(id, problem, response), deadline).and_then(|line| {
            // A worker that wrote something else may do so again: its next line could be mistaken for another reply.
            parse_reply(&line, id, self.range).map_err(Broken::Misbehaved)
        });
        match &answered {
            Ok(_) => self.pool.put_back(worker),
            Err(broken) => self.pool.discard(worker, broken.reason()),
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
        self.pool.size()
    }

    fn is_external(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
