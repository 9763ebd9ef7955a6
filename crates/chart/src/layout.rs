//! Where the parts of a panel of curves lie.

use crate::{
    axis::{Axis, Format, is_drawable, range},
    canvas::{LEADER, LINE_HEIGHT, MARGIN, SMALL},
    legend::Legend,
    panel::{Line, Panel},
    text::{clean, width},
};

/// Length of the marks at the x-axis.
pub(crate) const TICK: f64 = 3.0;
/// Space around the points of an axis without a given range, as a share.
const SPACE: f64 = 0.04;
/// Pixels from one tick to the next.
const TICK_DISTANCES: (f64, f64) = (60.0, 36.0);

/// Where the parts of a panel lie, in pixels.
pub(crate) struct Layout {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
    pub(crate) legend: Legend,
}

impl Layout {
    pub(crate) fn new(panel: &Panel, (whole_width, whole_height): (f64, f64)) -> Self {
        let line = |shown: bool| if shown { LINE_HEIGHT } else { 0.0 };
        let legend = Legend::new(panel, whole_width - 2.0 * MARGIN);
        let top = MARGIN + line(!panel.title.is_empty()) + legend.height();
        let bottom = MARGIN + LINE_HEIGHT + line(!panel.x_title.is_empty());
        let right = MARGIN + if panel.names { names_width(panel, whole_width) } else { MARGIN };
        let height = (whole_height - top - bottom).max(1.0);
        let (x, y) = ranges(panel);
        let y = Axis::new(y, panel.format, height / TICK_DISTANCES.1);
        let label = y.ticks().into_iter().map(|tick| width(&y.label(tick), SMALL)).fold(0.0, f64::max);
        let left = MARGIN + line(!panel.y_title.is_empty()) + label + 2.0 * TICK;
        let width = (whole_width - left - right).max(1.0);
        let x = Axis::new(x, Format::Compact, width / TICK_DISTANCES.0);
        Self { x, y, left, top, width, height, right, bottom, legend }
    }
}

/// The ranges of both axes.
fn ranges(panel: &Panel) -> ((f64, f64), (f64, f64)) {
    let xs = |line: &'_ Line| {
        let points = line.points.iter().filter(|point| is_drawable(point.1)).map(|point| point.0);
        points.chain(line.band.iter().map(|band| band.0)).collect::<Vec<f64>>()
    };
    let x = range(panel.x, panel.lines.iter().flat_map(xs), SPACE / 2.0);
    let is_shown = |at: f64| (x.0..=x.1).contains(&at);
    let points = panel.lines.iter().flat_map(|line| &line.points).filter(|point| is_shown(point.0));
    let bands = panel.lines.iter().flat_map(|line| &line.band).filter(|band| is_shown(band.0));
    let ys = points.map(|point| point.1).chain(bands.flat_map(|band| [band.1, band.2]));
    (x, range(panel.y, ys, SPACE))
}

/// The space that names at the ends of lines need.
fn names_width(panel: &Panel, whole: f64) -> f64 {
    let names = panel.lines.iter().map(|line| width(&clean(&line.name), SMALL));
    (names.fold(0.0, f64::max) + LEADER).min(whole / 3.0)
}
