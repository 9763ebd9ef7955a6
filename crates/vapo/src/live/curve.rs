//! A curve of any length in bounded memory.

/// Points at which neighbors are merged: more than the dots of any terminal.
const MAX_POINTS: usize = 2048;

/// A quantity by step. In a long run each point is the mean over several of its measurements.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Curve {
    points: Vec<Point>,
    /// Measurements per point.
    stride: usize,
    latest: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    step: f64,
    value: f64,
    count: usize,
}

impl Point {
    /// The mean of both.
    fn with(self, other: Self) -> Self {
        let count = self.count + other.count;
        let mean = |a: f64, b: f64| (a * self.count as f64 + b * other.count as f64) / count as f64;
        Self { step: mean(self.step, other.step), value: mean(self.value, other.value), count }
    }
}

impl Curve {
    /// Adds a measurement, if there is one that can be drawn.
    pub(crate) fn push(&mut self, step: u64, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        self.latest = Some(value);
        let new = Point { step: step as f64, value, count: 1 };
        match self.points.last_mut() {
            Some(last) if last.count < self.stride => *last = last.with(new),
            _ => self.points.push(new),
        }
        if self.points.len() > MAX_POINTS {
            self.points = self.points.chunks(2).map(|pair| pair[1..].iter().fold(pair[0], |a, b| a.with(*b))).collect();
            self.stride = 2 * self.stride.max(1);
        }
    }

    /// The last measurement.
    pub(crate) fn latest(&self) -> Option<f64> {
        self.latest
    }

    /// Points as (step, value).
    pub(crate) fn points(&self) -> Vec<(f64, f64)> {
        self.points.iter().map(|point| (point.step, point.value)).collect()
    }

    /// The first and the last step.
    pub(crate) fn steps(&self) -> Option<(f64, f64)> {
        Some((self.points.first()?.step, self.points.last()?.step))
    }

    /// The least and the greatest value.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let values = || self.points.iter().map(|point| point.value);
        Some((values().min_by(f64::total_cmp)?, values().max_by(f64::total_cmp)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_shape_in_few_points() {
        let mut curve = Curve::default();
        (0..100_000).for_each(|step| curve.push(step, Some(step as f64)));
        let points = curve.points();
        assert!((MAX_POINTS / 2..=MAX_POINTS).contains(&points.len()), "{} points", points.len());
        assert!(points.iter().all(|(step, value)| step == value), "means of both");
        assert_eq!(curve.latest(), Some(99_999.0));
        assert!(points.is_sorted_by(|a, b| a.0 < b.0) && curve.steps().unwrap().1 > 99_900.0, "{:?}", curve.steps());
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let mut curve = Curve::default();
        assert_eq!((curve.range(), curve.steps()), (None, None));
        for value in [None, Some(f64::NAN), Some(2.0), Some(f64::INFINITY), Some(-1.0)] {
            curve.push(3, value);
        }
        assert_eq!((curve.points(), curve.range()), (vec![(3.0, 2.0), (3.0, -1.0)], Some((-1.0, 2.0))));
    }
}
