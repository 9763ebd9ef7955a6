//! How a caller monitors a run and stops it.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    evaluation::Evaluation,
    progress::{Progress, Watcher},
    records::StepRecord,
    report::StepReport,
};

/// An event in a run.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A stage has made progress.
    Progress(Progress),
    /// A step has trained with these rollouts. They are lent for the call: an observer copies what it wants of them.
    Rollouts(&'a StepRecord<'a>),
    /// A step is recorded.
    Step {
        /// Its number; 0 is the evaluation before the first step.
        step: u64,
        /// Planned steps, including value pretraining; there may be fewer.
        total: u64,
        /// Its report; `None` for step 0 and for a step that was trained before the run was stopped and resumed.
        report: Option<&'a StepReport>,
    },
    /// Held-out problems were evaluated.
    Evaluated {
        /// Number of steps before it.
        step: u64,
        /// The result.
        evaluation: &'a Evaluation,
    },
    /// A checkpoint is complete.
    Saved {
        /// Its directory.
        path: &'a Path,
    },
    /// A warning.
    Warning(&'a str),
}

/// Receives a run's events.
pub trait Observer {
    /// Called on the training thread.
    fn event(&mut self, event: Event<'_>);
}

impl<F: FnMut(Event<'_>)> Observer for F {
    fn event(&mut self, event: Event<'_>) {
        self(event);
    }
}

/// An observer and the flag that asks a run to stop.
pub(crate) struct Monitor<'a> {
    observer: &'a mut dyn Observer,
    stop: &'a AtomicBool,
    /// Whether the updates of a step may end half done, because the networks before them are kept.
    pub(crate) may_abandon: bool,
}

impl<'a> Monitor<'a> {
    pub(crate) fn new(observer: &'a mut dyn Observer, stop: &'a AtomicBool) -> Self {
        Self { observer, stop, may_abandon: false }
    }

    /// Whether the updates that have begun may be left half done, and whether this process was stopped.
    pub(crate) fn abandons(&self) -> (bool, bool) {
        (self.may_abandon, self.stopped())
    }

    pub(crate) fn tell(&mut self, event: Event<'_>) {
        self.observer.event(event);
    }
}

impl Watcher for Monitor<'_> {
    fn progress(&mut self, progress: Progress) -> ControlFlow<()> {
        self.tell(Event::Progress(progress));
        if self.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
