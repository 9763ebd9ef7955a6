//! Keeps the lines of a run while the live screen hides them.

use std::{
    collections::VecDeque,
    io,
    sync::{Condvar, Mutex},
    thread,
    time::Duration,
};

use super::shared::lock;
use crate::screen::{Cover, Screen};

/// Lines that are kept for the terminal: about as many as terminals scroll back, and a few megabytes.
const MAX_HELD: usize = 20_000;
/// Lines that the screen can show.
const MAX_RECENT: usize = 200;
/// For so long the end of a run waits for a terminal that does not take its output.
const PATIENCE: Duration = Duration::from_secs(2);

/// Name of the thread that draws.
pub(super) const DRAWING: &str = "live screen";

/// What the drawing thread is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The screen.
    Shown,
    /// The lines, until the screen is wanted again.
    Lifted,
    /// The lines, and the end of the thread.
    Ended,
}

/// The lines of a run. While the curtain is down they are kept; when it is lifted they are printed.
pub(super) struct Curtain {
    screen: Screen,
    lines: Mutex<Lines>,
    lifted: Condvar,
}

struct Lines {
    wanted: Wanted,
    /// Lines not yet printed; `None` if the curtain is up.
    held: Option<VecDeque<String>>,
    /// How many of them were too many.
    dropped: usize,
    /// The last lines, printed or not.
    recent: VecDeque<String>,
}

impl Curtain {
    /// A curtain that is up.
    pub(super) fn new(screen: &Screen) -> Self {
        let lines = Lines { wanted: Wanted::Shown, held: None, dropped: 0, recent: VecDeque::new() };
        Self { screen: screen.clone(), lines: Mutex::new(lines), lifted: Condvar::new() }
    }

    pub(super) fn wanted(&self) -> Wanted {
        lock(&self.lines).wanted
    }

    /// Asks for something else, unless the end was asked for; waits until the curtain is as it should be, but not for a
    /// terminal that is stuck.
    pub(super) fn ask(&self, wanted: Wanted) {
        let mut lines = lock(&self.lines);
        if lines.wanted != Wanted::Ended {
            lines.wanted = wanted;
        }
        // The drawing thread would wait for itself.
        if wanted != Wanted::Shown && thread::current().name() != Some(DRAWING) {
            drop(self.lifted.wait_timeout_while(lines, PATIENCE, |lines| lines.held.is_some()));
        }
    }

    /// Lets the curtain down, if that is still wanted: `enter` takes the terminal, and no line comes in between.
    pub(super) fn fall<T>(&self, enter: impl FnOnce() -> io::Result<T>) -> io::Result<Option<T>> {
        let mut lines = lock(&self.lines);
        if lines.wanted != Wanted::Shown {
            return Ok(None);
        }
        self.screen.show_bar(false);
        let entered = enter();
        match entered {
            Ok(_) => lines.held = Some(VecDeque::new()),
            Err(_) => self.screen.show_bar(true),
        }
        entered.map(Some)
    }

    /// Lifts the curtain: `leave` frees the terminal, and the lines are printed on it.
    pub(super) fn rise(&self, leave: impl FnOnce()) {
        let mut lines = lock(&self.lines);
        leave();
        if lines.dropped > 0 {
            println_or_drop(&format!("  ({} lines are left out here)", lines.dropped));
        }
        lines.held.take().into_iter().flatten().for_each(|line| println_or_drop(&line));
        lines.dropped = 0;
        self.screen.show_bar(true);
        self.lifted.notify_all();
    }

    /// The last lines, at most `count`, the oldest first.
    pub(super) fn recent(&self, count: usize) -> Vec<String> {
        let recent = &lock(&self.lines).recent;
        recent.iter().skip(recent.len().saturating_sub(count)).cloned().collect()
    }
}

impl Cover for Curtain {
    fn line(&self, text: &str, print: &dyn Fn()) {
        let mut lines = lock(&self.lines);
        lines.recent.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_string));
        let surplus = lines.recent.len().saturating_sub(MAX_RECENT);
        lines.recent.drain(..surplus);
        match &mut lines.held {
            None => print(),
            Some(held) => {
                held.push_back(text.to_string());
                if held.len() > MAX_HELD {
                    held.pop_front();
                    lines.dropped += 1;
                }
            }
        }
    }

    fn end(&self) {
        self.ask(Wanted::Ended);
    }
}

/// Prints a line; a closed output must not end a run.
fn println_or_drop(line: &str) {
    drop(io::Write::write_fmt(&mut io::stdout(), format_args!("{line}\n")));
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, io};

    use super::*;

    fn held(curtain: &Curtain) -> Option<usize> {
        lock(&curtain.lines).held.as_ref().map(VecDeque::len)
    }

    #[test]
    fn lines_are_printed_at_once_or_kept() {
        let curtain = Curtain::new(&Screen::for_words());
        let printed = Cell::new(0);
        let print = || printed.set(printed.get() + 1);
        curtain.line("\n  title", &print);
        assert_eq!((printed.get(), held(&curtain)), (1, None));
        assert_eq!(curtain.fall(|| Ok("taken")).unwrap(), Some("taken"));
        (0..MAX_HELD + 7).for_each(|number| curtain.line(&format!("{number}"), &print));
        assert_eq!((printed.get(), held(&curtain), lock(&curtain.lines).dropped), (1, Some(MAX_HELD), 7));
        assert_eq!(curtain.recent(2), [(MAX_HELD + 5).to_string(), (MAX_HELD + 6).to_string()]);
        assert_eq!(curtain.recent(1000).len(), MAX_RECENT);
    }

    #[test]
    fn a_terminal_is_not_taken_in_vain() {
        let curtain = Curtain::new(&Screen::for_words());
        let fails = curtain.fall(|| Err::<(), _>(io::Error::other("closed")));
        assert_eq!((fails.unwrap_err().to_string(), held(&curtain)), ("closed".into(), None));
        curtain.ask(Wanted::Lifted);
        assert_eq!(curtain.fall(|| Ok(())).unwrap(), None, "the shell has it");
        curtain.ask(Wanted::Shown);
        assert_eq!(curtain.fall(|| Ok(())).unwrap(), Some(()));
        let curtain = Curtain::new(&Screen::for_words());
        curtain.end();
        curtain.ask(Wanted::Shown);
        assert_eq!((curtain.wanted(), curtain.fall(|| Ok(())).unwrap()), (Wanted::Ended, None), "the end is final");
    }
}
