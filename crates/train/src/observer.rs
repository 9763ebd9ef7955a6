//! How a caller watches a run and stops it.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{evaluation::Evaluation, metrics::Row};

/// Parts of a step, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Sampling responses.
    Rollout,
    /// Grading them.
    Reward,
    /// The critic's values before the update.
    Values,
    /// Updating the critic.
    Critic,
    /// Updating the policy.
    Policy,
    /// Sampling and grading held-out problems.
    Evaluation,
    /// Writing a checkpoint.
    Checkpoint,
    /// Supervised training of a base model.
    Pretraining,
}

impl Stage {
    /// A word for a progress bar.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rollout => "rollout",
            Self::Reward => "reward",
            Self::Values => "values",
            Self::Critic => "critic",
            Self::Policy => "policy",
            Self::Evaluation => "eval",
            Self::Checkpoint => "checkpoint",
            Self::Pretraining => "pretrain",
        }
    }
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Finished responses or updates.
    pub done: usize,
    /// Responses or updates in all.
    pub total: usize,
    /// Tokens worked on since the stage began, for a rate.
    pub tokens: usize,
}

/// What happens in a run.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A stage goes on.
    Progress(Progress),
    /// A step is recorded; `total` steps are planned.
    Step {
        /// The row of `metrics.jsonl`.
        row: &'a Row,
        /// Steps planned, value pretraining included; fewer may suffice.
        total: u64,
    },
    /// Held-out problems were evaluated.
    Evaluated {
        /// Steps before it.
        step: u64,
        /// The result.
        evaluation: &'a Evaluation,
    },
    /// A checkpoint is complete.
    Saved {
        /// Its directory.
        path: &'a Path,
    },
    /// Something that deserves attention and stops nothing.
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
}

impl<'a> Monitor<'a> {
    pub(crate) fn new(observer: &'a mut dyn Observer, stop: &'a AtomicBool) -> Self {
        Self { observer, stop }
    }

    pub(crate) fn tell(&mut self, event: Event<'_>) {
        self.observer.event(event);
    }

    /// Shows progress; breaks when the run shall stop.
    pub(crate) fn progress(&mut self, progress: Progress) -> ControlFlow<()> {
        self.tell(Event::Progress(progress));
        if self.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
