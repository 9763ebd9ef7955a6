//! The progress of a stage, and whether it should continue.

use std::ops::ControlFlow;

use crate::stage::Stage;

/// The progress of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Finished responses or updates.
    pub done: usize,
    /// Total number of responses or updates.
    pub total: usize,
    /// Tokens processed since the stage started, for a rate.
    pub tokens: usize,
}

/// Receives the progress of long work.
pub(crate) trait Watcher {
    /// Shows progress; breaks if the run should stop.
    fn progress(&mut self, progress: Progress) -> ControlFlow<()>;

    /// Whether the run should stop.
    fn stopped(&self) -> bool;
}
