//! How long steps will take.

use std::collections::VecDeque;

/// Number of recent steps whose mean time gives the forecast.
const STEPS: usize = 8;

/// Seconds of the last steps of a phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forecast(VecDeque<f64>);

impl Forecast {
    /// Notes what a step took.
    pub(crate) fn note(&mut self, secs: f64) {
        self.0.push_back(secs);
        if self.0.len() > STEPS {
            self.0.pop_front();
        }
    }

    /// What so many steps will take; `None` before the first.
    pub(crate) fn secs(&self, steps: u64) -> Option<f64> {
        let mean = self.0.iter().sum::<f64>() / self.0.len() as f64;
        (!self.0.is_empty()).then_some(mean * steps as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forecast_is_the_mean_of_the_last_steps() {
        let mut forecast = Forecast::default();
        assert_eq!(forecast.secs(3), None);
        (0..10).for_each(|secs| forecast.note(f64::from(secs)));
        assert_eq!(forecast.secs(2), Some(2.0 * 5.5), "seconds 2 to 9");
    }
}
