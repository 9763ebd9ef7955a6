//! Ctrl-C: the first asks for a clean end, the second ends at once.

use std::{
    io::{Read, stdin},
    process::exit,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
