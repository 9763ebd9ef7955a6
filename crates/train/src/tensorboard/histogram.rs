//! Histograms of a step's numbers.

use prost::Message;

/// As many buckets as TensorBoard draws.
const BUCKETS: usize = 30;

/// Numbers in buckets of equal width from the smallest to the largest. The buckets that double every seven, which early
/// versions of TensorBoard wrote, would put all ratios near 1 into two or three.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// The smallest.
    #[prost(double, tag = "1")]
    pub min: f64,
    /// The largest.
    #[prost(double, tag = "2")]
    pub max: f64,
    /// How many there are.
    #[prost(double, tag = "3")]
    pub num: f64,
    /// Their sum.
    #[prost(double, tag = "4")]
    pub sum: f64,
    /// The sum of their squares.
    #[prost(double, tag = "5")]
    pub sum_squares: f64,
    /// The upper end of each bucket; the first begins at the smallest number.
    #[prost(double, repeated, tag = "6")]
    pub bucket_limit: Vec<f64>,
    /// How many are in each bucket.
    #[prost(double, repeated, tag = "7")]
    pub bucket: Vec<f64>,
}

impl Histogram {
    /// Of those numbers that are finite; `None` if there are none.
    pub(super) fn of(numbers: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let finite = numbers.filter(|number| number.is_finite());
        let mut whole = Self { min: f64::INFINITY, max: f64::NEG_INFINITY, ..Self::default() };
        for number in finite.clone() {
            whole.min = whole.min.min(number);
            whole.max = whole.max.max(number);
            whole.num += 1.0;
            whole.sum += number;
            whole.sum_squares += number * number;
        }
        if whole.num == 0.0 {
            return None;
        }
        let width = (whole.max - whole.min) / BUCKETS as f64;
        let buckets = if width > 0.0 { BUCKETS } else { 1 };
        whole.bucket_limit = (1..buckets).map(|bucket| whole.min + width * bucket as f64).collect();
        whole.bucket_limit.push(whole.max);
        whole.bucket = vec![0.0; buckets];
        // The largest number is at the end of the last bucket, and 0 / 0 is in the first.
        finite.for_each(|number| whole.bucket[(((number - whole.min) / width) as usize).min(buckets - 1)] += 1.0);
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_between_the_smallest_and_the_largest() {
        let numbers = [-3.0, f64::NAN, 3.0, 0.0, 0.1, f64::INFINITY, -2.9];
        let histogram = Histogram::of(numbers.into_iter()).unwrap();
        let Histogram { min, max, num, sum, sum_squares, bucket_limit, bucket } = histogram;
        assert_eq!((min, max, num), (-3.0, 3.0, 5.0));
        assert!((sum - -2.8).abs() < 1e-12 && (sum_squares - 26.42).abs() < 1e-12, "{sum} {sum_squares}");
        assert_eq!((bucket_limit.len(), bucket_limit[29]), (30, 3.0));
        // A fifth each: -3.0 .. -2.8, .., 0.0 .. 0.2, .., 2.8 .. 3.0
        assert!((bucket_limit[0] - -2.8).abs() < 1e-12 && (bucket_limit[14] - 0.0).abs() < 1e-12);
        let full: Vec<_> = bucket.iter().enumerate().filter(|(_, count)| **count > 0.0).collect();
        assert_eq!(full, [(0, &2.0), (15, &2.0), (29, &1.0)]);
    }

    #[test]
    fn equal_numbers_are_one_bucket_and_none_are_no_histogram() {
        let histogram = Histogram::of([1.5; 4].into_iter()).unwrap();
        assert_eq!((histogram.bucket_limit, histogram.bucket), (vec![1.5], vec![4.0]));
        assert_eq!((histogram.sum, histogram.sum_squares), (6.0, 9.0));
        assert_eq!(Histogram::of([f64::NAN].into_iter()), None);
        // Their difference has no thirtieth.
        let tiny = Histogram::of([0.0, f64::from_bits(1)].into_iter()).unwrap();
        assert_eq!(tiny.bucket, [2.0]);
    }
}
