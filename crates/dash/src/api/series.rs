//! Points of curves, as many as can be seen.

use vapo_view::{ACCURACY, Axis, View, smooth};

use crate::{answer::Failure, parameters::Parameters};

/// Points of a curve at most: as many as a wide picture has columns.
const MAX_POINTS: usize = 2_000;
/// A smoothing of 1 would never follow the points.
const MAX_SMOOTHING: f64 = 0.999;

/// How the points of a curve are taken from a run's metrics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    pub(super) axis: Axis,
    /// Weight of what came before, 0 for none.
    pub(super) smoothing: f64,
    /// The range of x that is shown.
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Curve {
    /// Names of the parameters.
    pub(super) const PARAMETERS: [&'static str; 4] = ["axis", "smooth", "from", "to"];

    pub(super) fn new(parameters: &Parameters) -> Result<Self, Failure> {
        let axes = [
            ("step", Axis::Step),
            ("updates", Axis::Updates),
            ("samples", Axis::Samples),
            ("cpu_seconds", Axis::CpuSeconds),
        ];
        let smoothing: f64 = parameters.value("smooth", "a number from 0 to 0.999")?.unwrap_or(0.0);
        if !(0.0..=MAX_SMOOTHING).contains(&smoothing) {
            return Err(Failure::request(format!(
                "smooth is {smoothing}, expected a number from 0 to {MAX_SMOOTHING}"
            )));
        }
        let (from, to) = range(parameters, "from", "to")?;
        Ok(Self { axis: parameters.choice("axis", &axes)?.unwrap_or_default(), smoothing, from, to })
    }

    /// All points of a metric.
    pub(super) fn all(&self, view: &View, metric: &str) -> Points {
        let table = view.metrics();
        if metric == ACCURACY { table.accuracy(self.axis) } else { table.series(metric, self.axis) }
    }

    /// The points that are shown of these, smoothed.
    pub(super) fn shown(&self, all: &[(f64, f64)]) -> Points {
        self.visible(if self.smoothing > 0.0 { smooth(all, self.smoothing) } else { all.to_vec() })
    }

    /// The points in the range, and one on each side of it, to which a line leads.
    pub(super) fn visible(&self, points: Points) -> Points {
        let first = points.iter().position(|&(x, _)| x >= self.from).unwrap_or(points.len()).saturating_sub(1);
        let end = points.iter().rposition(|&(x, _)| x <= self.to).map_or(1, |last| last + 2).min(points.len());
        points.get(first..end).unwrap_or_default().to_vec()
    }
}

/// Values over an axis, ascending.
pub(super) type Points = Vec<(f64, f64)>;

/// Two parameters as the ends of a range, infinite where they are absent.
pub(super) fn range(parameters: &Parameters, low: &str, high: &str) -> Result<(f64, f64), Failure> {
    let end = |name, otherwise| {
        let value: Option<f64> = parameters.value(name, "a number")?;
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(Failure::request(format!("{name} is not finite, expected a number")));
        }
        Ok(value.unwrap_or(otherwise))
    };
    let ends = (end(low, f64::NEG_INFINITY)?, end(high, f64::INFINITY)?);
    if ends.0 >= ends.1 {
        return Err(Failure::request(format!(
            "{low} is {} and {high} is {}, expected less before more",
            ends.0, ends.1
        )));
    }
    Ok(ends)
}

/// At most [`MAX_POINTS`] points, among them the lowest and the highest of every part, so that no peak is lost.
pub(super) fn thinned(points: &[(f64, f64)]) -> Points {
    if points.len() <= MAX_POINTS {
        return points.to_vec();
    }
    let parts = MAX_POINTS / 2;
    let part = |index: usize| &points[index * points.len() / parts..(index + 1) * points.len() / parts];
    (0..parts).flat_map(|index| extremes(part(index))).collect()
}

/// The lowest and the highest of some points, in their order.
fn extremes(points: &[(f64, f64)]) -> Points {
    let by_value = |&a: &usize, &b: &usize| points[a].1.total_cmp(&points[b].1);
    let (low, high) = ((0..points.len()).min_by(by_value), (0..points.len()).max_by(by_value));
    let mut places: Vec<usize> = low.into_iter().chain(high).collect();
    places.sort_unstable();
    places.dedup();
    places.into_iter().map(|place| points[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(from: f64, to: f64) -> Curve {
        Curve { axis: Axis::Step, smoothing: 0.0, from, to }
    }

    #[test]
    fn a_range_has_a_neighbor_on_each_side() {
        let points: Points = (0..10).map(|n| (f64::from(n), 0.0)).collect();
        let ends = |from, to| {
            let visible = curve(from, to).visible(points.clone());
            visible.first().zip(visible.last()).map(|(first, last)| (first.0, last.0))
        };
        assert_eq!(ends(f64::NEG_INFINITY, f64::INFINITY), Some((0.0, 9.0)));
        assert_eq!(ends(2.5, 4.0), Some((2.0, 5.0)));
        assert_eq!(ends(3.2, 3.4), Some((3.0, 4.0)), "a range between two points");
        assert_eq!((ends(-5.0, -1.0), ends(20.0, 30.0)), (Some((0.0, 0.0)), Some((9.0, 9.0))));
        assert_eq!(curve(0.0, 1.0).visible(Vec::new()), []);
    }

    #[test]
    fn a_thinned_curve_keeps_its_peaks_and_order() {
        let mut points: Points = (0..100_000).map(|n| (f64::from(n), (f64::from(n) / 1000.0).sin())).collect();
        (points[77_777].1, points[77_778].1) = (50.0, -50.0);
        let thin = thinned(&points);
        assert!(thin.len() <= MAX_POINTS && thin.len() > MAX_POINTS / 2, "{}", thin.len());
        assert!(thin.contains(&(77_777.0, 50.0)) && thin.contains(&(77_778.0, -50.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(thinned(&points[..MAX_POINTS]), points[..MAX_POINTS]);
    }
}
