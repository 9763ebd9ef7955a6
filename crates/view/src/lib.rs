//! What people see of a run: lists of runs, metrics over the steps, rollouts token by token, the story of a run.
//!
//! It reads run directories and prints, draws and serves nothing: the program and `vapo-dash` do. A run may be written, cut
//! short or deleted while it is read; what cannot be read is reported next to what can.

#![forbid(unsafe_code)]

mod alarms;
mod compare;
mod config;
pub mod critic;
mod entry;
mod error;
mod lines;
mod metrics;
mod milestones;
pub mod quantity;
pub mod rollouts;
mod row;
mod runs;
mod story;
mod studies;
#[cfg(test)]
mod tests;
mod view;

pub use alarms::AlarmStory;
pub use compare::{Comparison, DifferentSetting, Figure, Unit};
pub use config::Setting;
pub use critic::CriticView;
pub use entry::{RunEntry, RunState};
pub use error::{Error, Result};
pub use metrics::{Axis, MetricsTable, smooth};
pub use milestones::Milestone;
pub use quantity::{Quantity, Scale};
pub use rollouts::Rollouts;
pub use runs::Runs;
pub use story::{ACCURACY, Curve, Story};
pub use studies::{ArmRun, ArmView, Studies, StudyView};
pub use view::View;
