//! Bars with names, such as the explained variance in each tenth of the answers.

use plotters::{
    element::{PathElement, Rectangle},
    style::{Color, ShapeStyle},
};

use crate::{
    axis::{Axis, Format, is_drawable},
    canvas::{document, units},
    error::Result,
    layout::Layout,
    palette::{GRAY, tone},
    panel::{Line, Panel},
    plot::{draw_surroundings, write_no_data},
    text::clean,
};

/// The share of its place that a bar fills.
const FILLED: f64 = 0.72;

/// Numbers with names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bars {
    /// Above the plotting area; may be empty.
    pub title: String,
    /// Below the names; may be empty.
    pub x_title: String,
    /// Beside the y-axis; may be empty.
    pub y_title: String,
    /// A name and a number for each bar; `None` leaves its place empty.
    pub bars: Vec<(String, Option<f64>)>,
    /// The range of y, as in [`Panel`]. It is widened to contain 0, where bars begin.
    pub y: Option<(f64, f64)>,
    /// How values of y are written.
    pub format: Format,
    /// Index of the bars' color in [`crate::COLORS`].
    pub color: usize,
}

/// Draws bars.
///
/// # Errors
/// The picture is too small or too large.
pub fn bars(bars: &Bars, size: (u32, u32)) -> Result<String> {
    let values: Vec<(usize, f64)> = bars
        .bars
        .iter()
        .enumerate()
        .filter_map(|(index, (_, value))| Some((index, value.filter(|value| is_drawable(*value))?)))
        .collect();
    let ends = [(0.0, 0.0)].into_iter().chain(values.iter().map(|(index, value)| (*index as f64, *value)));
    let panel = Panel {
        title: bars.title.clone(),
        x_title: bars.x_title.clone(),
        y_title: bars.y_title.clone(),
        y: bars.y.map(|(low, high)| (low.min(0.0), high.max(0.0))),
        format: bars.format,
        lines: vec![Line { points: ends.collect(), ..Line::default() }],
        ..Panel::default()
    };
    let mut layout = Layout::new(&panel, (f64::from(size.0), f64::from(size.1)));
    let names: Vec<String> = bars.bars.iter().map(|(name, _)| clean(name)).collect();
    layout.x = Axis::named(names, layout.width / 40.0);
    let (low, high) = (layout.y.low, layout.y.high);
    document(size, |area| {
        let mut plot = draw_surroundings(area, &panel, &layout)?;
        if values.is_empty() {
            return write_no_data(area, &layout);
        }
        let shape = |(index, value): &(usize, f64)| {
            let left = *index as f64 + (1.0 - FILLED) / 2.0;
            let corners = [(left, 0.0), (left + FILLED, value.clamp(low, high))];
            Rectangle::new(corners, tone(bars.color, 0.85).filled())
        };
        plot.draw_series(values.iter().map(shape))?;
        let zero = vec![(0.0, 0.0), (layout.x.high, 0.0)];
        plot.draw_series([PathElement::new(zero, ShapeStyle::from(GRAY).stroke_width(units(0.8) as u32))])?;
        Ok(())
    })
}
