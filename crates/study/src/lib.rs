//! Studies: arms times seeds, compared at equal budgets.
//!
//! # Tour
//!
//! 1. [`Study::load`] reads a study file: base settings, arms, seeds. Every arm's config is resolved and checked.
//! 2. [`Plan::new`] lays out the runs below a directory; arms whose critics are pretrained alike share that beginning.
//!    Whoever starts the runs (`vapo ablate`) asks the plan for each one's state.
//! 3. [`Record`] is what a run left: accuracy over its cost, budgets, metrics.
//! 4. [`Results`] compares the arms: means with intervals over seeds ([`Interval`]), cost to reach an accuracy, area under
//!    the curve.
//! 5. [`write_report`] writes `report.json`, `README.md` and the curves.
//!
//! Own crate because of `plotters`, which training does not need.

mod arm;
mod chart;
mod error;
mod file;
mod interval;
mod markdown;
mod plan;
mod record;
mod report;
mod results;

pub use arm::{ArmResult, CurvePoint, Reach};
pub use error::{Error, Result};
pub use file::{Arm, Budget, Chart, Study};
pub use interval::Interval;
pub use plan::{Job, JobState, Plan};
pub use record::{Cost, Metric, Point, Record, newest_accuracy};
pub use report::{is_time_field, write_report};
pub use results::Results;
