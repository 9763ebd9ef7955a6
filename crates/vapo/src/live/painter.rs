//! The thread that draws.

use std::{
    any::Any,
    io,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    curtain::{Curtain, DRAWING, Wanted},
    draw,
    keys::Key,
    shared::{Shared, lock},
    suspend,
    terminal::{FullScreen, is_free},
};
use crate::screen::Screen;

/// Time between frames.
const FRAME: Duration = Duration::from_millis(100);
/// Time in which the thread notices what is wanted of it.
const TICK: Duration = Duration::from_millis(20);

/// What draws: the terminal while it is taken, and what is shown on it.
pub(super) struct Painter {
    curtain: Arc<Curtain>,
    state: Shared,
    full: Option<FullScreen>,
    drawn: Option<Instant>,
}

impl Painter {
    /// Takes the terminal, if it is free, and draws on a thread of its own until the curtain is [ended](Wanted::Ended).
    ///
    /// # Errors
    /// The terminal cannot be used, or the system has no thread.
    pub(super) fn open(screen: &Screen, curtain: &Arc<Curtain>, state: &Shared) -> io::Result<()> {
        let mut painter = Self { curtain: curtain.clone(), state: state.clone(), full: None, drawn: None };
        painter.enter()?;
        suspend::watch(curtain)?;
        raise_before_panics(curtain);
        let screen = screen.clone();
        let work = move || {
            let ended = panic::catch_unwind(AssertUnwindSafe(|| painter.work()));
            painter.leave();
            painter.curtain.ask(Wanted::Ended);
            if let Err(panic) = ended {
                screen.warn(&format!("the live screen has failed ({}); lines follow", message(panic.as_ref())));
            }
        };
        thread::Builder::new().name(DRAWING.into()).spawn(work).map(drop)
    }

    /// Draws until it is left. A terminal that has gone away ends the screen, not the run.
    fn work(&mut self) {
        loop {
            let result = match self.curtain.wanted() {
                Wanted::Ended => return,
                Wanted::Lifted => {
                    self.leave();
                    Ok(())
                }
                Wanted::Shown => self.enter().and_then(|()| self.frame()),
            };
            if result.is_err() {
                return;
            }
            match self.full.as_mut().and_then(|full| full.key(TICK)) {
                Some(Key::Leave) => return,
                Some(Key::Redraw) => drop(self.full.as_mut().map(FullScreen::forget)),
                Some(key) => {
                    lock(&self.state).press(key, Instant::now());
                    self.drawn = None;
                }
                None if self.full.is_none() => thread::sleep(TICK),
                None => {}
            }
        }
    }

    /// Takes the terminal, unless it is taken or not free.
    fn enter(&mut self) -> io::Result<()> {
        if self.full.is_none() && is_free() {
            (self.full, self.drawn) = (self.curtain.fall(FullScreen::enter)?, None);
        }
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(full) = self.full.take() {
            self.curtain.rise(|| drop(full));
        }
    }

    /// Draws, if it is time to.
    fn frame(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let is_due = self.drawn.is_none_or(|drawn| now.duration_since(drawn) >= FRAME);
        let Some(full) = self.full.as_mut().filter(|_| is_due) else { return Ok(()) };
        self.drawn = Some(now);
        let (curtain, state) = (&self.curtain, &self.state);
        // The state is locked while a frame is composed in memory, not while the terminal takes it.
        full.draw(|frame| {
            let lines = curtain.recent(frame.area().height.into());
            draw::screen(frame, &mut lock(state), &lines, now);
        })
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Lets a panic of any other thread be read: on the terminal, after the lines.
fn raise_before_panics(curtain: &Arc<Curtain>) {
    let (curtain, report) = (curtain.clone(), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        // That of the drawing thread is reported as a warning.
        if thread::current().name() != Some(DRAWING) {
            curtain.ask(Wanted::Ended);
            report(panic);
        }
    }));
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
