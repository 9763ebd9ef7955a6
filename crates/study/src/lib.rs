//! Studies: several arms over several seeds, compared at equal budgets.
//!
//! # Tour
//!
//! 1. [`Study::load`] reads a study file: base settings, arms, seeds. Every arm's config is resolved and checked.
//! 2. [`Plan::new`] lays out the runs in a directory; arms whose critics are pretrained in the same way share the value
//!    pretraining. `vapo ablate`, which starts the runs, asks the plan for the state of each one.
//! 3. [`Record`] holds the results of a run: accuracy over cost, budgets, metrics.
//! 4. [`Results`] compares the arms: means with intervals over seeds ([`Interval`]), cost to reach an accuracy, area under
//!    the curve.
//! 5. [`write_report`] writes `report.json`, `README.md` and the curves.
//!
//! This is a separate crate because of its pictures, which training does not need.

#![forbid(unsafe_code)]

mod arm;
mod chart;
mod error;
mod evaluations;
mod file;
mod interval;
mod markdown;
mod plan;
mod record;
mod report;
mod results;

pub use arm::{ArmResult, CurvePoint, Reach};
pub use chart::{CostAxis, mean_curve};
pub use error::{Error, Result};
pub use evaluations::Evaluations;
pub use file::{Arm, Budget, Chart, Study};
pub use interval::Interval;
pub use plan::{CRASH_FILE, Job, JobState, Plan};
pub use record::{Cost, LAST_SHARE, Metric, Point, Record, newest_accuracy};
pub use report::{is_time_field, write_report};
pub use results::Results;
