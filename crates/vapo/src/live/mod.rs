//! The live screen of a run: curves, one sampled answer, warnings and the last lines, over the whole terminal.
//!
//! The lines that a run prints stay the only account of it. While the screen hides them, a [`Curtain`] keeps them, and they are
//! printed when it is left: at the end of the run, with the key `q`, at a signal, or after a panic. Drawing has a thread
//! of its own ([`painter`]); the training thread only notes events in a [`State`] and never waits for the terminal.

mod answer;
mod colors;
mod curtain;
mod curve;
mod draw;
mod draw_answer;
mod draw_curves;
mod keys;
mod painter;
mod place;
mod shared;
mod state;
mod suspend;
mod terminal;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use vapo_train::{Event, Observer, Run};

use self::{
    answer::Answers,
    curtain::Curtain,
    painter::Painter,
    shared::{Shared, lock},
    state::State,
};
use crate::{progress::RunProgress, screen::Screen};

/// A run's lines, and the live screen over them, if there is one.
pub(crate) struct Live {
    lines: RunProgress,
    state: Option<Shared>,
}

/// Draws the run that prints `lines` on the terminal of `screen`; without them, or where the terminal cannot be used, the
/// lines remain.
pub(crate) fn over(lines: RunProgress, shown: Option<(&Screen, &Run)>) -> Live {
    let state = shown.and_then(|(screen, run)| {
        let state = Arc::new(Mutex::new(State::of(run, Instant::now())));
        let curtain = Arc::new(Curtain::new(screen));
        let opened = screen.cover(curtain.clone()) && Painter::open(screen, &curtain, &state).is_ok();
        opened.then_some(state)
    });
    Live { lines, state }
}

impl Observer for Live {
    fn event(&mut self, event: Event<'_>) {
        if let Some(state) = &self.state {
            match event {
                // Copied without the lock, for which drawing would wait.
                Event::Rollouts(record) if lock(state).wants_answers(Instant::now()) => {
                    let answers = Answers::of(record);
                    lock(state).show_answers(answers, Instant::now());
                }
                _ => lock(state).note(&event, Instant::now()),
            }
        }
        self.lines.event(event);
    }
}
