//! Ctrl-Z and `fg`: a stopped run leaves the terminal to the shell, and takes it again when it continues.

use std::{io, sync::Arc, thread};

use signal_hook::{
    consts::{SIGCONT, SIGTSTP},
    iterator::Signals,
    low_level::emulate_default_handler,
};

use super::curtain::{Curtain, Wanted};
use crate::interrupt::is_ignored;

/// Lifts the curtain before the program is stopped, and lets it down when it continues; in the background it stays up.
///
/// # Errors
/// The system rejects the handler.
pub(super) fn watch(curtain: &Arc<Curtain>) -> io::Result<()> {
    if is_ignored(SIGTSTP) == Some(true) {
        return Ok(());
    }
    let (curtain, mut signals) = (curtain.clone(), Signals::new([SIGTSTP, SIGCONT])?);
    thread::spawn(move || {
        for signal in signals.forever() {
            if signal == SIGTSTP {
                curtain.ask(Wanted::Lifted);
                drop(emulate_default_handler(SIGTSTP));
            } else {
                curtain.ask(Wanted::Shown);
            }
        }
    });
    Ok(())
}
