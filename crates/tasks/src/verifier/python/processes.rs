//! The processes that have loaded the function.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{exchange, settings::PythonFunction, silence::Silence};
use crate::{
    Error,
    verifier::{
        defaults::one_per_core,
        pool::Pool,
        worker::{Broken, Worker},
    },
};

#[derive(Debug)]
pub(super) struct Processes {
    pub(super) pool: Pool,
    /// Time allowed for a batch.
    pub(super) timeout: Duration,
    startup: Duration,
    pub(super) range: [f64; 2],
    next_id: AtomicU64,
    takes_several: AtomicBool,
    silence: Mutex<Silence>,
}

impl Processes {
    /// Finds the file; processes are started when they are needed.
    ///
    /// # Errors
    /// There is no such file.
    pub(super) fn new(function: &PythonFunction) -> Result<Processes, Error> {
        Ok(Processes {
            pool: Pool::new(function.launch()?, one_per_core(function.workers)),
            timeout: Duration::from_secs_f64(function.timeout),
            startup: Duration::from_secs_f64(function.startup),
            range: function.range,
            next_id: AtomicU64::new(1),
            takes_several: AtomicBool::new(false),
            silence: Mutex::default(),
        })
    }

    pub(super) fn silence(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next request.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the function takes several responses in one call, as a process has found when it loaded it.
    pub(super) fn take_several(&self) -> bool {
        self.takes_several.load(Ordering::Relaxed)
    }

    /// A process for a batch.
    ///
    /// # Errors
    /// None can be started, or none has answered for a long time.
    pub(super) fn begin(&self) -> Result<Worker, String> {
        let begun = Instant::now();
        self.silence().check(begun, self.timeout)?;
        let worker = self.ready(None).inspect_err(|_| {
            let now = Instant::now();
            if now >= begun + self.timeout {
                self.silence().used_up(begun, now);
            }
        })?;
        // It may have waited for a process while all of them were hanging.
        let answers = self.silence().check(Instant::now(), self.timeout);
        match answers {
            Ok(()) => Ok(worker),
            Err(reason) => {
                self.pool.put_back(worker);
                Err(reason)
            }
        }
    }

    /// A process that has loaded the function: before `deadline`, or else in the time that is allowed for it.
    pub(super) fn ready(&self, deadline: Option<Instant>) -> Result<Worker, String> {
        let mut worker = self.pool.take(deadline)?;
        if worker.is_proven {
            return Ok(worker);
        }
        let startup = Instant::now() + self.startup;
        let deadline = deadline.map_or(startup, |deadline| deadline.min(startup));
        let loaded = worker.ask(exchange::greeting(), deadline).and_then(|line| {
            let takes_several = exchange::read_greeting(&line).map_err(Broken::Misbehaved)?;
            self.takes_several.store(takes_several, Ordering::Relaxed);
            Ok(())
        });
        match loaded {
            Ok(()) => Ok(worker),
            Err(broken) => {
                let reason = format!("the file cannot be loaded: {}", broken.reason());
                self.pool.discard(worker, &reason);
                Err(reason)
            }
        }
    }
}
