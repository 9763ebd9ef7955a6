//! Curves as SVG: for each arm a mean line and its interval, with the arm's name at the end.

use std::path::Path;

use vapo_chart::{Format, Line, Panel, svg};
use vapo_train::write_atomically;

use crate::{
    arm::{ArmResult, CurvePoint},
    error::{Error, Result},
    record::Cost,
};

const SIZE: (u32, u32) = (900, 480);

/// A cost of training that curves are drawn over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostAxis {
    /// Optimizer updates of the policy.
    Updates,
    /// Responses sampled.
    Samples,
    /// Processor seconds of all threads.
    CpuSecs,
}

impl CostAxis {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Updates, Self::Samples, Self::CpuSecs];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Updates => "policy updates",
            Self::Samples => "samples",
            Self::CpuSecs => "processor seconds of training",
        }
    }

    pub(crate) fn file_name(self, chart: &str) -> String {
        let axis = match self {
            Self::Updates => "updates",
            Self::Samples => "samples",
            Self::CpuSecs => "cpu-seconds",
        };
        format!("{chart}-by-{axis}.svg")
    }

    /// The place of a cost on it.
    pub fn of(self, cost: Cost) -> f64 {
        match self {
            Self::Updates => cost.updates,
            Self::Samples => cost.samples,
            Self::CpuSecs => cost.cpu_secs,
        }
    }
}

/// Draws the arms' curves into a file.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn draw(arms: &[&ArmResult], axis: CostAxis, path: &Path) -> Result<()> {
    let panel = Panel {
        x_title: axis.title().into(),
        y_title: "held-out accuracy".into(),
        x: Some((0.0, f64::NAN)),
        y: Some(accuracy_range(arms.iter().flat_map(|arm| &arm.curve))),
        format: Format::Percent,
        lines: arms.iter().enumerate().map(|(index, arm)| line(arm, axis, index)).collect(),
        names: true,
        ..Panel::default()
    };
    let drawn = svg(&panel, SIZE).map_err(|error| Error::Chart { path: path.to_path_buf(), message: error.message })?;
    Ok(write_atomically(path, drawn.svg.as_bytes())?)
}

/// An arm's curve, named by the arm and its last accuracy.
fn line(arm: &ArmResult, axis: CostAxis, color: usize) -> Line {
    let last = arm.curve.last().map_or(0.0, |point| 100.0 * point.accuracy.mean);
    Line { name: format!("{} {last:.1} %", arm.name), color, ..mean_curve(&arm.curve, axis) }
}

/// A line of means with the band of their intervals; a point without an interval is its own.
pub fn mean_curve(curve: &[CurvePoint], axis: CostAxis) -> Line {
    let interval = |point: &CurvePoint| {
        let end = |accuracy: Option<f64>| accuracy.unwrap_or(point.accuracy.mean).clamp(0.0, 1.0);
        (axis.of(point.cost), end(point.accuracy.low), end(point.accuracy.high))
    };
    Line {
        points: curve.iter().map(|point| (axis.of(point.cost), point.accuracy.mean)).collect(),
        band: curve.iter().map(interval).collect(),
        width: 2,
        ..Line::default()
    }
}

/// Tenths around all means and intervals.
fn accuracy_range<'a>(points: impl Iterator<Item = &'a CurvePoint>) -> (f64, f64) {
    let (mut low, mut high) = (1.0f64, 0.0f64);
    for point in points {
        low = low.min(point.accuracy.low.unwrap_or(point.accuracy.mean));
        high = high.max(point.accuracy.high.unwrap_or(point.accuracy.mean));
    }
    let (low, high) = ((low * 10.0).floor() / 10.0, (high * 10.0).ceil() / 10.0);
    if low < high { (low.clamp(0.0, 0.9), high.clamp(0.1, 1.0)) } else { (0.0, 1.0) }
}
