//! Axes: the range that is shown, its ticks and their labels.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// Numbers beyond this are taken for infinite, so that no difference of two numbers overflows.
const LARGEST: f64 = 1e100;
/// The smallest share of its ends that a range spans: about where numbers next to each other could no longer be told apart.
const SMALLEST_SPAN: f64 = 1e-9;

/// How the numbers at an axis are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `0.25`, `-3`, `2e-5`
    #[default]
    Plain,
    /// `25 %`
    Percent,
    /// `950`, `1.2k`, `3.4M`
    Compact,
}

impl Format {
    /// A number on an axis whose ticks are `step` apart, with as many digits as the step needs.
    pub(crate) fn write(self, value: f64, step: f64) -> String {
        // What is left of a tick at 0 after rounding.
        let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
        match self {
            Self::Percent => format!("{:.*} %", decimals(100.0 * step), 100.0 * value),
            Self::Plain if value == 0.0 || (1e-3..1e5).contains(&value.abs()) => {
                format!("{value:.*}", decimals(step))
            }
            Self::Plain if value.abs() < 1e-3 => scientific(value, step),
            Self::Plain | Self::Compact => compact(value, step),
        }
    }
}

/// Decimals of numbers that are `step` apart.
fn decimals(step: f64) -> usize {
    // 0.25 needs a digit more than its magnitude says.
    let digits = (-step.log10()).ceil().max(0.0) as usize;
    let scaled = step * 10f64.powi(digits as i32);
    let needs_more = (scaled - scaled.round()).abs() > 1e-6;
    (digits + usize::from(needs_more)).min(12)
}

/// `2e-5`, `2.5e-5`
fn scientific(value: f64, step: f64) -> String {
    let digits = (value.abs().log10().floor() - step.log10().floor()).clamp(0.0, 3.0) as usize;
    format!("{value:.digits$e}")
}

/// `950`, `1.2k`, `3.4M`, `5e12`
fn compact(value: f64, step: f64) -> String {
    let (scale, unit) = match value.abs() {
        n if n < 1e3 => (1.0, ""),
        n if n < 1e6 => (1e3, "k"),
        n if n < 1e9 => (1e6, "M"),
        n if n < 1e12 => (1e9, "G"),
        _ => return scientific(value, step),
    };
    format!("{:.*}{unit}", decimals(step / scale).min(3), value / scale)
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Distance between two ticks: 1, 2 or 5 times a power of ten.
    step: f64,
    format: Format,
    /// Names instead of numbers: the first is that of 0 to 1, the second that of 1 to 2.
    names: Vec<String>,
}

impl Axis {
    /// An axis with at most about `ticks` ticks.
    pub(crate) fn new((low, high): (f64, f64), format: Format, ticks: f64) -> Self {
        let least = (high - low) / ticks.max(2.0);
        let magnitude = 10f64.powf(least.log10().floor());
        let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * magnitude >= least).unwrap_or(10.0);
        Self { low, high, step: factor * magnitude, format, names: Vec::new() }
    }

    /// An axis with a name for each of some places next to each other; if there are too many, every second or third is shown.
    pub(crate) fn named(names: Vec<String>, ticks: f64) -> Self {
        let step = (names.len() as f64 / ticks.max(1.0)).ceil().max(1.0);
        Self { low: 0.0, high: names.len().max(1) as f64, step, format: Format::Plain, names }
    }

    pub(crate) fn ticks(&self) -> Vec<f64> {
        if !self.names.is_empty() {
            return (0..self.names.len()).step_by(self.step as usize).map(|index| index as f64 + 0.5).collect();
        }
        // The small parts keep a tick at an end of the range that rounding would lose.
        let first = (self.low / self.step - 1e-9).ceil();
        let count = (self.high / self.step + 1e-9 - first).floor().max(-1.0) + 1.0;
        (0..count as u32).map(|index| (first + f64::from(index)) * self.step).collect()
    }

    pub(crate) fn label(&self, value: f64) -> String {
        self.names.get(value as usize).cloned().unwrap_or_else(|| self.format.write(value, self.step))
    }

    /// The share of the range that lies below a value.
    pub(crate) fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        start + (self.share(*value) * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

/// Whether a number can be drawn.
pub(crate) fn is_drawable(value: f64) -> bool {
    value.abs() < LARGEST
}

/// The range of an axis: the wanted ends, and where an end is not given, one that shows all values with a margin of a share.
pub(crate) fn range(wanted: Option<(f64, f64)>, values: impl Iterator<Item = f64>, margin: f64) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| is_drawable(*value)) {
        low = low.min(value);
        high = high.max(value);
    }
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    let wanted = wanted.map_or((None, None), |(low, high)| {
        (Some(low).filter(|low| is_drawable(*low)), Some(high).filter(|high| is_drawable(*high)))
    });
    let (low, high) = widened((wanted.0.unwrap_or(low), wanted.1.unwrap_or(high)));
    let space = margin * (high - low);
    // Numbers that are never negative have no space below 0.
    let bottom = if low >= 0.0 { (low - space).max(0.0) } else { low - space };
    (wanted.0.map_or(bottom, |_| low), wanted.1.map_or(high + space, |_| high))
}

/// A range that is not empty.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    let (low, high) = if low <= high { (low, high) } else { (high, low) };
    if high - low > SMALLEST_SPAN * low.abs().max(high.abs()) && high - low > f64::MIN_POSITIVE * 1e20 {
        return (low, high);
    }
    let half = if low == 0.0 { 0.5 } else { 0.05 * low.abs().max(f64::MIN_POSITIVE * 1e22) };
    (low - half, high + half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(range: (f64, f64), format: Format) -> Vec<String> {
        let axis = Axis::new(range, format, 5.0);
        axis.ticks().into_iter().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_numbers_with_the_digits_they_need() {
        assert_eq!(labels((0.0, 1.0), Format::Percent), ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]);
        assert_eq!(labels((-0.31, 0.42), Format::Plain), ["-0.2", "0.0", "0.2", "0.4"]);
        assert_eq!(labels((0.0, 0.04), Format::Plain), ["0.00", "0.01", "0.02", "0.03", "0.04"]);
        assert_eq!(labels((0.0, 52_000.0), Format::Compact), ["0", "20k", "40k"]);
        assert_eq!(labels((0.0, 6000.0), Format::Compact), ["0", "2k", "4k", "6k"]);
        assert_eq!(labels((1e-5, 3e-5), Format::Plain), ["1.0e-5", "1.5e-5", "2.0e-5", "2.5e-5", "3.0e-5"]);
        assert_eq!(labels((1e12, 4e12), Format::Plain), ["1e12", "2e12", "3e12", "4e12"]);
        assert_eq!(labels((0.251, 0.253), Format::Percent), ["25.10 %", "25.15 %", "25.20 %", "25.25 %", "25.30 %"]);
    }

    #[test]
    fn ranges_show_all_points_and_are_never_empty() {
        let of = |values: &[f64]| range(None, values.iter().copied(), 0.1);
        assert_eq!(of(&[1.0, 3.0]), (0.8, 3.2));
        assert_eq!(of(&[0.0, 1.0, f64::NAN, f64::INFINITY]), (0.0, 1.1));
        assert_eq!(of(&[]), (0.0, 1.1));
        for values in [&[7.0][..], &[0.0], &[-1e90], &[1e-300, 2e-300], &[1e15, 1e15 + 0.25]] {
            let (low, high) = of(values);
            assert!(low < high && values.iter().all(|value| (low..=high).contains(value)), "{values:?} {low} {high}");
            assert!((1..20).contains(&Axis::new((low, high), Format::Plain, 5.0).ticks().len()), "{values:?}");
        }
        assert_eq!(range(Some((0.0, f64::NAN)), [0.5, 2.0].into_iter(), 0.0), (0.0, 2.0));
        assert_eq!(range(Some((4.0, 1.0)), [2.0].into_iter(), 0.5), (1.0, 4.0));
    }
}
