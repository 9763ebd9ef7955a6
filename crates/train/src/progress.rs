//! How far a stage is, and whether it shall go on.

use std::ops::ControlFlow;

use crate::stage::Stage;

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

/// What long work reports to while it runs.
pub(crate) trait Watcher {
    /// Shows progress; breaks when the run shall stop.
    fn progress(&mut self, progress: Progress) -> ControlFlow<()>;

    /// Whether the run shall stop.
    fn stopped(&self) -> bool;
}
