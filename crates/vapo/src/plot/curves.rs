//! The curves of a run.

use std::path::Path;

use anyhow::{Result, bail};
use vapo_train::RunDir;
use vapo_view::{Axis, MetricsTable};

/// Points of a curve.
pub(super) type Points = Vec<(f64, f64)>;

/// A run's metrics over an axis.
pub(super) struct RunCurves {
    /// What the run is called.
    pub(super) name: String,
    metrics: MetricsTable,
    axis: Axis,
}

impl RunCurves {
    /// Reads a run.
    ///
    /// # Errors
    /// It is not a run, cannot be read, or has no rows.
    pub(super) fn read(path: &Path, name: String, axis: Axis) -> Result<Self> {
        let metrics = MetricsTable::read(&RunDir::open(path)?)?;
        if metrics.steps().is_empty() {
            bail!("{} has no metrics yet: expected rows in metrics.jsonl", path.display());
        }
        Ok(Self { name, metrics, axis })
    }

    /// What could not be read.
    pub(super) fn notes(&self) -> Vec<String> {
        self.metrics.notes()
    }

    /// Names of the metrics.
    pub(super) fn names(&self) -> &[String] {
        self.metrics.names()
    }

    /// A metric where it has a value; no points if there is no such metric.
    pub(super) fn metric(&self, name: &str) -> Points {
        self.metrics.series(name, self.axis)
    }

    /// Held-out accuracy as a line, flat during value pretraining, which does not change the policy.
    pub(super) fn accuracy(&self) -> Points {
        self.metrics.accuracy(self.axis)
    }

    /// Held-out accuracy where it was measured.
    pub(super) fn evaluations(&self) -> Points {
        let places = self.metrics.axis(self.axis).into_iter().enumerate();
        places.filter_map(|(row, x)| Some((x, self.metrics.accuracy_of(row)?))).collect()
    }

    /// The end of value pretraining.
    pub(super) fn pretraining_end(&self) -> Option<f64> {
        let end = self.metrics.pretraining_end()?;
        let row = self.metrics.steps().iter().position(|step| *step == end)?;
        self.metrics.axis(self.axis).get(row).copied()
    }

    /// The place of the last row.
    pub(super) fn end(&self) -> f64 {
        self.metrics.axis(self.axis).into_iter().fold(0.0, f64::max)
    }
}
