//! What a panel shows.

use crate::axis::Format;

/// A curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Its name in the legend; without one, it is not in the legend.
    pub name: String,
    /// Its points, in the order in which they are connected. A point that is not finite interrupts the line.
    pub points: Vec<(f64, f64)>,
    /// An interval around it: x, low, high. May be empty.
    pub band: Vec<(f64, f64, f64)>,
    /// Index of its color in [`crate::COLORS`], which begin again at their end.
    pub color: usize,
    /// Its width in pixels.
    pub width: u32,
    /// Whether it is in the background, like the other seeds of a run.
    pub faint: bool,
    /// Whether its points are marked.
    pub dots: bool,
    /// Whether the value is written next to each point, where there is room.
    pub values: bool,
}

/// Curves over a common x-axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// Above the plotting area; may be empty.
    pub title: String,
    /// Below the x-axis; may be empty.
    pub x_title: String,
    /// Beside the y-axis; may be empty.
    pub y_title: String,
    /// The range of x that is shown. An end that is not finite, or the whole range, is chosen to show all points.
    pub x: Option<(f64, f64)>,
    /// The range of y that is shown, likewise.
    pub y: Option<(f64, f64)>,
    /// How values of y are written.
    pub format: Format,
    /// The curves, from back to front.
    pub lines: Vec<Line>,
    /// Spans of x with a label, such as value pretraining.
    pub shaded: Vec<(f64, f64, String)>,
    /// Whether the names of the lines are shown above the plotting area.
    pub legend: bool,
    /// Whether the name of each line is shown at its end.
    pub names: bool,
}

/// A picture, and where its plotting area lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The picture.
    pub svg: String,
    /// The range of x that is shown, from the left to the right side of the plotting area.
    pub x: (f64, f64),
    /// The range of y that is shown, from its bottom to its top.
    pub y: (f64, f64),
    /// Distance of the plotting area from the left side of the picture in pixels.
    pub left: f64,
    /// Its distance from the top.
    pub top: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}
