//! Curves as SVG: for each arm a mean line and its interval, with the arm's name at the end. No background and medium tones, for light and dark pages.

use std::path::Path;

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use vapo_train::write_atomically;

use crate::{
    arm::{ArmResult, CurvePoint},
    error::{Error, Result},
    record::Cost,
};

const SIZE: (u32, u32) = (900, 480);
/// Space for the names on the right: for the line that leads to them, and for each character.
const LEADER_WIDTH: usize = 24;
const CHARACTER_WIDTH: usize = 7;
/// Minimum distance between two names.
const NAME_HEIGHT: i32 = 15;
const GRAY: RGBColor = RGBColor(128, 128, 128);

/// Tones that are distinguishable on white and on black.
const COLORS: [RGBColor; 12] = [
    RGBColor(58, 128, 214),
    RGBColor(228, 116, 38),
    RGBColor(52, 158, 88),
    RGBColor(208, 68, 78),
    RGBColor(146, 104, 204),
    RGBColor(28, 158, 168),
    RGBColor(216, 104, 168),
    RGBColor(150, 112, 76),
    RGBColor(156, 156, 44),
    RGBColor(96, 124, 148),
    RGBColor(190, 140, 220),
    RGBColor(120, 180, 60),
];

/// The x-axis of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Updates,
    Samples,
    CpuSecs,
}

impl Axis {
    pub(crate) const ALL: [Self; 3] = [Self::Updates, Self::Samples, Self::CpuSecs];

    pub(crate) fn title(self) -> &'static str {
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

    fn of(self, cost: Cost) -> f64 {
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
pub(crate) fn draw(arms: &[&ArmResult], axis: Axis, path: &Path) -> Result<()> {
    let mut svg = String::new();
    let picture = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = draw_on(&picture, arms, axis).and_then(|()| picture.present());
    drop(picture);
    drawn.map_err(|error| Error::Chart { path: path.to_path_buf(), message: error.to_string() })?;
    Ok(write_atomically(path, svg.as_bytes())?)
}

type Picture<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plot<'p, 'a> = ChartContext<'p, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn<'a> = std::result::Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw_on<'a>(picture: &Picture<'a>, arms: &[&ArmResult], axis: Axis) -> Drawn<'a> {
    let points = || arms.iter().flat_map(|arm| &arm.curve);
    let end = points().map(|point| axis.of(point.cost)).fold(0.0, f64::max);
    let end = if end > 0.0 { end } else { 1.0 };
    let (low, high) = accuracy_range(points());
    let mut plot = ChartBuilder::on(picture)
        .margin(8)
        .margin_right(names_width(arms))
        .x_label_area_size(42)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..end, low..high)?;
    plot.configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRAY.mix(0.25))
        .light_line_style(TRANSPARENT)
        .axis_style(GRAY)
        .label_style(("sans-serif", 13).into_font().color(&GRAY))
        .x_desc(axis.title())
        .y_desc("held-out accuracy")
        .y_labels(11)
        .x_label_formatter(&|value| short(*value, end))
        .y_label_formatter(&|value| format!("{:.0} %", 100.0 * value))
        .draw()?;
    let colored = || arms.iter().zip(COLORS.iter().cycle());
    for (arm, color) in colored().filter(|(arm, _)| arm.curve.len() > 1) {
        plot.draw_series([Polygon::new(band(&arm.curve, axis), color.mix(0.12))])?;
    }
    for (arm, color) in colored() {
        let line = arm.curve.iter().map(|point| (axis.of(point.cost), point.accuracy.mean));
        plot.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
    }
    draw_names(picture, &plot, arms, axis)
}

/// The outline of the intervals: the upper ends forwards, then the lower ends backwards.
fn band(curve: &[CurvePoint], axis: Axis) -> Vec<(f64, f64)> {
    let end = |point: &CurvePoint, accuracy: Option<f64>| {
        (axis.of(point.cost), accuracy.unwrap_or(point.accuracy.mean).clamp(0.0, 1.0))
    };
    let upper = curve.iter().map(|point| end(point, point.accuracy.high));
    let lower = curve.iter().rev().map(|point| end(point, point.accuracy.low));
    upper.chain(lower).collect()
}

/// Writes each arm's name next to the end of its line, moved apart where names would overlap.
fn draw_names<'a>(picture: &Picture<'a>, plot: &Plot<'_, 'a>, arms: &[&ArmResult], axis: Axis) -> Drawn<'a> {
    let right = SIZE.0 as i32 - names_width(arms) as i32;
    let mut names: Vec<(i32, i32, usize)> = Vec::new();
    for (index, arm) in arms.iter().enumerate() {
        let Some(last) = arm.curve.last() else { continue };
        let (x, y) = plot.plotting_area().map_coordinate(&(axis.of(last.cost), last.accuracy.mean));
        names.push((y, x, index));
    }
    names.sort_unstable();
    let wanted: Vec<i32> = names.iter().map(|(y, ..)| *y).collect();
    for ((y, x, index), place) in names.iter().zip(spread(&wanted, SIZE.1 as i32 - 60)) {
        let (arm, color) = (arms[*index], COLORS[index % COLORS.len()]);
        picture.draw(&PathElement::new(vec![(*x, *y), (right + 6, place)], color.mix(0.5)))?;
        let style = ("sans-serif", 13).into_font().color(&color).pos(Pos::new(HPos::Left, VPos::Center));
        picture.draw(&Text::new(label(arm), (right + 10, place), style))?;
    }
    Ok(())
}

/// An arm's name and its last accuracy.
fn label(arm: &ArmResult) -> String {
    let last = arm.curve.last().map_or(0.0, |point| 100.0 * point.accuracy.mean);
    format!("{} {last:.1} %", arm.name)
}

/// Width of the longest label in pixels, at most half of the picture.
fn names_width(arms: &[&ArmResult]) -> u32 {
    let longest = arms.iter().map(|arm| label(arm).len()).max().unwrap_or(0);
    ((LEADER_WIDTH + CHARACTER_WIDTH * longest) as u32).min(SIZE.0 / 2)
}

/// Positions at least [`NAME_HEIGHT`] apart, close to the desired ones (ascending), and not below `bottom` if there is room.
fn spread(wanted: &[i32], bottom: i32) -> Vec<i32> {
    let mut places = Vec::with_capacity(wanted.len());
    for &y in wanted {
        let free = places.last().map_or(i32::MIN, |last| last + NAME_HEIGHT);
        places.push(y.max(free));
    }
    let mut limit = bottom;
    for place in places.iter_mut().rev() {
        *place = (*place).min(limit);
        limit = *place - NAME_HEIGHT;
    }
    places
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

/// `2.5`, `950`, `1.2k`, `52k`, `3.4M`, on an axis that ends at `end`.
fn short(number: f64, end: f64) -> String {
    match number {
        n if end < 20.0 => format!("{n:.1}"),
        n if n < 1000.0 => format!("{n:.0}"),
        n if n < 9950.0 => format!("{:.1}k", n / 1e3),
        n if n < 999_500.0 => format!("{:.0}k", n / 1e3),
        n => format!("{:.1}M", n / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_meet_are_moved_apart_and_stay_in_the_picture() {
        assert_eq!(spread(&[10, 100, 200], 400), [10, 100, 200]);
        assert_eq!(spread(&[100, 101, 102], 400), [100, 115, 130]);
        assert_eq!(spread(&[395, 398, 400], 400), [370, 385, 400]);
    }
}
