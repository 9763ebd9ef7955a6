//! Diagnostics of the critic: calibration of its values, and whether credit is assigned where an answer goes wrong.

use crate::stats::Summary;

/// Bins of a [`Calibration`].
const BINS: usize = 10;

/// Compares values with the returns that followed them, in ten bins of equal width.
///
/// A critic is calibrated if the mean return of states with predicted value v is v. The error is the mean absolute difference
/// of the two over bins, weighted by tokens (expected calibration error). It is 0 for a constant critic that always predicts the
/// mean return and explains nothing, so read it together with the explained variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    least: f64,
    greatest: f64,
    bins: [(Summary, Summary); BINS],
}

impl Calibration {
    /// Bins between the least and the greatest reward; values outside that range count in the outer bins.
    pub fn new([least, greatest]: [f64; 2]) -> Calibration {
        Calibration { least, greatest, bins: Default::default() }
    }

    /// Adds the value of one state and the return that followed it.
    pub fn push(&mut self, value: f32, monte_carlo_return: f32) {
        let place = (f64::from(value) - self.least) / (self.greatest - self.least);
        // Values out of range and NaN go to the outer bins.
        let bin = ((place * BINS as f64) as usize).min(BINS - 1);
        self.bins[bin].0.push(f64::from(value));
        self.bins[bin].1.push(f64::from(monte_carlo_return));
    }

    /// Mean absolute difference between value and return over bins, weighted by tokens; `None` if there are none.
    pub fn error(&self) -> Option<f64> {
        let distances = self
            .bins
            .iter()
            .filter_map(|(values, returns)| Some((values.count() as f64, (values.mean()? - returns.mean()?).abs())));
        let (tokens, sum) = distances.fold((0.0, 0.0), |(tokens, sum), (n, distance)| (tokens + n, sum + n * distance));
        (tokens > 0.0).then(|| sum / tokens)
    }
}

/// The Pearson correlation of two streams of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Correlation {
    count: f64,
    means: [f64; 2],
    squares: [f64; 2],
    products: f64,
}

impl Correlation {
    /// Adds a pair.
    pub fn push(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        let before = [x - self.means[0], y - self.means[1]];
        self.means[0] += before[0] / self.count;
        self.means[1] += before[1] / self.count;
        let after = [x - self.means[0], y - self.means[1]];
        self.squares[0] += before[0] * after[0];
        self.squares[1] += before[1] * after[1];
        self.products += before[0] * after[1];
    }

    /// The correlation, -1 to 1; `None` if either stream does not vary.
    pub fn value(&self) -> Option<f64> {
        let scale = (self.squares[0] * self.squares[1]).sqrt();
        (scale > 0.0).then(|| self.products / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_compares_means_within_bins() {
        // Bin 2: values 0.2 and 0.3 (mean 0.25), returns 0 and 1 (mean 0.5). Bin 9: value 0.9, return 1.
        let mut calibration = Calibration::new([0.0, 1.0]);
        for (value, outcome) in [(0.2, 0.0), (0.29, 1.0), (0.9, 1.0)] {
            calibration.push(value, outcome);
        }
        let expected = (2.0 * (0.5 - 0.245) + 1.0 * 0.1) / 3.0;
        assert!((calibration.error().unwrap() - expected).abs() < 1e-6, "{calibration:?}");
        assert_eq!(Calibration::new([0.0, 1.0]).error(), None);
    }

    /// Errors of 3 and -1 in even bins, -3 and 1 in odd ones: bins that are split show more than 1, bins that are merged less.
    #[test]
    fn bins_divide_the_range_of_rewards_evenly() {
        let mut calibration = Calibration::new([-1.0, 3.0]);
        for bin in 0..10u8 {
            let sign = if bin % 2 == 0 { 1.0 } else { -1.0 };
            for (place, error) in [(0.25, 3.0), (0.75, -1.0)] {
                let value = -1.0 + 0.4 * (f32::from(bin) + place);
                calibration.push(value, value + sign * error);
            }
        }
        assert!((calibration.error().unwrap() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn values_beyond_the_rewards_count_in_the_outer_bins() {
        let mut calibration = Calibration::new([-1.0, 1.0]);
        calibration.push(-5.0, -1.0);
        calibration.push(7.0, 1.0);
        assert!((calibration.error().unwrap() - 5.0).abs() < 1e-6);
    }

    #[test]
    fn correlation_of_hand_worked_numbers() {
        // x around 2: -1 0 1; y around 4: -2 2 0. Products 2, squares 2 and 8: 2 / 4.
        let mut correlation = Correlation::default();
        for (x, y) in [(1.0, 2.0), (2.0, 6.0), (3.0, 4.0)] {
            correlation.push(x, y);
        }
        assert!((correlation.value().unwrap() - 0.5).abs() < 1e-12);
        let mut falling = Correlation::default();
        (0..5).for_each(|x| falling.push(f64::from(x), -2.0 * f64::from(x)));
        assert!((falling.value().unwrap() + 1.0).abs() < 1e-12);
        let mut constant = Correlation::default();
        (0..5).for_each(|x| constant.push(f64::from(x), 1.0));
        assert_eq!((constant.value(), Correlation::default().value()), (None, None));
    }
}
