//! Means over seeds and their confidence intervals.

use serde::Serialize;

/// A mean over seeds with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Lower end; `None` for a single value.
    pub low: Option<f64>,
    /// Upper end; `None` for a single value.
    pub high: Option<f64>,
}

impl Interval {
    /// Student's interval: mean +- t(0.975, n-1) s / sqrt(n), where s is the standard deviation with n - 1 in the denominator.
    /// It assumes that the seeds' results are independent and approximately normal. `None` without values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        match values.len() {
            0 => None,
            1 => Some(Self { mean, low: None, high: None }),
            _ => {
                let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
                let half = t_quantile(values.len() - 1) * (variance / count).sqrt();
                Some(Self { mean, low: Some(mean - half), high: Some(mean + half) })
            }
        }
    }
}

/// 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
const T_975: [f64; 30] = [
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139, 2.200985,
    2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963, 2.079614, 2.073873,
    2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272,
];

/// The 97.5 % quantile; beyond the table, from its expansion in 1/df to the third power (error below 1e-5).
fn t_quantile(degrees: usize) -> f64 {
    const Z: f64 = 1.959_963_985;
    T_975.get(degrees - 1).copied().unwrap_or_else(|| {
        let df = degrees as f64;
        let first = (Z.powi(3) + Z) / 4.0;
        let second = (5.0 * Z.powi(5) + 16.0 * Z.powi(3) + 3.0 * Z) / 96.0;
        let third = (3.0 * Z.powi(7) + 19.0 * Z.powi(5) + 17.0 * Z.powi(3) - 15.0 * Z) / 384.0;
        Z + first / df + second / df.powi(2) + third / df.powi(3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Student's own sleep data (extra hours, drug 2), for which textbooks give the interval 0.8977 to 3.7623.
    const SLEEP: [f64; 10] = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];

    #[test]
    fn the_interval_is_that_of_the_textbooks() {
        let interval = Interval::of(&SLEEP).unwrap();
        assert!((interval.mean - 2.33).abs() < 1e-12);
        assert!((interval.low.unwrap() - 0.8976775).abs() < 1e-6, "{interval:?}");
        assert!((interval.high.unwrap() - 3.7623225).abs() < 1e-6, "{interval:?}");
    }

    #[test]
    fn one_value_has_no_interval_and_none_has_no_mean() {
        assert_eq!(Interval::of(&[0.5]), Some(Interval { mean: 0.5, low: None, high: None }));
        assert_eq!(Interval::of(&[]), None);
    }

    #[test]
    fn quantiles_go_on_where_the_table_ends() {
        for (degrees, published) in [(31, 2.039513), (40, 2.021075), (60, 2.000298), (120, 1.979930)] {
            assert!((t_quantile(degrees) - published).abs() < 1e-5, "{degrees}: {}", t_quantile(degrees));
        }
    }
}
