//! Ctrl-C: the first asks for a clean end, the second ends at once.

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

/// Exit code of a program that Ctrl-C ended, as shells have it.
const INTERRUPTED: i32 = 130;

/// Ctrl-C ends the command at once, and with it the programs that grade for it.
///
/// # Errors
/// The system refuses the handler.
pub(crate) fn end_at_ctrl_c() -> Result<()> {
    let end = || {
        vapo_tasks::kill_workers();
        exit(INTERRUPTED);
    };
    ctrlc::set_handler(end).context("cannot listen for Ctrl-C")
}

/// The flag that the first Ctrl-C sets; `promise` tells what happens then.
///
/// # Errors
/// The system refuses the handler.
pub(crate) fn stop_flag(screen: &Screen, promise: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, screen) = (Arc::clone(&stop), screen.clone());
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            screen.clear_bar();
            vapo_tasks::kill_workers();
            exit(INTERRUPTED);
        }
        screen.line(&screen.warning(&format!("  {promise} (Ctrl-C again: stop at once)")));
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// Sets the flag as well once standard input ends: a supervisor stops the run by closing its end, and if it dies, it has done so.
pub(crate) fn stop_at_end_of_input(stop: &Arc<AtomicBool>) {
    let flag = Arc::clone(stop);
    std::thread::spawn(move || {
        let mut block = [0; 4096];
        while stdin().read(&mut block).is_ok_and(|bytes| bytes > 0) {}
        flag.store(true, Ordering::Relaxed);
    });
}

/// Ctrl-C in a conversation: it stops an answer and not the program. Where nothing is answered it says how to end, and
/// a second one ends at once.
pub(crate) struct Attention(Arc<AtomicU8>);

const WAITING: u8 = 0;
const WARNED: u8 = 1;
const ANSWERING: u8 = 2;
const WANTED: u8 = 3;

impl Attention {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system refuses the handler.
    pub(crate) fn new(screen: &Screen) -> Result<Self> {
        let state = Arc::new(AtomicU8::new(WAITING));
        let (pressed, screen) = (Arc::clone(&state), screen.clone());
        ctrlc::set_handler(move || match pressed.load(Ordering::Relaxed) {
            ANSWERING => pressed.store(WANTED, Ordering::Relaxed),
            WAITING => {
                pressed.store(WARNED, Ordering::Relaxed);
                screen.line("\n  /quit or Ctrl-D ends (Ctrl-C again: stop at once)");
            }
            _ => exit(INTERRUPTED),
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(Self(state))
    }

    /// Says that an answer begins or has ended.
    pub(crate) fn answering(&self, answering: bool) {
        self.0.store(if answering { ANSWERING } else { WAITING }, Ordering::Relaxed);
    }

    /// Whether the answer shall stop.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed) == WANTED
    }
}
