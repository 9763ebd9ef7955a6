//! Ctrl-C: the first asks for a clean stop, the second exits immediately.

use std::{
    io::{Read, stdin},
    process::exit,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use anyhow::{Context, Result};

use crate::screen::Screen;

/// Exit code of a program ended by Ctrl-C, as in shells.
const INTERRUPTED: i32 = 130;

/// Ctrl-C ends the command immediately, together with its grading programs.
///
/// # Errors
/// The system rejects the handler.
pub(crate) fn end_at_ctrl_c() -> Result<()> {
    let end = || {
        vapo_tasks::kill_workers();
        exit(INTERRUPTED);
    };
    ctrlc::set_handler(end).context("cannot handle Ctrl-C")
}

/// The flag that the first Ctrl-C sets; `promise` says what happens then.
///
/// # Errors
/// The system rejects the handler.
pub(crate) fn stop_flag(screen: &Screen, promise: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, screen) = (Arc::clone(&stop), screen.clone());
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            screen.clear_bar();
            vapo_tasks::kill_workers();
            exit(INTERRUPTED);
        }
        screen.line(&screen.warning(&format!("  {promise} (Ctrl-C again: stop immediately)")));
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// Also sets the flag when standard input is closed: by a supervisor that stops the run, or because the supervisor died.
pub(crate) fn stop_at_end_of_input(stop: &Arc<AtomicBool>) {
    let flag = Arc::clone(stop);
    std::thread::spawn(move || {
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
        ctrlc::set_handler(move || match pressed.load(Ordering::Relaxed) {
            ANSWERING => pressed.store(WANTED, Ordering::Relaxed),
            WAITING => {
                pressed.store(WARNED, Ordering::Relaxed);
                screen.line("\n  /quit or Ctrl-D exits (Ctrl-C again: stop immediately)");
            }
            _ => exit(INTERRUPTED),
        })
        .context("cannot handle Ctrl-C")?;
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
