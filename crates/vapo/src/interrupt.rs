//! Signals: Ctrl-C, and those by which schedulers announce that they will kill a process.

use std::{
    fs,
    io::{Read, stdin},
    process::exit,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1},
    iterator::Signals,
};

use crate::screen::Screen;

/// How a command that had no error ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything is done.
    Done,
    /// It was asked to stop, and the same command (or `vapo resume`) continues.
    Stopped,
}

/// Exit code of a run that stopped with a checkpoint before its end: `EX_TEMPFAIL`, by which schedulers know that the job
/// should be started again.
pub(crate) const STOPPED: u8 = 75;

/// Calls `handle` for each signal that asks a program to stop, on a thread of its own.
///
/// # Errors
/// The system rejects the handler.
fn on_signal(handle: impl FnMut(i32) + Send + 'static) -> Result<()> {
    // Where it is unknown, hangups keep their meaning.
    let hangup = (!is_ignored(SIGHUP).unwrap_or(true)).then_some(SIGHUP);
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGUSR1].into_iter().chain(hangup)).context("cannot listen for signals")?;
    thread::spawn(move || signals.forever().for_each(handle));
    Ok(())
}

/// Whether the process was started with a signal ignored, as `nohup` does to let it outlive its terminal: the set of ignored
/// signals says so on Linux. Elsewhere it is unknown.
pub(crate) fn is_ignored(signal: i32) -> Option<bool> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(ignored.trim(), 16).ok()?;
    Some(mask & (1 << (signal - 1)) != 0)
}

/// Ends the program with the exit code that shells use for a signal, together with its grading programs.
fn end(signal: i32) -> ! {
    vapo_tasks::kill_workers();
    exit(128 + signal);
}

/// A signal ends the command immediately, together with its grading programs.
///
/// # Errors
/// The system rejects the handler.
pub(crate) fn end_at_a_signal() -> Result<()> {
    on_signal(|signal| end(signal))
}

/// The flag that the first signal sets; `promise` says what happens then. A second Ctrl-C ends the program at once; other
/// signals do not, because schedulers repeat them. If the command has not ended `timeout` after the first signal, the
/// program ends as it is.
///
/// # Errors
/// The system rejects the handler.
pub(crate) fn stop_flag(screen: &Screen, promise: &'static str, timeout: Option<Duration>) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, screen) = (Arc::clone(&stop), screen.clone());
    on_signal(move |signal| {
        if flag.swap(true, Ordering::Relaxed) {
            if signal == SIGINT {
                screen.clear();
                end(signal);
            }
            return;
        }
        let hint = if signal == SIGINT { " (Ctrl-C again: stop immediately)" } else { "" };
        screen.line(&screen.warning(&format!("  {promise}{hint}")));
        if let Some(timeout) = timeout {
            let screen = screen.clone();
            thread::spawn(move || end_after(timeout, &screen));
        }
    })?;
    Ok(stop)
}

/// Ends the program with its newest checkpoint as it is.
fn end_after(timeout: Duration, screen: &Screen) {
    thread::sleep(timeout);
    screen.clear();
    screen.line(&screen.warning(&format!(
        "  no checkpoint could be written within run.stop_timeout_secs ({}): the steps since the newest one will be repeated",
        timeout.as_secs_f64()
    )));
    vapo_tasks::kill_workers();
    exit(STOPPED.into());
}

/// Also sets the flag when standard input is closed: by a supervisor that stops the run, or because the supervisor died.
pub(crate) fn stop_at_end_of_input(stop: &Arc<AtomicBool>) {
    let flag = Arc::clone(stop);
    thread::spawn(move || {
        let mut block = [0; 4096];
        while stdin().read(&mut block).is_ok_and(|bytes| bytes > 0) {}
        flag.store(true, Ordering::Relaxed);
    });
}

/// Ctrl-C in a conversation stops an answer, not the program. If there is no answer in progress, it prints how to exit, and
/// a second one exits immediately.
pub(crate) struct Attention(Arc<AtomicU8>);

const WAITING: u8 = 0;
const WARNED: u8 = 1;
const ANSWERING: u8 = 2;
const WANTED: u8 = 3;

impl Attention {
    /// Handles Ctrl-C from now on.
    ///
    /// # Errors
    /// The system rejects the handler.
    pub(crate) fn new(screen: &Screen) -> Result<Self> {
        let state = Arc::new(AtomicU8::new(WAITING));
        let (pressed, screen) = (Arc::clone(&state), screen.clone());
        on_signal(move |signal| match pressed.load(Ordering::Relaxed) {
            _ if signal != SIGINT => end(signal),
            ANSWERING => pressed.store(WANTED, Ordering::Relaxed),
            WAITING => {
                pressed.store(WARNED, Ordering::Relaxed);
                screen.line("\n  /quit or Ctrl-D exits (Ctrl-C again: stop immediately)");
            }
            _ => end(signal),
        })?;
        Ok(Self(state))
    }

    /// Marks the start or the end of an answer.
    pub(crate) fn answering(&self, answering: bool) {
        self.0.store(if answering { ANSWERING } else { WAITING }, Ordering::Relaxed);
    }

    /// Whether the answer should stop.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == WANTED
    }
}
